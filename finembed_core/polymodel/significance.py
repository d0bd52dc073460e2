"""Is a fit better than luck? Target shuffling without a single refit.

With centered columns, ``R2 = y'By / y'y`` where ``B = 2A - A^2 = U U'`` (see `fit`), so
``R2 = ||U'y||^2 / ||y||^2`` for y as it is and for y shuffled: one matrix product serves all
factors, funds and shuffles of a block (arXiv 2408.03320, section 2.3, "target shuffling").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finembed_core.calendar import Month
from finembed_core.panel import FloatArray
from finembed_core.polymodel.basis import FLAT

TIE = 1e-12  # two R2 that differ by less are equal: far above float64 rounding, below any real gap
BLOCK = 2**19  # float32 numbers in flight: what stays in a core's own cache
FUND_BLOCK = 64
SHUFFLE_BLOCK = 125  # at most 255: the counts of one block fit into a byte
RECHECK = 2**14  # statistics recomputed at once in float64


def shuffled_rows(n: int, shuffles: int, seed: int, month: Month) -> NDArray[np.int64]:
    """Random permutations of n rows, shape (shuffles, n).

    They depend on nothing else: not on the funds, the factors, or their order.
    """
    generator = np.random.default_rng([seed, month.ordinal, n])
    return generator.permuted(np.tile(np.arange(n), (shuffles, 1)), axis=1)


def exact_p_values(factor: FloatArray, returns: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
    """P-values of all pairs by target shuffling: ``(1 + exceedances) / (1 + shuffles)``.

    Parameters
    ----------
    factor : ndarray, shape (J, n, q)
        U of every risk factor (`Ridge.factor` with an unpenalized intercept).
    returns : ndarray, shape (n, N)
        Fund returns, none of them constant.
    rows : ndarray of int, shape (K, n)
        Permutations: shuffle k tests ``returns[rows[k]]``.

    Returns
    -------
    ndarray, shape (J, N)
        In [1/(K+1), 1]. A shuffle that ties with the fit counts as an exceedance.

    Notes
    -----
    The products are taken in float32 and the counts are those of float64 all the same: whatever
    lies closer to its threshold than the float32 error *can* be is computed again in float64.
    """
    # R2 only matters relative to itself: with the largest column of U at length 1 the rounding
    # bounds below mean the same for a quiet factor as for a wild one
    length = np.sqrt(np.square(factor).sum(axis=1).max(axis=1))
    scale = np.where(length > FLAT, 1.0 / np.maximum(length, FLAT), 0.0)
    factor = factor * scale[:, None, None]
    centered = returns - returns.mean(axis=0)
    unit = centered / np.sqrt(np.square(centered).sum(axis=0))
    observed = np.square(factor.transpose(0, 2, 1) @ unit).sum(axis=1)

    q, funds = factor.shape[2], unit.shape[1]
    narrow = unit.astype(np.float32)
    columns = factor.transpose(0, 2, 1).astype(np.float32, order="C")  # (J, q, n)
    count = np.zeros(observed.shape, dtype=np.int64)
    for shuffles in np.split(rows, range(SHUFFLE_BLOCK, len(rows), SHUFFLE_BLOCK)):
        for some in _slices(funds, FUND_BLOCK):
            shuffled = narrow[:, some][shuffles.T]  # (n, K, funds)
            deep = max(BLOCK // (q * shuffled[0].size), 1)
            for block in _slices(len(factor), deep):
                scores = np.tensordot(columns[block], shuffled, axes=1)  # (factors, q, K, funds)
                np.multiply(scores, scores, out=scores)
                count[block, some] += _exceedances(
                    scores.sum(axis=1),
                    observed[block, some],
                    factor[block],
                    unit[:, some],
                    shuffles,
                )
    return (1.0 + count.astype(np.float64)) / (1.0 + len(rows))


def float32_error(n: int, q: int) -> float:
    """Largest error of ``||U'y||^2`` in float32, for columns of U and y of length at most 1.

    Rounding both operands and summing n products in any order is off by at most
    ``delta = gamma(n + 2)`` per component (Higham 2002, section 3.1, with Cauchy-Schwarz);
    squaring and adding q of them makes it ``2 sqrt(q) delta + q delta^2`` plus their own rounding.
    """
    unit = 2.0**-24
    delta = (n + 2) * unit / (1.0 - (n + 2) * unit)
    return 2.0 * np.sqrt(q) * delta + q * delta**2 + 2.0 * (q + 3) * unit


def _exceedances(
    r2: NDArray[np.float32],
    observed: FloatArray,
    factor: FloatArray,
    unit: FloatArray,
    shuffles: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Count shuffled R2 (J, K, N) at or above the observed (J, N), the doubtful in float64."""
    error = float32_error(*factor.shape[1:])
    high = (observed + error).astype(np.float32)
    low = (observed - error).astype(np.float32)
    count = _count(r2 > high[:, None, :])
    j, i = np.nonzero(_count(r2 >= low[:, None, :]) != count)
    columns = r2[j, :, i]  # (pairs in doubt, K)
    pair, k = np.nonzero((columns >= low[j, i, None]) & (columns <= high[j, i, None]))
    for first in range(0, len(pair), RECHECK):
        m, shuffle = pair[first : first + RECHECK], shuffles[k[first : first + RECHECK]]
        shuffled = unit[shuffle, i[m, None]]  # (doubts, n)
        again = np.square(np.einsum("mnq,mn->mq", factor[j[m]], shuffled)).sum(axis=1)
        np.add.at(count, (j[m], i[m]), again >= observed[j[m], i[m]] - TIE)
    return count


def _count(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """True cells of (J, K, N) along K; added up as bytes, which is an order faster."""
    return np.add.reduce(mask.view(np.uint8), axis=1, dtype=np.uint8).astype(np.int64)


def _slices(length: int, step: int) -> list[slice]:
    return [slice(first, first + step) for first in range(0, length, step)]
