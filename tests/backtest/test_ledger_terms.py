"""The ledger on terms against a second one in plain Python, its invariants, and worked examples."""

import dataclasses
import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.backtest.queue import Block
from finembed_core.backtest.simulator import Market, Terms, Track, dealing_months, simulate
from finembed_core.backtest.terms import DealingTerms
from finembed_core.calendar import DecisionCalendar, Month, month_range
from finembed_core.portfolio.orders import Costs, SellAndSpend, Signals, State, TargetWeights
from finembed_core.portfolio.policies import (
    aum_weight,
    equal_weight,
    simple_average,
    weighted_average,
)
from finembed_core.settings import PortfolioSettings
from tests.backtest.plain_terms import PlainAccount, PlainTerms
from tests.backtest.worlds import FIRST, World, world, world_on_terms

PORTFOLIO = PortfolioSettings()
POLICIES = {"sa": simple_average, "wa": weighted_average, "equal": equal_weight}
WORLDS = {
    "seed": st.integers(0, 10**6),
    "name": st.sampled_from(sorted(POLICIES)),
    "lag": st.sampled_from([0, 15, 30]),
    "delay": st.sampled_from([0, 3]),
}


def run(made: World, policy) -> Track:
    return simulate(
        made.market,
        made.signals,
        lambda state, known: policy(state, known, PORTFOLIO),
        made.terms,
        made.calendar,
    )


def run_plain(made: World, name: str) -> tuple[PlainAccount, list[dict]]:
    """The account after the last month, and what stood at the end of each."""
    market, ids = made.market, made.market.ids
    assert made.terms.dealing is not None
    columns = zip(*(v.tolist() for v in vars(made.terms.dealing).values()), strict=True)
    terms = {fund: PlainTerms(*row) for fund, row in zip(ids, columns, strict=True)}
    deals = dealing_months(list(made.signals), made.calendar)
    book = PlainAccount(made.terms.initial_nav, made.terms.delay, terms)
    rows: list[dict] = []
    for month in month_range(min(deals), market.last):
        decided = deals.get(month)
        taken = book.taken()
        row = market.returns[market.row(month)]
        reported = {i: None if np.isnan(r) else float(r) for i, r in zip(ids, row, strict=True)}
        open_ = {fund for fund, value in reported.items() if value is not None}
        if month > min(deals):
            book.month(month, reported, float(market.risk_free[market.row(month)]))
            for death in market.deaths:
                if death.month == month:
                    book.death(month, ids[death.fund], death.terminal)
        nav = book.nav()
        taken = book.taken() if decided == month else taken
        book.fees = 0.0
        known = None if decided is None else made.signals[decided]
        order = None if known is None else ordered(name, known, ids, taken)
        if order is None:
            book.nothing_new(month, open_)
        elif decided is not None and decided < market.last:
            day = made.calendar.decision_day(decided)
            if isinstance(order, dict):
                book.reset(order, month, decided, day, open_)
            else:
                book.swap(*order, month, decided, day, open_)
        rows.append(
            {
                "nav": nav,
                "fees": book.fees,
                "cash": book.cash,
                "owed": book.owed(),
                "funds": [book.value(fund) for fund in ids],
            }
        )
    return book, rows


