"""Missing cells of a standardized panel, filled by regularized EM.

Plain EM (Stock and Watson 2002, Journal of Business & Economic Statistics 20(2), appendix A) fills
a missing cell with F L'. Where a row's observed series hardly load on a factor, that factor is
free, feeds on its own filling, and grows until it explains most of the panel (Ilin and Raiko 2010,
Journal of Machine Learning Research 11). Shrinking each component by its share of noise,

    fitted = X V diag(1 - noise / lambda) V',   noise = mean of the discarded eigenvalues of X'X,

draws such a cell to the series' mean instead (regularized iterative PCA: Josse and Husson 2012,
Journal de la Societe Francaise de Statistique 153(2)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finembed_core.panel import FloatArray

TOLERANCE = 1e-4
MOST_STEPS = 500


@dataclass(frozen=True)
class Filling:
    """A panel without gaps.

    Attributes
    ----------
    values : ndarray of float64, shape (T, N)
    gap : float
        How far the last step moved the filled cells, relative to their length.
    """

    values: FloatArray
    gap: float


def fill(values: FloatArray, count: int) -> Filling:
    """Fill what is missing from `count` common components.

    Parameters
    ----------
    values : ndarray of float64, shape (T, N)
        Mean 0 over each column's observed cells; NaN where missing.
    count : int
        Components, fewer than N.
    """
    missing = np.isnan(values)
    filled = np.where(missing, 0.0, values)
    gap = 0.0
    if not missing.any():
        return Filling(filled, gap)
    for _ in range(MOST_STEPS):
        guess = _fitted(filled, count)[missing]
        length = float(np.linalg.norm(guess))
        gap = float(np.linalg.norm(guess - filled[missing])) / length if length > 0 else 0.0
        filled[missing] = guess
        if gap <= TOLERANCE:
            break
    return Filling(filled, gap)


def _fitted(filled: FloatArray, count: int) -> FloatArray:
    variance, directions = np.linalg.eigh(filled.T @ filled)  # ascending
    discarded = min(filled.shape) - count
    noise = variance[:-count].sum() / discarded if discarded > 0 else 0.0
    top, common = variance[-count:], directions[:, -count:]  # (r,), (N, r)
    signal = np.where(top > noise, 1.0 - noise / np.where(top > noise, top, 1.0), 0.0)
    return filled @ (common * signal) @ common.T
