"""Dealing on terms worked by hand: funds A, B, ... from 2001-01, orders by month."""

import dataclasses

import numpy as np
import pytest

from finembed_core.backtest.queue import Block
from finembed_core.backtest.simulator import Death, Market, Terms, Track, simulate
from finembed_core.backtest.terms import DealingTerms
from finembed_core.calendar import DecisionCalendar, Month
from finembed_core.portfolio.orders import (
    Orders,
    Replace,
    SellAndSpend,
    Signals,
    State,
    TargetWeights,
)
from tests.backtest.plain_runs import dealt_lines, waiting_lines
from tests.backtest.worlds import FIRST, world_on_terms


def story(returns, terms: dict, plan: dict[int, Orders], rate=0.0, cash=1.0):
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
    return [
        (f, s, d - FIRST.ordinal, at - FIRST.ordinal, pytest.approx(m))
        for (f, s, d, at), m in found
    ]


def waited(track: Track) -> list[tuple]:
    found = sorted(waiting_lines(track, "ABCDEF"), key=lambda line: (line[3], line[0]))
    return [(f, s, d - FIRST.ordinal, at - FIRST.ordinal, why) for f, s, d, at, why in found]


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


def test_a_place_is_free_when_its_sale_deals() -> None:
    """Two places. B leaves for C with 65 days' notice: its place, and its money, in May only."""
    terms = {"notice_days": [0, 65, 0]}
    swap = Replace(np.array([False, True, False]), np.array([2]), 2)
    plan = {0: buy(0.5, 0.5, 0.0), **dict.fromkeys(range(1, 6), swap)}
    track, seen = story(np.zeros((7, 3)), terms, plan)
    assert dealt(track)[2:] == [("B", "sell", 1, 4, 0.5), ("C", "buy", 4, 4, 0.5)]
    assert seen[3].redeeming.tolist() == [0, 0.5, 0] and seen[3].committed.sum() == 0.0


def test_a_purchase_that_waits_has_its_place() -> None:
    """B takes money in March: the second place is its own until then, and C never comes in."""
    terms = {"subscription_every": [1, 3, 1]}
    both = Replace(np.zeros(3, dtype=bool), np.array([0, 1, 2]), 2)
    track, seen = story(np.zeros((5, 3)), terms, dict.fromkeys(range(4), both))
    assert dealt(track) == [("A", "buy", 0, 0, 0.5), ("B", "buy", 0, 2, 0.5)]
    assert seen[1].committed.tolist() == [0, 0.5, 0]


def test_the_newest_orders_say_when_they_would_deal() -> None:
    terms = {"redemption_every": [3], "notice_days": [30]}
    track, _ = story(np.zeros((3, 1)), terms, {0: buy(1.0), 2: sell(1.0)})
    assert track.executed is not None
    (newest,) = [e for e in track.executed if e.pending]
    assert Month(newest.lines.date[0]) - FIRST == 5
    assert Block(newest.lines.why[0]) is Block.NOTICE
    assert track.holdings[-1, 0] == 1.0


@pytest.mark.parametrize(("months", "due"), [(3, 5), (6, 5)])
def test_what_waits_is_listed_where_the_newest_decision_has_no_orders(
    months: int, due: int
) -> None:
    """Sold in February for June: listed at the end of March, and in June, when it deals."""
    terms = {"redemption_every": [3], "notice_days": [65]}
    track, _ = story(np.zeros((months, 1)), terms, {0: buy(1.0), 1: sell(1.0)})
    assert track.waiting is not None and track.waiting.pending
    (fund,), (decided,) = track.waiting.lines.fund, track.waiting.lines.decided
    assert (fund, decided, track.waiting.lines.date[0]) == (
        0,
        (FIRST + 1).ordinal,
        FIRST.ordinal + due,
    )
    assert track.waiting.lines.amount[0] == 1.0 and track.waiting.nav == 1.0
    assert track.holdings[-1, 0] == 1.0  # pending, as all that deals with the newest decision


def test_nothing_waits_where_nothing_was_ordered() -> None:
    track, _ = story(np.zeros((3, 1)), {"redemption_every": [3]}, {0: buy(1.0)})
    assert track.waiting is not None and len(track.waiting.lines.fund) == 0
