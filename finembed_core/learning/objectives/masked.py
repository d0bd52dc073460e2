"""Squared error on the cells that count."""

from __future__ import annotations

from torch import Tensor

from finembed_core.learning.objectives.lists import where_listed


def masked_error(guess: Tensor, truth: Tensor, where: Tensor, scale: Tensor | float) -> Tensor:
    """Mean squared error on some cells, in units of a scale.

    ::

        mean over `where` of ((guess - truth) / scale)^2

    Parameters
    ----------
    guess, truth : Tensor
        Of one shape.
    where : Tensor of bool, same shape
        What the others hold, NaN included, changes nothing.
    scale : Tensor or float
        Positive, broadcast to the shape; a typical deviation of the truth makes 1 the error of
        whoever guesses the mean.

    Returns
    -------
    Tensor
        A scalar, not negative; 0 where no cell counts.
    """
    missed = where_listed(guess - truth, where, 0.0) / scale
    return missed.square().sum() / where.sum().clamp(min=1)
