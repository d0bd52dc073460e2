"""Baselines that look at no channel but the last return: majority class and persistence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from finembed_core.learning.channels import State, View
from finembed_core.learning.labels import CLASSES, classify
from finembed_core.learning.models import CurvePoint, Labelled, curve_point
from finembed_core.panel import FloatArray
from finembed_core.settings import LearningSettings

PRIOR = 1.0  # Laplace's rule: one more sample of each class than was seen


@dataclass(frozen=True)
class Majority:
    """Every sample has the class frequencies of the training data."""

    frequencies: FloatArray
    random: ClassVar[bool] = False

    @classmethod
    def fit(
        cls, train: Labelled, valid: Labelled, settings: LearningSettings, seed: int
    ) -> tuple[Self, list[CurvePoint]]:
        """Count classes."""
        counts = np.bincount(train.targets, minlength=len(CLASSES)) + PRIOR
        model = cls(counts / counts.sum())
        return model, _curve(model, train, valid)

    def predict_proba(self, view: View) -> FloatArray:
        """The same row for every sample."""
        return np.tile(self.frequencies, (len(view), 1))

    def state(self) -> State:
        """Class frequencies."""
        return {"frequencies": self.frequencies}, {}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray], plain: dict[str, Any]) -> Self:
        """From class frequencies."""
        return cls(arrays["frequencies"])


@dataclass(frozen=True)
class Persistence:
    """The class that the fund just had, again.

    Half of the probability says so; the other half is what followed on that class in the training
    data. Half is the least that makes the repeated class the most probable one, whatever the
    frequencies (which alone would predict the majority class most of the time).

    Attributes
    ----------
    transitions : ndarray, shape (4, 3)
        Frequencies. Row: class of the sample's own month (the last row: unknown). Column: class
        of its label.
    band : float
    """

    transitions: FloatArray
    band: float
    random: ClassVar[bool] = False

    @classmethod
    def fit(
        cls, train: Labelled, valid: Labelled, settings: LearningSettings, seed: int
    ) -> tuple[Self, list[CurvePoint]]:
        """Count transitions."""
        counts = np.full((len(CLASSES) + 1, len(CLASSES)), PRIOR)
        np.add.at(counts, (_own_class(train.view, train.band), train.targets), 1)
        counts[-1] = counts[:-1].sum(axis=0)
        model = cls(counts / counts.sum(axis=1, keepdims=True), train.band)
        return model, _curve(model, train, valid)

    def predict_proba(self, view: View) -> FloatArray:
        """Frequencies after each sample's own class, half-way to that class for certain."""
        repeated = np.vstack(
            [(self.transitions[:-1] + np.eye(len(CLASSES))) / 2, self.transitions[-1:]]
        )
        return repeated[_own_class(view, self.band)]

    def state(self) -> State:
        """Transition frequencies and band."""
        return {"transitions": self.transitions}, {"band": self.band}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray], plain: dict[str, Any]) -> Self:
        """From transition frequencies and band."""
        return cls(arrays["transitions"], plain["band"])


def _own_class(view: View, band: float) -> NDArray[np.int64]:
    """Row of the transition table: 0, 1, 2 for down, unchanged, up; 3 for unknown."""
    latest = view.samples.latest_return.astype(np.float64)
    return np.where(np.isnan(latest), len(CLASSES), classify(latest, band) - CLASSES[0])


def _curve(model: Majority | Persistence, train: Labelled, valid: Labelled) -> list[CurvePoint]:
    return [
        curve_point(0, name, model.predict_proba(part.view), part.targets)
        for name, part in (("train", train), ("valid", valid))
    ]
