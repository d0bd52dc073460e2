"""Macro factors by the day: a step function of the months, as one month's fit knew them.

Factors of different fits differ in sign and scale, so a window takes all its days from one fit:
that of the latest month decided by its last day. A day shows the latest value of the fit that is
dated before the day's own month; what the fit does not hold is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.calendar import month_ordinals
from finembed_core.daily_panel import Days, Floats32
from finembed_core.errors import MissingPartError
from finembed_core.histories import ingested_months
from finembed_core.settings import MacroSettings, Settings
from finembed_core.store import PartStore

TABLE = "macro_factors"


@dataclass(frozen=True)
class MacroFit:
    """Macro factors as one month estimated them.

    Attributes
    ----------
    months : ndarray of int64, shape (M,)
        Ordinals, ascending.
    values : ndarray of float32, shape (M, K)
    """

    months: NDArray[np.int64]
    values: Floats32


@dataclass(frozen=True)
class MacroSteps:
    """The macro factors on the days of a window.

    Attributes
    ----------
    factors : tuple of str
        ``F1`` to ``FK``: as many as the settings can give, in every month.
    decided : ndarray of datetime64[D], shape (P,)
        Decision days of the months that have a fit, ascending.
    fits : sequence of MacroFit, length P
        Read when they are looked at, where they come from a store.
    """

    factors: tuple[str, ...]
    decided: Days
    fits: Sequence[MacroFit]

    @classmethod
    def read(cls, store: PartStore, settings: Settings) -> MacroSteps:
        """Those of a store."""
        factors = tuple(f"F{k + 1}" for k in range(_most_factors(settings.macro)))
        months = ingested_months(store)
        calendar = settings.dataset.calendar
        decided = np.array([calendar.decision_day(m) for m in months], dtype="datetime64[D]")
        return cls(factors, decided, _Stored(store, [str(month) for month in months], factors))

    def window(self, days: Days) -> Floats32:
        """Factors (K, L) on some days as known on the last of them; NaN where missing.

        Raises
        ------
        MissingPartError
            The factors in force have not been built.
        """
        values = np.full((len(self.factors), len(days)), np.nan, dtype=np.float32)
        place = self._in_force(days[-1])
        if place < 0:
            return values
        fit = self.fits[place]
        row = np.searchsorted(fit.months, month_ordinals(days)) - 1  # dated before the day's month
        dated = row >= 0
        values[:, dated] = fit.values[row[dated]].T
        return values

    def between(self, first: np.datetime64, last: np.datetime64) -> MacroSteps:
        """The fits in force on any day from `first` to `last`, at hand."""
        chosen = slice(max(self._in_force(first), 0), self._in_force(last) + 1)
        places = range(len(self.decided))[chosen]
        return MacroSteps(
            self.factors, self.decided[chosen], tuple(self.fits[place] for place in places)
        )

    def _in_force(self, day: np.datetime64) -> int:
        return int(np.searchsorted(self.decided, day, side="right")) - 1


class _Stored(Sequence[MacroFit]):
    """Fits of a store, each read once."""

    def __init__(self, store: PartStore, keys: list[str], factors: tuple[str, ...]) -> None:
        self._store, self._keys, self._factors = store, keys, factors
        self._read: dict[int, MacroFit] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, place: int) -> MacroFit:  # pyright: ignore[reportIncompatibleMethodOverride]
        if place not in self._read:
            key = self._keys[place]
            if self._store.manifest(TABLE, key) is None:
                raise MissingPartError(
                    f"the macro factors of {key} have not been built",
                    where=f"{TABLE}: windows show the factors of every month decided by then",
                    remedy="build the macro factors first, in order (`finembed run` does)",
                )
            self._read[place] = _fit(self._store.read(TABLE, key), self._factors)
        return self._read[place]


def _most_factors(settings: MacroSettings) -> int:
    return settings.n_components if settings.rule == "fixed" else settings.max_components


def _fit(frame: pl.DataFrame, factors: tuple[str, ...]) -> MacroFit:
    """The fit of one month's part."""
    dates = frame["date"].unique().sort()
    values = np.full((len(dates), len(factors)), np.nan, dtype=np.float32)
    known = frame.filter(pl.col("factor").is_in(factors))
    row = dates.search_sorted(known["date"]).to_numpy()
    column = known["factor"].str.slice(1).cast(pl.Int64).to_numpy() - 1
    values[row, column] = known["value"].to_numpy()
    return MacroFit(month_ordinals(dates.to_numpy()), values)
