"""Factors that keep their names and signs from month to month.

Principal components are defined up to sign, and change places when their eigenvalues cross. Each
month's components are matched to the month before by Tucker's congruence, the uncentered
correlation of two loading vectors (Lorenzo-Seva and ten Berge 2006, Methodology 2(2)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from finembed_core.panel import FloatArray


@dataclass(frozen=True)
class Loadings:
    """Loadings of one month.

    Attributes
    ----------
    factors : tuple of str
        ``F1``, ``F2`` ...
    ids : tuple of str
        Series.
    values : ndarray of float64, shape (series, factors)
    """

    factors: tuple[str, ...]
    ids: tuple[str, ...]
    values: FloatArray


@dataclass(frozen=True)
class Alignment:
    """How a month's components become named factors.

    Attributes
    ----------
    names : tuple of str
        Name of each component.
    signs : ndarray of float64
        +1 or -1 for each component.
    congruence : ndarray of float64
        With the factor of that name of the month before; NaN for a new one.
    """

    names: tuple[str, ...]
    signs: FloatArray
    congruence: FloatArray


def align(ids: tuple[str, ...], loadings: FloatArray, previous: Loadings | None) -> Alignment:
    """Match components, ordered by explained variance, to the factors of the month before.

    Where there is none, a component is named by its rank, and its largest loading is positive.
    A component without a counterpart takes the smallest free number.

    Parameters
    ----------
    ids : tuple of str
    loadings : ndarray of float64, shape (series, components)
    previous : Loadings or None
    """
    count = loadings.shape[1]
    names = [""] * count
    largest = np.abs(loadings).argmax(axis=0)
    signs = np.where(loadings[largest, np.arange(count)] < 0, -1.0, 1.0)
    matched = np.full(count, np.nan)
    similarity = _congruence(ids, loadings, previous)
    if previous is not None and similarity is not None:
        old, new = linear_sum_assignment(np.abs(similarity), maximize=True)
        for row, column in zip(old.tolist(), new.tolist(), strict=True):
            names[column] = previous.factors[row]
            signs[column] = -1.0 if similarity[row, column] < 0 else 1.0
            matched[column] = abs(similarity[row, column])
    numbers = (f"F{k}" for k in range(1, 2 * count + 1))
    free = (name for name in numbers if name not in set(names))
    return Alignment(tuple(name or next(free) for name in names), signs, matched)


def factor_order(names: tuple[str, ...]) -> NDArray[np.int64]:
    """Positions that sort factor names by number."""
    return np.argsort([int(name[1:]) for name in names])


def _congruence(
    ids: tuple[str, ...], loadings: FloatArray, previous: Loadings | None
) -> FloatArray | None:
    """Congruence of old (rows) with new (columns) loadings over the series that both have."""
    if previous is None:
        return None
    _, now, before = np.intersect1d(ids, previous.ids, return_indices=True)
    if len(now) < 2:
        return None
    return _unit(previous.values[before]).T @ _unit(loadings[now])


def _unit(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=0)
    return vectors / np.where(length > 0, length, 1.0)
