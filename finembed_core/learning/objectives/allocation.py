"""Portfolio weights from scores, and how far they are from the best ones.

Both kinds maximize ``scores'w - Omega(w)`` over the simplex: softmax with Omega the negative
entropy, the simplex projection (sparsemax) with ``|w|^2 / 2``. What a target q misses of the
maximum is the Fenchel-Young loss of Omega ::

    L(scores, q) = max_w [scores'w - Omega(w)] - [scores'q - Omega(q)]  >= 0

convex in the scores, 0 only where the weights are q, and its gradient is ``w - q`` (Blondel,
Martins and Niculae 2020, *Learning with Fenchel-Young losses*, JMLR 21).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from finembed_core.learning.objectives.lists import log_softmax, mean_over_dates, where_listed

WeightsKind = Literal["softmax", "simplex"]


def weights_of(scores: Tensor, listed: Tensor, kind: WeightsKind) -> Tensor:
    """Long-only weights, differentiable in the scores.

    Parameters
    ----------
    scores : Tensor, shape (dates, places)
    listed : Tensor of bool, shape (dates, places)
    kind : {"softmax", "simplex"}
        ``simplex`` is the Euclidean projection onto the simplex, which leaves most funds out
        (sparsemax; Martins and Astudillo 2016, ICML).

    Returns
    -------
    Tensor, shape (dates, places)
        Rows sum to 1, or to 0 where nobody is listed; 0 where not listed.
    """
    if kind == "softmax":
        return where_listed(log_softmax(scores, listed).exp(), listed, 0.0)
    return _projected(_below_top(scores, listed), listed)[0]


def weights_loss(
    scores: Tensor, target_weights: Tensor, listed: Tensor, kind: WeightsKind
) -> Tensor:
    """Fenchel-Young loss of the weights that scores stand for, a mean over dates.

    For ``softmax`` it is the Kullback-Leibler divergence from target to weights.

    Parameters
    ----------
    scores : Tensor, shape (dates, places)
    target_weights : Tensor, shape (dates, places)
        None negative; they sum to 1 over the listed places of a date.
    listed : Tensor of bool, shape (dates, places)
    kind : {"softmax", "simplex"}

    Returns
    -------
    Tensor
        A scalar, not negative; 0 if and only if the weights are the target.
    """
    target = where_listed(target_weights, listed, 0.0)
    if kind == "softmax":
        given = where_listed(log_softmax(scores, listed), listed, 0.0)
        losses = (torch.xlogy(target, target) - target * given).sum(dim=-1).clamp(min=0.0)
    else:
        points = _below_top(scores, listed)
        weights, threshold = _projected(points, listed)
        # L of the module's docstring with its cancellation done by hand: no term is negative
        missed = (target * (threshold - points).clamp(min=0.0)).sum(dim=-1)
        losses = (weights - target).square().sum(dim=-1) / 2.0 + missed
    return mean_over_dates(losses, listed)


def _below_top(scores: Tensor, listed: Tensor) -> Tensor:
    """Scores less the date's highest, to which weights and losses are blind; 0 if not listed."""
    lowest = torch.finfo(scores.dtype).min
    top = where_listed(scores.detach(), listed, lowest).amax(dim=-1, keepdim=True)
    return where_listed(scores - top, listed, 0.0)


def _projected(points: Tensor, listed: Tensor) -> tuple[Tensor, Tensor]:
    """Projection of points whose largest is 0, and its threshold (dates, 1)."""
    with torch.no_grad():  # the set of funds held; given that, the threshold is smooth
        # no fund is held that is 1 below the top: larger distances would only cost digits
        near = where_listed(points, listed, -2.0).clamp(min=-2.0)
        ordered = near.sort(dim=-1, descending=True).values
        place = torch.arange(1, points.shape[-1] + 1)
        held = (1.0 + place * ordered > ordered.cumsum(dim=-1)).sum(dim=-1, keepdim=True)
        last = ordered.gather(-1, held.clamp(min=1) - 1)
        support = listed & (near >= last)
    count = support.sum(dim=-1, keepdim=True).clamp(min=1)
    threshold = (where_listed(points, support, 0.0).sum(dim=-1, keepdim=True) - 1.0) / count
    return where_listed((points - threshold).clamp(min=0.0), listed, 0.0), threshold
