"""What a person looks at in the Dagster page: charts and small tables as metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
import polars as pl

from finembed_core.embeddings.evaluation.portfolios import AGAINST
from finembed_core.embeddings.tables import EMBEDDINGS
from finembed_core.report import figures
from finembed_core.report.pictures import markdown
from finembed_core.report.statistics import HEADLINE, STATISTICS
from finembed_core.store import PartStore

Metadata = dict[str, Any]
TABLE_ROWS = 60
FLOAT = ".4g"
SCOREBOARD = {
    **dict.fromkeys(("evaluation", "encoder", "mode"), ""),
    "value": ".2f",
    "benchmark": "",
    "benchmark_value": ".2f",
    **dict.fromkeys(("difference", "ci_low", "ci_high"), "+.2f"),
}
WINS = {"evaluation": "", "value": ".0f", "n": "", "benchmark": ""}
LEADERBOARD = {
    "rank": "",
    "strategy": "",
    **{name: STATISTICS[name][1] for name in HEADLINE},
    "reason": "",
}
ORDERS = {
    "strategy": "",
    "decision": "",
    "side": "",
    "fund_id": "",
    "name": "",
    "weight": ".2%",
    "reason": "",
    "status": "",
    "blocked_by": "",
    "notice": "",
    "dealing": "",
    "settle": "",
    "p_up": ".1%",
    "p_up_before": ".1%",
    "rank": "",
    "rank_before": "",
}


def universe_size(store: PartStore) -> Metadata:
    """Funds known and eligible over time."""
    return {"funds": _picture(figures.universe_size(store.read_many("universe")))}


def explained_variance(store: PartStore) -> Metadata:
    """Share of variance that each macro factor explains, over time."""
    explained = store.read_many("macro_explained")
    return {"explained_variance": _picture(figures.explained_variance(explained))}


def stress_var(store: PartStore) -> Metadata:
    """Distribution of StressVaR over funds, month by month."""
    features = store.read_many("polymodel_features")
    return {"svar_over_time": _picture(figures.feature_bands(features, "svar", percent=True))}


def learning_curves(store: PartStore, table: str, key: str) -> Metadata:
    """Loss and balanced accuracy by epoch of one retraining, where the model has epochs."""
    curve = store.read(table, key)
    return {} if curve.is_empty() else {"learning_curve": _picture(figures.learning_curves(curve))}


def fund_learning_curves(store: PartStore, table: str) -> Metadata:
    """Validation loss by epoch of an encoder's newest networks, where any are trained."""
    trained = [m.key for m in store.manifests(table) if m.rows]
    if not trained:
        return {}
    curves = store.read(table, max(trained))
    return {"learning_curve": _picture(figures.validation_curves(curves)), "of": max(trained)}


def embedded_funds(store: PartStore) -> Metadata:
    """Funds that have a vector, over time."""
    vectors = store.read_many(EMBEDDINGS)
    return {"funds": _picture(figures.embedded_funds(vectors))} if vectors.height else {}


def scoreboard(evaluations: pl.DataFrame) -> Metadata:
    """Sharpe ratios against the first benchmark there is, and how many portfolios beat theirs."""
    whole = evaluations.filter(pl.col("seed").is_null())
    known = set(whole["benchmark"])
    chosen = {name: next((b for b in AGAINST[name] if b in known), None) for name in AGAINST}
    schema = {"evaluation": pl.String, "benchmark": pl.String}
    first = pl.DataFrame(list(chosen.items()), schema=schema, orient="row")
    no_model = pl.all_horizontal(pl.col("encoder", "mode").is_null())
    whole_panel = pl.all_horizontal(pl.col("fund_group", "k").is_null())
    models = whole.filter(~no_model, whole_panel, metric="sharpe")
    models = models.join(first, on=first.columns, how="semi", maintain_order="left")
    wins = whole.filter(no_model, metric="wins_sharpe").drop("benchmark")
    wins = wins.join(first, on="evaluation", maintain_order="left")
    return {
        name: dg.MetadataValue.md(table_markdown(rows, formats))
        for name, rows, formats in (("scoreboard", models, SCOREBOARD), ("wins", wins, WINS))
        if rows.height
    }


def wealth(store: PartStore, run_id: str) -> Metadata:
    """Wealth of all strategies."""
    returns = store.read("returns", run_id)
    run = store.read("runs", run_id).row(0, named=True)
    return {
        "wealth": _picture(figures.wealth(returns)),
        "underwater": _picture(figures.underwater(returns)),
        "simulated": run["simulated"],
        "warnings": json.loads(run["warnings"]),
    }


def leaderboard(frame: pl.DataFrame) -> dg.MetadataValue:
    """The columns of the leaderboard that fit a window; absent strategies with their reason."""
    return _results(frame, LEADERBOARD)


def orders(frame: pl.DataFrame) -> dg.MetadataValue:
    """The latest orders: why, with which probability and rank, now and the month before."""
    return _results(frame, ORDERS)


def table_markdown(frame: pl.DataFrame, formats: Mapping[str, str] | None = None) -> str:
    """A frame as a Markdown table.

    Parameters
    ----------
    frame : DataFrame
    formats : mapping of str to str, optional
        Columns to show, and how; by default all, floats to four digits.
    """
    formats = formats or {
        name: FLOAT if kind.is_float() else "" for name, kind in frame.schema.items()
    }
    shown = frame.head(TABLE_ROWS).select(list(formats))
    lines = [_row(shown.columns), _row(["---"] * shown.width)]
    lines += [_row(map(_cell, row, formats.values())) for row in shown.rows()]
    if frame.height > TABLE_ROWS:
        lines.append(f"\n{frame.height - TABLE_ROWS} more rows")
    return "\n".join(lines)


def _results(frame: pl.DataFrame, formats: Mapping[str, str]) -> dg.MetadataValue:
    """Rows of a view of the warehouse, under the word simulated where they are."""
    heading = "**simulated data**\n\n" if frame["simulated"].any() else ""
    return dg.MetadataValue.md(heading + table_markdown(frame, formats))


def _picture(figure: Any) -> dg.MetadataValue:
    return dg.MetadataValue.md(markdown(figure))


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: object, style: str) -> str:
    return "" if value is None else format(value, style).replace("|", r"\|")
