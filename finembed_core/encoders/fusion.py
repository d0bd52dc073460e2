"""Fusion: how characteristics and text join the vector of a fund's return window.

With the vector of the series s, the token m of each modality that the sample has, and nothing of
those that it lacks::

    gated        z = s + sum_m sigmoid(W_m [s, m] + b_m) * m
    attention    z = s + O sum_m a_m V m,    a = softmax_m((Q s) . (K m) / sqrt(size))

Without any modality z = s. In training each modality of each sample is dropped at random (Neverova
et al., *ModDrop*, arXiv 1501.00102), so that the series learns to do without.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from finembed_core.encoders.inputs import FundInputs
from finembed_core.encoders.towers import CategoryTower, NumberTower, TextTower, Tower


class Gated(nn.Module):
    """Gated addition; each gate sees the series and its own modality (Arevalo et al., 1702.01992).

    Parameters
    ----------
    size, modalities : int
    """

    def __init__(self, size: int, modalities: int) -> None:
        super().__init__()
        self.gates = nn.ModuleList(nn.Linear(2 * size, size) for _ in range(modalities))

    def forward(self, series: Tensor, tokens: Tensor, present: Tensor) -> Tensor:
        """What is added to the series: (B, size), (B, M, size), (B, M) -> (B, size)."""
        pairs = torch.cat([series[:, None].expand_as(tokens), tokens], dim=2)  # (B, M, 2 size)
        opened = [gate(pairs[:, m]).sigmoid() for m, gate in enumerate(self.gates)]
        parts = torch.stack(opened, dim=1) * tokens  # (B, M, size)
        return parts.masked_fill(~present[..., None], 0.0).sum(dim=1)


class CrossAttention(nn.Module):
    """The series queries the modalities, with one head (Vaswani et al., 1706.03762).

    Parameters
    ----------
    size : int
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(size, size) for _ in range(4))

    def forward(self, series: Tensor, tokens: Tensor, present: Tensor) -> Tensor:
        """What is added to the series: (B, size), (B, M, size), (B, M) -> (B, size)."""
        scores = (self.key(tokens) @ self.query(series)[:, :, None])[:, :, 0]  # (B, M)
        some = present.any(dim=1, keepdim=True)
        absent = ~present & some  # a softmax over nothing would be NaN
        scores = (scores / series.shape[1] ** 0.5).masked_fill(absent, -torch.inf)
        mixed = (scores.softmax(dim=1)[:, None] @ self.value(tokens))[:, 0]  # (B, size)
        return self.out(mixed).masked_fill(~some, 0.0)


class Fusion(nn.Module):
    """Series and whatever else is known about a fund to one embedding.

    Parameters
    ----------
    size : int
        Of the series vector, the tokens and the embedding.
    numbers, categories, text_size : int
        Numeric characteristics P, known categories, and entries of a sentence vector E; a modality
        of size 0 has no tower.
    kind : str
        ``gated`` or ``attention``.
    modality_dropout : float
        Chance that a modality of a sample is dropped in training.
    """

    def __init__(
        self,
        size: int,
        numbers: int,
        categories: int,
        text_size: int,
        kind: Literal["gated", "attention"],
        modality_dropout: float,
    ) -> None:
        super().__init__()
        self.towers = nn.ModuleDict()
        if numbers:
            self.towers["numbers"] = NumberTower(numbers, size)
        if categories:
            self.towers["category"] = CategoryTower(categories, size)
        if text_size:
            self.towers["text"] = TextTower(text_size, size)
        gated = kind == "gated"
        self.join = Gated(size, len(self.towers)) if gated else CrossAttention(size)
        self.modality_dropout = modality_dropout

    def forward(self, series: Tensor, inputs: FundInputs) -> Tensor:
        """Embeddings, shape (B, size); exactly `series` where a sample has no modality.

        Parameters
        ----------
        series : Tensor, shape (B, size)
        inputs : FundInputs
        """
        towers = [tower for tower in self.towers.values() if isinstance(tower, Tower)]
        if not towers:
            return series
        tokens = torch.stack([tower(inputs) for tower in towers], dim=1)  # (B, M, size)
        present = torch.stack([tower.present(inputs) for tower in towers], dim=1)  # (B, M)
        if self.training:
            luck = torch.rand(present.shape, device=present.device)
            present = present & (luck >= self.modality_dropout)
        return series + self.join(series, tokens, present)
