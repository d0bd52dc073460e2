import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finembed_core.errors import InputError
from finembed_core.sessions import SessionCalendar
from tests.backtest.plain_terms import PlainSessions
from tests.backtest.worlds import trading_days

D = dt.date


def some_days(seed: int, count: int = 120) -> np.ndarray:
    return trading_days(np.random.default_rng(seed), count)


@given(
    seed=st.integers(0, 1000),
    at=st.integers(0, 150),
    months=st.integers(0, 14),
    every=st.sampled_from([0, 1, 3, 12]),
)
def test_dates_are_those_of_a_search_day_by_day(seed: int, at: int, months: int, every: int):
    """Beyond the last of the 120 days too."""
    calendar = SessionCalendar(some_days(seed))
    plain = PlainSessions(calendar.days.tolist())
    here = np.array([at])
    assert calendar.ends(here).tolist() == [plain.end(at)]
    assert calendar.later(here, np.array([months])).tolist() == [plain.later(at, months)]
    deals = next(k for k in range(at, 999) if plain.deals(k, every))
    assert calendar.next_dealing(here, np.array([every])).tolist() == [deals]


@given(seed=st.integers(0, 1000), start=st.integers(0, 400), days=st.integers(0, 90))
def test_notice_ends_with_the_first_session_that_keeps_it(seed: int, start: int, days: int):
    calendar = SessionCalendar(some_days(seed))
    plain = PlainSessions(calendar.days.tolist())
    day = D(2001, 1, 2) + dt.timedelta(days=start)
    wanted = day + dt.timedelta(days=days)
    first = next(k for k, end in enumerate(plain.days) if end >= wanted)
    assert calendar.first_after(day, np.array([days])).tolist() == [first]


def test_modified_following() -> None:
    """A month after Friday, 30 March 2001: Monday, 30 April; two months after: 30 May."""
    calendar = SessionCalendar(np.busday_offset("2001-01-02", np.arange(200), roll="forward"))
    march = calendar.session(D(2001, 3, 30))
    later = calendar.later(np.full(3, march.ordinal), np.array([1, 2, 3]))
    assert calendar.ends(later).tolist() == [D(2001, 4, 30), D(2001, 5, 30), D(2001, 6, 29)]


def test_sessions_count_and_compare() -> None:
    calendar = SessionCalendar(np.array(["2001-01-04", "2001-01-05"], dtype="datetime64[D]"))
    first, second = calendar.sessions()
    assert first < second and second - first == 1 and second - 1 == first
    assert (second + 1).end == D(2001, 1, 8)  # the weekday after a Friday
    assert len({first, calendar.session(D(2001, 1, 4))}) == 1
    with pytest.raises(InputError, match="no session before"):
        _ = (first - 1).end


def test_crypto_trades_on_weekends_and_goes_on_on_weekdays() -> None:
    days = np.arange("2001-01-01", "2001-01-07", dtype="datetime64[D]")  # ends on a Saturday
    calendar = SessionCalendar(days)
    assert calendar.ends(np.array([5, 6])).tolist() == [D(2001, 1, 6), D(2001, 1, 8)]
    assert calendar.first_after(D(2001, 1, 6), np.array([0, 1])).tolist() == [5, 6]


def test_days_in_disorder_and_closed_days_are_errors() -> None:
    with pytest.raises(InputError, match="not in order") as caught:
        SessionCalendar(np.array(["2001-01-05", "2001-01-04"], dtype="datetime64[D]"))
    assert "2001-01-04 after 2001-01-05" in str(caught.value)
    with pytest.raises(InputError, match="without a trading day"):
        SessionCalendar(np.array([], dtype="datetime64[D]"))
    with pytest.raises(InputError, match="no trading day"):
        SessionCalendar(some_days(1)).session(D(2001, 1, 6))
    with pytest.raises(InputError, match="lag of -1"):
        SessionCalendar(some_days(1), lag=-1)
