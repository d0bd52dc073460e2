"""StressVaR: what the selected factors could do to a fund (arXiv 0911.4030; 2408.03320, 2.4).

The fitted polynomial is evaluated over the whole range that the factor's long history has seen,
from the 1st to the 99th percentile, not only over what happened in the fund's window.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from finembed_core.panel import FloatArray
from finembed_core.polymodel.basis import hermite_basis

GRID = 257  # points on the range: the worst loss is low by at most max|Phi''| range^2 / (8 * 256^2)
PAIRS_AT_ONCE = 4096


def empirical_quantiles(values: FloatArray, levels: ArrayLike) -> FloatArray:
    """Quantiles of every column, NaN ignored, linear between order statistics (type 7).

    Parameters
    ----------
    values : ndarray, shape (L, J)
    levels : array_like, shape (Q,)

    Returns
    -------
    ndarray, shape (Q, J); NaN for a column without observations.
    """
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(values).sum(axis=0)
    position = np.asarray(levels, dtype=float)[:, None] * np.maximum(count - 1, 0)
    lower = np.floor(position).astype(int)
    upper = np.ceil(position).astype(int)
    low = np.take_along_axis(ordered, lower, axis=0)
    high = np.take_along_axis(ordered, upper, axis=0)
    return low + (position - lower) * (high - low)


def pareto_upper_quantile(
    values: FloatArray, level: float, tail_share: float, min_exceedances: int
) -> FloatArray:
    """Upper quantile of every column from a generalized Pareto fit of its outer tail.

    With exceedances y over the threshold u (the empirical ``1 - tail_share`` quantile), sorted
    increasingly, ``a0 = mean y`` and ``a1 = mean (n - i)/(n - 1) y_(i)``, the probability-weighted
    moments of Hosking and Wallis (1987, eq. 8 and 9) give ``xi = 2 - a0/(a0 - 2 a1)`` and
    ``sigma = 2 a0 a1 / (a0 - 2 a1)``, and the quantile is ``u + sigma/xi ((zeta/tail)^xi - 1)``
    with zeta the share of exceedances and ``tail = 1 - level``.

    Parameters
    ----------
    values : ndarray, shape (L, J)
    level : float
        Above ``1 - tail_share``.
    tail_share : float
    min_exceedances : int
        Columns with fewer get the empirical quantile.

    Returns
    -------
    ndarray, shape (J,)
    """
    threshold, empirical = empirical_quantiles(values, [1.0 - tail_share, level])
    ordered = np.sort(np.where(np.isnan(values), -np.inf, values), axis=0) - threshold
    excess = np.maximum(ordered, 0.0)
    n = (excess > 0).sum(axis=0)
    a0 = excess.sum(axis=0) / np.maximum(n, 1)
    above = np.arange(len(values) - 1, -1, -1)[:, None]  # n - i for the exceedance of rank i
    a1 = (above * excess).sum(axis=0) / np.maximum(n * (n - 1), 1)
    spread = a0 - 2.0 * a1
    share = n / np.maximum(np.isfinite(values).sum(axis=0), 1)
    fitted = (n >= min_exceedances) & (spread > 1e-12 * a0) & (share > 1.0 - level)
    spread = np.where(fitted, spread, 1.0)
    xi = 2.0 - a0 / spread
    sigma = 2.0 * a0 * a1 / spread
    steps = np.log(np.where(fitted, share, 1.0) / (1.0 - level))
    small = np.abs(xi * steps) < 1e-8
    growth = np.where(small, steps, np.expm1(xi * steps) / np.where(small, 1.0, xi))
    return np.where(fitted, threshold + sigma * growth, empirical)


def long_history_quantiles(
    values: FloatArray, levels: ArrayLike, tail_share: float, min_exceedances: int
) -> FloatArray:
    """Quantiles of factors: generalized Pareto in the outer tails, empirical between.

    Parameters
    ----------
    values : ndarray, shape (L, J)
        Long history up to the month, NaN is missing.
    levels : array_like, shape (Q,)
        Those below `tail_share` or above ``1 - tail_share`` are read from the tail fits.
    tail_share, min_exceedances
        See `pareto_upper_quantile`.

    Returns
    -------
    ndarray, shape (Q, J)
    """
    levels = np.asarray(levels, dtype=float)
    quantiles = empirical_quantiles(values, levels)
    for k, level in enumerate(levels):
        if level > 1.0 - tail_share:
            quantiles[k] = pareto_upper_quantile(values, level, tail_share, min_exceedances)
        elif level < tail_share:
            quantiles[k] = -pareto_upper_quantile(-values, 1.0 - level, tail_share, min_exceedances)
    return quantiles


def worst_loss(coefficients: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Largest loss ``max(0, -Phi(x))`` that fitted polynomials predict for x in [low, high].

    Parameters
    ----------
    coefficients : ndarray, shape (M, p)
        On the scaled Hermite basis.
    low, high : ndarray, shape (M,)
        Standardized range of each pair's factor.

    Returns
    -------
    ndarray, shape (M,)
        In returns, 0 where no loss is predicted.

    Notes
    -----
    A polynomial of degree p - 1 is its values at p points: it is evaluated at p Chebyshev points
    of its range, and one fixed matrix carries these to a grid of `GRID` equal steps.
    """
    p = coefficients.shape[1]
    nodes = -np.cos(np.pi * np.arange(p) / (p - 1))
    to_grid = np.linalg.solve(
        np.vander(nodes, increasing=True).T,
        np.vander(np.linspace(-1.0, 1.0, GRID), p, increasing=True).T,
    )
    x = low[:, None] + (nodes + 1.0) / 2.0 * (high - low)[:, None]  # (M, p)
    at_nodes = np.einsum("mkp,mp->mk", hermite_basis(x, p - 1), coefficients)
    loss = np.empty(len(coefficients))
    for first in range(0, len(loss), PAIRS_AT_ONCE):
        block = slice(first, first + PAIRS_AT_ONCE)
        loss[block] = -(at_nodes[block] @ to_grid).min(axis=1)
    return np.maximum(loss, 0.0)


def stress_var(y_max: FloatArray, residual_sd: FloatArray, probability: float) -> FloatArray:
    """``SVaR = sqrt(Ymax^2 + s^2 xi^2)``, xi the normal quantile: 2.33 at 0.99.

    Parameters
    ----------
    y_max, residual_sd : ndarray, shape (M,)
        Worst predicted loss; sd of the returns that the factor leaves unexplained.
    probability : float
    """
    return np.hypot(y_max, residual_sd * ndtri(probability))


def observed_range(
    factors: FloatArray, returns: FloatArray, factor: NDArray[np.int64], fund: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest factor value among the window months that each pair shares.

    Parameters
    ----------
    factors, returns : ndarray, shape (T, J) and (T, N)
    factor, fund : ndarray of int, shape (M,)
        Columns of each pair.
    """
    shared = np.where(np.isnan(returns[:, fund]), np.nan, factors[:, factor])
    return np.fmin.reduce(shared, axis=0), np.fmax.reduce(shared, axis=0)
