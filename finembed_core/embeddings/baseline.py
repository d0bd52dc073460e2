"""What embeddings must beat: principal components of the same windows' returns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finembed_core.embeddings.principal import principal_axes
from finembed_core.panel import FloatArray


def standardized_returns(windows: NDArray, visible: NDArray[np.bool_]) -> FloatArray:
    """Each day of the funds' channel, standardized over the funds that show a value.

    Parameters
    ----------
    windows : ndarray, shape (n, C, L)
        Of one date, the fund's own channel first.
    visible : ndarray of bool, shape (n, C, L)

    Returns
    -------
    ndarray, shape (n, L)
        A hidden day is 0, the mean of those that are not: no fund's own history fills it.
    """
    own, seen = np.asarray(windows[:, 0], dtype=np.float64), visible[:, 0]
    count = np.maximum(seen.sum(axis=0), 1)
    centered = np.where(seen, own - np.where(seen, own, 0.0).sum(axis=0) / count, 0.0)
    spread = np.sqrt(np.square(centered).sum(axis=0) / count)
    return centered / np.where(spread > 0, spread, 1.0)


def principal_vectors(windows: NDArray, visible: NDArray[np.bool_], size: int) -> FloatArray:
    """Scores of the `standardized_returns` on their first ``size`` components, (n, <= size)."""
    returns = standardized_returns(windows, visible)  # of mean 0
    return returns @ principal_axes(returns, size)[0]
