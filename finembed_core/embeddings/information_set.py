"""Reads the store for what may be known at a session, and tells when there is a decision."""

from __future__ import annotations

import datetime as dt
from functools import cached_property

import numpy as np
import polars as pl

from finembed_core import histories
from finembed_core.calendar import Month, month_ends
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

    @cached_property
    def windows(self) -> Windows:
        """Windows over the whole panel."""
        return Windows.read(self._store, self._settings)

    @cached_property
    def _decisions(self) -> dict[Month, int]:
        days = self.windows.panel.days
        return {Month.of(days[s].item()): int(s) for s in self.windows.decisions()}

    @property
    def decision_months(self) -> list[Month]:
        """Months with a decision, in order."""
        return sorted(self._decisions)

    def decision(self, month: Month) -> int:
        """Session of the decision of a month."""
        return self._decisions[month]

    def day(self, month: Month) -> dt.date:
        """Day of the decision of a month."""
        return self.windows.panel.days[self.decision(month)].item()

    def dates_of(self, month: Month) -> list[int]:
        """Sessions of a month that get embeddings: its decision, if any, and its last one.

        No session ends a month that the data do not reach the end of.
        """
        days = self.windows.panel.days
        last = int(np.searchsorted(days, month_ends(month.ordinal), side="right")) - 1
        found = {self._decisions[month]} if month in self._decisions else set()
        ended = last >= 0 and Month.of(days[-1].item()) > month
        if ended and Month.of(days[last].item()) == month:
            found.add(last)
        return sorted(found)

    def information(self, session: int) -> Information:
        """All that may be known at the close of a session, as far back as training looks."""
        own = self._settings.embeddings
        back = own.lookback + own.training.train_sessions + own.training.valid_sessions
        back += own.horizon + own.dealing_lag_sessions + TRAILING
        windows = self.windows.as_of(session, back)
        return Information(
            session=len(windows.panel.days) - 1,
            windows=windows,
            funds=self._funds_known(session, windows.panel.ids),
            texts=self._texts.select(windows.panel.ids),
            monthly=self._monthly(windows.panel.ids, windows.panel.days),
        )

    @cached_property
    def _funds(self) -> pl.DataFrame:
        return self._store.read(DAILY_FUNDS, "all")

    @cached_property
    def _texts(self) -> TextVectors:
        return TextVectors.read(self._store)

    def _funds_known(self, session: int, ids: tuple[str, ...]) -> pl.DataFrame:
        """Attributes of the funds that somebody has heard of, inception where it is not told."""
        return self._funds.filter(pl.col("fund_id").is_in(ids)).sort("fund_id")

    @cached_property
    def _assets(self) -> tuple[History, History] | None:
        """Assets and returns of the monthly funds; None where none of them reports assets."""
        calendar = self._settings.dataset.calendar
        aum = histories.fund_aum(self._store, calendar)
        return None

    def _monthly(self, ids: tuple[str, ...], days: np.ndarray) -> dict[Month, Monthly]:
        return {}
