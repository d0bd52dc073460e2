"""The Hermite basis and the standardization that makes it one.

A monthly return is about 0.05, where He_2(x) = x^2 - 1 is almost constant. So a factor is measured
in units of its long history first (arXiv 2408.03320, section 2.2), and the columns are scaled to
be orthonormal under a standard Gaussian.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finembed_core.panel import FloatArray

FLAT = 1e-10  # a spread below this share of the largest value is rounding, not movement


def is_flat(values: FloatArray) -> NDArray[np.bool_]:
    """Columns of (T, N) whose observed values are all the same up to rounding, or all missing."""
    high = np.where(np.isnan(values), -np.inf, values).max(axis=0, initial=-np.inf)
    low = np.where(np.isnan(values), np.inf, values).min(axis=0, initial=np.inf)
    return ~(high - low > FLAT * np.maximum(np.abs(high), np.abs(low)))


def hermite_basis(x: FloatArray, degree: int) -> FloatArray:
    """Scaled Hermite polynomials ``He_k(x) / sqrt(k!)``, k = 0 .. degree.

    By the three-term recurrence ``h_{k+1} = (x h_k - sqrt(k) h_{k-1}) / sqrt(k+1)``.

    Parameters
    ----------
    x : ndarray, any shape
        Standardized factor values.
    degree : int

    Returns
    -------
    ndarray, shape (*x.shape, degree + 1)

    Examples
    --------
    >>> hermite_basis(np.array([2.0]), 2).round(6).tolist()  # 1, x, (x^2 - 1) / sqrt(2)
    [[1.0, 2.0, 2.12132]]
    """
    basis = np.empty((*x.shape, degree + 1))
    basis[..., 0] = 1.0
    basis[..., 1] = x
    for k in range(1, degree):
        following = x * basis[..., k] - np.sqrt(k) * basis[..., k - 1]
        basis[..., k + 1] = following / np.sqrt(k + 1)
    return basis
