"""One retraining of one encoder: from what is known at a decision to its trained networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from finembed_core.embeddings.characteristics import CharacteristicScaler
from finembed_core.embeddings.checkpoint import FundModels
from finembed_core.embeddings.examples import FundDates
from finembed_core.embeddings.scale import ChannelScale
from finembed_core.embeddings.shapes import ModelShape
from finembed_core.embeddings.sheets import Information, SheetMaker
from finembed_core.embeddings.training import CurveRow, train_networks
from finembed_core.learning.objectives import PerformanceScale
from finembed_core.settings import EmbeddingsSettings, EncoderName

TOO_LITTLE = "too_little_history"
MIN_TRAIN_DATES = 16
MIN_FUNDS = 5
"""Funds of a date below which a ranking or a portfolio says nothing."""


@dataclass(frozen=True)
class Fitted:
    """What a retraining made."""

    models: FundModels
    curve: tuple[CurveRow, ...]
    notes: dict[str, Any]


def fit_models(
    information: Information,
    encoder: EncoderName,
    settings: EmbeddingsSettings,
    fingerprint: str,
) -> Fitted | None:
    """Fit scales and networks; None where there is too little to learn from.

    Scales, categories and the units of labels come from the training dates alone; the validation
    dates only say when to stop.
    """
    maker = SheetMaker(information, settings)
    parts = [[maker.facts(s) for s in sessions] for sessions in maker.sessions()]
    train_facts, valid_facts = (
        [date for date in part if len(date.columns) >= MIN_FUNDS] for part in parts
    )
    if len(train_facts) < MIN_TRAIN_DATES or not valid_facts:
        return None
    scaler = CharacteristicScaler.fit([date.characteristics for date in train_facts])
    measures = PerformanceScale()
    before_valid = valid_facts[0].session - 1  # a training label told late is purged too
    labels = maker.next_windows(train_facts, before_valid, measures, fit=True)
    valid_labels = maker.next_windows(valid_facts, information.session, measures, fit=False)
    windows = information.windows
    scale = ChannelScale.fit([windows.at(date.session, date.columns) for date in train_facts])
    shape = ModelShape.of(
        settings,
        encoder,
        numbers=len(scaler.names) if settings.fusion.characteristics else 0,
        categories=len(scaler.categories) if settings.fusion.characteristics else 0,
        text_size=information.texts.size if settings.fusion.text else 0,
    )
    train, valid = (
        FundDates(
            windows,
            [maker.sheet(date, scaler, label) for date, label in zip(facts, known, strict=True)],
            scale,
            shape.mixes_channels,
        )
        for facts, known in ((train_facts, labels), (valid_facts, valid_labels))
    )
    trained = list(train_networks(train, valid, shape, settings))
    models = FundModels(
        shape,
        windows.channels,
        scale,
        measures,
        scaler,
        {network.name: network.model for network in trained},
        fingerprint,
    )
    notes = {
        "train_dates": len(train_facts),
        "valid_dates": len(valid_facts),
        "train_windows": int(sum(len(date.columns) for date in train_facts)),
        "unlabelled": int(sum(np.count_nonzero(~label.labelled) for label in labels)),
        "networks": len(trained),
        "parameters": max(_size(network.model) for network in trained),
        "stopped": [note for network in trained for note in network.notes],
    }
    return Fitted(models, tuple(row for network in trained for row in network.curve), notes)


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
