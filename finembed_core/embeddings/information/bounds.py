"""Bounds of mutual information as pure functions of one score matrix; in nats.

A critic scores pairs: ``scores[..., i, j]`` is how well x_i and z_j fit together. The diagonal are
draws from the joint law, what lies off it stands for draws from the product of the marginals. With
the best critic, ln p(x, z) / p(x) p(z) up to a constant, each bound is the mutual information or
its cap. A bound is one only on rows that the critic has not seen.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

CLIP = 5.0
"""tau of `smile`: Song and Ermon (2020) try 1, 5 and 10; smaller is steadier and more biased."""
FORGETTING = 0.01
"""Rate of the moving average in `mine_objective`; the reference code of Belghazi et al. (2018)."""


def infonce(scores: Tensor) -> Tensor:
    """Noise-contrastive bound (van den Oord et al. 2018): at most `infonce_cap`.

    ::

        I >= ln m + mean_i( s_ii - ln sum_j exp s_ij )

    Parameters
    ----------
    scores : Tensor, shape (..., m, m)

    Returns
    -------
    Tensor, shape (...)
    """
    rows = _diagonal(scores) - scores.logsumexp(-1)
    return rows.mean(-1) + infonce_cap(scores.shape[-1])


def infonce_cap(rows: int) -> float:
    """``ln m``: no score matrix of m rows gives more."""
    return math.log(rows)


def donsker_varadhan(scores: Tensor) -> Tensor:
    """The bound that MINE climbs: ``mean s_ii - ln mean_{i != j} exp s_ij``; shapes as `infonce`.

    Its variance grows with the exponential of the information.
    """
    return _diagonal(scores).mean(-1) - _log_mean_exp(scores)


def smile(scores: Tensor, clip: float = CLIP) -> Tensor:
    """`donsker_varadhan` with scores of unmatched pairs cut to [-clip, clip] (Song, Ermon 2020).

    Less variance; no longer a bound: it can lie above the information.
    """
    return _diagonal(scores).mean(-1) - _log_mean_exp(scores.clamp(-clip, clip))


def mine_objective(scores: Tensor, log_average: Tensor | None) -> tuple[Tensor, Tensor]:
    """What MINE ascends: its gradient is that of `donsker_varadhan` with less bias.

    The gradient of ``ln mean exp s`` over a batch is biased, for the logarithm stands outside.
    Belghazi et al. (2018, section 3.2) divide by a moving average of the mean instead.

    Parameters
    ----------
    scores : Tensor, shape (..., m, m)
    log_average : Tensor, shape (...), optional
        ln of the moving average so far; None at the first step.

    Returns
    -------
    objective, log_average : Tensor, shape (...)
    """
    log_mean = _log_mean_exp(scores)
    now = log_mean.detach()
    average = now
    if log_average is not None:
        kept = math.log1p(-FORGETTING) + log_average
        average = torch.logaddexp(kept, math.log(FORGETTING) + now)
    # (log_mean - now).exp() is 1, with the gradient of the mean over the mean
    share = (now - average).exp() * (log_mean - now).exp()
    return _diagonal(scores).mean(-1) - share, average


def jensen_shannon(scores: Tensor) -> Tensor:
    """What the critic of `smile` ascends: ``-mean softplus(-s_ii) - mean softplus(s_ij)``.

    It learns the density ratio steadily where exponentials do not (Song and Ermon 2020).
    """
    rows = scores.shape[-1]
    matched = _diagonal(scores)
    unmatched = softplus(scores).sum((-2, -1)) - softplus(matched).sum(-1)
    return -softplus(-matched).mean(-1) - unmatched / (rows * (rows - 1))


def _diagonal(scores: Tensor) -> Tensor:
    return scores.diagonal(dim1=-2, dim2=-1)


def _log_mean_exp(scores: Tensor) -> Tensor:
    """Of the pairs off the diagonal."""
    rows = scores.shape[-1]
    same = torch.eye(rows, dtype=torch.bool, device=scores.device)
    total = scores.masked_fill(same, -math.inf).logsumexp((-2, -1))
    return total - math.log(rows * (rows - 1))
