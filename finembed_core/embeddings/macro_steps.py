"""Macro factors by the day: a step function of the months, as one month's fit knew them.

Factors of different fits differ in sign and scale, so a window takes all its days from one fit:
that of the latest month decided by its last day. A day shows the latest value of the fit that is
dated before the day's own month; what the fit does not hold is missing.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl

from finembed_core.calendar import month_ordinals
from finembed_core.daily_panel import Days, Floats32
from finembed_core.errors import MissingPartError
from finembed_core.fingerprint import digest
from finembed_core.histories import ingested_months
from finembed_core.settings import MacroSettings, Settings
from finembed_core.store import Manifest, PartStore

TABLE = "macro_factors"


class MacroSteps:
    """The macro factors of a store on the days of a window.

    Attributes
    ----------
    factors : tuple of str
        ``F1`` to ``FK``: as many as the settings can give, in every month.
    """

    def __init__(self, store: PartStore, settings: Settings) -> None:
        self.factors = tuple(f"F{k + 1}" for k in range(_most_factors(settings.macro)))
        months = ingested_months(store)
        calendar = settings.dataset.calendar
        self._decided = np.array([calendar.decision_day(m) for m in months], dtype="datetime64[D]")

        @cache
        def manifest(key: str) -> Manifest:
            found = store.manifest(TABLE, key)
            if found is None:
                raise MissingPartError(
                    f"the macro factors of {key} have not been built",
                    where=f"{TABLE}: windows show the factors of every month decided by then",
                    remedy="build the macro factors first, in order (`finembed run` does)",
                )
            return found

        @cache
        def fit(place: int) -> tuple[np.ndarray, Floats32]:
            key = str(months[place])
            manifest(key)
            return _fit(store.read(TABLE, key), self.factors)

        self._keys = [str(month) for month in months]
        self._manifest, self._fit_of = manifest, fit

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
        months, factors = self._fit_of(place)
        row = np.searchsorted(months, month_ordinals(days)) - 1  # dated before the day's month
        dated = row >= 0
        values[:, dated] = factors[row[dated]].T
        return values

    def digest_at(self, day: np.datetime64) -> str:
        """Hash of the factors of every month decided by a day."""
        keys = self._keys[: self._in_force(day) + 1]
        return digest(self.factors, [self._manifest(key).content for key in keys])

    def _in_force(self, day: np.datetime64) -> int:
        return int(np.searchsorted(self._decided, day, side="right")) - 1


def _most_factors(settings: MacroSettings) -> int:
    return settings.n_components if settings.rule == "fixed" else settings.max_components


def _fit(frame: pl.DataFrame, factors: tuple[str, ...]) -> tuple[np.ndarray, Floats32]:
    """Month ordinals (M,), ascending, and values (M, K) of one month's part."""
    dates = frame["date"].unique().sort()
    values = np.full((len(dates), len(factors)), np.nan, dtype=np.float32)
    known = frame.filter(pl.col("factor").is_in(factors))
    row = dates.search_sorted(known["date"]).to_numpy()
    column = known["factor"].str.slice(1).cast(pl.Int64).to_numpy() - 1
    values[row, column] = known["value"].to_numpy()
    return month_ordinals(dates.to_numpy()), values
