"""Towers: one token of the embedding's size per modality, and whether the sample has it.

The last layer of a tower is linear: a fusion adds its token times a positive gate, and a token
that ended in a gelu could hardly ever lower a coordinate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from finembed_core.encoders.inputs import FundInputs


class Tower(nn.Module, ABC):
    """One modality to one token."""

    @abstractmethod
    def forward(self, inputs: FundInputs) -> Tensor:
        """Tokens, shape (B, size); finite also where the sample lacks the modality."""

    @abstractmethod
    def present(self, inputs: FundInputs) -> Tensor:
        """Whether each sample has the modality, bool, shape (B,)."""


class NumberTower(Tower):
    """Standardized numbers and which of them are known.

    Parameters
    ----------
    numbers : int
        P.
    size : int
    """

    def __init__(self, numbers: int, size: int) -> None:
        super().__init__()
        self.layers = _two_layers(2 * numbers, size)

    def forward(self, inputs: FundInputs) -> Tensor:
        """Unknown is told apart from average: (B, 2 P) -> (B, size)."""
        known = inputs.known.to(inputs.numbers.dtype)
        values = inputs.numbers.masked_fill(~inputs.known, 0.0)
        return self.layers(torch.cat([values, known], dim=1))

    def present(self, inputs: FundInputs) -> Tensor:
        """Where at least one number is known."""
        return inputs.known.any(dim=1)


class CategoryTower(Tower):
    """A learned vector per category.

    Parameters
    ----------
    categories : int
        Known ones; their codes are 1 ... `categories`.
    size : int
    """

    def __init__(self, categories: int, size: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(categories + 1, size, padding_idx=0)

    def forward(self, inputs: FundInputs) -> Tensor:
        """(B,) -> (B, size)."""
        return self.vectors(inputs.category)

    def present(self, inputs: FundInputs) -> Tensor:
        """Where the category is known."""
        return inputs.category > 0


class TextTower(Tower):
    """Sentence vectors of a frozen language model.

    Parameters
    ----------
    text_size : int
        E.
    size : int
    """

    def __init__(self, text_size: int, size: int) -> None:
        super().__init__()
        self.layers = _two_layers(text_size, size)

    def forward(self, inputs: FundInputs) -> Tensor:
        """(B, E) -> (B, size)."""
        return self.layers(inputs.text.masked_fill(~inputs.has_text[:, None], 0.0))

    def present(self, inputs: FundInputs) -> Tensor:
        """Where there is a text."""
        return inputs.has_text


def _two_layers(width: int, size: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, size), nn.GELU(), nn.Linear(size, size))
