"""Months, information sets, dealing, labels, walk-forward splits."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finembed_core.calendar import (
    DecisionCalendar,
    Month,
    month_ends,
    month_ordinals,
    month_range,
    retraining_in_force,
    retraining_months,
    walk_forward_split,
)
from finembed_core.errors import FinembedError

DAYS = st.dates(dt.date(1950, 1, 1), dt.date(2060, 12, 31))
MONTHS = DAYS.map(Month.of)
LAGS = st.integers(0, 75)


@given(DAYS)
def test_a_month_knows_its_days(day: dt.date) -> None:
    month = Month.of(day)
    assert month.start <= day <= month.end
    assert (month.end + dt.timedelta(days=1)).day == 1
    assert Month.parse(str(month)) == month
    assert Month.parse(month.start.isoformat()) == month


@pytest.mark.parametrize("text", ["", "2001", "2001-13", "01-2001", "2001/03", "2001-03-1", "x"])
def test_what_is_not_a_month(text: str) -> None:
    with pytest.raises(FinembedError, match="YYYY-MM"):
        Month.parse(text)


@given(MONTHS, st.integers(-500, 500))
def test_month_arithmetic(month: Month, steps: int) -> None:
    assert (month + steps) - month == steps
    assert (month + steps) - steps == month
    assert (month < month + steps) == (steps > 0)


@given(st.lists(DAYS, min_size=1, max_size=20))
def test_arrays_agree_with_months(days: list[dt.date]) -> None:
    ordinals = month_ordinals(np.array(days, dtype="datetime64[D]"))
    assert ordinals.tolist() == [Month.of(day).ordinal for day in days]
    assert month_ends(ordinals).tolist() == [Month.of(day).end for day in days]


@given(DAYS, st.integers(0, 400), LAGS)
def test_a_row_enters_the_first_information_set_that_may_hold_it(
    date: dt.date, delay: int, lag: int
) -> None:
    calendar = DecisionCalendar(lag)
    available = date + dt.timedelta(days=delay)
    found = Month(int(calendar.information_month([date], [available])[0]))

    def holds(month: Month) -> bool:
        return date <= month.end and available <= calendar.decision_day(month)

    assert holds(found)
    assert not holds(found - 1)


@given(MONTHS, LAGS)
def test_nothing_is_earned_before_it_was_decided_and_dealt(month: Month, lag: int) -> None:
    calendar = DecisionCalendar(lag)
    dealing, label = calendar.dealing_date(month), calendar.label_month(month)
    assert dealing >= calendar.decision_day(month)
    assert label.start > dealing
    assert (label - 1).end == dealing


def test_the_two_cases_of_the_specification() -> None:
    january = Month.parse("2000-01")
    assert DecisionCalendar(0).label_month(january) == Month.parse("2000-02")
    late = DecisionCalendar(15)
    assert late.decision_day(january) == dt.date(2000, 2, 15)
    assert late.dealing_date(january) == dt.date(2000, 2, 29)
    assert late.label_month(january) == Month.parse("2000-03")


@given(MONTHS, LAGS)
def test_the_latest_labelled_month(known: Month, lag: int) -> None:
    calendar = DecisionCalendar(lag)
    latest = calendar.latest_labelled(known)
    assert calendar.label_month(latest) <= known
    assert calendar.label_month(latest + 1) > known


@given(MONTHS, st.sampled_from([1, 2, 3, 4, 6, 12]), st.integers(0, 60))
def test_retrainings(first: Month, every: int, length: int) -> None:
    last = first + length
    retrainings = retraining_months(first, last, every)
    in_force = {retraining_in_force(month, every) for month in month_range(first, last)}
    assert set(retrainings) == in_force
    assert all((month.start.month - 1) % every == 0 for month in retrainings)
    assert all(0 <= m - retraining_in_force(m, every) < every for m in month_range(first, last))


@given(MONTHS, LAGS, st.integers(1, 120), st.integers(1, 24), st.none() | st.integers(1, 60))
def test_a_split_learns_only_what_is_known_and_validates_on_the_rest(
    retraining: Month, lag: int, history: int, valid_months: int, window: int | None
) -> None:
    calendar = DecisionCalendar(lag)
    first = retraining - history
    split = walk_forward_split(retraining, calendar, first, valid_months, window)
    if split is None:
        return
    assert split.known == retraining - 1
    assert first <= split.train[0] <= split.train[1] < split.valid[0] <= split.valid[1]
    assert split.valid[1] - split.valid[0] == valid_months - 1
    assert calendar.label_month(split.valid[1]) <= split.known
    assert calendar.label_month(split.train[1]) < split.valid[0]  # the purge
    if window is not None:
        assert split.train[1] - split.train[0] < window


def test_too_little_history_gives_no_split() -> None:
    calendar = DecisionCalendar()
    retraining = Month.parse("2000-01")
    assert walk_forward_split(retraining, calendar, retraining - 15, 12) is not None
    assert walk_forward_split(retraining, calendar, retraining - 14, 12) is None
