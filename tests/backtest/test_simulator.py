import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.backtest.simulator import Death, Market, Terms, dealing_months, simulate
from finembed_core.calendar import DecisionCalendar, Month, month_range
from finembed_core.errors import InputError
from finembed_core.portfolio.orders import (
    SellAndSpend,
    Signals,
    State,
    TargetWeights,
)
from finembed_core.portfolio.policies.selection import select_top, simple_average, weighted_average
from finembed_core.portfolio.policies.universe import aum_weight, equal_weight
from finembed_core.settings import PortfolioSettings
from tests.backtest.plain import PlainBook
from tests.backtest.worlds import FIRST, World, world

PORTFOLIO = PortfolioSettings()
POLICIES = {
    "sa": simple_average,
    "wa": weighted_average,
    "equal": equal_weight,
    "aum": aum_weight,
}


def run(made: World, policy=simple_average):
    return simulate(
        made.market,
        made.signals,
        lambda state, known: policy(state, known, PORTFOLIO),
        made.terms,
        made.calendar,
    )


def run_plain(made: World, name: str):
    """NAV and fees by month, holdings after dealing, by the plain ledger."""
    market, ids = made.market, made.market.ids
    deals = dealing_months(list(made.signals), made.calendar)
    book = PlainBook(made.terms.initial_nav, made.terms.cost, made.terms.delay)
    navs, fees, holdings = [], [], []
    for month in month_range(min(deals), market.last):
        decided = deals.get(month)
        held = set(book.funds)  # as the decision sees it
        row = market.returns[market.row(month)]
        reported = {i: None if np.isnan(r) else r for i, r in zip(ids, row, strict=True)}
        if month > min(deals):
            book.month(month.ordinal, reported, market.risk_free[market.row(month)])
            for death in market.deaths:
                if death.month == month:
                    book.death(month.ordinal, ids[death.fund], death.terminal)
        navs.append(book.nav())
        held = set(book.funds) if decided == month else held
        if decided is not None and decided < market.last:
            book.fees = 0.0
            _deal_plainly(book, name, made.signals[decided], ids, reported, held)
            fees.append(book.fees)
        else:
            fees.append(0.0)
        holdings.append(dict(book.funds))
    return navs, fees, holdings


