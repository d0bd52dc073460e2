"""StressVaR: what the selected factors could do to a fund (arXiv 0911.4030; 2408.03320, 2.4).

The fitted polynomial is evaluated over the whole range that the factor's long history has seen,
from the 1st to the 99th percentile, not only over what happened in the fund's window.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from finembed_core.panel import FloatArray
from finembed_core.polymodel.basis import hermite_basis
from finembed_core.polymodel.columns import column_product

GRID = 257  # points on the range: the worst loss is low by at most max|Phi''| range^2 / (8 * 256^2)
PAIRS_AT_ONCE = 4096


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
    powers = np.vander(np.linspace(-1.0, 1.0, GRID), p, increasing=True)
    to_grid = np.asarray(powers @ np.linalg.inv(np.vander(nodes, increasing=True)), np.float64)
    x = low[:, None] + (nodes + 1.0) / 2.0 * (high - low)[:, None]  # (M, p)
    at_nodes = (hermite_basis(x, p - 1) * coefficients[:, None, :]).sum(axis=2)
    loss = np.empty(len(coefficients))
    for first in range(0, len(loss), PAIRS_AT_ONCE):
        block = slice(first, first + PAIRS_AT_ONCE)
        loss[block] = -column_product(to_grid, at_nodes[block].T).min(axis=0)
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
