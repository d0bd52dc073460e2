"""Multinomial logistic regression on each channel's latest value and look-back mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from finembed_core.learning.channels import State, View
from finembed_core.learning.labels import CLASSES
from finembed_core.learning.models import CurvePoint, Labelled, curve_point, softmax
from finembed_core.panel import FloatArray
from finembed_core.settings import LearningSettings

ABSENT = -1e3  # logit of a class that training never saw


@dataclass(frozen=True)
class Logistic:
    """L2-penalized softmax regression; the penalty is the one that validates best.

    Attributes
    ----------
    weights : ndarray, shape (3, 2 C)
    intercept : ndarray, shape (3,)
    """

    weights: FloatArray
    intercept: FloatArray
    random: ClassVar[bool] = False

    @classmethod
    def fit(
        cls, train: Labelled, valid: Labelled, settings: LearningSettings, seed: int
    ) -> tuple[Self, list[CurvePoint]]:
        """One fit per penalty; a point of the curve per penalty."""
        table, valid_table = _table(train.view), _table(valid.view)
        curve: list[CurvePoint] = []
        best: tuple[float, Self] | None = None
        for step, strength in enumerate(settings.logistic.inverse_penalties):
            model = cls._fit_one(table, train.targets, strength, settings.logistic.max_iterations)
            points = [
                curve_point(step, "train", model._probabilities(table), train.targets),
                curve_point(step, "valid", model._probabilities(valid_table), valid.targets),
            ]
            curve += points
            if best is None or points[1].loss < best[0]:
                best = (points[1].loss, model)
        assert best is not None  # settings hold at least one penalty
        return best[1], curve

    @classmethod
    def _fit_one(
        cls, table: FloatArray, targets: NDArray[np.int64], strength: float, iterations: int
    ) -> Self:
        """Maximize the log-likelihood less ``|weights|^2 / (2 strength)``."""
        seen = np.unique(targets)
        weights = np.zeros((len(CLASSES), table.shape[1]))
        intercept = np.full(len(CLASSES), ABSENT)
        if len(seen) == 1:
            intercept[seen] = 0.0
            return cls(weights, intercept)
        regression = LogisticRegression(C=strength, max_iter=iterations, tol=1e-3)
        regression.fit(table, targets)
        if len(seen) == 2:  # sklearn then gives the second class's log odds only
            weights[seen[1]] = regression.coef_[0]
            intercept[seen] = np.append(0.0, regression.intercept_)
        else:
            weights[seen], intercept[seen] = regression.coef_, regression.intercept_
        return cls(weights, intercept)

    def predict_proba(self, view: View) -> FloatArray:
        """Softmax of the linear scores."""
        return self._probabilities(_table(view))

    def _probabilities(self, table: FloatArray) -> FloatArray:
        return softmax(table @ self.weights.T + self.intercept)

    def state(self) -> State:
        """Weights and intercept."""
        return {"weights": self.weights, "intercept": self.intercept}, {}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray], plain: dict[str, Any]) -> Self:
        """From weights and intercept."""
        return cls(arrays["weights"], arrays["intercept"])


def _table(view: View) -> FloatArray:
    return view.table().astype(np.float64)
