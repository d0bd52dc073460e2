"""A tiny study that is killed, run again, and held against one that nobody disturbed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import dagster as dg

from finembed_core.home import Home
from finembed_dagster.processes import IN_PROGRESS, leaked_slots
from tests.faults.stages import stage_of
from tests.study_runs import store_bytes

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """\
dataset:
  source: simulated
  profile: hedge_funds
  first_month: 1991-09
  simulated: {funds: 6, months: 48, factors: 3, seed: 3}
polymodel: {selection: absolute, alpha: 0.1, window: 12, min_obs: 8, min_factor_history: 24}
macro: {min_months: 24, n_components: 1}
learning:
  models: [persistence]
  lookback: 2
  min_train_months: 12
  valid_months: 3
  seeds: [1]
portfolio: {models: [persistence], strategies: [sa, equal_weight_universe, index]}
execution: {mode: serial, workers: 1}
"""


@dataclass(frozen=True)
class Kill:
    """Die at the n-th event in a stage, or some seconds later."""

    stage: str
    event: int
    delay: float = 0.0


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (-9 where it was killed), events by stage."""

    code: int
    events: dict[str, int] = field(default_factory=dict)


class Zygote:
    """Commands of one folder's study, each in a process forked from one that imported it all."""

    def __init__(self, orders: IO[str], answers: IO[str]) -> None:
        self._orders, self._answers = orders, answers

    def run(self, folder: Path, *arguments: str, kill: Kill | None = None) -> Ended:
        """Run a command (``run`` by default) on the study ``folder/home`` to its end or death."""
        study = ["--home", str(folder / "home"), "--settings", str(folder / "finembed.yaml")]
        order = {
            "folder": str(folder),
            "arguments": [*(arguments or ("run",)), *study],
            "output": str(folder / "output.txt"),
            "kill": kill and vars(kill),
        }
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()
        return Ended(**json.loads(self._answers.readline()))


@contextmanager
def zygote() -> Iterator[Zygote]:
    """The process to fork from; nothing of it is left afterwards."""
    command = [sys.executable, "-m", "tests.faults.zygote"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        assert process.stdin is not None and process.stdout is not None
        yield Zygote(process.stdin, process.stdout)
        process.stdin.close()


def write_study(folder: Path, settings: str = SETTINGS) -> Path:
    """A folder with settings and no home."""
    folder.mkdir(parents=True)
    (folder / "finembed.yaml").write_text(settings)
    return folder


def difference(home: Path, undisturbed: Path) -> str:
    """What tells a home from one that nobody disturbed, in words; empty where nothing does."""
    found, whole = store_bytes(home), store_bytes(undisturbed)
    other = sorted(set(found.items()) ^ set(whole.items()))
    if other:
        return f"the stores differ: {[name for name, _ in other][:6]}"
    names = [
        {
            str(p.relative_to(h))
            for p in h.rglob("*")
            if stage_of(str(p.relative_to(h))) != "dagster"
        }
        for h in (home, undisturbed)
    ]
    if names[0] != names[1]:
        return f"files differ: {sorted(names[0] ^ names[1])[:6]}"
    if list((home / "dagster").glob(".writing-*")):
        return "a temporary file in dagster/"
    return left_in_dagster(home)


def left_in_dagster(home: Path) -> str:
    """Runs that count as going on and slots that nobody holds, in words."""
    with dg.DagsterInstance.from_config(str(Home(home).dagster)) as instance:
        going_on = instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS))
        slots = leaked_slots(instance)
    if going_on:
        return f"{len(going_on)} runs count as going on"
    return f"slots are leaked: {slots}" if slots else ""
