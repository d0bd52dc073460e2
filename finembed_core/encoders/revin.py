"""RevIN, reversible instance normalization: what a window loses on its way in, it gets back.

Source: Kim et al., *Reversible Instance Normalization for Accurate Time-Series Forecasting against
Distribution Shift* (ICLR 2022), without the affine weights, whose inverse explodes near 0. Pure
functions: the statistics of a window are values that are handed on, never state of a module.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

EPSILON = 1e-5
"""Added to the variance, as in the reference implementation; in the square of a window's units."""


class Filled(NamedTuple):
    """Windows whose hidden steps hold the mean of the visible ones.

    Attributes
    ----------
    steps : Tensor, shape (B, C, L)
    mean : Tensor, shape (B, C)
        Of the visible steps; 0 where none is visible.
    spread : Tensor, shape (B, C)
        Root of their population variance plus `EPSILON`.
    """

    steps: Tensor
    mean: Tensor
    spread: Tensor


def fill_hidden(windows: Tensor, visible: Tensor) -> Filled:
    """Statistics of the visible steps, and the windows with nothing else in them.

    Parameters
    ----------
    windows : Tensor, shape (B, C, L)
        Anything, NaN and infinity included, where hidden.
    visible : Tensor of bool, shape (B, C, L)
    """
    count = visible.sum(-1).clamp(min=1)  # (B, C, L) -> (B, C)
    mean = windows.where(visible, 0.0).sum(-1) / count
    steps = windows.where(visible, mean[..., None])
    # hidden steps deviate by nothing
    variance = (steps - mean[..., None]).square().sum(-1) / count
    return Filled(steps, mean, torch.sqrt(variance + EPSILON))


def normalize(filled: Filled) -> Tensor:
    """Steps (B, C, L) in spreads from the mean; 0 where hidden."""
    return (filled.steps - filled.mean[..., None]) / filled.spread[..., None]


def denormalize(steps: Tensor, filled: Filled) -> Tensor:
    """Any steps (B, C, S) of the same channels back in the units of the windows."""
    return steps * filled.spread[..., None] + filled.mean[..., None]
