"""The schedule catches up; the sensors see new files and ask for what became stale."""

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml

from finembed_core.calendar import Month
from finembed_dagster.gathered import build_definitions
from finembed_dagster.partitions import RANGE_END, RANGE_START
from finembed_dagster.schedules import SCHEDULE, missing_months
from finembed_dagster.study import Study
from tests.study_runs import SETTINGS

MORNING = dt.time(6, tzinfo=dt.UTC)


@pytest.fixture
def entered(study: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    return Study.find().enter()


def _forget(study: Study, table: str, *months: str) -> None:
    for month in months:
        study.store.delete(table, month)


def _tick(study: Study, day: dt.date) -> Any:
    schedule = build_definitions(study).resolve_schedule_def(SCHEDULE)
    with dg.instance_for_test() as instance:
        return schedule.evaluate_tick(
            dg.build_schedule_context(
                instance=instance, scheduled_execution_time=dt.datetime.combine(day, MORNING)
            )
        )


def test_the_schedule_asks_for_all_missing_months_at_once(entered: Study) -> None:
    _forget(entered, "predictions", "1994-09", "1994-10", "1994-11", "1994-12")
    tick = _tick(entered, dt.date(1994, 12, 16))
    (request,) = tick.run_requests
    assert request.tags[RANGE_START] == "1994-09-01"
    assert request.tags[RANGE_END] == "1994-11-01"
    later = _tick(entered, dt.date(1995, 1, 16))
    assert later.run_requests[0].tags[RANGE_END] == "1994-12-01"
    assert later.run_requests[0].run_key != request.run_key


def test_the_schedule_has_nothing_to_ask_when_all_is_there(entered: Study) -> None:
    tick = _tick(entered, dt.date(2001, 1, 16))
    assert not tick.run_requests
    assert "every complete month" in tick.skip_message


def test_a_month_counts_as_complete_after_its_decision_day(entered: Study) -> None:
    _forget(entered, "predictions", "1994-12")
    assert missing_months(entered, dt.date(1995, 1, 15)) == []  # decided on that very day
    assert missing_months(entered, dt.date(1995, 1, 16)) == [Month.parse("1994-12")]


@pytest.fixture
def from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study of one fund that reported until March 2000."""
    rows = "a,2000-01-31,0.01\na,2000-02-29,0.02\na,2000-03-31,0.03\n"
    (tmp_path / "returns.csv").write_text(f"fund_id,date,ret\n{rows}")
    settings = yaml.safe_load(SETTINGS)
    settings["dataset"] = {
        "source": "files",
        "first_month": "2000-01",
        "files": {"fund_observations": [{"path": "*.csv"}]},
    }
    (tmp_path / "finembed.yaml").write_text(yaml.safe_dump(settings))
    return Study.find(tmp_path / "home", tmp_path / "finembed.yaml").enter()


def test_a_month_whose_data_are_late_does_not_hold_up_the_others(from_files: Study) -> None:
    (request,) = _tick(from_files, dt.date(2000, 5, 1)).run_requests
    assert request.tags[RANGE_START] == "2000-01-01"
    assert request.tags[RANGE_END] == "2000-03-01"


def test_the_schedule_waits_for_late_data(from_files: Study) -> None:
    for month in ("2000-01", "2000-02", "2000-03"):
        from_files.store.write("predictions", month, pl.DataFrame({"fund_id": ["a"]}))
    tick = _tick(from_files, dt.date(2000, 5, 1))
    assert not tick.run_requests
    assert "2000-04 is complete, but the data end with 2000-03" in tick.skip_message


def test_new_files_are_seen_once(from_files: Study, tmp_path: Path) -> None:
    sensor = build_definitions(from_files).resolve_sensor_def("new_files")
    with dg.instance_for_test() as instance:

        def look(cursor: str | None) -> Any:
            context = dg.build_sensor_context(instance=instance, cursor=cursor)
            return sensor.evaluate_tick(context)

        first = look(None)
        assert len(first.run_requests) == 1
        assert not look(first.cursor).run_requests
        (tmp_path / "more.csv").write_text("fund_id,date,ret\nb,2000-01-31,0.0\n")
        assert len(look(first.cursor).run_requests) == 1


def test_after_an_ingest_the_stale_months_are_asked_for(entered: Study) -> None:
    _forget(entered, "polymodel_features", "1994-06")
    definitions = build_definitions(entered)
    sensor = definitions.resolve_sensor_def("after_ingest")
    with dg.instance_for_test() as instance:
        result = definitions.resolve_job_def("ingest").execute_in_process(instance=instance)
        context = dg.build_run_status_sensor_context(
            sensor_name="after_ingest",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_success_event(),
        )
        request = sensor(context)
    assert request.tags[RANGE_START] == "1994-06-01"
    assert request.tags[RANGE_END] == "1994-12-01"
