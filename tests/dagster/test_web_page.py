"""The web page and its daemon as `finembed ui` starts them: a real server, asked over HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from finembed_dagster.definitions import build_definitions
from finembed_dagster.schedules import SCHEDULE
from finembed_dagster.study import Study
from tests.study_runs import finembed

pytestmark = pytest.mark.slow

PATIENCE = 180.0
DAEMONS = {"SENSOR", "SCHEDULER", "BACKFILL", "QUEUED_RUN_COORDINATOR", "MONITORING"}
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
  instance { daemonHealth { allDaemonStatuses { daemonType healthy } } }
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


class Page:
    """A server's address and the file that its output goes to."""

    def __init__(self, port: int, log: Path) -> None:
        self._url, self._log = f"http://127.0.0.1:{port}", log

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Data of a GraphQL answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self._url}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Ask until it holds; a server that does not answer yet is one where it does not."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                if condition():
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                pass
            time.sleep(0.5)
        pytest.fail(f"no {what} after {PATIENCE:.0f} s:\n{self._log.read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def served(study: Path) -> Iterator[tuple[Page, subprocess.Popen[bytes]]]:
    """`finembed ui` in its own process group, of which nothing is left afterwards."""
    port, log = _free_port(), study / "ui.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "finembed_dagster.cli", "ui", "--port", str(port)],
            cwd=study,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Page(port, log), process
    finally:
        if _alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


def _healthy_daemons(page: Page) -> set[str]:
    statuses = page.ask(CONTENT)["instance"]["daemonHealth"]["allDaemonStatuses"]
    return {status["daemonType"] for status in statuses if status["healthy"]}


def test_the_page_shows_the_whole_study_and_ends_when_told(study: Path) -> None:
    with served(study) as (page, process):
        page.wait_for(lambda: _healthy_daemons(page) >= DAEMONS, "page with healthy daemons")
        _check_content(page)
        _check_automation(page)
        assert "Warning" not in (study / "ui.log").read_text()
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
        process.wait(PATIENCE)
        page.wait_for(lambda: not _alive(process.pid), "end of all processes")


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
