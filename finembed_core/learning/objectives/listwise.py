"""ListNet: the scores should give the probability of being best that the labels give."""

from __future__ import annotations

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

        p = softmax(z / temperature),  q = softmax(scores),  loss = sum_j p_j (log p_j - log q_j)

    with z the labels standardized per date: raw returns would make p nearly uniform. It is the
    paper's cross entropy less what no score can change, the entropy of p, which grows with the
    length of the list and would pass for noise where losses are weighed against each other.

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
        A scalar, not negative; 0 where q = p.

    References
    ----------
    Cao, Qin, Liu, Tsai and Li (2007), *Learning to Rank: From Pairwise Approach to Listwise
    Approach*, ICML.
    """
    wanted = log_softmax(standardized(labels, listed) / temperature, listed)
    missed = wanted.exp() * (wanted - log_softmax(scores, listed))
    losses = where_listed(missed, listed, 0.0).sum(dim=-1).clamp(min=0.0)
    return mean_over_dates(losses, listed)