def ordered(name, known, ids, taken):
    """Weights, or whom to leave and whom to join; None where there is nothing to go by."""
    ranked = sorted(
        (-p, fund)
        for fund, p, ok in zip(ids, known.p_up, known.eligible, strict=True)
        if ok and not np.isnan(p)
    )
    selected = {fund for _, fund in ranked[: (len(ranked) + 1) // 2]}
    if name == "sa":
        return (taken - selected, selected - taken) if selected else None
    aum = {f: a for f, a in zip(ids, known.aum.tolist(), strict=True) if not np.isnan(a)}
    sizes = {f: aum[f] for f in selected & set(aum)}
    if name == "equal":
        sizes = {f: 1.0 for f, ok in zip(ids, known.eligible, strict=True) if ok}
    return {f: a / sum(sizes.values()) for f, a in sizes.items()} or None


def dealt_lines(track: Track, ids) -> dict[tuple, float]:
    assert track.executed is not None
    found = {}
    for executed in track.executed:
        for k in np.flatnonzero(executed.lines.why == 0):
            line = executed.lines
            side = "buy" if line.buys[k] else "sell"
            key = (ids[line.fund[k]], side, Month(line.decided[k]), Month(line.date[k]))
            if not executed.pending:
                found[key] = line.amount[k]
    return found


def waiting_lines(track: Track, ids) -> set[tuple]:
    assert track.executed is not None
    return {
        (
            ids[e.lines.fund[k]],
            "buy" if e.lines.buys[k] else "sell",
            Month(e.lines.decided[k]),
            Month(e.lines.date[k]),
            Block(e.lines.why[k]).name.lower(),
        )
        for e in track.executed
        for k in np.flatnonzero(e.lines.why)
        if not e.pending
    }


# What the simulator made of these worlds before it knew terms: last NAV, costs, amounts traded.
BEFORE_TERMS = (
    ((1, "sa", 0, 0.01, 0), 0.6108941161641981, 0.06355075589930458, 6.355075589930457),
    (
        (2, "sa", 15, 0.001, 3),
        0.622444984645142,
        0.005962016304288834,
        5.9620163042888334,
    ),
    (
        (3, "wa", 0, 0.01, 1),
        0.8892352063939727,
        0.1419935372411892,
        14.19935372411892,
    ),
    (
        (4, "wa", 30, 0.1, 0),
        0.34939367579550834,
        0.6507976557592896,
        6.507976557592897,
    ),
    ((5, "equal", 0, 0.01, 2), 0.9552925360888714, 0.06509927836224502, 6.509927836224503),
    (
        (6, "equal", 45, 0.001, 0),
        1.1166326479593203,
        0.008055988980280685,
        8.055988980280686,
    ),
    ((7, "aum", 15, 0.01, 1), 0.4361957921679223, 0.09751036388434711, 9.751036388434708),
    ((11, "sa", 45, 0.1, 1), 0.6611968025646506, 0.4545194478280696, 4.545194478280696),
)


@pytest.mark.parametrize(("how", "nav", "costs", "traded"), BEFORE_TERMS)
def test_without_terms_nothing_has_changed(how, nav: float, costs: float, traded: float) -> None:
    seed, name, lag, cost, delay = how
    policy = aum_weight if name == "aum" else POLICIES[name]
    track = run(world(seed, lag=lag, cost=cost, delay=delay), policy)
    found = track.nav[-1], track.costs.sum(), track.traded.sum()
    assert found == pytest.approx((nav, costs, traded), rel=1e-14)  # sums differ between CPUs


@given(**WORLDS)
@settings(max_examples=60, deadline=None)
def test_equals_the_plain_account(seed: int, name: str, lag: int, delay: int) -> None:
    made = world_on_terms(seed, lag=lag, delay=delay)
    track = run(made, POLICIES[name])
    book, rows = run_plain(made, name)
    assert track.nav == pytest.approx([row["nav"] for row in rows], rel=1e-9)
    assert track.costs[1:] == pytest.approx([row["fees"] for row in rows][:-1], abs=1e-9)
    assert track.cash == pytest.approx([row["cash"] for row in rows], abs=1e-9)
    assert track.receivables == pytest.approx([row["owed"] for row in rows], abs=1e-9)
    for k, row in enumerate(rows):
        assert track.holdings[k] == pytest.approx(row["funds"], rel=1e-9, abs=1e-9)
    ids = made.market.ids
    ours = {key: money for key, money in dealt_lines(track, ids).items() if money > 1e-9}
    theirs = {entry[:4]: entry[4] for entry in book.log if entry[4] > 1e-9}
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)
    assert waiting_lines(track, ids) == set(book.held_up)


@given(**WORLDS)
@settings(max_examples=25, deadline=None)
def test_invariants(seed: int, name: str, lag: int, delay: int) -> None:
    track = run(world_on_terms(seed, lag=lag, delay=delay), POLICIES[name])
    after = track.holdings.sum(axis=1) + track.cash + track.receivables
    assert after[:-1] == pytest.approx(track.nav[:-1] - track.costs[1:], rel=1e-9)
    assert np.cumprod(1 + track.net) == pytest.approx(track.nav[1:] / track.nav[0], rel=1e-9)
    assert track.net == pytest.approx(track.gross - track.cost, abs=1e-15)
    assert (track.cash >= 0).all() and (track.holdings >= 0).all()


@given(**WORLDS)
@settings(max_examples=25, deadline=None)
def test_what_is_dealt_keeps_the_terms(seed: int, name: str, lag: int, delay: int) -> None:
    made = world_on_terms(seed, lag=lag, delay=delay)
    terms, track = made.terms.dealing, run(made, POLICIES[name])
    assert terms is not None and track.executed is not None
    for executed in track.executed:
        lines = executed.lines
        assert (lines.amount > 0).all()
        every = np.where(
            lines.buys, terms.subscription_every[lines.fund], terms.redemption_every[lines.fund]
        )
        assert (
            (lines.date + 1) % np.maximum(every, 1) == 0
        ).all()  # dealing dates, by the calendar year
        for k in np.flatnonzero(~lines.buys):
            day = made.calendar.decision_day(Month(lines.decided[k]))
            notice = dt.timedelta(days=int(terms.notice_days[lines.fund[k]]))
            assert Month(lines.date[k]).end >= day + notice


@given(seed=WORLDS["seed"], name=WORLDS["name"])
@settings(max_examples=25, deadline=None)
def test_order_of_funds_does_not_matter(seed: int, name: str) -> None:
    """Ties of P(up) go by fund id, so distinct ones here."""
    made = world_on_terms(seed, funds=7, lag=15, delay=1)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(made.market.ids))
    place = np.argsort(order)
    signals = {
        m: dataclasses.replace(s, p_up=s.p_up + rng.uniform(0, 1e-6, len(s.p_up)))
        for m, s in made.signals.items()
    }
    made = dataclasses.replace(made, signals=signals)
    assert made.terms.dealing is not None
    market = dataclasses.replace(
        made.market,
        ids=tuple(np.array(made.market.ids)[order]),
        returns=made.market.returns[:, order],
        deaths=tuple(dataclasses.replace(d, fund=int(place[d.fund])) for d in made.market.deaths),
    )
    shuffled = {
        m: Signals(m, s.eligible[order], s.p_up[order], s.aum[order]) for m, s in signals.items()
    }
    terms = dataclasses.replace(made.terms, dealing=made.terms.dealing.select(order))
    one = run(made, POLICIES[name])
    other = run(World(market, shuffled, terms, made.calendar), POLICIES[name])
    assert one.nav == pytest.approx(other.nav, rel=1e-12)
    assert one.holdings == pytest.approx(other.holdings[:, place], rel=1e-10, abs=1e-13)


