"""Everything that Dagster knows of a study, gathered."""

from __future__ import annotations

import dagster as dg

from finembed_core.progress import Progress
from finembed_dagster.assets.embeddings import embedding_assets
from finembed_dagster.assets.features import feature_assets
from finembed_dagster.assets.ingest import ingested
from finembed_dagster.assets.models import model_assets
from finembed_dagster.assets.monthly import ProgressFor
from finembed_dagster.assets.portfolios import backtests, warehouse_asset
from finembed_dagster.checks import asset_checks
from finembed_dagster.jobs import FULL_HISTORY, IN_PROCESS, INGEST, MONTHLY_REBALANCE, jobs
from finembed_dagster.progress import LogProgress
from finembed_dagster.resources import writable_study
from finembed_dagster.schedules import rebalance_schedule
from finembed_dagster.sensors import file_sensor, staleness_sensor
from finembed_dagster.study import Study


def log_progress(context: dg.AssetExecutionContext) -> Progress:
    """Progress as lines of the run's log."""
    return LogProgress(context.log.info)


def build_definitions(study: Study, progress_for: ProgressFor = log_progress) -> dg.Definitions:
    """Assets, jobs, schedule, sensor and checks of one study.

    Parameters
    ----------
    study : Study
    progress_for : callable
        How an asset's progress shows; lines of the run's log by default.
    """
    settings = study.settings
    by_name = jobs(settings)
    ingest, monthly, full = (by_name[name] for name in (INGEST, MONTHLY_REBALANCE, FULL_HISTORY))
    return dg.Definitions(
        assets=[
            ingested,
            *feature_assets(settings),
            *model_assets(settings),
            *(embedding_assets(settings) if settings.embeds else []),
            backtests,
            warehouse_asset(settings),
        ],
        asset_checks=asset_checks(settings),
        jobs=list(by_name.values()),
        schedules=[rebalance_schedule(study, monthly)],
        sensors=[file_sensor(study, ingest), staleness_sensor(study, [ingest, monthly], full)],
        executor=IN_PROCESS,
        resources={"study": writable_study(study), "progress_for": progress_for},
    )
