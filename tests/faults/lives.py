"""A home that is killed in every stage before a run may end, and what becomes of it."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.harness import Kill, Zygote, difference, write_study

KILLED = -9
LONGEST = {"publish": 0.4, "report": 0.2, "dagster": 1.0}
"""Seconds after an event in which a kill may fall: longer where other languages write."""


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


def live(
    processes: Zygote,
    folder: Path,
    undisturbed: Path,
    events: Mapping[str, int],
    stages: Sequence[str],
    seed: int,
) -> Life:
    """Kill a new home's runs once per stage given, let a last one end, compare.

    Parameters
    ----------
    processes : Zygote
    folder, undisturbed : Path
        A folder that is made; the finished study.
    events : mapping of str to int
        Of the undisturbed run, by stage.
    stages : sequence of str
        In which to kill, in the order of computation.
    seed : int
    """
    draw, begin = random.Random(seed), time.monotonic()
    write_study(folder)
    kills: Counter[str] = Counter()
    for stage in stages:
        share = events[stage] // 2  # so that something is left to kill
        delay = draw.uniform(0.0, LONGEST.get(stage, 0.05)) if draw.random() < 0.5 else 0.0
        kill = Kill(stage, draw.randint(1, max(1, share)), delay)
        ended = processes.run(folder, kill=kill)
        kills[stage] += ended.code == KILLED
        assert ended.code in (0, KILLED), (folder / "output.txt").read_text()[-2000:]
    last = processes.run(folder)
    found = difference(folder / "home", undisturbed / "home") if last.code == 0 else "it failed"
    return Life(kills, found, time.monotonic() - begin)