def test_a_later_month_changes_nothing_before_it() -> None:
    for lag in (0, 15, 45):
        made = world_on_terms(7, lag=lag, delay=1)
        market = made.market
        shorter = dataclasses.replace(
            market, returns=market.returns[:-5], risk_free=market.risk_free[:-5]
        )
        known = {m: s for m, s in made.signals.items() if m <= shorter.last}
        long = run(made, simple_average)
        short = run(dataclasses.replace(made, market=shorter, signals=known), simple_average)
        n = len(short.nav)
        assert (short.nav == long.nav[:n]).all()
        assert (short.holdings[:-1] == long.holdings[: n - 1]).all()


@given(seed=WORLDS["seed"], lag=WORLDS["lag"], delay=WORLDS["delay"])
@settings(max_examples=12, deadline=None)
def test_ordinary_terms_are_no_terms(seed: int, lag: int, delay: int) -> None:
    """Two ways through the code, one result: every fund deals every month, at once, in full."""
    made = world(seed, lag=lag, cost=0.01, delay=delay)
    ordinary = DealingTerms.none(len(made.market.ids), Costs.both_ways(0.01))
    assert ordinary.ordinary
    terms = dataclasses.replace(made.terms, dealing=ordinary)
    one = run(made, simple_average)
    other = run(dataclasses.replace(made, terms=terms), simple_average)
    assert other.nav == pytest.approx(one.nav, rel=1e-12)
    assert other.holdings == pytest.approx(one.holdings, rel=1e-10, abs=1e-13)
    assert other.cash == pytest.approx(one.cash, abs=1e-12)
    for d, e in zip(one.decisions, other.decisions, strict=True):
        assert d.target == pytest.approx(e.target, abs=1e-12)
        if d.dealt is not None and e.dealt is not None:
            assert d.dealt.amounts == pytest.approx(e.dealt.amounts, abs=1e-12)
            stuck = [np.minimum(x.dealt.blocked, 0.0) for x in (d, e)]  # what cannot be sold
            assert stuck[0] == pytest.approx(stuck[1], abs=1e-12)


