"""One retraining of one encoder: from what is known at a decision to its trained networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from finembed_core.embeddings.characteristics import CharacteristicScaler
from finembed_core.embeddings.checkpoint import FundModels
from finembed_core.embeddings.examples import FundDates
from finembed_core.embeddings.scale import ChannelScale
from finembed_core.embeddings.shapes import ModelShape
from finembed_core.embeddings.sheets import DateFacts, Information, SheetMaker, performance
from finembed_core.embeddings.training import CurveRow, train_networks
from finembed_core.learning.forward import Forward
from finembed_core.learning.objectives import PerformanceScale
from finembed_core.settings import LEAST_DATES, EmbeddingsSettings, EncoderName

TOO_LITTLE = "too_little_history"
MIN_FUNDS = 5
"""Funds with a label below which the ranking or the portfolio of a date says nothing."""


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

    Raises
    ------
    SolverError
        The loss of a network was no number before its first epoch was over.
    """
    maker = SheetMaker(information, settings)
    train_sessions, valid_sessions = maker.sessions()
    valid_dates = _labelled(maker, valid_sessions, information.session)
    if not valid_dates:
        return None
    before = valid_dates[0][0].session - 1  # a training label told late is purged too
    train_dates = _labelled(maker, train_sessions, before)
    if len(train_dates) < LEAST_DATES:
        return None
    scaler = CharacteristicScaler.fit([facts.characteristics for facts, _ in train_dates])
    measures = PerformanceScale().fit(torch.cat([performance(came) for _, came in train_dates]))
    windows = information.windows
    scale = ChannelScale.fit(windows.at(facts.session, facts.columns) for facts, _ in train_dates)
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
            [maker.sheet(facts, scaler, maker.labels(came, measures)) for facts, came in dates],
            scale,
            shape.mixes_channels,
        )
        for dates in (train_dates, valid_dates)
    )
    day = windows.panel.days[information.session]
    trained = list(train_networks(train, valid, shape, settings, f"{encoder}, decided on {day}"))
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
        "train_dates": len(train_dates),
        "valid_dates": len(valid_dates),
        "train_windows": sum(len(facts.columns) for facts, _ in train_dates),
        "unlabelled": sum(int(np.isnan(came.total).sum()) for _, came in train_dates),
        "networks": len(trained),
        "parameters": max(_size(network.model) for network in trained),
        "stopped": [note for network in trained for note in network.notes],
    }
    return Fitted(models, tuple(row for network in trained for row in network.curve), notes)


def _labelled(
    maker: SheetMaker, sessions: Sequence[int], known: int
) -> list[tuple[DateFacts, Forward]]:
    """Dates of which enough funds have a label at the close of session `known`."""
    found = []
    for session in sessions:
        facts = maker.facts(session)
        came = maker.forward(facts, known)
        if np.count_nonzero(~np.isnan(came.total)) >= MIN_FUNDS:
            found.append((facts, came))
    return found


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
