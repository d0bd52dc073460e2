"""Batched ridge fits of all funds on all factors, one factor at a time.

For a factor with basis H (n x p) and the returns y of a fund (arXiv 2408.03320, section 2.2)::

    beta = argmin ||y - H beta||^2 + lambda ||beta||^2

One singular value decomposition per factor, centered H = Q S V', gives everything: the
coefficients ``V S/(S^2 + lambda) Q'y`` and, because ``A = Q D Q'`` with ``D = S^2/(S^2 + lambda)``,
the residual sum of squares ``y'(I - A)^2 y = y'y - ||U'y||^2`` with ``U = Q sqrt(2D - D^2)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finembed_core.panel import FloatArray

Index = NDArray[np.int64]


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
    factor_patterns = list(_patterns(factors))
    for fund_mask, funds in _patterns(returns):
        for factor_mask, columns in factor_patterns:
            rows = np.flatnonzero(fund_mask & factor_mask)
            if len(rows) >= min_obs:
                groups.append(Group(funds, columns, rows))
    return groups


def _patterns(values: FloatArray) -> Iterator[tuple[NDArray[np.bool_], Index]]:
    masks, kind = np.unique(~np.isnan(values), axis=1, return_inverse=True)
    for k in range(masks.shape[1]):
        yield masks[:, k], np.flatnonzero(kind.ravel() == k)


@dataclass(frozen=True)
class Ridge:
    """Ridge regression on J bases at once, prepared for any number of funds.

    Attributes
    ----------
    left : ndarray, shape (J, n, q)
        Q, orthonormal columns.
    singular : ndarray, shape (J, q)
        S.
    right : ndarray, shape (J, q, q)
        V'.
    center : ndarray, shape (J, q) or None
        Column means of the basis without its constant; None where the intercept is penalized
        like every other coefficient (then q = p, else q = p - 1).
    penalty : float
        lambda.
    """

    left: FloatArray
    singular: FloatArray
    right: FloatArray
    center: FloatArray | None
    penalty: float

    @classmethod
    def on(cls, basis: FloatArray, penalty: float, *, penalize_intercept: bool = False) -> Ridge:
        """Prepare for a basis of shape (J, n, p) whose first column is the constant."""
        if penalize_intercept:
            return cls(*np.linalg.svd(basis, full_matrices=False), None, penalty)
        columns = basis[..., 1:]
        center = columns.mean(axis=1)
        centered = columns - center[:, None, :]
        return cls(*np.linalg.svd(centered, full_matrices=False), center, penalty)

    @property
    def factor(self) -> FloatArray:
        """U of shape (J, n, q) with ``U U' = 2A - A^2``."""
        shrinkage = self.singular**2 / (self.singular**2 + self.penalty)
        return self.left * np.sqrt(shrinkage * (2.0 - shrinkage))[:, None, :]

    def coefficients(self, returns: FloatArray) -> FloatArray:
        """Coefficients on the scaled basis, (n, N) returns -> (J, N, p), intercept first."""
        weights = self.singular / (self.singular**2 + self.penalty)
        solver = self.right.transpose(0, 2, 1) * weights[:, None, :]  # (J, q, q)
        solver = solver @ self.left.transpose(0, 2, 1)  # (J, q, n)
        slopes = (solver @ (returns - self._level(returns))).transpose(0, 2, 1)  # (J, N, q)
        if self.center is None:
            return slopes
        intercept = self._level(returns) - (slopes @ self.center[:, :, None])[..., 0]
        return np.concatenate([intercept[..., None], slopes], axis=-1)

    def residual_sum_of_squares(self, returns: FloatArray) -> FloatArray:
        """Unexplained sum of squares ``||Y - H beta||^2``, (n, N) returns -> (J, N)."""
        centered = returns - self._level(returns)
        explained = np.square(self.factor.transpose(0, 2, 1) @ centered).sum(axis=1)
        return np.maximum(np.square(centered).sum(axis=0) - explained, 0.0)

    def _level(self, returns: FloatArray) -> FloatArray:
        return np.zeros(returns.shape[1]) if self.center is None else returns.mean(axis=0)
