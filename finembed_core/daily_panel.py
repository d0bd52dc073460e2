"""Daily returns of funds and series on the sessions of one market, each cell with its knowledge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finembed_core.fingerprint import digest

Floats32 = NDArray[np.float32]
Days = NDArray[np.datetime64]


@dataclass(frozen=True)
class DailyPanel:
    """Returns by session.

    Attributes
    ----------
    days : ndarray of datetime64[D], shape (T,)
        Sessions: the days on which the market series has a value.
    ids : tuple of str, length N
        Sorted.
    returns : ndarray of float32, shape (T, N)
        Simple total returns, decimal; NaN where there is none. After a gap, the return since the
        last value. Memory-mapped where it comes from the store.
    known : ndarray of int32, shape (T, N)
        First session at whose close the value could be used; T where not before the last one.
    series_ids : tuple of str, length K
        Daily series (the market among them).
    series : ndarray of float32, shape (T, K)
    series_known : ndarray of int32, shape (T, K)
    """

    days: Days
    ids: tuple[str, ...]
    returns: Floats32
    known: NDArray[np.int32]
    series_ids: tuple[str, ...]
    series: Floats32
    series_known: NDArray[np.int32]

    def digest(self) -> str:
        """Hash of every value."""
        return digest(self)
