"""Differences of portfolios: one set of draws of holding periods for everything that is compared.

What a book earns over another it earns, or not, over its whole life: too little a day for an
automatic block length to see, and enough to fool an interval. So the stationary bootstrap draws
whole holding periods, with all their sessions and all portfolios together. A mean over a draw is a
weighted mean over the record, the weight of a session the number of times that its period was
drawn: all means of all portfolios on all draws are one product of matrices, and annual return,
volatility and Sharpe ratio follow from means of log growth, of returns and of their squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from finembed_core.backtest.inference import COMPARED, PLAIN, Scale, interval
from finembed_core.backtest.resampling import block_lengths, stationary_draws
from finembed_core.calendar import IntArray
from finembed_core.panel import FloatArray
from finembed_core.sessions import SESSIONS_PER_YEAR

MIN_PERIODS = 8  # fewer holding periods say nothing of how much a mean varies
MEASURABLE = 12  # periods below which no block length can be estimated: 1, as of independent ones
RUINED = 1e-300  # wealth below which a logarithm has no value

SCALES: dict[str, Scale | None] = {**COMPARED, "mean_return": PLAIN, "win_share": None}
"""Scale on which the draws of a difference are about normal; None for quantiles of the draws."""

Moments = dict[str, FloatArray]


@dataclass(frozen=True)
class PairedDraws:
    """How often each holding period stands in each draw of a stationary bootstrap.

    Attributes
    ----------
    starts : ndarray of int64, shape (D,)
        First session of each holding period.
    lengths : ndarray of int64, shape (D,)
        Its sessions: fewer where decisions lie closer, or the data end.
    counts : ndarray, shape (B, D)
        No draws where the record is too short.
    block : float
        Mean block length, in holding periods.
    """

    starts: IntArray
    lengths: IntArray
    counts: FloatArray
    block: float

    @classmethod
    def of(cls, active: FloatArray, starts: IntArray, *, draws: int, seed: int) -> Self:
        """Draw.

        Parameters
        ----------
        active : ndarray, shape (n, P)
            Daily returns over those of the benchmarks. The median automatic length of their sums
            by holding period is the mean block, as in `superiority`.
        starts : ndarray of int64, shape (D,)
            Row of `active` that each decision is the first to earn, ascending from 0.
        draws, seed : int
        """
        n = len(active)
        starts = starts[starts < n]  # the newest decision may have earned nothing yet
        lengths = np.diff(np.append(starts, n))
        periods, block = len(starts), 1.0
        if periods >= MEASURABLE:
            block = float(np.median(block_lengths(np.add.reduceat(active, starts, axis=0))))
        if periods < max(MIN_PERIODS, 2.0 * block):
            return cls(starts, lengths, np.empty((0, periods)), block)
        drawn = stationary_draws(periods, block, draws, seed)
        flat = drawn + np.arange(draws)[:, None] * periods
        counts = np.bincount(flat.ravel(), minlength=draws * periods).reshape(draws, periods)
        return cls(starts, lengths, counts.astype(np.float64), block)

    @property
    def periods(self) -> int:
        """Holding periods on record."""
        return len(self.starts)

    @property
    def degrees(self) -> float:
        """Degrees of freedom: blocks in the record, less one."""
        return max(self.periods / self.block - 1.0, 1.0)

    @property
    def silence(self) -> str:
        """Why there are no intervals; empty where there are."""
        if len(self.counts):
            return ""
        needed = max(MIN_PERIODS, int(np.ceil(2.0 * self.block)))
        return f"no interval: {self.periods} holding periods, {needed} are needed"

    def moments(self, net: FloatArray, risk_free: FloatArray) -> Moments:
        """Statistics of portfolios on every draw, as `metrics.metrics` defines them.

        Parameters
        ----------
        net : ndarray, shape (n, P)
        risk_free : ndarray, shape (n,)

        Returns
        -------
        dict of str to ndarray, shape (B, P)
            mean_return, annual_return, volatility, sharpe.
        """
        return self._moments(self.counts, net, risk_free)

    def whole(self, net: FloatArray, risk_free: FloatArray) -> Moments:
        """The same on the record itself, shape (P,)."""
        once = self._moments(np.ones((1, self.periods)), net, risk_free)
        return {name: values[0] for name, values in once.items()}

    def by_period(self, values: FloatArray) -> FloatArray:
        """Sums of daily values (n, P) over each holding period, shape (D, P)."""
        return np.add.reduceat(values, self.starts, axis=0)

    def interval(self, metric: str, value: float, draws: FloatArray) -> tuple[float, float]:
        """95% interval of a difference or a share; NaN where there is none."""
        if len(draws) == 0:
            return np.nan, np.nan
        return interval(value, draws, SCALES[metric], self.degrees)

    def _moments(self, counts: FloatArray, net: FloatArray, risk_free: FloatArray) -> Moments:
        n = (counts @ self.lengths)[:, None]

        def mean(values: FloatArray) -> FloatArray:
            return counts @ self.by_period(values) / n

        def deviation(values: FloatArray) -> FloatArray:
            centered = values - values.mean(axis=0)  # or squares of nearly the mean cancel
            variance = mean(np.square(centered)) - np.square(mean(centered))
            return np.sqrt(np.maximum(variance, 0.0) * n / (n - 1))

        excess, year = net - risk_free[:, None], SESSIONS_PER_YEAR
        error = deviation(excess)
        growth = mean(np.log(np.maximum(1.0 + net, RUINED)))
        return {
            "mean_return": mean(net) * year,
            "annual_return": np.expm1(growth * year),
            "volatility": deviation(net) * np.sqrt(year),
            "sharpe": mean(excess) * np.sqrt(year) / np.where(error > 1e-12, error, np.nan),
        }
