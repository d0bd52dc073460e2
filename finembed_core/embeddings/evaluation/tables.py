"""Tables of the evaluations, long: `embedding_portfolios` and `embedding_evaluations`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from finembed_core.embeddings.evaluation.comparisons import Comparison, Row
from finembed_core.embeddings.evaluation.paired import PairedDraws
from finembed_core.embeddings.evaluation.portfolios import AGAINST, Benchmark, Label, Portfolios
from finembed_core.embeddings.evaluation.simulation import DailyLedger, Held
from finembed_core.embeddings.evaluation.together import against_supervised, deflated, wins
from finembed_core.settings import InferenceSettings

Schema = dict[str, pl.DataType | type[pl.DataType]]

LABEL: Schema = {
    "encoder": pl.String,
    "mode": pl.String,
    "loss": pl.String,
    "fund_group": pl.String,
    "k": pl.Int64,
    "seed": pl.Int64,
}
PORTFOLIOS: Schema = {
    "evaluation": pl.String,
    "portfolio": pl.String,
    **LABEL,
    "date": pl.Date,
    "ret": pl.Float64,
    "turnover": pl.Float64,
    "cost": pl.Float64,
}
EVALUATIONS: Schema = {
    "evaluation": pl.String,
    **LABEL,
    "metric": pl.String,
    "value": pl.Float64,
    "benchmark": pl.String,
    "benchmark_value": pl.Float64,
    "difference": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "n": pl.Int64,
    "note": pl.String,
}


def portfolio_table(portfolios: Portfolios, ledger: DailyLedger) -> pl.DataFrame:
    """Daily returns of benchmarks and candidates.

    Of rankings those of all seeds mixed; what single seeds came to is in `embedding_evaluations`.
    """
    days = pl.Series("date", ledger.dates)
    frames = [
        _daily_rows({**label._asdict(), "portfolio": label.portfolio}, held, days)
        for label, held in portfolios.candidates.items()
        if label.seed is None or label.evaluation != "ranking"
    ]
    frames += [
        _daily_rows(_benchmark_label(benchmark), held, days)
        for benchmark, held in portfolios.benchmarks.items()
    ]
    return pl.concat(frames) if frames else pl.DataFrame(schema=PORTFOLIOS)


def evaluation_table(
    portfolios: Portfolios, ledger: DailyLedger, inference: InferenceSettings
) -> pl.DataFrame:
    """Every comparison, every test, and a row with the reason for each portfolio that is absent.

    Parameters
    ----------
    portfolios : Portfolios
    ledger : DailyLedger
        That they went through.
    inference : InferenceSettings
    """
    rows: list[Row] = []
    labels = tuple(portfolios.candidates)
    active = [
        portfolios.candidates[label].net - portfolios.benchmarks[benchmark].net
        for label in labels
        if label.seed is None
        for benchmark in portfolios.against(label)[:1]
    ]
    if active:
        paired = PairedDraws.of(
            np.column_stack(active), ledger.starts, draws=inference.draws, seed=inference.seed
        )
        risk_free = ledger.earned_risk_free
        for evaluation in AGAINST:
            own = tuple(label for label in labels if label.evaluation == evaluation)
            if own:
                comparison = Comparison(portfolios, own, risk_free, paired, inference)
                for part in (Comparison.pairs, wins, deflated, against_supervised):
                    rows += part(comparison)
    rows += [
        {**label._asdict(), "metric": "annual_return", "note": reason}
        for label, reason in portfolios.absent.items()
    ]
    table = pl.DataFrame(rows, schema=EVALUATIONS, orient="row")
    return table.with_columns(pl.selectors.float().fill_nan(None))


def _benchmark_label(benchmark: Benchmark) -> dict[str, str | int | None]:
    label = Label("benchmark", fund_group=benchmark.fund_group, k=benchmark.k)
    parts = (benchmark.name, f"top{benchmark.k}" if benchmark.k else "", benchmark.fund_group)
    return {**label._asdict(), "portfolio": "_".join(part for part in parts if part)}


def _daily_rows(label: Mapping[str, str | int | None], held: Held, days: pl.Series) -> pl.DataFrame:
    money = {"ret": held.net, "turnover": held.turnover, "cost": held.cost}
    return pl.DataFrame({"date": days, **money}).select(
        (pl.col(name) if name in ("date", *money) else pl.lit(label[name])).cast(kind).alias(name)
        for name, kind in PORTFOLIOS.items()
    )
