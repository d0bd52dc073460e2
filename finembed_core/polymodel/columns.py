"""Sums and products of columns whose bits do not depend on what other columns stand beside them.

BLAS takes other code paths at the edge of a matrix, and numpy adds a single column in another order
than many. A fund's features would then differ in their last digit with the funds around it, or
with the memory that blocks are cut to.
"""

from __future__ import annotations

import numpy as np

from finembed_core.panel import FloatArray

TILE = 64  # columns that every BLAS kernel in use divides


def column_product(left: FloatArray, right: FloatArray) -> FloatArray:
    """``left @ right``, (..., m, n) and (n, N) -> (..., m, N)."""
    columns = right.shape[1]
    padded = np.zeros((right.shape[0], -(-columns // TILE) * TILE))
    padded[:, :columns] = right
    return (left @ padded)[..., :columns]


def column_sums(values: FloatArray) -> FloatArray:
    """Sums over the rows of (n, N), n at least 1, added one by one; NaN counts as nothing."""
    return np.cumsum(np.nan_to_num(values), axis=0)[-1]