# Worked by hand: funds A, B, ... from 2001-01, orders by month, nothing decided in the others -----


def story(returns, terms: dict, plan: dict[int, SellAndSpend | TargetWeights], rate=0.0, cash=1.0):
    values = np.array(returns, dtype=float)
    months, n = values.shape
    whole = {k: np.array(v) for k, v in terms.items()}
    own = dataclasses.replace(DealingTerms.none(n), **{"waits": np.ones(n, dtype=bool), **whole})
    market = Market(FIRST, tuple("ABCDEF"[:n]), values, np.full(months, rate))
    nothing, yes = np.full(n, np.nan), np.ones(n, dtype=bool)
    signals = {FIRST + k: Signals(FIRST + k, yes, nothing, nothing) for k in range(months)}
    seen: dict[int, State] = {}

    def policy(state: State, known: Signals):
        seen[known.month - FIRST] = state
        return plan.get(known.month - FIRST)

    track = simulate(market, signals, policy, Terms(cash, 0.0, 0, own), DecisionCalendar(0))
    return track, seen


def dealt(track: Track) -> list[tuple]:
    found = dealt_lines(track, "ABCDEF").items()
    return [(f, s, d - FIRST, at - FIRST, pytest.approx(m)) for (f, s, d, at), m in found]


def waited(track: Track) -> list[tuple]:
    found = sorted(waiting_lines(track, "ABCDEF"), key=lambda line: (line[3], line[0]))
    return [(f, s, d - FIRST, at - FIRST, why) for f, s, d, at, why in found]


def buy(*shares: float) -> SellAndSpend:
    return SellAndSpend(np.zeros(len(shares)), np.array(shares))


def sell(*shares: float) -> SellAndSpend:
    return SellAndSpend(np.array(shares), np.zeros(len(shares)))


@pytest.mark.parametrize(("decided", "deals", "why"), [(1, 2, "frequency"), (2, 5, "notice")])
def test_notice_over_a_quarter_end(decided: int, deals: int, why: str) -> None:
    """30 days' notice on February 28 reach March 31; on March 31 only June 30."""
    terms = {"redemption_every": [3], "notice_days": [30]}
    track, _ = story(np.zeros((8, 1)), terms, {0: buy(1.0), decided: sell(1.0)})
    assert dealt(track) == [("A", "buy", 0, 0, 1.0), ("A", "sell", decided, deals, 1.0)]
    assert waited(track) == [("A", "sell", decided, deals, why)]
    assert track.holdings[deals - 1, 0] == 1.0 and track.holdings[deals, 0] == 0.0


def test_lock_up() -> None:
    """Bought in January and March, three months locked: half can leave in April, half in June."""
    plan = {0: buy(0.5), 2: buy(1.0), 3: sell(1.0)}
    track, _ = story(np.zeros((8, 1)), {"lockup_months": [3]}, plan)
    assert dealt(track) == [
        ("A", "buy", 0, 0, 0.5),
        ("A", "buy", 2, 2, 0.5),
        ("A", "sell", 3, 3, 0.5),
        ("A", "sell", 3, 5, 0.5),
    ]
    assert waited(track) == [("A", "sell", 3, 4, "lockup"), ("A", "sell", 3, 5, "lockup")]


def test_gate_over_three_dates() -> None:
    """40% of the units on each date: 0.4, 0.4, 0.2, at 10% growth a month; each is an order's."""
    track, _ = story(np.full((6, 1), 0.1), {"gate": [0.4]}, {0: buy(1.0), 1: sell(1.0)})
    assert dealt(track) == [
        ("A", "buy", 0, 0, 1.0),
        ("A", "sell", 1, 1, 0.4 * 1.1),
        ("A", "sell", 1, 2, 0.4 * 1.21),
        ("A", "sell", 1, 3, 0.2 * 1.331),
    ]
    assert waited(track) == [("A", "sell", 1, 2, "gate"), ("A", "sell", 1, 3, "gate")]
    assert track.holdings[3, 0] == 0.0


