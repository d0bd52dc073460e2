"""Reads the store for what may be known at a session, and tells when there is a decision."""

from __future__ import annotations

import datetime as dt
from functools import cached_property, lru_cache

import numpy as np
import polars as pl

from finembed_core import histories
from finembed_core.calendar import Month, month_ends, month_range
from finembed_core.daily_panel import TABLE as DAILY
from finembed_core.daily_panel import DailyPanel, Days
from finembed_core.embeddings.characteristics import (
    ASSET_MONTHS,
    ATTRIBUTES,
    TRAILING,
    Monthly,
)
from finembed_core.embeddings.sheets import Information
from finembed_core.embeddings.tables import DAILY_FUNDS
from finembed_core.embeddings.text import TextVectors
from finembed_core.embeddings.windows import Windows
from finembed_core.errors import SettingsError
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
        days, sessions = self.windows.panel.days, self.windows.decisions().tolist()
        found = {Month.of(_day(days, session)): session for session in sessions}
        if len(found) < len(sessions):
            every = self._settings.embeddings.every_sessions
            raise SettingsError(
                f"decisions {every} sessions apart fall twice into one month, and what is decided "
                "is kept by month",
                where="settings, embeddings.every_sessions",
                remedy="decide every 24 sessions or less often",
            )
        return found

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
            funds=self._funds(session, panel.ids),
            texts=self._texts.select(panel.ids),
            monthly=self._monthly(panel),
        )

    def _funds(self, session: int, ids: tuple[str, ...]) -> pl.DataFrame:
        """Attributes of funds; the first return known by then stands for an inception untold."""
        panel, past = self.windows.panel, slice(session + 1)
        seen = (panel.known[past] <= session) & ~np.isnan(panel.returns[past])
        begun = pl.DataFrame({"fund_id": panel.ids, "begun": panel.days[seen.argmax(axis=0)]})
        return (
            begun.filter(pl.col("fund_id").is_in(ids))
            .join(self._told, on="fund_id", how="left", maintain_order="left")
            .with_columns(inception=pl.coalesce("inception", pl.col("begun").cast(pl.Date)))
            .select(self._told.columns)
        )

    @cached_property
    def _told(self) -> pl.DataFrame:
        return self._store.read(DAILY_FUNDS, "all").select(ATTRIBUTES)

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
        """Of the months in force from the first day to the last in which assets were known."""
        if self._assets is None:
            return {}
        calendar = self._settings.dataset.calendar
        first, last = (calendar.latest_decided(_day(panel.days, at)) for at in (0, -1))
        aum, returns = self._assets
        found = {}
        for month in month_range(first, last):
            known = aum.as_of(month, ASSET_MONTHS + 1).select(panel.ids)
            if not np.isnan(known.values).all():
                earned = returns.as_of(month, ASSET_MONTHS + 1).select(panel.ids)
                found[month] = Monthly(known, earned)
        return found


def _day(days: Days, session: int) -> dt.date:
    return days[session].astype("datetime64[D]").item()
