"""Lists of places with holes: what every objective over a date's funds needs.

A list is a row of a tensor (dates, places); `listed` marks the places that hold a fund. What the
other places hold, NaN included, changes neither a loss nor a gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor


def where_listed(values: Tensor, listed: Tensor, otherwise: float) -> Tensor:
    """Values, with something harmless at the places that hold nobody."""
    return torch.where(listed, values, otherwise)


def mean_over_dates(losses: Tensor, listed: Tensor) -> Tensor:
    """Mean of one loss per date over the dates with two funds or more; 0 where there are none.

    One fund alone can be neither ranked nor weighed: its loss is a constant.
    """
    counts = listed.sum(dim=-1) > 1  # (dates,)
    return where_listed(losses, counts, 0.0).sum() / counts.sum().clamp(min=1)


def standardized(labels: Tensor, listed: Tensor) -> Tensor:
    """Labels less their mean, over their population deviation, date by date; 0 if all are equal."""
    top = where_listed(labels, listed, -torch.inf).amax(dim=-1, keepdim=True)
    # differences from one of them are exact: equal labels stay equal whatever their level
    above = where_listed(labels - top, listed, 0.0)
    count = listed.sum(dim=-1, keepdim=True).clamp(min=1)
    centered = where_listed(above - above.sum(dim=-1, keepdim=True) / count, listed, 0.0)
    deviation = (centered.square().sum(dim=-1, keepdim=True) / count).sqrt()
    return centered / torch.where(deviation > 0.0, deviation, torch.ones_like(deviation))


def log_softmax(scores: Tensor, listed: Tensor) -> Tensor:
    """Log-softmax over the listed places; finite and of no consequence at the others."""
    lowest = torch.finfo(scores.dtype).min  # and not -inf, which a date without funds turns to NaN
    return torch.log_softmax(where_listed(scores, listed, lowest), dim=-1)
