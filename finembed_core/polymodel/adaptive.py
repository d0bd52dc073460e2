"""Shuffle only the pairs whose verdict is open, and each only until it is settled.

The moments of the permutation distribution say where the p-value of every pair lies, well enough
to leave most of them alone. Those below `MARGIN` times their threshold are shuffled, batch by
batch, until the count of exceedances contradicts p = threshold (sequential as in Besag and
Clifford 1991, but towards both sides).
"""

from __future__ import annotations

import numpy as np

from finembed_core.panel import FloatArray
from finembed_core.polymodel.shuffling import Rows, TargetShuffling

MARGIN = 3.0  # moments are off by a factor of 2.2 at most where p is .003 to .1 (docs/polymodel.md)
CERTAIN = np.log(1e3)  # a settled verdict is wrong with a chance of at most 1e-3 per look
LOOKS = np.array([250, 500, 700, 1000, 1500, 2250, 3500, 5000, 7500])
"""Shuffles after which to look at the counts: the same for all, so that no fund or block of funds
changes what another one is tested with. At 1% nothing is settled before 690."""
COUNTABLE = 10  # exceedances from which their share is a better estimate than the moments'


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
        ``(1 + c) / (1 + L)`` of the pairs shuffled, L shuffles with c exceedances; where c is
        small, the moments' value if it is smaller. Of all others the moments' value.
    """
    factor, fund = np.nonzero(moments <= MARGIN * threshold)
    count = np.zeros(len(factor), dtype=np.int64)
    trials = np.zeros(len(factor), dtype=np.int64)
    limit = threshold[fund]
    live = np.arange(len(factor))
    for batch in np.split(rows, np.extract(LOOKS < len(rows), LOOKS)):
        if not len(live):
            break
        count[live] += shuffling.pair_exceedances(factor[live], fund[live], batch)
        trials[live] += len(batch)
        live = live[_evidence(count[live], trials[live], limit[live]) < CERTAIN]
    shuffled = (1.0 + count) / (1.0 + trials)
    found = moments.copy()
    guess = moments[factor, fund]
    found[factor, fund] = np.where(count < COUNTABLE, np.minimum(shuffled, guess), shuffled)
    return found


def _evidence(count: Rows, trials: Rows, threshold: FloatArray) -> FloatArray:
    """Chernoff's bound on the binomial tail beyond `count` where p is the threshold, as -log."""
    share = count / trials
    with np.errstate(divide="ignore", invalid="ignore"):
        hit = np.where(share > 0.0, share * np.log(share / threshold), 0.0)
        miss = np.where(share < 1.0, (1.0 - share) * np.log((1.0 - share) / (1.0 - threshold)), 0.0)
    return (trials * (hit + miss)).astype(np.float64)
