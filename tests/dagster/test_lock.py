"""Two writers of one home: the second waits or is told, and never harms the first."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from finembed_core.errors import HomeError
from finembed_core.files import lock
from finembed_core.progress import Silent
from finembed_dagster import lock as lock_module
from finembed_dagster import resources
from finembed_dagster.gathered import build_definitions
from finembed_dagster.launch import Launcher
from finembed_dagster.lock import LOCK_FILE, WriteLock
from finembed_dagster.study import Study

HOLDER = """\
import sys, time
from pathlib import Path
from finembed_core.files import lock
held = lock(Path(sys.argv[1]), wait=True)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def entered(study: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr(lock_module, "SECONDS_BETWEEN_TRIES", 0.02)
    return Study.find().enter()


def test_who_holds_the_lock_may_take_it_again(tmp_path: Path) -> None:
    own, other = WriteLock(tmp_path), WriteLock(tmp_path)
    with own.held(), own.held():
        with pytest.raises(HomeError, match="another run is writing this home") as caught:
            other.held().__enter__()
        assert caught.value.where == str(tmp_path)
        assert "wait" in str(caught.value.remedy)
    with other.held():
        pass


def test_the_lock_goes_with_a_killed_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / LOCK_FILE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(HomeError):
            WriteLock(tmp_path).held().__enter__()
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with WriteLock(tmp_path).held():
        pass


def test_a_home_that_cannot_be_locked_is_said(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).mkdir()
    with pytest.raises(HomeError, match="cannot be locked"):
        WriteLock(tmp_path).held().__enter__()


def test_a_run_of_the_page_waits_for_its_turn(
    entered: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run ends as soon as this one says that it waits."""
    other = lock(entered.home.root / LOCK_FILE, wait=False)

    def told(_: object, line: object, *args: object, **named: object) -> None:
        if "another run is writing this home" in str(line):
            other.close()

    with monkeypatch.context() as patch:
        patch.setattr(dg.DagsterLogManager, "info", told)
        assert Launcher(entered).run("ingest").success
    assert other.closed


def test_a_run_of_the_page_does_not_wait_for_ever(
    entered: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "PATIENCE", 0.1)
    with (
        lock(entered.home.root / LOCK_FILE, wait=False),
        pytest.raises(dg.DagsterResourceFunctionError) as caught,
    ):
        Launcher(entered).run("ingest")
    assert isinstance(caught.value.user_exception, HomeError)


def test_a_run_holds_the_lock_from_its_first_step_to_its_last(entered: Study) -> None:
    steps: list[str] = []

    def probe(context: dg.AssetExecutionContext) -> Silent:
        with pytest.raises(BlockingIOError):
            lock(entered.home.root / LOCK_FILE, wait=False)
        steps.append(context.op_execution_context.op.name)
        return Silent()

    months = {"dagster/asset_partition_range_start": "1994-11-01"}
    months |= {"dagster/asset_partition_range_end": "1994-12-01"}
    job = build_definitions(entered, probe).resolve_job_def("full_history")
    with dg.DagsterInstance.get() as instance:
        assert job.execute_in_process(instance=instance, tags=months).success
    assert {"read_source", "universe", "predictions", "backtests"} <= set(steps)
    lock(entered.home.root / LOCK_FILE, wait=False).close()
