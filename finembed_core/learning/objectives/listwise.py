"""ListNet: the scores should give the probability of being best that the labels give."""

from __future__ import annotations

import torch
from torch import Tensor

from finembed_core.learning.objectives.lists import (
    log_softmax,
    mean_over_dates,
    standardized,
    where_listed,
)


def listnet(scores: Tensor, labels: Tensor, listed: Tensor, temperature: float) -> Tensor:
    """ListNet loss with top-one probabilities, a mean over dates.

    ::

        p = softmax(z / temperature),  q = softmax(scores),  loss = -sum_j p_j log q_j

    with z the labels standardized per date: raw returns would make p nearly uniform.

    Parameters
    ----------
    scores, labels : Tensor, shape (dates, places)
        Higher is better; labels in any unit.
    listed : Tensor of bool, shape (dates, places)
        Places that hold a fund whose label is known.
    temperature : float
        Of the labels; the smaller, the more the best ones count alone.

    Returns
    -------
    Tensor
        A scalar, not below the mean entropy of p, which it reaches where q = p.

    References
    ----------
    Cao, Qin, Liu, Tsai and Li (2007), *Learning to Rank: From Pairwise Approach to Listwise
    Approach*, ICML.
    """
    target = standardized(labels, listed) / temperature
    wanted = where_listed(log_softmax(target, listed).exp(), listed, 0.0)
    given = where_listed(log_softmax(scores, listed), listed, 0.0)
    return mean_over_dates(-torch.sum(wanted * given, dim=-1), listed)
