"""Sections about trend models: samples, walk-forward, and each kind's own."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from finembed_core.settings.section import PositiveInt, Section, Seed
from finembed_core.settings_file import Once

Divisor = Literal[1, 2, 3, 4, 6, 12]
ModelKind = Literal["itransformer", "majority", "persistence", "logistic", "lightgbm"]
MODEL_KINDS: tuple[ModelKind, ...] = get_args(ModelKind)


class ITransformerSettings(Section):
    """Size and training of the trend model (iTransformer: arXiv 2310.06625).

    Far smaller than the paper's: a few thousand samples that move together month by month carry
    little. Neither a second layer nor dropout helped beside early stopping on planted signals, and
    each costs a third of the time or more. An epoch is ``epoch_samples`` draws, whatever the size
    of the data.
    """

    d_model: PositiveInt = 32
    d_ff: PositiveInt = 64
    layers: PositiveInt = 1
    heads: PositiveInt = 2
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    batch_size: PositiveInt = 256
    epoch_samples: PositiveInt = 2048
    max_epochs: PositiveInt = 20
    patience: PositiveInt = 3

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ITransformerSettings:
        if self.d_model % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide d_model ({self.d_model})")
        return self


class LogisticSettings(Section):
    """L2-penalized softmax regression; the inverse penalty (C) is chosen by validation loss."""

    inverse_penalties: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)] = [
        0.001,
        0.01,
        0.1,
    ]
    max_iterations: PositiveInt = 200


class LightGBMSettings(Section):
    """Boosted trees: small, slow learners for a weak signal; rounds stop by validation loss."""

    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    leaves: Annotated[int, Field(ge=2)] = 15
    min_leaf_samples: PositiveInt = 100
    feature_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    sample_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    max_rounds: PositiveInt = 200
    patience: PositiveInt = 20


class LearningSettings(Section):
    """Samples, labels, walk-forward and the model kinds to train."""

    models: Annotated[list[ModelKind], Field(min_length=1), Once] = list(MODEL_KINDS)
    lookback: Annotated[int, Field(ge=2)] = 12
    max_factor_channels: PositiveInt = 8
    band: Literal["fixed", "quantile"] = "quantile"
    band_threshold: Annotated[float, Field(ge=0)] = 0.01
    band_share: Annotated[float, Field(gt=0, lt=1)] = 1 / 3
    retrain_every: Divisor = 12
    window_months: Annotated[int, Field(ge=24)] | None = None
    min_train_months: Annotated[int, Field(ge=12)] = 36
    valid_months: Annotated[int, Field(ge=3)] = 12
    seeds: Annotated[list[Seed], Field(min_length=1), Once] = [1, 2, 3]
    itransformer: ITransformerSettings = ITransformerSettings()
    logistic: LogisticSettings = LogisticSettings()
    lightgbm: LightGBMSettings = LightGBMSettings()