def test_payment_delay() -> None:
    """Sold in February, paid in April: owed and without interest until then, not to be spent."""
    plan = {0: buy(1.0, 0.0), 1: SellAndSpend(np.array([1.0, 0.0]), np.array([0.0, 1.0]))}
    plan |= {k: buy(0.0, 1.0) for k in (2, 3)}
    track, seen = story(np.zeros((6, 2)), {"payment_months": [2, 0]}, plan, rate=0.01)
    assert track.receivables == pytest.approx([0, 1, 1, 0, 0, 0])
    assert dealt(track)[1:] == [("A", "sell", 1, 1, 1.0), ("B", "buy", 3, 3, 1.0)]
    assert (seen[2].cash, seen[2].receivables, seen[2].nav) == pytest.approx((0.0, 1.0, 1.0))
    assert track.executed is not None
    assert [Month(e.lines.settle[0]) - FIRST for e in track.executed[:2]] == [0, 3]


def test_fees_by_side() -> None:
    """1% to come in, 1% and a fee of 2% to go out."""
    terms = {"buy_cost": [0.01], "sell_cost": [0.03]}
    track, _ = story(np.zeros((4, 1)), terms, {0: buy(1.0), 1: sell(1.0)}, cash=101.0)
    assert track.nav == pytest.approx([101, 100, 97, 97])
    assert track.costs == pytest.approx([0, 1, 3, 0])


def test_committed_money_earns_interest_and_is_not_spent_twice() -> None:
    """Half goes to quarterly A, which deals in March; a later order gets half of the rest."""
    terms = {"subscription_every": [3, 1]}
    plan = {0: buy(0.5, 0.0), 1: buy(0.0, 0.5)}
    track, seen = story(np.zeros((5, 2)), terms, plan, rate=0.1)
    assert waited(track) == [("A", "buy", 0, 2, "frequency")]
    assert seen[1].committed.tolist() == [0.5, 0.0]
    assert (seen[1].cash, seen[1].nav) == pytest.approx((0.6, 1.1))
    assert dealt(track) == [("B", "buy", 1, 1, 0.3), ("A", "buy", 0, 2, 0.5)]
    assert track.cash[1:3] == pytest.approx([0.8, 0.38])


def test_the_same_wish_again_keeps_its_place() -> None:
    """Each month sells all of A: the notice of the first time counts."""
    plan = {0: buy(1.0), **{k: sell(1.0) for k in range(1, 6)}}
    track, seen = story(np.full((7, 1), 0.02), {"notice_days": [65]}, plan)
    assert [line[:4] for line in dealt(track)] == [("A", "buy", 0, 0), ("A", "sell", 1, 4)]
    assert waited(track) == [("A", "sell", 1, 4, "notice")]
    assert seen[3].redeeming == pytest.approx(seen[3].holdings)


def test_a_smaller_wish_withdraws_the_newest_first() -> None:
    """40% in February, 70% in March: two orders; 50% in April leaves 0.4 and 0.1 of them."""
    plan = {0: buy(1.0), 1: sell(0.4), 2: sell(0.7), 3: sell(0.5)}
    track, _ = story(np.zeros((9, 1)), {"notice_days": [95]}, plan)
    assert dealt(track)[1:] == [("A", "sell", 1, 5, 0.4), ("A", "sell", 2, 6, 0.1)]


def test_the_opposite_wish_cancels_before_it_deals() -> None:
    terms = {"notice_days": [95, 0], "subscription_every": [1, 12]}
    plan = {0: buy(0.5, 0.2), 1: sell(1.0, 0.0), 2: buy(1.0, 0.0), 3: sell(0.0, 1.0)}
    track, seen = story(np.zeros((14, 2)), terms, plan)
    assert dealt(track) == [("A", "buy", 0, 0, 0.5), ("A", "buy", 2, 2, 0.3)]
    assert (seen[2].redeeming[0], seen[3].redeeming[0]) == (0.5, 0.0)
    assert (seen[3].cash, seen[4].cash) == pytest.approx((0.0, 0.2))  # B's money comes back
    assert seen[4].committed.sum() == 0.0


