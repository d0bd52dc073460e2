"""Jobs: one over months for the whole chain, one for the schedule, and three of its parts."""

from typing import TypeAlias

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)

from finembed_core.learning.stage import model_table
from finembed_core.settings import Settings
from finembed_dagster.assets.embeddings import STUDY
from finembed_dagster.assets.ingest import TABLES

AssetJob: TypeAlias = UnresolvedAssetJobDefinition

INGEST, FULL_HISTORY, MONTHLY_REBALANCE = "ingest", "full_history", "monthly_rebalance"
IN_PROCESS = dg.in_process_executor
"""A step process costs seconds and every month is small; the core spreads the heavy work."""


def jobs(settings: Settings) -> dict[str, AssetJob]:
    """All jobs by name."""
    ingest = dg.AssetSelection.assets(*TABLES)
    trend_models = dg.AssetSelection.assets(*map(model_table, settings.learning.models))
    published = ["backtests", *([STUDY] if settings.embeds else []), "warehouse"]
    over_months = dg.AssetSelection.all() - trend_models
    return {
        job.name: job
        for job in (
            _job(INGEST, ingest, "Read the source again; write what changed."),
            _job(
                FULL_HISTORY,
                over_months,
                "The whole chain over the months that you choose; what is current is skipped, "
                "models that are due are trained.",
            ),
            _job(
                MONTHLY_REBALANCE,
                over_months,
                "What the schedule asks for: all months that are missing, up to the orders of "
                "the newest.",
            ),
            _job("training", trend_models, "Trend models alone, by retraining month."),
            _job(
                "publish",
                dg.AssetSelection.assets(*published),
                "Backtest what is predicted, rebuild the DuckDB file, swap it in.",
            ),
        )
    }


def _job(name: str, selection: dg.AssetSelection, description: str) -> AssetJob:
    return dg.define_asset_job(name, selection, description=description, executor_def=IN_PROCESS)
