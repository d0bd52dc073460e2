"""Differences of portfolios, session by session: one set of draws for everything that is compared.

A mean over a draw is a weighted mean over the record, with the number of times that each session
was drawn for weights. All means of all portfolios on all draws are then one product of matrices,
and annual return, volatility and Sharpe ratio follow from means of log growth, of returns and of
their squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from finembed_core.backtest.inference import COMPARED, PLAIN, Scale, interval
from finembed_core.backtest.resampling import block_lengths, stationary_draws
from finembed_core.panel import FloatArray

SESSIONS_PER_YEAR = 252
MIN_BLOCKS = 4  # fewer say nothing of how much a mean varies
RUINED = 1e-300  # wealth below which a logarithm has no value

SCALES: dict[str, Scale | None] = {**COMPARED, "mean_return": PLAIN, "win_share": None}
"""Scale on which the draws of a difference are about normal; None for quantiles of the draws."""

Moments = dict[str, FloatArray]


@dataclass(frozen=True)
class PairedDraws:
    """How often each session stands in each draw of a stationary bootstrap.

    Attributes
    ----------
    counts : ndarray, shape (B, n)
        Shares of the draw; no draws where the record has fewer than `MIN_BLOCKS` blocks.
    block : float
        Mean block length, in sessions.
    """

    counts: FloatArray
    block: float

    @classmethod
    def of(cls, active: FloatArray, holding: int, *, draws: int, seed: int) -> Self:
        """Draw.

        Parameters
        ----------
        active : ndarray, shape (n, P)
            Returns over those of the benchmarks.
        holding : int
            Sessions that a portfolio is held unchanged: the shortest block. What a book earns over
            another it earns, or not, over its whole life, which is too little a day for an
            automatic length to see.
        draws, seed : int
        """
        n = len(active)
        block = max(float(holding), float(np.median(block_lengths(active))) if n else 1.0)
        if n < MIN_BLOCKS * block:
            return cls(np.empty((0, n)), block)
        index = stationary_draws(n, block, draws, seed)
        flat = index + np.arange(draws)[:, None] * n
        counts = np.bincount(flat.ravel(), minlength=draws * n).reshape(draws, n)
        return cls(counts / n, block)

    @property
    def degrees(self) -> float:
        """Degrees of freedom: blocks in the record, less one."""
        return max(self.counts.shape[1] / self.block - 1.0, 1.0)

    @property
    def sessions(self) -> int:
        """Length of the record."""
        return self.counts.shape[1]

    @property
    def silence(self) -> str:
        """Why there are no intervals; empty where there are."""
        if len(self.counts):
            return ""
        return (
            f"no interval: {self.sessions} sessions, {MIN_BLOCKS} blocks of {self.block:.0f} "
            "are needed"
        )

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
        return moments(self.counts, net, risk_free)

    def interval(self, metric: str, value: float, draws: FloatArray) -> tuple[float, float]:
        """95% interval of a difference or a share; NaN where there is none."""
        if len(draws) == 0:
            return np.nan, np.nan
        return interval(value, draws, SCALES[metric], self.degrees)


def moments(shares: FloatArray, net: FloatArray, risk_free: FloatArray) -> Moments:
    """Statistics of portfolios under weights of the sessions.

    Parameters
    ----------
    shares : ndarray, shape (B, n)
        Rows sum to 1.
    net : ndarray, shape (n, P)
    risk_free : ndarray, shape (n,)

    Returns
    -------
    dict of str to ndarray, shape (B, P)
    """
    n, year = len(net), SESSIONS_PER_YEAR
    excess = net - risk_free[:, None]
    mean, premium = shares @ net, shares @ excess
    growth = shares @ np.log(np.maximum(1.0 + net, RUINED))
    return {
        "mean_return": mean * year,
        "annual_return": np.expm1(growth * year),
        "volatility": _deviation(shares, net, n) * np.sqrt(year),
        "sharpe": premium * np.sqrt(year) / _positive(_deviation(shares, excess, n)),
    }


def _deviation(shares: FloatArray, values: FloatArray, n: int) -> FloatArray:
    """Standard deviation, ddof 1."""
    centered = values - values.mean(axis=0)  # or squares of nearly the mean cancel
    variance = shares @ np.square(centered) - np.square(shares @ centered)
    return np.sqrt(np.maximum(variance, 0.0) * n / max(n - 1, 1))


def _positive(values: FloatArray) -> FloatArray:
    return np.where(values > 1e-12, values, np.nan)
