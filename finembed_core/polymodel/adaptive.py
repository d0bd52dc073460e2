"""Shuffle only the pairs whose verdict is open, and each only until it is settled.

The moments of the permutation distribution say where the p-value of every pair lies, well enough
to leave most of them alone. Those below `MARGIN` times their threshold, or so small that one month
of the fund meeting one of the factor may hide a smaller p, are shuffled, batch by batch, until the
count of exceedances contradicts p = threshold (sequential as in Besag and Clifford 1991, but
towards both sides).
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv

from finembed_core.panel import FloatArray
from finembed_core.polymodel.shuffling import Rows, TargetShuffling

MARGIN = 3.0  # over the threshold: above it moments hide nothing at 1% (polymodel_significance.md)
MEETING = 1.5  # over n: moments say about 1/n where one month meets another, however rare that is
CERTAIN = np.log(1e3)  # a settled verdict is wrong with a chance of at most 1e-3 per look
LOOKS = np.array([250, 500, 700, 1000, 1500, 2250, 3500, 5000, 7500])
"""Shuffles after which to look at the counts: the same for all, so that no fund or block of funds
changes what another one is tested with. At 1% nothing is settled before 690."""
CONFIDENCE = 0.68  # of the interval of the shuffles that moments may not leave: one standard error


def settled_p_values(
    shuffling: TargetShuffling, moments: FloatArray, threshold: FloatArray, rows: Rows
) -> FloatArray:
    """P-values whose verdicts against a threshold are those of many shuffles.

    Parameters
    ----------
    shuffling : TargetShuffling
        J factors, N funds.
    moments : ndarray, shape (J, N)
        P-values by moments.
    threshold : ndarray, shape (N,)
        Of every fund: pairs at or below it are selected.
    rows : ndarray of int, shape (K, n)
        Shuffles, at most all of which are used.

    Returns
    -------
    ndarray, shape (J, N)
        The moments' value; of the pairs shuffled it is moved into the interval of Clopper and
        Pearson (1934) for their count, which has no floor.
    """
    open_below = np.maximum(MARGIN * threshold, MEETING / rows.shape[1])
    factor, fund = np.nonzero(moments <= open_below)
    count = np.zeros(len(factor), dtype=np.int64)
    trials = np.zeros(len(factor), dtype=np.int64)
    limit = threshold[fund]
    live = np.arange(len(factor))
    for batch in np.split(rows, LOOKS[: np.searchsorted(LOOKS, len(rows))]):
        if not len(live):
            break
        count[live] += shuffling.pair_exceedances(factor[live], fund[live], batch)
        trials[live] += len(batch)
        live = live[_evidence(count[live], trials[live], limit[live]) < CERTAIN]
    low, high = _interval(count, trials)
    found = moments.copy()
    found[factor, fund] = np.clip(moments[factor, fund], low, high)
    return found


def _interval(count: Rows, trials: Rows) -> tuple[FloatArray, FloatArray]:
    """Clopper and Pearson's interval for the share of exceedances."""
    tail = (1.0 - CONFIDENCE) / 2.0
    low = betaincinv(np.maximum(count, 1), trials - count + 1, tail)
    high = betaincinv(count + 1, np.maximum(trials - count, 1), 1.0 - tail)
    return np.where(count > 0, low, 0.0), np.where(count < trials, high, 1.0)


def _evidence(count: Rows, trials: Rows, threshold: FloatArray) -> FloatArray:
    """Chernoff's bound on the binomial tail beyond `count` where p is the threshold, as -log."""
    share = count / trials
    with np.errstate(divide="ignore", invalid="ignore"):
        hit = np.where(share > 0.0, share * np.log(share / threshold), 0.0)
        miss = np.where(share < 1.0, (1.0 - share) * np.log((1.0 - share) / (1.0 - threshold)), 0.0)
    return (trials * (hit + miss)).astype(np.float64)
