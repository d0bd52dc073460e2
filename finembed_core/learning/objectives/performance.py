"""Targets of the performance heads: the next window's Sharpe ratio, volatility and drawdown."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from finembed_core.learning.objectives.masked import masked_error

MEASURES = ("sharpe", "volatility", "drawdown")
CALMEST = 1e-4  # annual volatility below which a fund counts as still, and logarithms explode
CLIP = 5.0  # standardized targets; the Sharpe ratio of a money market fund is beyond any scale


class PerformanceScale(nn.Module):
    """Measures to standardized targets and back: robust, fixed by the training labels.

    Volatility is taken in logarithms; then ``x -> clip((x - median) / (IQR / 1.349), -5, 5)``.
    Levels are kept, unlike by a standardization per date: in calm times all funds are calm.

    Attributes
    ----------
    center, spread : Tensor, shape (3,)
        Buffers: part of a checkpoint, not learned.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(len(MEASURES)))
        self.register_buffer("spread", torch.ones(len(MEASURES)))
        self.center: Tensor
        self.spread: Tensor

    def fit(self, measures: Tensor) -> Self:
        """Take center and spread from training labels, shape (..., 3); NaN is left out."""
        values = _in_logarithms(measures).double().reshape(-1, len(MEASURES))
        low, center, high = values.nanquantile(torch.tensor([0.25, 0.5, 0.75]).double(), dim=0)
        spread = (high - low) / 1.349  # the standard deviation, if normal
        self.center.copy_(center.nan_to_num(0.0))
        self.spread.copy_(torch.where(spread > 0.0, spread, 1.0))
        return self

    def standardized(self, measures: Tensor) -> Tensor:
        """Targets of measures, shape (..., 3), in the order of `MEASURES`."""
        return ((_in_logarithms(measures) - self.center) / self.spread).clamp(-CLIP, CLIP)

    def measures(self, standardized: Tensor) -> Tensor:
        """Measures that targets or guesses of them stand for, in their units."""
        sharpe, volatility, drawdown = (standardized * self.spread + self.center).unbind(dim=-1)
        return torch.stack([sharpe, volatility.exp(), drawdown], dim=-1)


def performance_losses(guess: Tensor, targets: Tensor, known: Tensor) -> dict[str, Tensor]:
    """Squared error of each measure in units of its spread.

    Parameters
    ----------
    guess, targets : Tensor, shape (..., 3)
        Both standardized.
    known : Tensor of bool, shape (..., 3)

    Returns
    -------
    dict of str to Tensor
        A scalar for each of `MEASURES`, not negative.
    """
    return {
        name: masked_error(guess[..., k], targets[..., k], known[..., k], 1.0)
        for k, name in enumerate(MEASURES)
    }


def _in_logarithms(measures: Tensor) -> Tensor:
    sharpe, volatility, drawdown = measures.unbind(dim=-1)
    return torch.stack([sharpe, volatility.clamp(min=CALMEST).log(), drawdown], dim=-1)
