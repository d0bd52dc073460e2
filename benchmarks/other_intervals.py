"""Bootstrap intervals that finembed does not take: studentized ones, and BCa."""

import numpy as np
from scipy.special import ndtr, ndtri

from finembed_core.backtest.inference import LEVEL
from finembed_core.backtest.metrics import MONTHLY
from finembed_core.backtest.resampling import bootstrap_variance

RISK_FREE = 0.002
TAILS = np.array([(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])


def influences(returns, benchmark):
    """Estimate and influence of each month, (..., n), on the scale of the interval."""

    def centered(values):
        return values - values.mean(axis=-1, keepdims=True)

    excess, market = returns - RISK_FREE, benchmark - RISK_FREE
    d, x, grown = centered(excess), centered(market), centered(np.log1p(returns))
    variance, spread = (np.mean(v * v, axis=-1, keepdims=True) for v in (d, x))
    ratio = excess.mean(axis=-1, keepdims=True) / np.sqrt(variance)
    beta = np.mean(d * x, axis=-1, keepdims=True) / spread
    mean = market.mean(axis=-1, keepdims=True)
    unit = d * d / variance - 1.0
    tangent = d / np.sqrt(variance) - ratio / 2.0 * unit
    alpha = excess.mean(axis=-1, keepdims=True) - beta * mean
    return {
        "annual_return": (np.log1p(returns).mean(axis=-1) * MONTHLY, MONTHLY * grown),
        "volatility": (np.log(variance[..., 0] * MONTHLY) / 2.0, unit / 2.0),
        "sharpe": (ratio[..., 0] * MONTHLY**0.5, tangent * MONTHLY**0.5),
        "alpha": (alpha[..., 0] * MONTHLY, MONTHLY * (d - beta * x) * (1.0 - mean * x / spread)),
    }


def studentized(returns, benchmark, index, block):
    """Bootstrap-t of Goetze and Kuensch (1996): the error of a draw from its own blocks."""
    n, found = len(returns), {}
    fresh = np.insert(index[:, 1:] != (index[:, :-1] + 1) % n, 0, True, axis=1)
    starts = np.flatnonzero(fresh)
    drawn = influences(returns[index], benchmark[index])
    for name, (value, influence) in influences(returns, benchmark).items():
        sums = np.add.reduceat(drawn[name][1].ravel(), starts)
        error = np.sqrt(np.bincount(starts // n, sums**2, len(index))) / n
        pivot = (drawn[name][0] - value)[error > 0.0] / error[error > 0.0]
        reach = np.sqrt(bootstrap_variance(influence[:, None], block)[0])
        ends = value - np.quantile(pivot, TAILS)[::-1] * reach
        back = {"annual_return": np.expm1, "volatility": np.exp}.get(name, np.positive)
        found[name] = back(ends)
    return found


def accelerated(value, drawn, left_out):
    """BCa (Efron 1987)."""
    below = np.mean(drawn < value) + np.mean(drawn == value) / 2.0
    bias = ndtri(np.clip(below, 1e-3, 1.0 - 1e-3))
    u = left_out.mean() - left_out
    a = np.sum(u**3) / (6.0 * np.sum(u**2) ** 1.5)
    z = bias + ndtri(TAILS)
    return np.quantile(drawn, ndtr(bias + z / (1.0 - a * z)))
