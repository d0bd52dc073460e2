"""The study of all encoders, modes and seeds: from the store's predictions to its tables.

One part under the key ``all``: every decision that has predictions goes through the daily ledger
again when any of them has changed, and nothing is computed when none has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from finembed_core.daily_panel import DailyPanel, read_daily
from finembed_core.embeddings.evaluation.deaths import recorded_deaths
from finembed_core.embeddings.evaluation.portfolios import fund_groups, simulate_all
from finembed_core.embeddings.evaluation.predictions import Predictions
from finembed_core.embeddings.evaluation.simulation import DailyLedger
from finembed_core.embeddings.evaluation.tables import (
    EVALUATIONS,
    PORTFOLIOS,
    evaluation_table,
    portfolio_table,
)
from finembed_core.embeddings.tables import PREDICTED, PREDICTIONS
from finembed_core.errors import MissingPartError, NothingToEvaluateError
from finembed_core.fingerprint import digest
from finembed_core.panel import FloatArray
from finembed_core.progress import Progress
from finembed_core.settings import Settings
from finembed_core.stage import Output, Stage
from finembed_core.store import PartStore

KEY = "all"
READ = ("daily_panel", "daily_funds", PREDICTIONS)
SCHEMAS = (("embedding_portfolios", PORTFOLIOS), ("embedding_evaluations", EVALUATIONS))
MODULES = (
    "finembed_core.backtest",
    "finembed_core.daily_panel",
    "finembed_core.embeddings.evaluation",
    "finembed_core.portfolio",
    "finembed_core.sessions",
)


@dataclass(frozen=True)
class StudyInputs:
    """Everything that the tables are made from.

    Attributes
    ----------
    panel : DailyPanel
    funds, predictions : DataFrame
        Tables `daily_funds` and `fund_predictions`.
    risk_free : ndarray, shape (T,), or None
        Daily return of cash.
    settings : Settings
    contents : mapping of str to str
        Hash of each part read.
    """

    panel: DailyPanel
    funds: pl.DataFrame
    predictions: pl.DataFrame
    risk_free: FloatArray | None
    settings: Settings
    contents: Mapping[str, str]

    def digest(self) -> str:
        """Hash of the parts, which are too large to be hashed again."""
        risk_free = np.empty(0) if self.risk_free is None else self.risk_free
        return digest(self.contents, risk_free)


def evaluation_stage(
    store: PartStore,
    settings: Settings,
    progress: Progress | None = None,
) -> Stage[StudyInputs]:
    """Tables `embedding_portfolios` and `embedding_evaluations`.

    Before there is anything to evaluate they are empty, and their note ``absent`` says why.

    Parameters
    ----------
    store : PartStore
        With `READ`.
    settings : Settings
    progress : Progress, optional
    """

    def compute(inputs: StudyInputs) -> dict[str, Output]:
        try:
            tables = evaluate(inputs, progress)
        except NothingToEvaluateError as reason:
            notes = {"absent": reason.what}
            return {name: Output(pl.DataFrame(schema=s), notes=notes) for name, s in SCHEMAS}
        return {name: Output(frame) for name, frame in tables.items()}

    return Stage(
        name="embedding_evaluations",
        tables=tuple(name for name, _ in SCHEMAS),
        sections=(settings.embeddings, settings.backtest, settings.ingest),
        modules=MODULES,
        gather=lambda key: gather(store, settings),
        compute=compute,
    )


def gather(store: PartStore, settings: Settings) -> StudyInputs:
    """Read the store.

    Raises
    ------
    MissingPartError
        There are no daily returns.
    """
    decided = store.keys(PREDICTIONS)
    predictions = store.read_many(PREDICTIONS) if decided else pl.DataFrame(schema=PREDICTED)
    panel = read_daily(store)
    contents = {
        f"{manifest.table} {manifest.key}": manifest.content
        for table in READ
        for manifest in store.manifests(table)
    }
    funds = store.read("daily_funds", KEY)
    return StudyInputs(panel, funds, predictions, _risk_free(store, panel), settings, contents)


def evaluate(inputs: StudyInputs, progress: Progress | None = None) -> dict[str, pl.DataFrame]:
    """Both tables of the evaluations.

    Raises
    ------
    NothingToEvaluateError
        There is no decision yet, or nothing is earned after it.
    InputError
        Funds of a decision are not in the panel.
    """
    own, inference = inputs.settings.embeddings, inputs.settings.backtest.inference
    dead = recorded_deaths(inputs.panel, inputs.funds, inputs.settings)
    predictions = Predictions.of(inputs.predictions, inputs.panel).without(dead)
    ledger = DailyLedger.of(
        inputs.panel, predictions, inputs.funds, inputs.settings, inputs.risk_free
    )
    made = simulate_all(
        inputs.panel,
        predictions,
        fund_groups(predictions, inputs.funds),
        ledger,
        lookback=own.lookback,
        history=own.training.train_sessions,
        horizon=own.horizon,
        progress=progress,
    )
    return {
        "embedding_portfolios": portfolio_table(made, ledger),
        "embedding_evaluations": evaluation_table(made, ledger, inference),
    }


def _risk_free(store: PartStore, panel: DailyPanel) -> FloatArray | None:
    """Return of cash by session, 0 where it has none; None without a daily series of that role.

    A yield is no return of a day: it is left out.
    """
    try:
        series = store.read("series", KEY)
    except MissingPartError:
        return None
    chosen = series.filter(
        pl.col("roles").list.contains("risk_free")
        & pl.col("series_id").is_in(list(panel.series_ids))
        & (pl.col("kind") != "yield")
    )
    if chosen.height == 0:
        return None
    column = panel.series_ids.index(chosen["series_id"].sort()[0])
    return np.nan_to_num(panel.series[:, column].astype(np.float64))
