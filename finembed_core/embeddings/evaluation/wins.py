"""m of n: how many portfolios beat their benchmarks, and whether that can be luck.

The sign test takes the n portfolios for independent, which they are not: they choose from the same
funds on the same days. Beside it stand two numbers that know it, from draws of days that all
portfolios share: an interval of the share of wins, and a p-value from draws in which each
difference is moved to mean zero, so that only what the portfolios have in common is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from finembed_core.embeddings.evaluation.paired import PairedDraws
from finembed_core.panel import FloatArray

TIE = 1e-12  # a difference below it is none: the same book


@dataclass(frozen=True)
class Wins:
    """Wins of n portfolios over their benchmarks.

    Attributes
    ----------
    won, n : int
        Portfolios that won, and those that won or lost: ties are left out.
    sign_p : float
        Two-sided binomial p-value of won of n, as if independent; NaN where n is 0.
    low, high : float
        95% interval of the share of wins, portfolios dependent as they are; NaN where every draw
        agrees, which says that there are few draws apart and not that the share is certain.
    dependent_p : float
        Share of draws without any difference in which the share of wins is as far from one half.
    """

    won: int
    n: int
    sign_p: float
    low: float
    high: float
    dependent_p: float

    @property
    def share(self) -> float:
        """Of the portfolios that won; NaN where there is none."""
        return self.won / self.n if self.n else np.nan


def count_wins(differences: FloatArray, draws: FloatArray, paired: PairedDraws) -> Wins:
    """Count wins.

    Parameters
    ----------
    differences : ndarray, shape (P,)
        Above 0 is a win; NaN is not counted.
    draws : ndarray, shape (B, P)
        The same on every draw.
    paired : PairedDraws
        Which made them.
    """
    counted = np.isfinite(differences) & (np.abs(differences) > TIE)
    found, drawn = differences[counted], draws[:, counted]
    won, n = int((found > 0.0).sum()), len(found)
    if n == 0:
        return Wins(0, 0, np.nan, np.nan, np.nan, np.nan)
    sign_p = float(binomtest(won, n).pvalue)
    if len(drawn) == 0:
        return Wins(won, n, sign_p, np.nan, np.nan, np.nan)
    low, high = paired.interval("win_share", won / n, _shares(drawn))
    without = _shares(drawn - found)
    as_far = np.abs(without - 0.5) >= abs(won / n - 0.5) - TIE
    dependent_p = (1.0 + as_far.sum()) / (1.0 + len(without))
    return Wins(won, n, sign_p, low, high, float(dependent_p))


def _shares(draws: FloatArray) -> FloatArray:
    """Share of wins on each draw; what is not defined on a draw is neither won nor lost there."""
    known = np.isfinite(draws).sum(axis=1)
    return (draws > 0.0).sum(axis=1)[known > 0] / known[known > 0]
