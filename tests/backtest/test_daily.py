"""The simulator by trading sessions: against the plain account, and worked by hand."""

import dataclasses
import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.backtest.simulator import Market, Terms, Track, simulate
from finembed_core.backtest.tables import strategy_tables
from finembed_core.backtest.terms import DealingTerms
from finembed_core.portfolio.orders import SellAndSpend, Signals, State, TargetWeights
from finembed_core.sessions import SessionCalendar
from tests.backtest.plain_runs import POLICIES, assert_equal, dealt_lines, run
from tests.backtest.worlds import FIRST, World, daily_world, trading_days, world

D = dt.date
SPRING = SessionCalendar(np.busday_offset("2001-02-19", np.arange(60), roll="forward"))


@given(
    seed=st.integers(0, 10**6),
    name=st.sampled_from(sorted(POLICIES)),
    lag=st.sampled_from([0, 1, 2]),
    delay=st.sampled_from([0, 7]),
)
@settings(max_examples=40, deadline=None)
def test_equals_the_plain_account(seed: int, name: str, lag: int, delay: int) -> None:
    made = daily_world(seed, lag=lag, delay=delay)
    assert_equal(run(made, POLICIES[name]), made, name)


@given(seed=st.integers(0, 10**6), name=st.sampled_from(sorted(POLICIES)))
@settings(max_examples=20, deadline=None)
def test_without_terms_the_length_of_a_period_does_not_matter(seed: int, name: str) -> None:
    """The same numbers by month and by session, to the bit."""
    made = world(seed, delay=2)
    calendar = SessionCalendar(trading_days(np.random.default_rng(seed), 14))
    days = calendar.sessions()
    deaths = tuple(
        dataclasses.replace(d, month=days[0] + (d.month - FIRST)) for d in made.market.deaths
    )
    market = dataclasses.replace(made.market, first=days[0], deaths=deaths)
    signals = {days[m - FIRST]: known for m, known in made.signals.items()}
    by_month = run(made, POLICIES[name])
    by_day = run(World(market, signals, made.terms, calendar), POLICIES[name])
    assert (by_day.nav == by_month.nav).all() and (by_day.holdings == by_month.holdings).all()
    assert [m.end for m in by_day.months] == calendar.days.tolist()


@given(seed=st.integers(0, 10**6), name=st.sampled_from(sorted(POLICIES)))
@settings(max_examples=15, deadline=None)
def test_noise_after_a_session_changes_nothing_up_to_it(seed: int, name: str) -> None:
    """Returns, signals and deaths after session 90 are others: all before stays, to the bit."""
    made, other = (daily_world(seed, lag=1, delay=3) for _ in range(2))
    rng, last = np.random.default_rng(seed), made.market.first + 90
    returns = made.market.returns.copy()
    returns[91:] = rng.normal(0, 0.1, returns[91:].shape).clip(-0.9)
    deaths = tuple(d for d in made.market.deaths if d.month <= last)
    signals = {
        m: s if m <= last else dataclasses.replace(s, p_up=rng.random(len(s.p_up)))
        for m, s in made.signals.items()
    }
    market = dataclasses.replace(made.market, returns=returns, deaths=deaths)
    one = run(made, POLICIES[name])
    two = run(dataclasses.replace(other, market=market, signals=signals), POLICIES[name])
    n = last - one.first + 1
    assert (one.nav[:n] == two.nav[:n]).all() and (one.cash[:n] == two.cash[:n]).all()
    assert (one.holdings[:n] == two.holdings[:n]).all()


def test_a_later_session_changes_nothing_before_it() -> None:
    for lag in (0, 1):
        made = daily_world(3, sessions=150, lag=lag)
        market = made.market
        shorter = dataclasses.replace(
            market, returns=market.returns[:-9], risk_free=market.risk_free[:-9]
        )
        known = {m: s for m, s in made.signals.items() if m <= shorter.last}
        long = run(made, POLICIES["sa"])
        short = run(dataclasses.replace(made, market=shorter, signals=known), POLICIES["sa"])
        n = len(short.nav)
        assert (short.nav == long.nav[:n]).all()
        assert (short.holdings[:-1] == long.holdings[: n - 1]).all()