def _deal_plainly(book: PlainBook, name: str, known: Signals, ids, reported, held) -> None:
    open_today = {fund for fund, value in reported.items() if value is not None}
    ranked = sorted(
        (-p, fund)
        for fund, p, ok in zip(ids, known.p_up, known.eligible, strict=True)
        if ok and not np.isnan(p)
    )
    selected = {fund for _, fund in ranked[: (len(ranked) + 1) // 2]}
    eligible = {fund for fund, ok in zip(ids, known.eligible, strict=True) if ok}
    aum = {f: a for f, a in zip(ids, known.aum, strict=True) if not np.isnan(a)}
    if name == "sa":
        if selected:
            book.simple_average(selected, held, open_today)
        return
    chosen = selected if name == "wa" else eligible
    size = dict.fromkeys(chosen, 1.0) if name == "equal" else {f: aum[f] for f in chosen & set(aum)}
    if size:
        book.reset({f: a / sum(size.values()) for f, a in size.items()}, open_today)


@given(
    seed=st.integers(0, 10**6),
    name=st.sampled_from(sorted(POLICIES)),
    lag=st.sampled_from([0, 15, 30]),
    cost=st.sampled_from([0.0, 0.001, 0.1]),
    delay=st.sampled_from([0, 1, 3]),
)
@settings(max_examples=150, deadline=None)
def test_equals_the_plain_ledger(seed: int, name: str, lag: int, cost: float, delay: int) -> None:
    made = world(seed, lag=lag, cost=cost, delay=delay)
    track = run(made, POLICIES[name])
    navs, fees, holdings = run_plain(made, name)
    assert track.nav == pytest.approx(navs, rel=1e-9)
    assert track.costs[1:] == pytest.approx(fees[:-1], rel=1e-8, abs=1e-11)
    for k, plain in enumerate(holdings):
        dense = [plain.get(fund, 0.0) for fund in made.market.ids]
        assert track.holdings[k] == pytest.approx(dense, rel=1e-8, abs=1e-10)


@given(seed=st.integers(0, 10**6), name=st.sampled_from(sorted(POLICIES)))
@settings(max_examples=40, deadline=None)
def test_invariants(seed: int, name: str) -> None:
    track = run(world(seed, lag=15, delay=2), POLICIES[name])
    after = track.holdings.sum(axis=1) + track.cash + track.receivables
    opening_costs = np.append(track.costs[1:], np.nan)
    assert after[:-1] == pytest.approx((track.nav - opening_costs)[:-1], rel=1e-12)
    assert track.net == pytest.approx(track.gross - track.cost, abs=1e-15)
    assert np.cumprod(1 + track.net) == pytest.approx(track.nav[1:] / track.nav[0], rel=1e-12)
    assert (track.cash >= 0).all() and (track.holdings >= 0).all()


@given(seed=st.integers(0, 10**6), name=st.sampled_from(sorted(POLICIES)))
@settings(max_examples=25, deadline=None)
def test_order_of_funds_does_not_matter(seed: int, name: str) -> None:
    """Ties of P(up) go by fund id, so distinct ones here; the rest is sums."""
    made = world(seed, delay=1)
    rng = np.random.default_rng(seed)
    signals = {
        m: dataclasses.replace(s, p_up=s.p_up + rng.uniform(0, 1e-6, len(s.p_up)))
        for m, s in made.signals.items()
    }
    made = dataclasses.replace(made, signals=signals)
    order = rng.permutation(len(made.market.ids))
    place = np.argsort(order)
    market = Market(
        FIRST,
        tuple(np.array(made.market.ids)[order]),
        made.market.returns[:, order],
        made.market.risk_free,
        tuple(dataclasses.replace(d, fund=int(place[d.fund])) for d in made.market.deaths),
    )
    shuffled = {
        m: Signals(m, s.eligible[order], s.p_up[order], s.aum[order]) for m, s in signals.items()
    }
    one = run(made, POLICIES[name])
    other = run(dataclasses.replace(made, market=market, signals=shuffled), POLICIES[name])
    assert one.nav == pytest.approx(other.nav, rel=1e-12)
    assert one.holdings == pytest.approx(other.holdings[:, place], rel=1e-10, abs=1e-13)


def test_a_later_month_changes_nothing_before_it() -> None:
    """The run through t is the beginning of the run through t + 3, to the bit."""
    for lag in (0, 15, 45):
        made = world(5, lag=lag)
        market = made.market
        shorter = dataclasses.replace(
            market, returns=market.returns[:-3], risk_free=market.risk_free[:-3]
        )
        known = {m: s for m, s in made.signals.items() if m <= shorter.last}
        long = run(made)
        short = run(dataclasses.replace(made, market=shorter, signals=known))
        n = len(short.nav)
        assert (short.nav == long.nav[:n]).all()
        assert (short.net == long.net[: n - 1]).all()
        assert (short.holdings[:-1] == long.holdings[: n - 1]).all()


def flat_signals(months: list[Month], p_up: list[list[float]]) -> dict[Month, Signals]:
    return {
        m: Signals(m, np.ones(len(p), bool), np.array(p), np.full(len(p), np.nan))
        for m, p in zip(months, p_up, strict=True)
    }


def test_simple_average_worked_by_hand() -> None:
    """Four funds, top two, costs 1%, three decisions.

    Decision 1 buys A and B with 1: each (1/2)/1.01 = 0.495050, costs 0.009901.
    Month 2: A +10%, B -10% -> A 0.544554, B 0.445545, NAV 0.990099.
    Decision 2 selects A and C: B sold for 0.445545 - 0.004455 = 0.441089; C gets
    0.441089/1.01 = 0.436722, costs 0.004455 + 0.004367. A stays as it is.
    Month 3: A +10%, C +20% -> A 0.599010, C 0.524066, NAV 1.123076.
    Decision 3 selects A and C again: nothing to do, no costs.
    Month 4: all flat.
    """
    months = [FIRST, FIRST + 1, FIRST + 2, FIRST + 3]
    returns = np.array(
        [[0, 0, 0, 0], [0.1, -0.1, 0, 0], [0.1, 0, 0.2, 0], [0, 0, 0, 0]], dtype=float
    )
    p_up = [[0.9, 0.8, 0.1, 0.1], [0.9, 0.1, 0.8, 0.1], [0.7, 0.1, 0.8, 0.1], [0.1, 0.2, 0.9, 0.8]]
    market = Market(FIRST, ("A", "B", "C", "D"), returns, np.zeros(4))
    track = run(World(market, flat_signals(months, p_up), Terms(1.0, 0.01), DecisionCalendar(0)))
    assert track.nav == pytest.approx([1, 0.9900990, 1.1230762, 1.1230762], abs=1e-7)
    assert track.costs == pytest.approx([0, 0.0099010, 0.0088227, 0], abs=1e-7)
    assert track.holdings[1] == pytest.approx([0.5445545, 0, 0.4367219, 0], abs=1e-7)
    assert track.holdings[3] == pytest.approx([0.5990099, 0, 0.5240663, 0], abs=1e-7)
    assert track.net == pytest.approx([-0.0099010, 0.1343070, 0], abs=1e-7)
    pending = track.decisions[-1]  # the newest decision waits: A out, D in
    assert pending.dealt is None and pending.month == pending.dealing == FIRST + 3
    assert pending.wished == pytest.approx([-0.5990099, 0, 0, 0.5871483], abs=1e-6)


def test_lag_15_deals_a_month_later_and_earns_the_month_after() -> None:
    returns = np.array([[0.5], [0.5], [0.1], [0.2]])
    market = Market(FIRST, ("A",), returns, np.zeros(4))
    signals = flat_signals([FIRST + k for k in range(4)], [[0.9]] * 4)
    track = run(World(market, signals, Terms(), DecisionCalendar(15)))
    assert track.months[0] == FIRST + 1  # the decision of January deals at the end of February
    assert track.net == pytest.approx([0.1, 0.2])  # and earns March
    first, *_, last = track.decisions
    assert (first.month, first.dealing) == (FIRST, FIRST + 1)
    assert (last.month, last.dealing) == (FIRST + 3, FIRST + 4)


def test_policies_see_the_book_of_their_own_month() -> None:
    """Lag 15 sees the month's end; lag 45 the later holdings at its own month's prices."""
    returns = np.array([[0.0], [0.5], [0.25], [0.6], [0.3], [0.1]])
    market = Market(FIRST, ("A",), returns, np.zeros(6))
    signals = flat_signals([FIRST + k for k in range(6)], [[0.9]] * 6)
    for lag, expected in {
        0: {1: 1.5, 2: 1.875},  # bought at the end of month 0
        15: {1: 1.0, 2: 1.25},  # bought at the end of month 1
        45: {2: 1.0, 3: 1.6},  # bought at the end of month 2
    }.items():
        seen: dict[int, float] = {}

        def policy(state: State, known: Signals, seen=seen):
            seen[known.month - FIRST] = float(state.holdings[0])
            return TargetWeights(np.array([1.0]))

        simulate(market, signals, policy, Terms(), DecisionCalendar(lag))
        assert {k: seen[k] for k in expected} == pytest.approx(expected)


def test_two_decisions_of_one_dealing_date_leave_the_later() -> None:
    calendar = DecisionCalendar(30)  # January + 30 days and February + 30 days lie in March
    deals = dealing_months([Month.parse("2001-01"), Month.parse("2001-02")], calendar)
    assert deals == {Month.parse("2001-03"): Month.parse("2001-02")}


def dead_world(delay: int, lag: int = 0, cost: float = 0.0) -> World:
    """B reports through month 2; its death becomes known in month 4; A is flat."""
    returns = np.zeros((8, 2))
    returns[1:3, 1] = 0.1
    returns[3:, 1] = np.nan
    calendar = DecisionCalendar(lag)
    booked = Month.of(calendar.dealing_date(FIRST + 4))
    market = Market(FIRST, ("A", "B"), returns, np.zeros(8), (Death(booked, 1, -0.5, "unknown"),))
    months = [FIRST + k for k in range(8)]
    p_up = [[0.1, 0.9]] * 3 + [[0.9, np.nan]] * 5
    return World(market, flat_signals(months, p_up), Terms(1.0, cost, delay), calendar)


@pytest.mark.parametrize("delay", [0, 2])
def test_dead_fund(delay: int) -> None:
    track = run(dead_world(delay))
    assert track.nav[:4] == pytest.approx([1, 1.1, 1.21, 1.21])  # last NAV until it is known
    blocked = [d for d in track.decisions if d.dealt is not None and d.dealt.blocked.any()]
    assert [d.month - FIRST for d in blocked] == [3]  # not to be sold without a NAV
    assert track.nav[4:] == pytest.approx([0.605] * 4)
    assert track.gross[3] == pytest.approx(-0.5)
    (payout,) = track.payouts
    assert (payout.month - FIRST, payout.paid - FIRST) == (4, 4 + delay)
    assert payout.amount == pytest.approx(0.605)
    assert track.receivables[4 : 4 + delay] == pytest.approx([0.605] * delay)
    spent = 4 + delay  # the first dealing date on which the money is there
    assert track.holdings[spent] == pytest.approx([0.605, 0])
    assert track.unreported == 2


def test_death_known_on_the_decision_day_is_booked_when_that_decision_deals() -> None:
    track = run(dead_world(0, lag=15))
    (payout,) = track.payouts
    assert payout.month == FIRST + 5


def test_gap_stands_at_the_last_nav_and_takes_the_next_report() -> None:
    returns = np.array([[0.0], [np.nan], [0.21], [0.1]])
    market = Market(FIRST, ("A",), returns, np.array([0.0, 0.01, 0.01, 0.01]))
    signals = flat_signals([FIRST + k for k in range(4)], [[0.9]] * 4)
    track = run(World(market, signals, Terms(), DecisionCalendar(0)))
    assert track.net == pytest.approx([0, 0.21, 0.1])


def test_cash_earns_the_risk_free_rate_until_something_can_be_bought() -> None:
    returns = np.array([[np.nan], [np.nan], [0.0], [0.1]])
    market = Market(FIRST, ("A",), returns, np.array([0.5, 0.01, 0.02, 0.5]))
    signals = flat_signals([FIRST + k for k in range(4)], [[0.9]] * 4)
    track = run(World(market, signals, Terms(), DecisionCalendar(0)))
    assert track.net == pytest.approx([0.01, 0.02, 0.1])
    assert [d.dealt.blocked[0] > 0 for d in track.decisions[:2] if d.dealt] == [True, True]


def test_no_trade_at_the_target() -> None:
    returns = np.full((5, 3), 0.07)
    market = Market(FIRST, ("A", "B", "C"), returns, np.zeros(5))
    signals = flat_signals([FIRST + k for k in range(5)], [[0.5] * 3] * 5)
    track = run(World(market, signals, Terms(1.0, 0.01), DecisionCalendar(0)), equal_weight)
    assert track.traded[1] > 0 and (track.traded[2:] == 0).all() and (track.costs[2:] == 0).all()


def test_a_total_loss_leaves_zeros_not_nans() -> None:
    returns = np.array([[0.0], [-1.0], [0.0], [0.0]])
    market = Market(FIRST, ("A",), returns, np.zeros(4))
    signals = flat_signals([FIRST + k for k in range(4)], [[0.9]] * 4)
    track = run(World(market, signals, Terms(1.0, 0.01), DecisionCalendar(0)))
    assert track.nav[1:] == pytest.approx([0, 0, 0])
    assert track.net == pytest.approx([-1, 0, 0])


def test_markets_that_cannot_be() -> None:
    flat = np.zeros((2, 2))
    for returns, message, where in (
        (np.array([[0, 0], [0, -1.5]]), "a return of -1.5", "fund B, 2001-02"),
        (np.array([[np.inf, 0], [0, 0]]), "a return of inf", "fund A, 2001-01"),
        (np.zeros((3, 2)), "shape (3, 2)", "(2, 2)"),
    ):
        with pytest.raises(InputError) as caught:
            Market(FIRST, ("A", "B"), returns, np.zeros(2))
        assert message in str(caught.value) and where in str(caught.value)
    with pytest.raises(InputError, match="risk-free return is missing in 1 periods"):
        Market(FIRST, ("A", "B"), flat, np.array([0.0, np.nan]))


def test_nothing_decided_or_too_early() -> None:
    market = Market(FIRST + 1, ("A",), np.zeros((2, 1)), np.zeros(2))
    for signals, message in (
        ({}, "nothing is decided"),
        (flat_signals([FIRST], [[0.9]]), "orders deal in 2001-01, before the market begins"),
    ):
        with pytest.raises(InputError, match=message):
            run(World(market, signals, Terms(), DecisionCalendar(0)))


def test_decided_but_never_dealt() -> None:
    market = Market(FIRST, ("A",), np.zeros((1, 1)), np.zeros(1))
    track = run(World(market, flat_signals([FIRST], [[0.9]]), Terms(), DecisionCalendar(15)))
    assert len(track.net) == 0 and track.months == []
    (pending,) = track.decisions
    assert pending.dealt is None and pending.wished == pytest.approx([1.0])


def test_odd_selection_rounds_up() -> None:
    known = flat_signals([FIRST], [[0.5, 0.5, 0.5, np.nan, 0.4]])[FIRST]
    assert select_top(known, 0.5).tolist() == [True, True, False, False, False]
    three = flat_signals([FIRST], [[0.1, 0.2, 0.3]])[FIRST]
    assert select_top(three, 0.5).tolist() == [False, True, True]


def test_orders_are_two_kinds() -> None:
    known = flat_signals([FIRST], [[0.9, 0.1]])[FIRST]
    state = State(np.zeros(2), 1.0)
    assert isinstance(simple_average(state, known, PORTFOLIO), SellAndSpend)
    assert isinstance(equal_weight(state, known, PORTFOLIO), TargetWeights)
    assert weighted_average(state, known, PORTFOLIO) is None  # no AUM at all: no orders
