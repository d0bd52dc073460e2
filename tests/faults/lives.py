"""A home that is killed in every stage before a run may end, and what becomes of it."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import embedding_study
from tests.faults import harness
from tests.faults.harness import Kill, Zygote, difference
from tests.faults.stages import DAILY, MONTHLY

KILLED = -9
LONGEST = {"publish": 0.4, "report": 0.2, "dagster": 1.0}
"""Seconds after an event in which a kill may fall: longer where other languages write."""


def write_daily(folder: Path) -> Path:
    """A folder with settings, daily returns for embeddings, and no home."""
    folder.mkdir(parents=True)
    return embedding_study.write_study(folder)


@dataclass(frozen=True)
class Study:
    """What is killed.

    Attributes
    ----------
    write : callable
        Makes a folder with settings and no home.
    stages : tuple of str
        In which to kill, in the order of computation.
    lives : int
        Homes that make up the proof.
    """

    write: Callable[[Path], Path]
    stages: tuple[str, ...]
    lives: int


STUDIES = {
    "monthly": Study(harness.write_study, MONTHLY, lives=6),
    "daily, with embeddings": Study(write_daily, DAILY, lives=3),
}


@dataclass(frozen=True)
class Life:
    """What a home went through.

    Attributes
    ----------
    kills : Counter of str
        By the stage in which they fell.
    difference : str
        What tells it from an undisturbed one after the last run; empty where nothing does.
    seconds : float
    """

    kills: Counter[str]
    difference: str
    seconds: float


@dataclass(frozen=True)
class Undisturbed:
    """A finished study and how many events there were by stage."""

    study: Study
    folder: Path
    events: Mapping[str, int]


def undisturbed(processes: Zygote, study: Study, folder: Path) -> Undisturbed:
    """Compute a study to its end in a folder that is made.

    Raises
    ------
    AssertionError
        Where it fails, or has no events in a stage that is to be killed.
    """
    study.write(folder)
    ended = processes.run(folder)
    assert ended.code == 0, (folder / "output.txt").read_text()
    assert set(study.stages) <= set(ended.events), "a stage that is not there cannot be killed"
    return Undisturbed(study, folder, ended.events)


def live(
    processes: Zygote, whole: Undisturbed, folder: Path, seed: int, stages: Sequence[str] = ()
) -> Life:
    """Kill a new home's runs once per stage, let a last one end, compare.

    Parameters
    ----------
    processes : Zygote
    whole : Undisturbed
    folder : Path
        Made.
    seed : int
    stages : sequence of str
        All of the study's unless given.
    """
    draw, begin = random.Random(seed), time.monotonic()
    whole.study.write(folder)
    kills: Counter[str] = Counter()
    for stage in stages or whole.study.stages:
        share = whole.events[stage] // 2  # so that something is left to kill
        delay = draw.uniform(0.0, LONGEST.get(stage, 0.05)) if draw.random() < 0.5 else 0.0
        kill = Kill(stage, draw.randint(1, max(1, share)), delay)
        ended = processes.run(folder, kill=kill)
        kills[stage] += ended.code == KILLED
        assert ended.code in (0, KILLED), (folder / "output.txt").read_text()[-2000:]
    last = processes.run(folder)
    homes = folder / "home", whole.folder / "home"
    found = difference(*homes) if last.code == 0 else "it failed"
    return Life(kills, found, time.monotonic() - begin)