def spring(plan: dict, returns: dict | None = None, calendar=SPRING, **terms: int) -> Track:
    """One fund A, 1 in cash, orders by day; it is flat but on the days of `returns`."""
    values = np.zeros((len(calendar.days), 1))
    for day, value in (returns or {}).items():
        values[calendar.session(day).ordinal] = value
    own = None
    if terms:
        set_ = {name: np.array([value]) for name, value in terms.items()}
        own = dataclasses.replace(DealingTerms.none(1), waits=np.array([True]), **set_)
    days = calendar.sessions()
    market = Market(days[0], ("A",), values, np.zeros(len(days)))
    nothing, yes = np.array([np.nan]), np.array([True])
    signals = {day: Signals(day, yes, nothing, nothing) for day in days}

    def policy(state: State, known: Signals):
        return plan.get(known.month.end)

    return simulate(market, signals, policy, Terms(dealing=own), calendar)


BUY, SELL = (SellAndSpend(np.array([a]), np.array([b])) for a, b in ((0.0, 1.0), (1.0, 0.0)))


@pytest.mark.parametrize(
    ("decided", "deals", "pays"),
    [
        (D(2001, 2, 22), D(2001, 2, 28), D(2001, 3, 28)),
        (D(2001, 2, 26), D(2001, 3, 30), D(2001, 4, 30)),
    ],
)
def test_month_ends_with_notice_and_a_month_to_payment(decided, deals, pays) -> None:
    """Five days' notice on the 22nd reach February 28; on the 26th only March 30, a Friday.

    The money comes on the same day of the next month: a Wednesday, and a Monday.
    """
    plan = {D(2001, 2, 19): BUY, decided: SELL}
    track = spring(plan, redemption_every=1, notice_days=5, payment_months=1)
    dealt, paid = SPRING.session(deals).ordinal, SPRING.session(pays).ordinal
    assert track.holdings[:, 0].tolist() == [1.0] * dealt + [0.0] * (60 - dealt)
    assert np.flatnonzero(track.receivables).tolist() == list(range(dealt, paid))
    assert track.cash.tolist() == [0.0] * paid + [1.0] * (60 - paid)
    rows = strategy_tables("a", track, market_of(track), SPRING, None)["trades"]
    executed = rows.filter(status="executed", side="sell")
    assert executed.select("decision", "dealing", "settle").rows() == [(decided, deals, pays)]


def market_of(track: Track) -> Market:
    return Market(track.first, ("A",), np.zeros((len(track.nav), 1)), track.risk_free)


def test_lock_up_of_a_month() -> None:
    """Bought on February 20, free on March 20; the fund deals every session."""
    track = spring({D(2001, 2, 20): BUY, D(2001, 2, 21): SELL}, lockup_months=1)
    sale = next(k for k in dealt_lines(track, "A") if k[1] == "sell")
    assert SPRING.ends(np.array([sale[3]])).tolist() == [D(2001, 3, 20)]


def test_a_quarterly_subscription_waits_for_the_last_session_of_march() -> None:
    track = spring({D(2001, 2, 20): BUY}, subscription_every=3)
    assert track.months[int(np.flatnonzero(track.holdings[:, 0])[0])].end == D(2001, 3, 30)


def test_a_lag_of_one_session() -> None:
    """Decided on the 20th, dealt on the 21st, earns the 22nd."""
    calendar = SessionCalendar(SPRING.days, lag=1)
    jumps = {D(2001, 2, 21): 0.5, D(2001, 2, 22): 0.1}
    track = spring({D(2001, 2, 20): TargetWeights(np.array([1.0]))}, jumps, calendar)
    assert [d.dealing.end for d in track.decisions] == [D(2001, 2, 21)]
    assert track.nav[-1] == pytest.approx(1.1)


def test_tables_of_a_daily_track() -> None:
    """252 sessions a year; drawdowns count whole months: from March 5 to April 4 there is none."""
    jumps = {D(2001, 3, 5): 0.2, D(2001, 3, 6): -0.1, D(2001, 4, 4): -0.1, D(2001, 5, 7): 0.3}
    track = spring({D(2001, 2, 19): BUY}, jumps)
    tables = strategy_tables("a", track, market_of(track), SPRING, None)
    found = dict(tables["metrics"].select("metric", "value").rows())
    n = len(SPRING.days) - 1
    growth = 1.2 * 0.9 * 0.9 * 1.3
    assert found["annual_return"] == pytest.approx(growth ** (252 / n) - 1)
    assert found["volatility"] == pytest.approx(np.std(track.net, ddof=1) * 252**0.5)
    assert tables["returns"]["date"].to_list() == SPRING.days[1:].tolist()
    (fall,) = tables["drawdowns"].rows(named=True)
    assert (fall["peak"], fall["trough"]) == (D(2001, 3, 5), D(2001, 4, 4))
    assert fall["recovery"] == D(2001, 5, 7)
    assert (fall["months_down"], fall["months_recovering"]) == (0, 1)
    assert fall["depth"] == pytest.approx(0.81 - 1)
