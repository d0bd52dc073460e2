"""Workers and the process that they work for: neither outlives the other, nothing is lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from finembed_core.errors import FinembedError
from finembed_core.execution import map_items
from finembed_core.settings import ExecutionSettings
from tests.faults.harness import ROOT, SETTINGS, difference, write_study
from tests.faults.hungry import MEMORY, hungry

PATIENCE = 60.0
TWO = ExecutionSettings(mode="processes", workers=2)
ENDLESS = """\
import time
from finembed_core.execution import map_items
from finembed_core.settings import ExecutionSettings
if __name__ == "__main__":
    two = ExecutionSettings(mode="processes", workers=2)
    for _ in map_items(time.sleep, [0.05] * 10_000, two):
        print("done", flush=True)
"""


def group(leader: int) -> set[int]:
    """Live processes of a process group."""
    found: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, own = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(own) == leader and state != "Z":
            found.add(int(stat.parent.name))
    return found


def until_alone(leader: int, left: set[int] | None = None) -> bool:
    end = time.monotonic() + PATIENCE
    while group(leader) - (left or set()) and time.monotonic() < end:
        time.sleep(0.05)
    return not group(leader) - (left or set())


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=pipe,
        stderr=pipe,
        env=environment,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "done\n"
        yield process
        for number in group(process.pid):
            os.kill(number, signal.SIGKILL)


def test_workers_end_with_a_killed_parent(endless: subprocess.Popen[str]) -> None:
    assert len(group(endless.pid)) >= 3
    os.kill(endless.pid, signal.SIGKILL)
    endless.wait()
    assert until_alone(endless.pid), "workers outlive the process that they work for"


def test_a_killed_worker_ends_the_others_and_is_said(endless: subprocess.Popen[str]) -> None:
    _, *workers = sorted(group(endless.pid) - {endless.pid})
    os.kill(workers[0], signal.SIGKILL)
    _, told = endless.communicate(timeout=PATIENCE)
    assert endless.returncode == 1
    assert "a worker process ended in the middle of its work" in told
    assert "lower execution.workers" in told
    assert until_alone(endless.pid)


def test_a_worker_without_memory_is_said() -> None:
    assert list(map_items(hungry, [1, 2, 3], TWO)) == [1, 2, 3]
    with pytest.raises(FinembedError, match="memory ran out") as caught:
        list(map_items(hungry, [1, 2, 2 * MEMORY], TWO))
    assert "execution.workers" in str(caught.value.remedy)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["parent", "worker", "all of a terminal"])
def test_a_run_with_workers_is_gone_on_with_after_a_kill(tmp_path: Path, victim: str) -> None:
    folder = write_study(tmp_path / "study", SETTINGS.replace("serial, workers: 1", "processes"))
    other = write_study(tmp_path / "undisturbed")
    run = [sys.executable, "-m", "finembed_dagster.cli", "run"]
    orders = [*run, "--home", str(folder / "home"), "--settings", str(folder / "finembed.yaml")]
    process = subprocess.Popen(orders, cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE)
    features = folder / "home" / "store" / "polymodel_features"
    end = time.monotonic() + 3 * PATIENCE
    while len(list(features.glob("*.json"))) < 3:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    if victim == "parent":
        process.kill()
    elif victim == "worker":
        os.kill(max(group(process.pid)), signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == {"parent": -9, "worker": 2}.get(victim, 130), told.decode()
    assert until_alone(process.pid)
    subprocess.run(orders, cwd=ROOT, check=True, capture_output=True)
    orders = [*run, "--home", str(other / "home"), "--settings", str(other / "finembed.yaml")]
    subprocess.run(orders, cwd=ROOT, check=True, capture_output=True)
    assert difference(folder / "home", other / "home") == ""
