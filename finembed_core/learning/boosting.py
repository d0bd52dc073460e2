"""Gradient-boosted trees (LightGBM) on each channel's latest value and look-back mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import lightgbm
import numpy as np
from numpy.typing import NDArray

from finembed_core.learning.channels import State, View
from finembed_core.learning.labels import CLASSES
from finembed_core.learning.models import CurvePoint, Labelled, curve_point
from finembed_core.panel import FloatArray
from finembed_core.settings import LearningSettings


@dataclass(frozen=True)
class LightGBM:
    """Boosted trees, as LightGBM's own text model."""

    text: str
    random: ClassVar[bool] = True

    @classmethod
    def fit(
        cls, train: Labelled, valid: Labelled, settings: LearningSettings, seed: int
    ) -> tuple[Self, list[CurvePoint]]:
        """Boost until the validation loss has not improved for `patience` rounds."""
        options = settings.lightgbm
        parameters: dict[str, Any] = {
            "objective": "multiclass",
            "num_class": len(CLASSES),
            "learning_rate": options.learning_rate,
            "num_leaves": options.leaves,
            "min_data_in_leaf": options.min_leaf_samples,
            "feature_fraction": options.feature_share,
            "bagging_fraction": options.sample_share,
            "bagging_freq": 1,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        table, valid_table = train.view.table(), valid.view.table()
        data = lightgbm.Dataset(table, train.targets, params=parameters)
        booster = lightgbm.train(
            parameters,
            data,
            options.max_rounds,
            valid_sets=[data.create_valid(valid_table, valid.targets)],
            callbacks=[lightgbm.early_stopping(options.patience, verbose=False)],
        )
        model = cls(booster.model_to_string(num_iteration=booster.best_iteration))
        rounds = booster.best_iteration
        return model, [
            curve_point(rounds, "train", model._probabilities(table), train.targets),
            curve_point(rounds, "valid", model._probabilities(valid_table), valid.targets),
        ]

    def predict_proba(self, view: View) -> FloatArray:
        """Probabilities of the trees."""
        return self._probabilities(view.table())

    def _probabilities(self, table: NDArray) -> FloatArray:
        if len(table) == 0:
            return np.empty((0, len(CLASSES)))
        return np.asarray(self._booster.predict(table, num_threads=1), dtype=np.float64)

    @cached_property
    def _booster(self) -> lightgbm.Booster:
        return lightgbm.Booster(model_str=self.text)

    def state(self) -> State:
        """The text model."""
        return {}, {"text": self.text}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray], plain: dict[str, Any]) -> Self:
        """From the text model."""
        return cls(plain["text"])
