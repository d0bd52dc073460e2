"""The web page and its daemon as `finembed ui` starts them: what they show, how they end."""

import os
import signal
import socket
from pathlib import Path

import pytest

from finembed_dagster.gathered import build_definitions
from finembed_dagster.schedules import SCHEDULE
from finembed_dagster.study import Study
from tests.dagster.served import DAEMONS, PATIENCE, Page, alive, served
from tests.study_runs import finembed

pytestmark = pytest.mark.slow

LOCATION = {"repositoryLocationName": "finembed", "repositoryName": "__repository__"}
CONTENT = """
{
  workspaceOrError {
    ... on Workspace {
      locationEntries {
        name
        loadStatus
        locationOrLoadError {
          __typename
          ... on PythonError { message }
          ... on RepositoryLocation {
            repositories {
              jobs { name }
              schedules { name }
              sensors { name }
            }
          }
        }
      }
    }
  }
  assetNodes { assetKey { path } groupName description }
}
"""
DRY_RUN = """
mutation($schedule: ScheduleSelector!, $time: Float!) {
  scheduleDryRun(selectorData: $schedule, timestamp: $time) {
    __typename
    ... on DryRunInstigationTick {
      evaluationResult { skipReason error { message } runRequests { runKey } }
    }
  }
}
"""
START = """
mutation($sensor: SensorSelector!) {
  startSensor(sensorSelector: $sensor) { ... on Sensor { sensorState { status } } }
}
"""


def test_the_page_shows_the_whole_study_and_ends_when_told(study: Path) -> None:
    with served(study) as (page, process):
        page.wait_for(lambda: page.healthy_daemons() >= DAEMONS, "page with healthy daemons")
        _check_content(page)
        _check_automation(page)
        assert "Warning" not in (study / "ui.log").read_text()
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
        process.wait(PATIENCE)
        page.wait_for(lambda: not alive(process.pid), "end of all processes")


def _check_content(page: Page) -> None:
    content = page.ask(CONTENT)
    (entry,) = content["workspaceOrError"]["locationEntries"]
    assert (entry["name"], entry["loadStatus"]) == ("finembed", "LOADED")
    location = entry["locationOrLoadError"]
    assert location["__typename"] == "RepositoryLocation", location
    (repository,) = location["repositories"]
    jobs = {job["name"] for job in repository["jobs"]} - {"__ASSET_JOB"}
    assert jobs == {"full_history", "monthly_rebalance", "publish", "ingest", "training"}
    assert [schedule["name"] for schedule in repository["schedules"]] == [SCHEDULE]
    assert {sensor["name"] for sensor in repository["sensors"]} == {"new_files", "after_ingest"}
    nodes = content["assetNodes"]
    graph = build_definitions(Study.find()).resolve_asset_graph()
    shown = {"/".join(node["assetKey"]["path"]) for node in nodes}
    assert shown == {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert {node["groupName"] for node in nodes} == {"ingest", "features", "models", "portfolios"}
    assert all(node["description"] for node in nodes)


def _check_automation(page: Page) -> None:
    schedule = LOCATION | {"scheduleName": SCHEDULE}
    tick = page.ask(DRY_RUN, schedule=schedule, time=1e9)["scheduleDryRun"]
    assert tick["__typename"] == "DryRunInstigationTick", tick
    assert tick["evaluationResult"]["error"] is None
    assert "every complete month" in tick["evaluationResult"]["skipReason"]
    for name in ("new_files", "after_ingest"):
        started = page.ask(START, sensor=LOCATION | {"sensorName": name})
        assert started["startSensor"]["sensorState"]["status"] == "RUNNING"


def test_a_port_that_is_taken(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert finembed("ui", "--port", port) == 2
    assert f"port {port} cannot be used" in capsys.readouterr().err
    assert finembed("ui", "--port", 70000) == 2
