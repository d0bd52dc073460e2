"""Target shuffling without a single refit (arXiv 2408.03320, section 2.3).

With centered columns, ``R2 = y'By / y'y`` where ``B = 2A - A^2 = U U'`` (see `fit`), so
``R2 = ||U'y||^2 / ||y||^2`` for y as it is and for y shuffled: one matrix product serves all
factors, funds and shuffles of a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finembed_core.calendar import Month
from finembed_core.panel import FloatArray
from finembed_core.polymodel.basis import FLAT
from finembed_core.polymodel.columns import column_product, column_sums
from finembed_core.polymodel.device import Device

TIE = 1e-12  # two R2 that differ by less are equal: far above float64 rounding, below any real gap
FUND_BLOCK = 64
SHUFFLE_BLOCK = 125  # below 256: the counts of one block fit into a byte
LONGEST = 1000  # shuffles of chosen pairs at once
RECHECK = 2**14  # statistics recomputed at once in float64

Rows = NDArray[np.int64]


def shuffled_rows(n: int, shuffles: int, seed: int, month: Month) -> Rows:
    """Random permutations of n rows, shape (shuffles, n).

    They depend on nothing else: not on the funds, the factors, or their order.
    """
    return _permutations(n, shuffles, seed, month).astype(np.int64)


@lru_cache(maxsize=64)
def _permutations(n: int, shuffles: int, seed: int, month: Month) -> NDArray[np.int16]:
    generator = np.random.default_rng([seed, month.ordinal % 2**32, n])  # before 1970 as well
    return generator.permuted(np.tile(np.arange(n, dtype=np.int16), (shuffles, 1)), axis=1)


def circular_shifts(n: int) -> Rows:
    """The n - 1 ways to shift n months against each other, shape (n - 1, n).

    Unlike a shuffle a shift keeps the autocorrelation of the returns: a check where months are
    not exchangeable, with p-values in steps of 1/n.
    """
    return (np.arange(n) + np.arange(1, n)[:, None]) % n


@dataclass(frozen=True)
class TargetShuffling:
    """Funds and factors that share their months, ready to be shuffled against each other.

    Attributes
    ----------
    factor : ndarray, shape (J, n, q)
        U, scaled so that its longest column has length 1: R2 only matters relative to itself, and
        so the rounding bounds mean the same for a quiet factor as for a wild one.
    unit : ndarray, shape (n, N)
        Centered returns of length 1.
    observed : ndarray, shape (J, N)
        ``||U'y||^2`` unshuffled.
    device : Device
    """

    factor: FloatArray
    unit: FloatArray
    observed: FloatArray
    device: Device

    @classmethod
    def of(
        cls, factor: FloatArray, returns: FloatArray, device: Device | None = None
    ) -> TargetShuffling:
        """Prepare U of shape (J, n, q) and returns of shape (n, N), none of them constant."""
        length = np.sqrt(np.square(factor).sum(axis=1).max(axis=1))
        scale = np.where(length > FLAT, 1.0 / np.maximum(length, FLAT), 0.0)
        factor = factor * scale[:, None, None]
        centered = returns - column_sums(returns) / len(returns)
        unit = centered / np.sqrt(column_sums(np.square(centered)))
        observed = np.square(column_product(factor.transpose(0, 2, 1), unit)).sum(axis=1)
        return cls(factor, unit, observed, device or Device())

    def exceedances(self, rows: Rows) -> NDArray[np.int64]:
        """How many of the shuffles (K, n) fit at least as well as what happened, shape (J, N).

        A shuffle that ties with the fit counts.

        Notes
        -----
        The products are float32 and the counts are those of float64 all the same: whatever lies
        closer to its threshold than the float32 error *can* be is computed again in float64.
        """
        put = self.device.put
        factors, q = len(self.factor), self.factor.shape[2]
        columns = put(self._columns())
        narrow = put(self.unit.astype(np.float32))
        count = np.zeros(self.observed.shape, dtype=np.int64)
        widest = max(self.device.block // (128 * SHUFFLE_BLOCK), FUND_BLOCK)
        for shuffles in _batches(rows, SHUFFLE_BLOCK):
            index = put(shuffles.T)
            for some in _slices(narrow.shape[1], widest):
                shuffled = narrow[:, some][index]  # (n, K, funds)
                k, funds = shuffled.shape[1:]
                shuffled = shuffled.reshape(-1, k * funds)
                deep = max(self.device.block // (q * k * funds), 1)
                for block in _slices(factors, deep):
                    left = columns[block].reshape(-1, columns.shape[2])
                    r2 = _squared_lengths((left @ shuffled).reshape(-1, q, k, funds), 1)
                    count[block, some] += self._tally(r2, block, some, shuffles)
        return count

    def pair_exceedances(self, factor: Rows, fund: Rows, rows: Rows) -> NDArray[np.int64]:
        """`exceedances` of M chosen pairs by factor and fund, shape (M,)."""
        put, shuffled = self.device.put, self.device.shuffled
        columns, narrow = put(self._columns()), put(self.unit.astype(np.float32))
        n, q = self.factor.shape[1:]
        count = np.zeros(len(factor), dtype=np.int64)
        by_factor = len(np.unique(factor)) <= len(np.unique(fund))
        for shuffles in _batches(rows, LONGEST):
            # to shuffle the fund is to shuffle the factor back
            index = put(np.argsort(shuffles, axis=1) if by_factor else np.array(shuffles))
            for where in runs(factor if by_factor else fund):
                if by_factor:
                    j, i = factor[where[:1]], fund[where]
                    left = shuffled(columns[j[0]], index).reshape(-1, n)  # (q K, n)
                    products = (left @ narrow[:, put(i)]).reshape(q, len(shuffles), -1)
                    r2 = _squared_lengths(products, 0)[None]
                else:
                    j, i = factor[where], fund[where[:1]]
                    right = shuffled(narrow[:, i].T, index)[0].T  # (n, K)
                    products = (columns[put(j)].reshape(-1, n) @ right).reshape(
                        -1, q, len(shuffles)
                    )
                    r2 = _squared_lengths(products, 1)[:, :, None]
                count[where] += self._tally(r2, j, i, shuffles).ravel()
        return count

    def _columns(self) -> NDArray[np.float32]:
        return self.factor.transpose(0, 2, 1).astype(np.float32, order="C")  # (J, q, n)

    def _tally(self, r2: Any, factors: Any, funds: Any, shuffles: Rows) -> NDArray[np.int64]:
        """Count R2 of shape (J, K, N) that reach the observed, the doubtful in float64."""
        factor, unit = self.factor[factors], self.unit[:, funds]
        observed = self.observed[factors][:, funds]
        error = float32_error(*factor.shape[1:])
        high = (observed + error).astype(np.float32)
        low = (observed - error).astype(np.float32)
        count = self.device.count(r2 > self.device.put(high[:, None, :]))
        doubtful = self.device.count(r2 >= self.device.put(low[:, None, :])) != count
        j, i = np.nonzero(doubtful)
        put = self.device.put
        columns = self.device.fetch(r2[put(j), :, put(i)])  # (pairs in doubt, K)
        pair, k = np.nonzero((columns >= low[j, i, None]) & (columns <= high[j, i, None]))
        for first in range(0, len(pair), RECHECK):
            m, shuffle = pair[first : first + RECHECK], shuffles[k[first : first + RECHECK]]
            shuffled = unit[shuffle, i[m, None]]  # (doubts, n)
            again = np.square(np.einsum("mnq,mn->mq", factor[j[m]], shuffled)).sum(axis=1)
            np.add.at(count, (j[m], i[m]), again >= observed[j[m], i[m]] - TIE)
        return count


def exact_p_values(count: NDArray[np.int64], shuffles: int) -> FloatArray:
    """``(1 + exceedances) / (1 + shuffles)``: never below 1/(shuffles + 1)."""
    return (1.0 + count.astype(np.float64)) / (1.0 + shuffles)


def float32_error(n: int, q: int) -> float:
    """Largest error of ``||U'y||^2`` in float32, for columns of U and y of length at most 1.

    Rounding both operands and summing n products in any order is off by at most
    ``delta = gamma(n + 2)`` per component (Higham 2002, section 3.1, with Cauchy-Schwarz);
    squaring and adding q of them makes it ``2 sqrt(q) delta + q delta^2`` plus their own rounding.
    """
    unit = 2.0**-24
    delta = (n + 2) * unit / (1.0 - (n + 2) * unit)
    return 2.0 * np.sqrt(q) * delta + q * delta**2 + 2.0 * (q + 3) * unit


def runs(values: Rows) -> Iterator[Rows]:
    """Places of every distinct value."""
    if len(values):
        order = np.argsort(values, kind="stable")
        yield from np.split(order, np.flatnonzero(np.diff(values[order])) + 1)


def _squared_lengths(products: Any, axis: int) -> Any:
    products *= products
    return products.sum(axis)


def _batches(rows: Rows, size: int) -> Iterator[Rows]:
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def _slices(length: int, step: int) -> list[slice]:
    return [slice(first, first + step) for first in range(0, length, step)]
