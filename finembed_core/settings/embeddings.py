"""Section about asset embeddings: windows, encoders, training modes, retraining, evaluations."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from finembed_core.settings.section import PositiveInt, Section, Seed, Share
from finembed_core.settings_file import Once

EncoderName = Literal["linear", "rlinear", "dlinear", "patchtst", "itransformer"]
ENCODERS: tuple[EncoderName, ...] = get_args(EncoderName)
ModeName = Literal["supervised", "probe", "finetune", "multi_objective", "multi_modal"]
MODES: tuple[ModeName, ...] = get_args(ModeName)

PACKAGED_FROM = dt.date(2015, 1, 1)
"""First decision about the packaged daily panel: nine retrainings are what a demo has time for, and
hold the eight whole periods that an interval takes."""
LEAST_DATES = 16
"""Dates below which a training would learn a handful of days by heart."""


class EncoderSettings(Section):
    """Size of the encoders; far smaller than the papers': a window carries little, CPUs are few.

    ``width`` is d_model; ``patch`` and ``stride`` are PatchTST's, ``trend_window`` is DLinear's
    moving average (Zeng et al. 2023: 25).
    """

    width: PositiveInt = 32
    feed_forward: PositiveInt = 64
    layers: PositiveInt = 1
    heads: PositiveInt = 4
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    patch: PositiveInt = 16
    stride: PositiveInt = 8
    trend_window: PositiveInt = 25

    @model_validator(mode="after")
    def _heads_divide_width(self) -> EncoderSettings:
        if self.width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide width ({self.width})")
        return self


class ObjectiveSettings(Section):
    """Losses: what is hidden, how lists are ranked, how weights come about, how losses balance.

    ``hidden_share`` and ``hidden_steps`` are PatchTST's (Nie et al. 2023: 40% of blocks of 12).
    ``risk_aversion`` of the best weights in hindsight: 10 is the most that Mehra and Prescott
    (1985) call plausible, and the smaller it is, the fewer funds a label holds. ``balance``:
    ``learned`` uncertainty weights (Kendall et al. 2018), or all losses alike.
    """

    hidden_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.4
    hidden_steps: PositiveInt = 12
    listnet_temperature: Annotated[float, Field(gt=0)] = 1.0
    ndcg_temperatures: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (
        1.0,
        0.1,
    )
    weights: Literal["softmax", "simplex"] = "softmax"
    risk_aversion: Annotated[float, Field(gt=0)] = 10.0
    balance: Literal["learned", "equal"] = "learned"


class FusionSettings(Section):
    """How characteristics and text join the series; either is dropped at random in training.

    ``modality_dropout`` of 0.3 leaves numbers, category and text together in a third of the samples
    and the series alone in 3%, so that both are learned.
    """

    kind: Literal["gated", "attention"] = "gated"
    characteristics: bool = True
    text: bool = True
    modality_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3


class TrainingSettings(Section):
    """How much history a retraining sees, and how long it learns.

    Dates are drawn with all their funds: as many to a batch and to an epoch as hold about
    ``batch_windows`` and ``epoch_windows``. ``learning_rate``, ``epoch_windows`` and ``max_epochs``
    were chosen by validation losses of the packaged panel (decisions of October 2015 and 2016), so
    that trainings end by themselves; `benchmarks.embedding_tables` prints how many do not.
    """

    train_sessions: Annotated[int, Field(ge=64)] = 1000
    valid_sessions: Annotated[int, Field(ge=16)] = 128
    every_sessions: PositiveInt = 8
    batch_windows: PositiveInt = 256
    epoch_windows: PositiveInt = 1024
    max_epochs: PositiveInt = 20
    patience: PositiveInt = 2
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2

    @model_validator(mode="after")
    def _dates_fit_in(self) -> TrainingSettings:
        if self.train_sessions < LEAST_DATES * self.every_sessions:
            raise ValueError(
                f"train_sessions ({self.train_sessions}) must hold {LEAST_DATES} dates that lie "
                f"every_sessions ({self.every_sessions}) apart: nothing could ever be trained"
            )
        if self.valid_sessions < self.every_sessions:
            raise ValueError(
                f"valid_sessions ({self.valid_sessions}) must hold a date: they lie every_sessions "
                f"({self.every_sessions}) apart"
            )
        return self


class EmbeddingsSettings(Section):
    """Embeddings of the funds that have daily returns.

    A decision falls every ``every_sessions`` trading days from ``anchor`` on; models are trained
    anew with each. ``market`` names the daily series that stands beside every fund. ``lookback``
    is two horizons, half a year. ``min_visible`` of it must have returns: a fund may lack a day now
    and then, one that reports weekly stays out. ``max_abs_return`` limits the ratio of two prices,
    where a fall counts as the rise that makes up for it: with 0.5, returns above +50% or below
    -33.3% are kept aside, beyond the worst day of an index (S&P 500, 1987-10-19: -20.5%).
    One return covers ``max_gap_sessions`` at most, two weeks; after more a new history begins.
    ``published_encoder`` and ``published_mode`` are those whose vectors go to the warehouse.
    ``statistics`` hands the mean and the volatility that a normalized window lost to the heads. Two
    of the five encoders and three of the five modes are the default, as each costs its training in
    every decision.
    """

    enabled: bool = True
    market: str | None = None
    daily_lag_days: Annotated[int, Field(ge=0, le=30)] = 0
    dealing_lag_sessions: Annotated[int, Field(ge=0, le=21)] = 1
    anchor: dt.date = dt.date(2000, 1, 3)
    first_decision: dt.date | None = None
    last_decision: dt.date | None = None
    every_sessions: PositiveInt = 64
    lookback: Annotated[int, Field(ge=16)] = 128
    horizon: Annotated[int, Field(ge=5)] = 64
    min_visible: Share = 0.75
    max_abs_return: Annotated[float, Field(gt=0)] = 0.5
    max_gap_sessions: PositiveInt = 10
    size: PositiveInt = 32
    statistics: bool = True
    encoders: Annotated[list[EncoderName], Field(min_length=1), Once] = ["rlinear", "itransformer"]
    modes: Annotated[list[ModeName], Field(min_length=1), Once] = [
        *("supervised", "probe", "multi_modal")
    ]
    seeds: Annotated[list[Seed], Field(min_length=1), Once] = [1, 2, 3]
    published_encoder: EncoderName = "itransformer"
    published_mode: ModeName = "multi_modal"
    encoder: EncoderSettings = EncoderSettings()
    objectives: ObjectiveSettings = ObjectiveSettings()
    fusion: FusionSettings = FusionSettings()
    training: TrainingSettings = TrainingSettings()

    @model_validator(mode="after")
    def _windows_hold_their_pieces(self) -> EmbeddingsSettings:
        own = self.encoder
        if "patchtst" in self.encoders and not own.stride <= own.patch <= self.lookback:
            raise ValueError(
                f"patchtst needs stride <= patch <= lookback, has stride {own.stride}, patch "
                f"{own.patch}, lookback {self.lookback}"
            )
        if self.objectives.hidden_steps >= self.lookback:
            raise ValueError(
                f"hidden_steps ({self.objectives.hidden_steps}) must be fewer than lookback "
                f"({self.lookback}): what is hidden is filled in from what is left"
            )
        return self

    @model_validator(mode="after")
    def _modes_have_what_they_need(self) -> EmbeddingsSettings:
        fused = self.fusion.characteristics or self.fusion.text
        if "multi_modal" in self.modes and not fused:
            raise ValueError(
                "the mode multi_modal needs fusion.characteristics or fusion.text; without either "
                "it is multi_objective"
            )
        return self

    @model_validator(mode="after")
    def _published_is_trained(self) -> EmbeddingsSettings:
        if self.published_encoder not in self.encoders or self.published_mode not in self.modes:
            raise ValueError(
                f"published_encoder {self.published_encoder} and published_mode "
                f"{self.published_mode} must be among encoders and modes"
            )
        return self

    @property
    def of_any_decision(self) -> EmbeddingsSettings:
        """These without what says which decisions there are: one does not change another."""
        return self.model_copy(update={"first_decision": None, "last_decision": None})

    def around(self, encoder: EncoderName) -> EmbeddingsSettings:
        """What can change the networks around one encoder, the rest as if it were alone."""
        alone = {
            "encoders": [encoder],
            "published_encoder": encoder,
            "published_mode": self.modes[0],
        }
        return self.of_any_decision.model_copy(update=alone)