def test_weights_net_against_what_waits() -> None:
    """B is to have half: the money waits for June; the next reset finds it there and adds none."""
    terms = {"subscription_every": [1, 6]}
    half = TargetWeights(np.array([0.5, 0.5]))
    track, seen = story(np.zeros((8, 2)), terms, dict.fromkeys(range(6), half))
    assert dealt(track) == [("A", "buy", 0, 0, 0.5), ("B", "buy", 0, 5, 0.5)]
    assert seen[4].nav == pytest.approx(1.0) and seen[4].cash == 0.0


def test_weights_with_too_little_cash_scale_their_purchases() -> None:
    """A (all of it) leaves with a notice; meanwhile a tenth of cash is shared one to two."""
    plan = {0: buy(0.9, 0.0, 0.0), 1: TargetWeights(np.array([0.0, 1 / 3, 2 / 3]))}
    terms = {"notice_days": [65, 0, 0]}
    track, _ = story(np.zeros((8, 3)), terms, plan)
    assert dealt(track)[1:] == [
        ("B", "buy", 1, 1, 0.1 / 3),
        ("C", "buy", 1, 1, 0.2 / 3),
        ("A", "sell", 1, 4, 0.9),
    ]


def test_a_gap_and_a_death_in_the_queue() -> None:
    """A reports nothing in March: its order goes on to April. Without terms it would lapse."""
    returns = np.zeros((6, 1))
    returns[2] = np.nan
    plan = {0: buy(1.0), 2: sell(1.0)}
    track, _ = story(returns, {}, plan)
    assert dealt(track)[1:] == [("A", "sell", 2, 3, 1.0)]
    assert waited(track) == [("A", "sell", 2, 3, "no_nav")]
    lapsed, _ = story(returns, {"waits": [False]}, plan)
    assert len(dealt(lapsed)) == 1 and waited(lapsed) == []
    assert [d.dealt.blocked[0] for d in lapsed.decisions if d.dealt] == [0.0, -1.0]


def test_orders_end_with_the_fund() -> None:
    """A dies in May before its redemption, B before money got in: no order is left of either."""
    from finembed_core.backtest.market import Death

    returns = np.zeros((8, 2))
    returns[4:] = np.nan
    made = world_on_terms(0, funds=2, months=8)
    terms = dataclasses.replace(
        DealingTerms.none(2),
        redemption_every=np.array([12, 1]),
        subscription_every=np.array([1, 12]),
        waits=np.ones(2, dtype=bool),
    )
    deaths = (Death(FIRST + 4, 0, -0.5, "unknown"), Death(FIRST + 4, 1, -0.5, "unknown"))
    market = Market(FIRST, ("A", "B"), returns, np.zeros(8), deaths)
    plan = {0: buy(0.6, 0.4), 1: sell(1.0, 0.0)}
    states: list[State] = []

    def policy(state: State, known: Signals):
        states.append(state)
        return plan.get(known.month - FIRST)

    track = simulate(market, made.signals, policy, Terms(1.0, 0.0, 1, terms), DecisionCalendar(0))
    (payout,) = track.payouts
    assert payout.amount == pytest.approx(0.3)
    assert states[3].redeeming[0] == 0.6 and states[3].committed[1] == 0.4
    assert states[4].redeeming[0] == 0.0 and states[4].committed[1] == 0.0
    assert states[4].cash == pytest.approx(0.4) and states[5].cash == pytest.approx(0.7)


def test_the_newest_orders_say_when_they_would_deal() -> None:
    terms = {"redemption_every": [3], "notice_days": [30]}
    track, _ = story(np.zeros((3, 1)), terms, {0: buy(1.0), 2: sell(1.0)})
    assert track.executed is not None
    (newest,) = [e for e in track.executed if e.pending]
    assert Month(newest.lines.date[0]) - FIRST == 5
    assert Block(newest.lines.why[0]) is Block.NOTICE
    assert track.holdings[-1, 0] == 1.0
