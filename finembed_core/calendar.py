"""Months, information sets, decisions, dealing dates, labels, walk-forward splits.

The one place that answers "known when?" and "earned when?"; features, labels and the backtest
all ask here::

    lag 0     ... month t ...| decide = deal |... month t+1 is earned ...|
    lag 15    ... month t ...|  decide (day 15)  | deal |... month t+2 is earned ...|
                          end of t          end of t+1
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from finembed_core.errors import FinembedError

IntArray = NDArray[np.int64]


class Period(Protocol):
    """What a backtest goes through step by step: a month, or a trading session."""

    @property
    def ordinal(self) -> int:
        """Its place among the periods."""
        ...

    @property
    def end(self) -> dt.date:
        """The day that stands for it in every table."""
        ...

    def __add__(self, periods: int, /) -> Self: ...
    @overload
    def __sub__(self, other: int, /) -> Self: ...
    @overload
    def __sub__(self, other: Self, /) -> int: ...
    def __lt__(self, other: Self, /) -> bool: ...
    def __le__(self, other: Self, /) -> bool: ...
    def __gt__(self, other: Self, /) -> bool: ...


class Calendar(Protocol):
    """When periods are decided and dealt, and which dates a fund's terms come to.

    Periods go in and come out by their ordinals where there are many.
    """

    @property
    def periods_per_year(self) -> int:
        """How many periods statistics take for a year."""
        ...

    def decision_day(self, period: Period, /) -> dt.date:
        """The day on which a period is decided."""
        ...

    def dealing(self, decided: Period, /) -> Period:
        """The period at whose end a decision deals."""
        ...

    def next_dealing(self, ordinals: IntArray, every: IntArray) -> IntArray:
        """First dealing periods not before some, `every` so many months; 0: every period is one."""
        ...

    def first_after(self, day: dt.date, days: IntArray) -> IntArray:
        """First periods that end at least so many days after a day."""
        ...

    def later(self, ordinals: IntArray, months: IntArray) -> IntArray:
        """The periods that lie so many months after others."""
        ...

    def ends(self, ordinals: IntArray) -> NDArray[np.datetime64]:
        """Last days of periods."""
        ...


P = TypeVar("P", bound=Period)


def period_range(first: P, last: P) -> list[P]:
    """All periods from `first` to `last`, both included."""
    return [first + k for k in range(last - first + 1)]


@dataclass(frozen=True, order=True, slots=True)
class Month:
    """A calendar month; ``ordinal`` counts months since January 1970.

    Examples
    --------
    >>> month = Month.parse("1999-12")
    >>> str(month + 2), month.end, Month.parse("2000-03") - month
    ('2000-02', datetime.date(1999, 12, 31), 3)
    """

    ordinal: int

    @classmethod
    def parse(cls, text: str) -> Month:
        """Read ``YYYY-MM`` (a trailing day, as in a partition key, is allowed)."""
        try:
            year, month = int(text[:4]), int(text[5:7])
            if text[4] != "-" or len(text) not in (7, 10):
                raise ValueError
            return cls.of(dt.date(year, month, 1))
        except (ValueError, IndexError):
            raise FinembedError(f"{text!r} is not a month", remedy="write it as YYYY-MM") from None

    @classmethod
    def of(cls, day: dt.date) -> Month:
        """The month that contains `day`."""
        return cls((day.year - 1970) * 12 + day.month - 1)

    @property
    def start(self) -> dt.date:
        """First day."""
        return dt.date(1970 + self.ordinal // 12, self.ordinal % 12 + 1, 1)

    @property
    def end(self) -> dt.date:
        """Last day: the date that stands for the month in every table."""
        return (self + 1).start - dt.timedelta(days=1)

    @property
    def year(self) -> int:
        """Calendar year."""
        return self.start.year

    def __add__(self, months: int) -> Month:
        return Month(self.ordinal + months)

    @overload
    def __sub__(self, other: int) -> Month: ...
    @overload
    def __sub__(self, other: Month) -> int: ...
    def __sub__(self, other: Month | int) -> Month | int:
        if isinstance(other, Month):
            return self.ordinal - other.ordinal
        return Month(self.ordinal - other)

    def __str__(self) -> str:
        return self.start.strftime("%Y-%m")


def month_range(first: Month, last: Month) -> list[Month]:
    """All months from `first` to `last`, both included."""
    return [Month(k) for k in range(first.ordinal, last.ordinal + 1)]


def month_ordinals(dates: ArrayLike) -> NDArray[np.int64]:
    """Month ordinals of an array of days (see `Month`)."""
    return np.asarray(dates, dtype="datetime64[M]").astype(np.int64)


def month_ends(ordinals: ArrayLike) -> NDArray[np.datetime64]:
    """Last days of the months with these ordinals."""
    following = (np.asarray(ordinals, dtype=np.int64) + 1).astype("datetime64[M]")
    return (following.astype("datetime64[D]").astype(np.int64) - 1).astype("datetime64[D]")


@dataclass(frozen=True)
class DecisionCalendar:
    """When a month is decided, dealt and earned.

    Parameters
    ----------
    decision_lag_days : int
        Days after the month's end at which its decision is taken: 0 for liquid funds, 15 where
        funds report by the middle of the next month.
    """

    decision_lag_days: int = 0

    @property
    def periods_per_year(self) -> int:
        """Months."""
        return 12

    def decision_day(self, month: Period) -> dt.date:
        """The day on which month `month` is decided."""
        return month.end + dt.timedelta(days=self.decision_lag_days)

    def dealing(self, decided: Period) -> Month:
        """The month at whose end the decision of `decided` deals."""
        return Month.of(self.decision_day(decided))

    def next_dealing(self, ordinals: IntArray, every: IntArray) -> IntArray:
        """First dealing months not before some; dealing months count from January.

        Examples
        --------
        >>> january = 12 * 31  # 2001-01
        >>> months, every = january + np.array([0, 2, 3, 3]), np.array([3, 3, 12, 0])
        >>> DecisionCalendar().next_dealing(months, every) - january
        array([ 2,  2, 11,  3])
        """
        every = np.maximum(every, 1)
        return (ordinals + every) // every * every - 1

    def first_after(self, day: dt.date, days: IntArray) -> IntArray:
        """First months that end at least so many days after a day."""
        return month_ordinals(np.datetime64(day, "D") + days.astype("timedelta64[D]"))

    def later(self, ordinals: IntArray, months: IntArray) -> IntArray:
        """The months that lie so many months after others."""
        return ordinals + months

    def ends(self, ordinals: IntArray) -> NDArray[np.datetime64]:
        """Last days of months."""
        return month_ends(ordinals)

    def information_month(self, dates: ArrayLike, available_at: ArrayLike) -> NDArray[np.int64]:
        """First month whose information set holds a row.

        The information set of month t holds the rows dated t or before that were available on
        its decision day.

        Parameters
        ----------
        dates, available_at : array_like of datetime64[D], shape (n,)
            Effective date, and the first day on which a person could have used the value.

        Returns
        -------
        ndarray of int64, shape (n,)
            Month ordinals.
        """
        lag = np.timedelta64(self.decision_lag_days, "D")
        usable = np.asarray(available_at, dtype="datetime64[D]") - lag
        return np.maximum(month_ordinals(dates), month_ordinals(usable))

    def dealing_date(self, month: Month) -> dt.date:
        """First dealing date (a month end) on or after the decision day of `month`."""
        return self.dealing(month).end

    def label_month(self, month: Month) -> Month:
        """First month that can be earned after dealing on the decision of `month`."""
        return self.dealing(month) + 1

    def latest_decided(self, day: dt.date) -> Month:
        """Last month that is decided by a day.

        Examples
        --------
        >>> calendar = DecisionCalendar(15)
        >>> str(calendar.latest_decided(dt.date(2001, 3, 14)))
        '2001-01'
        >>> str(calendar.latest_decided(dt.date(2001, 3, 15)))
        '2001-02'
        """
        return Month.of(day - dt.timedelta(days=self.decision_lag_days - 1)) - 1

    def latest_labelled(self, known: Month) -> Month:
        """Last month whose label can be in the information set of `known`."""
        month = known
        while self.label_month(month) > known:
            month = month - 1
        return month


@dataclass(frozen=True)
class WalkForwardSplit:
    """One retraining: what may be learned from, and what is decided with the result.

    ``retraining`` is the first month decided with the model, ``known`` the month before it, whose
    information set is all that training sees::

        train ............|purge|... valid ...|horizon| known | retraining, +1, +2, ...

    Attributes
    ----------
    retraining, known : Month
    train, valid : tuple of (Month, Month)
        First and last sample month, both included.
    """

    retraining: Month
    known: Month
    train: tuple[Month, Month]
    valid: tuple[Month, Month]


def retraining_in_force(month: Month, every: int) -> Month:
    """Retraining month whose model decides `month`: the latest calendar multiple of `every`.

    Parameters
    ----------
    month : Month
    every : int
        Months between retrainings, a divisor of 12, counted from January.
    """
    return Month(month.ordinal - (month.ordinal % 12) % every)


def retraining_months(first: Month, last: Month, every: int) -> list[Month]:
    """Retraining months in force at any time from `first` to `last`."""
    start = retraining_in_force(first, every)
    return [m for m in month_range(start, last) if m == retraining_in_force(m, every)]


def walk_forward_split(
    retraining: Month,
    calendar: DecisionCalendar,
    first_sample: Month,
    valid_months: int,
    window_months: int | None = None,
) -> WalkForwardSplit | None:
    """Training and validation samples of one retraining, or None while there are too few.

    Parameters
    ----------
    retraining : Month
        First month that the model decides.
    calendar : DecisionCalendar
        Gives the label horizon.
    first_sample : Month
        Earliest month with features.
    valid_months : int
        Length of the validation block at the end.
    window_months : int, optional
        Rolling training window; expanding when None.

    Notes
    -----
    The last validation sample is the last whose label is known at ``known``. Training ends where
    a label would fall into the validation block: every training label month precedes the first
    validation month.
    """
    known = retraining - 1
    last_valid = calendar.latest_labelled(known)
    first_valid = last_valid - (valid_months - 1)
    last_train = calendar.latest_labelled(first_valid - 1)
    first_train = first_sample
    if window_months is not None:
        first_train = max(first_sample, last_train - (window_months - 1))
    if last_train < first_train:
        return None
    return WalkForwardSplit(retraining, known, (first_train, last_train), (first_valid, last_valid))
