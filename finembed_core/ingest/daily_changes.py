"""Two daily panels side by side: returns that are not the same in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.daily_panel import DailyPanel, Days, Floats32

NO_PANEL = DailyPanel(
    days=np.array([], dtype="datetime64[D]"),
    ids=(),
    returns=np.empty((0, 0), dtype=np.float32),
    known=np.empty((0, 0), dtype=np.int32),
    series_ids=(),
    series=np.empty((0, 0), dtype=np.float32),
    series_known=np.empty((0, 0), dtype=np.int32),
)
ROWS = {
    "id": pl.String(),
    "date": pl.Date(),
    "ret": pl.Float32(),
    "available_at": pl.Date(),
    "counts_from": pl.String(),
}


class _Cells(NamedTuple):
    """Returns of funds, or of the series beside them, and the days of their knowledge.

    Attributes
    ----------
    ids : sequence of str, length N
    returns : ndarray of float32, shape (T, N)
    available : ndarray of int32, shape (T, N)
        Days since 1970; anything where there is no return.
    """

    ids: Sequence[str]
    returns: Floats32
    available: NDArray[np.int32]

    def on(self, days: Days, every_day: Days, ids: Sequence[str]) -> _Cells:
        """The same cells among other days and ids, in their order."""
        rows = np.searchsorted(every_day, days)
        place = {name: k for k, name in enumerate(ids)}
        columns = np.array([place[name] for name in self.ids], dtype=np.int64)
        returns = np.full((len(every_day), len(ids)), np.nan, dtype=np.float32)
        available = np.zeros(returns.shape, dtype=np.int32)
        returns[np.ix_(rows, columns)] = self.returns
        available[np.ix_(rows, columns)] = self.available
        return _Cells(ids, returns, available)

    def chosen(self, cells: NDArray[np.bool_], days: Days) -> pl.DataFrame:
        """One row for each of these cells."""
        row, column = np.nonzero(cells)
        available = self.available[row, column].astype("datetime64[D]")
        columns = {
            "id": pl.Series(self.ids, dtype=pl.String).gather(column),
            "date": days[row],
            "ret": self.returns[row, column],
            "available_at": available,
            "counts_from": np.datetime_as_string(available, unit="M").tolist(),
        }
        return pl.DataFrame(columns, schema=ROWS)


def daily_differences(was: DailyPanel, now: DailyPanel) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of either panel whose return, or whose day of knowledge, the other does not have.

    Arrays are compared, and only what differs becomes rows: all cells of ten thousand funds as
    rows would not fit into memory.

    Returns
    -------
    before, after : polars.DataFrame
        ``id`` of a fund or series, ``date``, ``ret``, ``available_at``, and the month from which
        it counts, ``counts_from``.
    """
    days = np.union1d(was.days, now.days)
    before: list[pl.DataFrame] = []
    after: list[pl.DataFrame] = []
    for held, said in zip(_cells(was), _cells(now), strict=True):
        ids = sorted({*held.ids, *said.ids})
        one, two = held.on(was.days, days, ids), said.on(now.days, days, ids)
        there, here = ~np.isnan(one.returns), ~np.isnan(two.returns)
        same = (one.returns == two.returns) & (one.available == two.available)
        before.append(one.chosen(there & ~same, days))
        after.append(two.chosen(here & ~same, days))
    return pl.concat(before), pl.concat(after)


def _cells(panel: DailyPanel) -> tuple[_Cells, _Cells]:
    """Of the funds and of the series; what nobody knows yet counts as known on the last day."""
    days = panel.days.astype(np.int32)

    def available(known: NDArray[np.int32]) -> NDArray[np.int32]:
        return days[np.minimum(known, len(days) - 1)] if len(days) else known

    return (
        _Cells(panel.ids, panel.returns, available(panel.known)),
        _Cells(panel.series_ids, panel.series, available(panel.series_known)),
    )
