"""Sensors: new files are read, and what they make stale is computed."""

import json
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from finembed_core.chain import chain_state, decision_months, first_open_month
from finembed_core.settings import FilesSource, TableFiles
from finembed_core.sources.files import matching_files
from finembed_dagster.jobs import AssetJob
from finembed_dagster.partitions import range_tags
from finembed_dagster.study import Study

SECONDS_BETWEEN_LOOKS = 60


def file_sensor(study: Study, ingest: AssetJob) -> dg.SensorDefinition:
    """Sensor that reads the source again when one of the user's files came, changed or went."""

    @dg.sensor(
        name="new_files",
        job=ingest,
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        description="Reads the source again when a file of the settings came, changed or went.",
    )
    def new_files(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if study.settings.dataset.source != "files":
            return dg.SkipReason("the dataset does not come from files")
        seen = json.dumps(
            {
                str(path): [path.stat().st_mtime_ns, path.stat().st_size]
                for path in _input_files(study.settings.dataset.files)
            },
            sort_keys=True,
        )
        if seen == context.cursor:
            return dg.SkipReason("no file has changed")
        return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=seen)

    return new_files


def staleness_sensor(
    study: Study, readers: Sequence[AssetJob], chain: AssetJob
) -> dg.SensorDefinition:
    """Sensor that asks for the months which new input has made stale, and for no others.

    Parameters
    ----------
    study : Study
    readers : sequence of jobs
        Jobs that read the source.
    chain : job
        What to run over the stale months; none of `readers`, or it would start itself again.
    """

    @dg.run_status_sensor(
        name="after_ingest",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=list(readers),
        request_job=chain,
        description="After the source was read again: the months from the first stale one, in one "
        "run.",
    )
    def after_ingest(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
        months = decision_months(study.store)
        opened = first_open_month(chain_state(study.store, study.settings, months))
        if opened is None:
            return dg.SkipReason("everything is current")
        return dg.RunRequest(
            run_key=context.dagster_run.run_id,
            tags=range_tags(max(opened, months[0]), months[-1]),
        )

    return after_ingest


def _input_files(source: FilesSource) -> list[Path]:
    single = (source.funds, source.series, source.daily_funds)
    tables: list[TableFiles] = [
        *source.fund_observations,
        *source.series_observations,
        *source.daily_observations,
        *(table for table in single if table is not None),
    ]
    return sorted({path for table in tables for path in matching_files(table)})
