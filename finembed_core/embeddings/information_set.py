"""Reads the store for what may be known at a session, and tells when there is a decision."""

from __future__ import annotations

import datetime as dt
from functools import cached_property, lru_cache

import numpy as np
import polars as pl

from finembed_core import histories
from finembed_core.calendar import Month, month_ends, month_ordinals, month_range
from finembed_core.daily_panel import TABLE as DAILY
from finembed_core.daily_panel import DailyPanel, Days
from finembed_core.embeddings.characteristics import ASSET_MONTHS, TRAILING, Monthly
from finembed_core.embeddings.sheets import Information
from finembed_core.embeddings.tables import DAILY_FUNDS
from finembed_core.embeddings.text import TextVectors
from finembed_core.embeddings.windows import Windows
from finembed_core.panel import History
from finembed_core.settings import Settings
from finembed_core.store import PartStore


class InformationReader:
    """Information sets of a store; what is read is read once.

    Parameters
    ----------
    store : PartStore
    settings : Settings
    """

    def __init__(self, store: PartStore, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self.information = lru_cache(maxsize=2)(self._information)  # stages ask for one in turn

    @cached_property
    def windows(self) -> Windows:
        """Windows over the whole panel."""
        return Windows.read(self._store, self._settings)

    @cached_property
    def _decisions(self) -> dict[Month, int]:
        days = self.windows.panel.days
        return {Month.of(_day(days, int(s))): int(s) for s in self.windows.decisions()}

    @property
    def decision_months(self) -> list[Month]:
        """Months with a decision, in order; none before anything daily was ingested."""
        return sorted(self._decisions) if self._store.manifest(DAILY, "all") else []

    def decision(self, month: Month) -> int:
        """Session of the decision of a month."""
        return self._decisions[month]

    def day(self, month: Month) -> dt.date:
        """Day of the decision of a month."""
        return _day(self.windows.panel.days, self.decision(month))

    def dates_of(self, month: Month) -> list[int]:
        """Sessions of a month that get embeddings: its decision, if any, and its last one.

        No session ends a month that the data do not reach the end of.
        """
        days = self.windows.panel.days
        last = int(np.searchsorted(days, month_ends(month.ordinal), side="right")) - 1
        found = {self._decisions[month]} if month in self._decisions else set()
        ended = last >= 0 and Month.of(_day(days, -1)) > month
        if ended and Month.of(_day(days, last)) == month:
            found.add(last)
        return sorted(found)

    def _information(self, session: int) -> Information:
        """All that may be known at the close of a session, as far back as training looks."""
        own = self._settings.embeddings
        back = own.lookback + own.training.train_sessions + own.training.valid_sessions
        back += 2 * (own.horizon + own.dealing_lag_sessions) + TRAILING
        windows = self.windows.as_of(session, back)
        panel = windows.panel
        return Information(
            session=len(panel.days) - 1,
            windows=windows,
            calendar=self._settings.dataset.calendar,
            funds=self._funds_heard_of(panel.ids),
            texts=self._texts.select(panel.ids),
            monthly=self._monthly(panel),
        )

    @cached_property
    def _funds(self) -> pl.DataFrame:
        """Attributes of all funds, the first return standing for an inception nobody told."""
        panel = self.windows.panel
        seen = (~np.isnan(panel.returns)).argmax(axis=0)
        begun = pl.DataFrame({"fund_id": panel.ids, "begun": panel.days[seen]})
        told = self._store.read(DAILY_FUNDS, "all")
        return (
            begun.join(told, on="fund_id", how="left", maintain_order="left")
            .with_columns(inception=pl.coalesce("inception", pl.col("begun").cast(pl.Date)))
            .select(told.columns)
        )

    def _funds_heard_of(self, ids: tuple[str, ...]) -> pl.DataFrame:
        return self._funds.filter(pl.col("fund_id").is_in(ids))

    @cached_property
    def _texts(self) -> TextVectors:
        """Sentence vectors; none where the settings want none."""
        if self._settings.embeddings.fusion.text:
            return TextVectors.read(self._store)
        return TextVectors((), np.empty((0, 0), np.float32), np.empty(0, np.bool_))

    @cached_property
    def _assets(self) -> tuple[History, History] | None:
        """Assets and returns by month; None where no fund of the panel reports assets."""
        calendar = self._settings.dataset.calendar
        aum = histories.fund_aum(self._store, calendar)
        ids = set(aum.ids).intersection(self.windows.panel.ids)
        if not ids or np.isnan(aum.as_of(aum.last_known).select(sorted(ids)).values).all():
            return None
        return aum, histories.fund_returns(self._store, calendar)

    def _monthly(self, panel: DailyPanel) -> dict[Month, Monthly]:
        if self._assets is None:
            return {}
        days = month_ordinals(panel.days[[0, -1]])
        return {
            month: Monthly(
                *(h.as_of(month, ASSET_MONTHS + 1).select(panel.ids) for h in self._assets)
            )
            for month in month_range(Month(int(days[0]) - 2), Month(int(days[1])))
        }


def _day(days: Days, session: int) -> dt.date:
    return days[session].astype("datetime64[D]").item()
