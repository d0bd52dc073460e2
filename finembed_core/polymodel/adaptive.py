"""Shuffle only the pairs whose verdict is open, and each only until it is settled.

The moments of the permutation distribution say where the p-value of every pair lies, well enough
to leave most of them alone. Those that could pass if the moments were `MARGIN` times too large,
or that are so small that one month of the fund meeting one of the factor may hide a smaller p, are
shuffled, batch by batch. The exceedances bound every p-value, and the bounds of a fund's p-values
bound its threshold: a verdict is settled when these two intervals do not meet (sequential as in
Besag and Clifford 1991, but towards both sides; for Benjamini and Hochberg's rule as in Gandy and
Hahn 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.special import betaincinv

from finembed_core.panel import FloatArray
from finembed_core.polymodel.selection import thresholds
from finembed_core.polymodel.shuffling import Rows, TargetShuffling, runs
from finembed_core.settings import PolyModelSettings

MARGIN = 3.0  # moments above this many thresholds hide nothing at 1% (polymodel_significance.md)
MEETING = 1.5  # over n: moments say about 1/n where one month meets another, however rare that is
CERTAIN = 0.9996  # of the interval of shuffles by which verdicts are settled, at every look
LOOKS = np.array([250, 500, 850, 1250, 1750, 2500, 3500, 5000, 7500])
"""Shuffles after which to look at the counts: the same for all, so that no fund or block of funds
changes what another one is tested with. At 1% nothing passes before 848."""
CONFIDENCE = 0.68  # of the interval of the shuffles that moments may not leave: one standard error


@dataclass(frozen=True)
class GroupShuffles:
    """Factors and funds that share their n months, and K shuffles of these.

    Attributes
    ----------
    factors, funds : ndarray of int, shape (J,), (N,)
        Their places in the whole, ascending.
    shuffling : TargetShuffling
    rows : ndarray of int, shape (K, n)
    """

    factors: Rows
    funds: Rows
    shuffling: TargetShuffling
    rows: Rows

    def exceedances(self, factor: Rows, fund: Rows, shuffles: slice) -> Rows:
        """Of pairs by their places in the whole, among some of the shuffles; shape (M,)."""
        j, i = np.searchsorted(self.factors, factor), np.searchsorted(self.funds, fund)
        return self.shuffling.pair_exceedances(j, i, self.rows[shuffles])


def settled_p_values(
    moments: FloatArray, groups: Sequence[GroupShuffles], settings: PolyModelSettings
) -> FloatArray:
    """P-values whose verdicts by the settings' selection rule are those of many shuffles.

    Parameters
    ----------
    moments : ndarray, shape (J, N)
        P-values by moments; NaN where not tested.
    groups : sequence of GroupShuffles
        Every pair that was tested is in one of them; all have as many shuffles.
    settings : PolyModelSettings

    Returns
    -------
    ndarray, shape (J, N)
        The moments' value; of the pairs shuffled it is moved into the interval of Clopper and
        Pearson (1934) for their count, which has no floor.
    """
    member, factor, fund = _open_pairs(moments, groups, settings)
    count, trials = np.zeros((2, len(factor)), dtype=np.int64)
    low, high = moments.copy(), moments.copy()
    live = np.arange(len(factor))
    for first, last in pairwise(_looks(groups)):
        for where in runs(member[live]):
            some = live[where]
            group = groups[int(member[some[0]])]
            count[some] += group.exceedances(factor[some], fund[some], slice(first, last))
        trials[live] = last
        j, i = factor[live], fund[live]
        low[j, i], high[j, i] = _intervals(last, CERTAIN)[:, count[live]]
        funds, place = np.unique(i, return_inverse=True)
        lowest, highest = _range(low[:, funds], high[:, funds], settings)[:, place]
        live = live[(low[j, i] <= highest) & (high[j, i] > lowest)]
        if not len(live):
            break
    found = moments.copy()
    for where in runs(trials):
        j, i = factor[where], fund[where]
        bounds = _intervals(int(trials[where[0]]), CONFIDENCE)[:, count[where]]
        found[j, i] = np.clip(moments[j, i], *bounds)
    return found


def _open_pairs(
    moments: FloatArray, groups: Sequence[GroupShuffles], settings: PolyModelSettings
) -> tuple[Rows, Rows, Rows]:
    """Group, factor and fund of the pairs that may pass, if moments are as wrong as they can be."""
    low = moments / MARGIN
    for group in groups:
        cells = np.ix_(group.factors, group.funds)
        meeting = moments[cells] <= MEETING / group.rows.shape[1]
        low[cells] = np.where(meeting, 0.0, low[cells])
    passing = low <= _range(low, moments, settings)[1]
    pairs = []
    for k, group in enumerate(groups):
        j, i = np.nonzero(passing[np.ix_(group.factors, group.funds)])
        pairs.append((np.full(len(j), k), group.factors[j], group.funds[i]))
    member, factor, fund = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return member, factor, fund


def _looks(groups: Sequence[GroupShuffles]) -> list[int]:
    shuffles = len(groups[0].rows)
    return [0, *LOOKS[shuffles > LOOKS].tolist(), shuffles]


def _range(low: FloatArray, high: FloatArray, settings: PolyModelSettings) -> FloatArray:
    """Smallest and largest threshold of funds, shape (2, N), by bounds of their p-values."""
    return np.sort([thresholds(low, settings), thresholds(high, settings)], axis=0)


@lru_cache(maxsize=64)
def _intervals(trials: int, confidence: float) -> FloatArray:
    """Clopper and Pearson's intervals for the share of 0, 1, ..., trials; shape (2, trials + 1)."""
    tail = (1.0 - confidence) / 2.0
    count = np.arange(trials + 1)
    low = betaincinv(np.maximum(count, 1), trials - count + 1, tail)
    high = betaincinv(count + 1, np.maximum(trials - count, 1), 1.0 - tail)
    return np.array([np.where(count > 0, low, 0.0), np.where(count < trials, high, 1.0)])
