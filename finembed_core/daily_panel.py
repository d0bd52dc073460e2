"""Daily returns of funds and series on the sessions of one market, each cell with its knowledge."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finembed_core.errors import IntegrityError
from finembed_core.fingerprint import digest
from finembed_core.store import PartStore

Floats32 = NDArray[np.float32]
Days = NDArray[np.datetime64]

TABLE = "daily_panel"
KEY = "all"
ARRAYS = ("returns", "known", "series", "series_known")


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
        Daily series, the market first.
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

    @property
    def market(self) -> str:
        """Series on whose days the sessions are."""
        return self.series_ids[0]

    def digest(self) -> str:
        """Hash of every value."""
        return digest(self)


def daily_files(panel: DailyPanel) -> dict[str, bytes]:
    """The files of the part ``daily_panel``: one per array, and an index of days and ids."""
    index = {
        "days": np.datetime_as_string(panel.days).tolist(),
        "ids": panel.ids,
        "series_ids": panel.series_ids,
    }
    files = {"index.json": json.dumps(index).encode()}
    for name in ARRAYS:
        buffer = io.BytesIO()
        np.save(buffer, getattr(panel, name), allow_pickle=False)
        files[f"{name}.npy"] = buffer.getvalue()
    return files


def _mapped(file: Path) -> np.ndarray:
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise IntegrityError(
            f"{TABLE} holds no array: {error}", where=str(file), remedy="delete it and run again"
        ) from None


def read_daily(store: PartStore) -> DailyPanel:
    """The panel of the store, its arrays memory-mapped: pages are read when they are looked at.

    Raises
    ------
    MissingPartError
        Nothing daily was ingested.
    IntegrityError
        A file is not as it was written.
    """
    index = json.loads(store.read_file(TABLE, KEY, "index.json"))
    files = [store.file_path(TABLE, KEY, f"{name}.npy") for name in ARRAYS]
    returns, known, series, series_known = map(_mapped, files)
    return DailyPanel(
        np.array(index["days"], dtype="datetime64[D]"),
        tuple(index["ids"]),
        returns,
        known,
        tuple(index["series_ids"]),
        series,
        series_known,
    )
