"""Run the Dagster jobs in this process, for the command line and for tests."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import dagster as dg
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG
from sqlalchemy import event
from sqlalchemy.engine import Engine

from finembed_core.calendar import Month
from finembed_core.chain import LinkState, chain_state, decision_months, first_open_month
from finembed_core.errors import MissingPartError
from finembed_core.ingest.stage import delivered
from finembed_core.settings import Settings
from finembed_core.sources import month_bounds
from finembed_dagster.assets.ingest import TABLES
from finembed_dagster.assets.monthly import ProgressFor
from finembed_dagster.assets.portfolios import THROUGH
from finembed_dagster.gathered import build_definitions, log_progress
from finembed_dagster.partitions import range_tags
from finembed_dagster.processes import PROCESS_TAG, end_dead_runs, this_process
from finembed_dagster.study import Study

LOCATION_TAG, LOCATION = REPOSITORY_LABEL_TAG, "__repository__@finembed"
"""By which the page finds the runs of a job; location as in workspace.yaml."""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Outcome:
    """What a run had to do.

    Attributes
    ----------
    computed : (Month, Month) or None
        Range of months that was not current before, None when everything was.
    through : Month
        Last month that is now current.
    warnings : tuple of str
        What to know before believing the results, from the source and from the backtests.
    """

    computed: tuple[Month, Month] | None
    through: Month
    warnings: tuple[str, ...]


class Launcher:
    """Jobs of one study, executed in this process against its Dagster instance.

    Parameters
    ----------
    study : Study
        Entered (`Study.enter`).
    progress_for : callable, optional
        How progress shows; lines of the run's log by default.
    """

    def __init__(self, study: Study, progress_for: ProgressFor = log_progress) -> None:
        self.study = study
        self._definitions = build_definitions(study, progress_for)

    def run(
        self,
        job: str,
        months: tuple[Month, Month] | None = None,
        assets: Sequence[str] | None = None,
        through: Month | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Execute a job, over a range of months where it has any.

        Parameters
        ----------
        job : str
        months : (Month, Month), optional
        assets : sequence of str, optional
            Of the job; all by default.
        through : Month, optional
            Where a backtest ends: all must be current up to there once the job is done.

        Raises
        ------
        FinembedError
            As raised by the asset that failed.
        """
        selection = None if assets is None else [dg.AssetKey(name) for name in assets]
        with dg.DagsterInstance.get() as instance:
            end_dead_runs(instance)
            tags = {PROCESS_TAG: this_process(), LOCATION_TAG: LOCATION}
            tags |= range_tags(*months) if months else {}
            tags |= {THROUGH: str(through)} if through else {}
            return self._definitions.resolve_job_def(job).execute_in_process(
                run_config=QUIET,
                instance=instance,
                tags=tags,
                asset_selection=selection,
            )

    def states(self, months: Sequence[Month]) -> list[LinkState]:
        """State of every part that these months need."""
        return chain_state(self.study.store, self.study.settings, months)

    def bring_up_to_date(self, through: Month | None = None) -> Outcome:
        """Ingest, compute what is missing or stale up to `through`, backtest and publish.

        Raises
        ------
        FinembedError
            The input is at fault, or there are no data for `through`.
        """
        study = self.study
        if through is not None:
            require_within(study.settings, through)
        told = warnings_of(self.run("ingest"))
        months = decision_months(study.store, through)
        opened = first_open_month(self.states(months))
        if opened is None:
            told += warnings_of(self.run("publish", through=months[-1]))
            return Outcome(None, months[-1], told)
        span = (max(opened, months[0]), months[-1])
        done = self.run("full_history", span, self._after_ingest(), through=months[-1])
        return Outcome(span, months[-1], told + warnings_of(done))

    def _after_ingest(self) -> list[str]:
        job = self._definitions.resolve_job_def("full_history")
        keys = {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
        return sorted(keys - set(TABLES))


def require_within(settings: Settings, month: Month) -> None:
    """Refuse a month that the source does not reach, before anything is written.

    Raises
    ------
    MissingPartError
        It lies outside what the source delivers.
    InputError
        The input breaks its contract.
    """
    first, last = month_bounds(settings.dataset)[0], delivered(settings)
    if not first <= month <= last:
        raise MissingPartError(
            f"there are no data for {month}",
            where=f"months of the dataset: {first} to {last}",
            remedy="ask for one of these months, or bring newer data and run again",
        )


def warnings_of(result: dg.ExecuteInProcessResult) -> tuple[str, ...]:
    """Warnings that assets attached to what they made."""
    found: list[str] = []
    for made in result.get_asset_materialization_events():
        attached = made.step_materialization_data.materialization.metadata.get("warnings")
        if attached is not None:
            found.extend(cast(list[str], attached.value))
    return tuple(found)


@event.listens_for(Engine, "connect")
def _no_wait_for_disk(connection: object, _record: object) -> None:
    """Let SQLite hand its writes to the system without waiting for the disk.

    Dagster commits several times per partition, which on a busy disk takes longer than the whole
    chain. A power cut may cost Dagster's run log; the store does its own flushing.
    """
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")
