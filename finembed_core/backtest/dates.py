"""A dealing date, and the dates that funds' terms reach from it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np

from finembed_core.calendar import Calendar, IntArray
from finembed_core.portfolio.orders import BoolArray


@dataclass(frozen=True)
class DealingDate:
    """When and in what orders deal.

    Attributes
    ----------
    now : int
        Ordinal of the period at whose end is dealt.
    decided : int
        Ordinal of the period of the new orders.
    decision_day : date
        From which notice runs.
    reported : ndarray of bool, shape (N,)
        Funds with a NAV on this date.
    calendar : Calendar
    """

    now: int
    decided: int
    decision_day: dt.date
    reported: BoolArray
    calendar: Calendar

    def dates(self, every: IntArray, periods_from_now: int = 0) -> IntArray:
        """Next dates of funds that deal every so many months, now included or not."""
        return self.calendar.next_dealing(np.full(len(every), self.now + periods_from_now), every)

    def later(self, months: IntArray) -> IntArray:
        """The periods that lie so many months from now."""
        return self.calendar.later(np.full(len(months), self.now), months)
