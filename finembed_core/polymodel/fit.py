"""Batched ridge fits of all funds on all factors, one factor at a time.

For a factor with basis H (n x p) and the returns y of a fund (arXiv 2408.03320, section 2.2)::

    beta = argmin ||y - H beta||^2 + lambda ||beta||^2

One eigendecomposition per factor, ``H'H = V diag(Lambda) V'`` with H centered, serves every fund
and every lambda. With ``W = HV`` and ``z = W'y``::

    beta = V z / (Lambda + lambda)
    ||y||^2 - RSS = sum_k z_k^2 (Lambda_k + 2 lambda) / (Lambda_k + lambda)^2 = ||U'y||^2

where ``U = W sqrt(Lambda + 2 lambda) / (Lambda + lambda)``: nothing is divided by an eigenvalue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from finembed_core.panel import FloatArray
from finembed_core.polymodel.columns import column_product, column_sums

Index = NDArray[np.int64]

PENALTIES = np.geomspace(0.1, 1000.0, 13)
"""Grid of lambda for generalized cross-validation; basis columns have squared length near n."""


@dataclass(frozen=True)
class Group:
    """Funds and factors that are observed together in exactly the same months.

    Attributes
    ----------
    funds, factors : ndarray of int
        Columns.
    rows : ndarray of int, shape (n,)
        Window months in which all of them are observed.
    """

    funds: Index
    factors: Index
    rows: Index


def missing_pattern_groups(returns: FloatArray, factors: FloatArray, min_obs: int) -> list[Group]:
    """Partition the pairs of (T, N) funds and (T, J) factors by the months they share.

    Pairs with fewer than `min_obs` shared months are in no group.
    """
    groups = []
    factor_patterns = list(patterns(factors))
    for fund_mask, funds in patterns(returns):
        for factor_mask, columns in factor_patterns:
            rows = np.flatnonzero(fund_mask & factor_mask)
            if len(rows) >= min_obs:
                groups.append(Group(funds, columns, rows))
    return groups


def patterns(values: FloatArray) -> Iterator[tuple[NDArray[np.bool_], Index]]:
    """Distinct masks of observed rows of (T, N), each with the columns that have it."""
    observed = ~np.isnan(values)
    _, first, kind = np.unique(
        np.packbits(observed, axis=0), axis=1, return_index=True, return_inverse=True
    )
    order = np.argsort(kind.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(kind.ravel(), minlength=len(first)))
    for k, end in enumerate(ends):
        yield observed[:, first[k]], order[(ends[k - 1] if k else 0) : end]


@dataclass(frozen=True)
class Ridge:
    """Ridge regression on J bases at once, prepared for any number of funds.

    Attributes
    ----------
    axes : ndarray, shape (J, n, q)
        W, orthogonal columns.
    spectrum : ndarray, shape (J, q)
        Lambda, their squared lengths.
    rotation : ndarray, shape (J, q, q)
        V.
    center : ndarray, shape (J, q) or None
        Column means of the basis without its constant; None where the intercept is penalized
        like every other coefficient (then q = p, else q = p - 1).
    """

    axes: FloatArray
    spectrum: FloatArray
    rotation: FloatArray
    center: FloatArray | None

    @classmethod
    def on(cls, basis: FloatArray, *, penalize_intercept: bool = False) -> Ridge:
        """Prepare for a basis of shape (J, n, p) whose first column is the constant."""
        center = None if penalize_intercept else basis[..., 1:].mean(axis=1)
        columns = basis if center is None else basis[..., 1:] - center[:, None, :]
        spectrum, rotation = np.linalg.eigh(columns.transpose(0, 2, 1) @ columns)
        return cls(columns @ rotation, np.maximum(spectrum, 0.0), rotation, center)

    def factor(self, penalty: float) -> FloatArray:
        """U of shape (J, n, q): ``||U'y||^2`` is what the fit explains of centered y."""
        return self.axes * np.sqrt(_explained(self.spectrum, penalty))[:, None, :]

    def level(self, returns: FloatArray) -> FloatArray:
        """What is taken off (n, N) returns before they are fitted, shape (N,)."""
        if self.center is None:
            return np.zeros(returns.shape[1])
        return column_sums(returns) / len(returns)

    def project(self, returns: FloatArray) -> FloatArray:
        """Projections z, (n, N) returns -> (J, q, N)."""
        return column_product(self.axes.transpose(0, 2, 1), returns - self.level(returns))

    def explained(self, projections: FloatArray, penalty: float) -> FloatArray:
        """Explained sums of squares, (J, q, N) -> (J, N)."""
        weights = _explained(self.spectrum, penalty)[:, :, None]  # (J, q, 1)
        return (weights * np.square(projections)).sum(axis=1)

    def pairs(self, factor: Index) -> PairRidge:
        """The regressions of M pairs, given the factor of each."""
        center = None if self.center is None else self.center[factor]
        return PairRidge(self.spectrum[factor], self.rotation[factor], center, self.axes.shape[1])


@dataclass(frozen=True)
class PairRidge:
    """Ridge regressions of M chosen pairs, each with a lambda of its own if need be.

    Attributes
    ----------
    spectrum, rotation, center
        Of each pair's factor: shapes (M, q), (M, q, q), (M, q) or None.
    months : int
        n.
    """

    spectrum: FloatArray
    rotation: FloatArray
    center: FloatArray | None
    months: int

    def coefficients(
        self, projections: FloatArray, level: FloatArray, penalty: ArrayLike
    ) -> FloatArray:
        """Coefficients on the scaled basis, intercept first.

        Parameters
        ----------
        projections : ndarray, shape (M, q)
        level : ndarray, shape (M,)
        penalty : float or ndarray, shape (M,)

        Returns
        -------
        ndarray, shape (M, p)
        """
        shrunk = projections / (self.spectrum + np.expand_dims(penalty, -1))
        slopes = (self.rotation @ shrunk[..., None])[..., 0]
        if self.center is None:
            return slopes
        intercept = level - (slopes * self.center).sum(axis=-1)
        return np.concatenate([intercept[:, None], slopes], axis=-1)

    def unexplained(
        self, projections: FloatArray, total: FloatArray, penalty: ArrayLike
    ) -> FloatArray:
        """Residual sums of squares, shape (M,), of returns with sums of squares `total`."""
        weights = _explained(self.spectrum, np.expand_dims(penalty, -1))
        return np.maximum(total - (weights * np.square(projections)).sum(axis=-1), 0.0)

    def cross_validated(self, projections: FloatArray, total: FloatArray) -> FloatArray:
        """Lambda of each pair, out of `PENALTIES`, by generalized cross-validation.

        The smallest ``RSS / (n - df)^2`` (Golub, Heath and Wahba 1979), where df is 1 for a free
        intercept plus ``sum Lambda / (Lambda + lambda)``.
        """
        free = 0.0 if self.center is None else 1.0
        scores = []
        for penalty in PENALTIES:
            used = free + (self.spectrum / (self.spectrum + penalty)).sum(axis=-1)
            scores.append(self.unexplained(projections, total, penalty) / (self.months - used) ** 2)
        return PENALTIES[np.argmin(scores, axis=0)]


def _explained(spectrum: FloatArray, penalty: ArrayLike) -> FloatArray:
    return (spectrum + 2.0 * np.asarray(penalty)) / np.square(spectrum + np.asarray(penalty))
