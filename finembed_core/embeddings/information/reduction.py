"""Few coordinates from many: standardize, then principal components, fitted on some rows only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from finembed_core.embeddings.principal import principal_axes
from finembed_core.panel import FloatArray

DIMENSIONS = 10
"""Estimators by neighbors are of no use beyond."""
CONSTANT = 1e-6  # a column that varies by less, relative to its size, holds rounding
NEGLIGIBLE = 1e-10  # a component with less of the variance, likewise


@dataclass(frozen=True)
class Reduction:
    """A linear map to at most `DIMENSIONS` coordinates.

    Each column that varies is standardized; the components are a rotation of those columns and keep
    their scale, so that a unit of the coordinates is a standard deviation of a column.

    Attributes
    ----------
    mean, scale : ndarray, shape (p,)
        Of the rows fitted on; scale is inf for constant columns, which say nothing.
    axes : ndarray, shape (p, d)
        Orthonormal.
    share : float
        Of the variance of all standardized columns that the d coordinates keep.
    """

    mean: FloatArray
    scale: FloatArray
    axes: FloatArray
    share: float

    @classmethod
    def fit(cls, values: FloatArray, dimensions: int = DIMENSIONS) -> Self:
        """From rows (n, p) without NaN; d is 0 where every column is constant."""
        mean, spread = values.mean(axis=0), values.std(axis=0)
        varies = spread > CONSTANT * np.abs(values).max(axis=0)
        scale = np.where(varies, spread, np.inf)
        axes, shares = principal_axes((values - mean) / scale, dimensions)
        kept = shares > NEGLIGIBLE
        return cls(mean, scale, axes[:, kept], float(shares[kept].sum()))

    def apply(self, values: FloatArray) -> FloatArray:
        """Coordinates, shape (n, d)."""
        return (values - self.mean) / self.scale @ self.axes
