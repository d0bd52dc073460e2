"""The fund model: an encoder, what its normalization took away, other modalities, and the heads.

A window of the fund's channels becomes its embedding z in three steps, and every head reads z::

    token        h = encoder(window)[fund]                       (B, D)
    series       s = W [h, t of the mean, ln spread, share]      (B, size)
    embedding    z = fusion(s, characteristics, text)            (B, size)
"""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from finembed_core.encoders.encoding import Encoder, Encoding
from finembed_core.encoders.fusion import Fusion
from finembed_core.encoders.inputs import FundInputs
from finembed_core.learning.objectives import MEASURES

FUND = 0
"""Channel of the fund itself, the first of every window."""
STATISTICS = 3
"""Numbers about a window that normalization takes away: drift, volatility, visible share."""
MOST_DRIFT = 5.0
"""Largest t-statistic of a window's mean that is told apart: a money market fund has hundreds."""
RANKINGS = ("listnet", "neuralndcg")


class FundOutputs(NamedTuple):
    """What a model says of B windows.

    Attributes
    ----------
    embedding : Tensor, shape (B, size)
    path : Tensor, shape (B, S)
        The fund's next S returns, in units of the channel's scale.
    reconstruction : Tensor, shape (B, L)
        The fund's own window in the same units, the hidden steps guessed.
    performance : Tensor, shape (B, 3)
        Next-window figures of `MEASURES`, standardized.
    rankings : Tensor, shape (B, 2)
        Scores of `RANKINGS`.
    weight : Tensor, shape (B,)
        Score behind the portfolio weight.
    """

    embedding: Tensor
    path: Tensor
    reconstruction: Tensor
    performance: Tensor
    rankings: Tensor
    weight: Tensor


class FundModel(nn.Module):
    """Windows of one fund each to an embedding and everything that is predicted from it.

    Parameters
    ----------
    encoder : Encoder
    size : int
        Of the embedding.
    fusion : Fusion, optional
        How characteristics and text join; the series alone without one.
    statistics : bool
        Whether the embedding is told what normalization removed: for returns, the mean and the
        volatility of a window are the signal itself.
    """

    def __init__(
        self, encoder: Encoder, size: int, fusion: Fusion | None = None, *, statistics: bool = True
    ) -> None:
        super().__init__()
        self.encoder = encoder
        for parameter in encoder.head.parameters():
            # returns are mostly noise: a forecast begins at nothing, or with RevIN at the mean
            nn.init.zeros_(parameter)
        self.frozen = False
        self.statistics = statistics
        self.project = nn.Linear(encoder.size + STATISTICS * statistics, size)
        self.fusion = fusion
        self.drift = nn.Linear(size, 1)
        nn.init.zeros_(self.drift.weight)
        nn.init.zeros_(self.drift.bias)
        self.performance = nn.Linear(size, len(MEASURES))
        self.rankings = nn.Linear(size, len(RANKINGS), bias=False)  # ranks know no level,
        self.weight = nn.Linear(size, 1, bias=False)  # and softmax none either

    def forward(self, inputs: FundInputs) -> FundOutputs:
        """Inputs of B funds to outputs of B funds; no fund sees another."""
        encoding = self.encoder(inputs.windows, inputs.visible)
        spread = encoding.spread[:, FUND]  # (B,)
        embedding = self._embed(encoding, spread, inputs)  # (B, size)
        drift = spread[:, None] * self.drift(embedding)  # (B, 1)
        return FundOutputs(
            embedding,
            encoding.forecast[:, FUND] + drift,  # (B, S)
            encoding.reconstruction[:, FUND],  # (B, L)
            self.performance(embedding),
            self.rankings(embedding),
            self.weight(embedding)[:, 0],
        )

    def filled(self, inputs: FundInputs) -> Tensor:
        """The funds' own windows (B, L), hidden steps guessed; the same as of `forward`."""
        return self.encoder(inputs.windows, inputs.visible).reconstruction[:, FUND]

    def _embed(self, encoding: Encoding, spread: Tensor, inputs: FundInputs) -> Tensor:
        series = encoding.tokens[:, FUND]  # (B, D)
        if self.statistics:
            visible = inputs.visible[:, FUND].to(spread.dtype)
            drift = encoding.mean[:, FUND] / spread * visible.sum(dim=1).sqrt()
            drift = drift.clamp(-MOST_DRIFT, MOST_DRIFT)
            removed = torch.stack([drift, spread.log(), visible.mean(dim=1)], dim=1)
            series = torch.cat([series, removed], dim=1)  # (B, D + 3)
        series = self.project(series)  # (B, size)
        return series if self.fusion is None else self.fusion(series, inputs)

    def freeze_encoder(self) -> None:
        """Leave the encoder as it is, but for its forecast head: a linear probe."""
        self.frozen = True
        self.encoder.requires_grad_(False)
        self.encoder.head.requires_grad_(True)

    def train(self, mode: bool = True) -> Self:
        """Begin or end learning; a frozen encoder drops nothing and its BatchNorm stands still."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self
