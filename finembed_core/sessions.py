"""Trading sessions: the periods of a daily backtest, and when funds' terms fall due among them.

The sessions are the days that the data have, in order. A month end is the last session of its
month. Beyond the last day given every weekday counts as a session: give the days that an exchange
has announced where orders wait for dates beyond the data.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import overload

import numpy as np
from numpy.typing import NDArray

from finembed_core.calendar import DecisionCalendar, IntArray, Period, month_ends, month_ordinals
from finembed_core.errors import InputError

Days = NDArray[np.datetime64]

SESSIONS_PER_YEAR = 252
ONE_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, order=True, slots=True)
class Session:
    """A trading session; ``ordinal`` counts the sessions of its calendar from 0."""

    ordinal: int
    calendar: SessionCalendar = field(compare=False, repr=False)

    @property
    def end(self) -> dt.date:
        """The day."""
        return self.calendar.ends(np.array([self.ordinal]))[0].item()

    def __add__(self, sessions: int) -> Session:
        return Session(self.ordinal + sessions, self.calendar)

    @overload
    def __sub__(self, other: int) -> Session: ...
    @overload
    def __sub__(self, other: Session) -> int: ...
    def __sub__(self, other: Session | int) -> Session | int:
        if isinstance(other, Session):
            return self.ordinal - other.ordinal
        return Session(self.ordinal - other, self.calendar)

    def __str__(self) -> str:
        return self.end.isoformat()


@dataclass(frozen=True, eq=False)
class SessionCalendar:
    """When a session is decided, dealt and earned.

    Parameters
    ----------
    days : ndarray of datetime64[D], shape (S,)
        Trading days, sorted.
    lag : int
        Sessions from decision to dealing: 0 decides and deals at the close of t and earns t + 1.
    periods_per_year : int

    Raises
    ------
    InputError
        There are no days, or they are not in order.

    Examples
    --------
    >>> days = np.array(["2001-02-27", "2001-02-28", "2001-03-01"], dtype="datetime64[D]")
    >>> calendar = SessionCalendar(days)
    >>> first = calendar.session(dt.date(2001, 2, 27))
    >>> str(first + 2), (first + 2) - first
    ('2001-03-01', 2)
    >>> calendar.next_dealing(np.array([0, 0]), np.array([0, 1]))  # every session, month ends
    array([0, 1])
    """

    days: Days
    lag: int = 0
    periods_per_year: int = SESSIONS_PER_YEAR

    def __post_init__(self) -> None:
        days = np.asarray(self.days, dtype="datetime64[D]")
        object.__setattr__(self, "days", days)
        if not len(days):
            raise InputError("a calendar without a trading day", remedy="give the days of the data")
        late = np.flatnonzero(~(days[1:] > days[:-1]))
        if len(late):
            raise InputError(
                "trading days are not in order",
                where=f"{days[late[0] + 1]} after {days[late[0]]}",
                remedy="give each day once, sorted",
            )
        if self.lag < 0:
            raise InputError(f"a lag of {self.lag} sessions deals before it decides")

    def session(self, day: dt.date) -> Session:
        """The session of a day; an InputError where the market was closed."""
        at = int(np.searchsorted(self.days, np.datetime64(day, "D")))
        if at == len(self.days) or self.days[at] != np.datetime64(day, "D"):
            raise InputError(
                f"{day} is no trading day",
                where=f"sessions from {self.days[0]} to {self.days[-1]}",
                remedy="give a day of the data",
            )
        return Session(at, self)

    def sessions(self) -> list[Session]:
        """The sessions of all days given."""
        return [Session(k, self) for k in range(len(self.days))]

    def decision_day(self, period: Period) -> dt.date:
        """The day on which a session is decided: its own, at the close."""
        return period.end

    def dealing(self, decided: Period) -> Session:
        """The session at whose close the decision of `decided` deals."""
        return Session(decided.ordinal + self.lag, self)

    def next_dealing(self, ordinals: IntArray, every: IntArray) -> IntArray:
        """First dealing sessions not before some.

        Parameters
        ----------
        ordinals, every : ndarray of int, shape (n,)
            ``every`` 0 deals in every session, 1 on the last session of every month, 3 on that of
            March, June, September and December, and so on.
        """
        if not every.any():
            return ordinals
        months = DecisionCalendar().next_dealing(month_ordinals(self.ends(ordinals)), every)
        return np.where(every == 0, ordinals, self._last_before(month_ends(months)))

    def first_after(self, day: dt.date, days: IntArray) -> IntArray:
        """First sessions at least so many days after a day."""
        return self._first_from(np.datetime64(day, "D") + days.astype("timedelta64[D]"))

    def later(self, ordinals: IntArray, months: IntArray) -> IntArray:
        """The sessions that lie so many months after others.

        The same day of that month or, where the market is closed, the next session of the month,
        or its last one (the convention "modified following").
        """
        if not months.any():
            return ordinals
        days = self.ends(ordinals)
        begin = days.astype("datetime64[M]")
        targets = begin.astype(np.int64) + months
        last = month_ends(targets)
        same = targets.astype("datetime64[M]").astype("datetime64[D]") + (days - begin)
        found = np.minimum(self._first_from(np.minimum(same, last)), self._last_before(last))
        return np.where(months == 0, ordinals, found)

    def ends(self, ordinals: IntArray) -> Days:
        """Days of sessions."""
        known, n = self.days, len(self.days)
        if len(ordinals) and ordinals.min() < 0:
            raise InputError(
                "there is no session before the first one",
                where=f"{known[0]}",
                remedy="give a calendar that begins earlier",
            )
        days = known[np.minimum(ordinals, n - 1)]
        beyond = ordinals >= n
        if beyond.any():
            ahead = ordinals[beyond] - (n - 1)
            days[beyond] = np.busday_offset(known[-1], ahead, roll="backward")
        return days

    def _first_from(self, days: Days) -> IntArray:
        """First sessions on or after some days."""
        found = np.searchsorted(self.days, days)
        beyond = found == len(self.days)
        if beyond.any():
            begin = np.busday_offset(self.days[-1], 0, roll="backward")
            weekday = np.busday_offset(days[beyond], 0, roll="forward")
            found[beyond] = len(self.days) - 1 + np.busday_count(begin, weekday)
        return found

    def _last_before(self, days: Days) -> IntArray:
        """Last sessions on or before some days."""
        return self._first_from(days + ONE_DAY) - 1
