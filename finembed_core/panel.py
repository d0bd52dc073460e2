"""Panel: a dense matrix of dates x ids. History: every observation and when it became known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.calendar import DecisionCalendar, Month, month_ends, month_ordinals

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """A dense table of dates x ids; NaN is missing.

    Attributes
    ----------
    dates : ndarray of datetime64[D], shape (T,)
        Strictly increasing.
    ids : tuple of str, length N
        Funds, series or factors, sorted.
    values : ndarray of float64, shape (T, N)
    """

    dates: NDArray[np.datetime64]
    ids: tuple[str, ...]
    values: FloatArray

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.dates), len(self.ids)):
            raise ValueError(
                f"values are {self.values.shape}, dates x ids {(len(self.dates), len(self.ids))}"
            )

    @classmethod
    def from_long(cls, frame: pl.DataFrame, *, id: str, value: str, date: str = "date") -> Self:
        """Build from rows (date, id, value); absent rows become NaN.

        A key that stands more than once keeps its last row.
        """
        dates, row = np.unique(frame[date].to_numpy().astype("datetime64[D]"), return_inverse=True)
        ids, column = np.unique(frame[id].to_numpy().astype(str), return_inverse=True)
        values = np.full((len(dates), len(ids)), np.nan)
        values[row, column] = frame[value].cast(pl.Float64).to_numpy()
        return cls(dates, tuple(ids.tolist()), values)

    def to_long(self, *, id: str, value: str, date: str = "date") -> pl.DataFrame:
        """Rows (date, id, value) of the observed cells, by date then id."""
        row, column = np.nonzero(~np.isnan(self.values))
        return pl.DataFrame(
            {
                date: self.dates[row],
                id: np.asarray(self.ids, dtype=object)[column],
                value: self.values[row, column],
            },
            schema={date: pl.Date, id: pl.String, value: pl.Float64},
        )

    def as_of(self, day: dt.date) -> Self:
        """Rows dated `day` or before."""
        end = int(np.searchsorted(self.dates, np.datetime64(day, "D"), side="right"))
        return type(self)(self.dates[:end], self.ids, self.values[:end])

    def window(self, last: Month, months: int) -> Self:
        """The `months` calendar months that end with `last`, absent months as NaN rows."""
        ordinals = np.arange(last.ordinal - months + 1, last.ordinal + 1)
        values = np.full((months, len(self.ids)), np.nan)
        own = month_ordinals(self.dates)
        inside = (own >= ordinals[0]) & (own <= ordinals[-1])
        values[own[inside] - ordinals[0]] = self.values[inside]
        return type(self)(month_ends(ordinals), self.ids, values)

    def select(self, ids: Sequence[str]) -> Self:
        """These ids in this order; an unknown id is an all-NaN column."""
        place = {name: k for k, name in enumerate(self.ids)}
        known = [(new, place[name]) for new, name in enumerate(ids) if name in place]
        values = np.full((len(self.dates), len(ids)), np.nan)
        if known:
            new, old = np.array(known).T
            values[:, new] = self.values[:, old]
        return type(self)(self.dates, tuple(ids), values)

    def observed(self) -> Self:
        """Without the ids that have no value at all (in a history: those not yet born)."""
        some = np.flatnonzero((~np.isnan(self.values)).any(axis=0))
        return type(self)(self.dates, tuple(self.ids[k] for k in some), self.values[:, some])

    def at(self, month: Month) -> FloatArray:
        """Values of one month, shape (N,); NaN where the panel has no such row."""
        return self.window(month, 1).values[0]


class History:
    """Monthly observations of one quantity with the month from which each is known.

    `as_of` rebuilds what a person could have seen; nothing else should be used to look at data
    that arrive late or are revised. A later observation of the same (date, id) replaces the
    earlier one from its own month on; a NaN withdraws it.

    Parameters
    ----------
    dates : ndarray of datetime64[D], shape (n,)
        Month ends.
    ids : ndarray of str, shape (n,)
    values : ndarray of float64, shape (n,)
    known : ndarray of int64, shape (n,)
        Ordinal of the first month whose information set holds the row
        (`DecisionCalendar.information_month`).
    order : ndarray, shape (n,), optional
        Ties within a month of knowledge: the largest wins (the vintage, say).
    """

    def __init__(
        self,
        dates: NDArray[np.datetime64],
        ids: NDArray[np.str_],
        values: FloatArray,
        known: NDArray[np.int64],
        order: NDArray | None = None,
    ) -> None:
        rank = np.lexsort((np.zeros(len(known)) if order is None else order, known))
        self.ids: tuple[str, ...]
        unique_ids, column = np.unique(ids, return_inverse=True)
        self.ids = tuple(unique_ids.tolist())
        own = month_ordinals(dates)
        self._first = int(own.min()) if len(own) else 0
        self._row = (own - self._first)[rank]
        self._column = column[rank]
        self._values = np.asarray(values, dtype=np.float64)[rank]
        self._known = known[rank]

    @classmethod
    def from_long(
        cls,
        frame: pl.DataFrame,
        calendar: DecisionCalendar,
        *,
        id: str,
        value: str,
        order: str | None = None,
    ) -> Self:
        """Build from rows (date, id, value, available_at)."""
        dates = frame["date"].to_numpy().astype("datetime64[D]")
        available = frame["available_at"].to_numpy().astype("datetime64[D]")
        return cls(
            dates,
            frame[id].to_numpy().astype(str),
            frame[value].cast(pl.Float64).fill_null(np.nan).to_numpy(),
            calendar.information_month(dates, available),
            None if order is None else frame[order].rank("dense").fill_null(0).to_numpy(),
        )

    def as_of(self, month: Month, months: int | None = None) -> Panel:
        """What was known in `month`: the last `months` months, or everything when None.

        The panel's rows are consecutive month ends, the last of them `month`; its columns are
        all ids of the history, those not yet born as NaN.
        """
        return self._dense(self._values, np.nan, month, months)

    def known_from(self, month: Month, months: int | None = None) -> NDArray[np.int64]:
        """Since when each value that ``as_of(month, months)`` shows has been known.

        Returns
        -------
        ndarray of int64, same shape as the panel's values
            Month ordinals; -1 where nothing was ever known.
        """
        return self._dense(self._known, -1, month, months).values.astype(np.int64)

    def _dense(self, source: NDArray, absent: float, month: Month, months: int | None) -> Panel:
        end = int(np.searchsorted(self._known, month.ordinal, side="right"))
        length = max(month.ordinal - self._first + 1, 0) if months is None else months
        first = month.ordinal - length + 1 - self._first
        row = self._row[:end] - first
        column, values = self._column[:end], source[:end]
        if first > 0:
            inside = row >= 0
            row, column, values = row[inside], column[inside], values[inside]
        dense = np.full((length, len(self.ids)), absent, dtype=np.float64)
        dense[row, column] = values
        ordinals = np.arange(month.ordinal - length + 1, month.ordinal + 1)
        return Panel(month_ends(ordinals), self.ids, dense)

    @property
    def first_month(self) -> Month:
        """Month of the earliest observation."""
        return Month(self._first)

    @property
    def last_known(self) -> Month:
        """Latest month in which something became known."""
        return Month(int(self._known[-1]))
