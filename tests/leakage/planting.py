"""A leak that people plant by mistake: which stage it spoils, and how the proof must name it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutant:
    """A planted leak.

    Attributes
    ----------
    plant : callable
        Its docstring says what it does.
    stage : str
        ``ingest``, ``backtest``, ``publish`` or a link of the chain: what is built with it.
    asset, first : str
        What must be named, and at which month or day.
    world : str
        Which of the worlds shows it.
    """

    plant: Plant
    stage: str
    asset: str
    first: str
    world: Literal["monthly", "daily"] = "monthly"

    @property
    def name(self) -> str:
        """What it is called."""
        return self.plant.__name__


MUTANTS: list[Mutant] = []


def leak(stage: str, asset: str, first: object, world: Any = "monthly") -> Callable[[Plant], Plant]:
    """Register a planted leak (arguments as in `Mutant`)."""

    def register(plant: Plant) -> Plant:
        MUTANTS.append(Mutant(plant, stage, asset, str(first), world))
        return plant

    return register
