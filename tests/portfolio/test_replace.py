"""The order of TopK-Drop: who is sold, who gets the places that are then free."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finembed_core.backtest.simulator import Market, Terms, simulate
from finembed_core.errors import InputError
from finembed_core.portfolio.orders import Costs, Replace, Signals, State, indicated_weights, size
from finembed_core.portfolio.rankings import topk_drop, topk_drop_order
from finembed_core.sessions import SessionCalendar
from tests.portfolio.test_rankings import DAYS

WEEK = np.array(["2001-01-02", "2001-01-03", "2001-01-04", "2001-01-05"], dtype="datetime64[D]")
CALENDAR = SessionCalendar(WEEK)
NAMES = "ABCDEF"


def through_the_week(k: int, drop: int, returns=None, cost: float = 0.0):
    """The worked example of the rankings by three sessions, and one to earn."""
    values = np.zeros((4, 6)) if returns is None else np.array(returns, dtype=float)
    days = CALENDAR.sessions()
    market = Market(days[0], tuple(NAMES), values, np.zeros(4))
    yes, none = np.ones(6, dtype=bool), np.full(6, np.nan)
    scores = [np.array([float(day[name]) for name in NAMES]) for day in DAYS]
    signals = {d: Signals(d, yes, p, none) for d, p in zip(days, scores, strict=False)}

    def policy(state: State, known: Signals) -> Replace:
        return topk_drop_order(known.p_up, state.taken, known.eligible, k, drop)

    return simulate(market, signals, policy, Terms(1.0, cost), CALENDAR)


def held(track, row: int) -> str:
    return "".join(NAMES[k] for k in np.flatnonzero(track.holdings[row]))


@pytest.mark.parametrize(
    ("drop", "after"), [(1, ["ABC", "BCD", "ABC"]), (2, ["ABC", "BDE", "ABC"])]
)
def test_the_worked_example_through_the_ledger(drop: int, after: list[str]) -> None:
    track = through_the_week(3, drop)
    assert [held(track, row) for row in range(3)] == after
    assert track.cash == pytest.approx(np.zeros(4), abs=1e-15)


def test_money_of_the_worked_example() -> None:
    """Costs 1%. A third of 1/1.01 each: 0.330033. A +20%, B -10%: 0.396040, 0.297030.

    Day 2 sells A for 0.396040 x 0.99 = 0.392079; D gets all of it: 0.388197 after its cost. B and
    C are not touched: TopK-Drop does not reset to equal weights.
    """
    returns = np.zeros((4, 6))
    returns[1, :2] = 0.2, -0.1
    track = through_the_week(3, 1, returns, cost=0.01)
    assert track.holdings[0, :3] == pytest.approx([0.3300330] * 3)
    assert track.holdings[1] == pytest.approx([0, 0.2970297, 0.3300330, 0.3881972, 0, 0])
    assert track.costs[2] == pytest.approx(0.0039604 + 0.0038820, abs=1e-7)


def test_a_blocked_sale_frees_no_place_and_a_blocked_purchase_passes_its_place_on() -> None:
    returns = np.zeros((4, 6))
    returns[1, 0] = np.nan  # A cannot be sold for D
    assert [held(through_the_week(3, 1, returns), row) for row in (0, 1)] == ["ABC", "ABC"]
    returns[1] = [0, 0, 0, np.nan, 0, 0]  # D cannot be bought: E is next
    track = through_the_week(3, 1, returns)
    assert held(track, 1) == "BCE"
    dealt = track.decisions[1].dealt
    assert dealt is not None and dealt.blocked == pytest.approx([0, 0, 0, 1 / 3, 0, 0])


def test_cash_is_shared_by_those_bought() -> None:
    """Two places, one candidate left: it gets all; none left: the cash stays."""
    state = State(np.array([0.0, 0.4, 0.0]), 0.6)
    order = Replace(np.zeros(3, dtype=bool), np.array([2, 0]), 3)
    assert size(order, state, np.array([True, True, True]), 0.0) == pytest.approx([0.3, 0, 0.3])
    assert size(order, state, np.array([True, True, False]), 0.0) == pytest.approx([0.6, 0, 0])
    assert size(order, state, np.array([False, True, False]), 0.0).tolist() == [0, 0, 0]
    assert indicated_weights(order, state) == pytest.approx([0.3, 0.4, 0.3])


@given(
    scores=arrays(float, 12, elements=st.floats(-5, 5)),
    holds=arrays(bool, 12),
    dealable=arrays(bool, 12),
    k=st.integers(1, 8),
    drop=st.integers(0, 8),
)
@settings(max_examples=150)
def test_never_more_than_k_and_never_more_than_there_is(scores, holds, dealable, k, drop) -> None:
    state = State(holds * 1.0, 0.5)
    everyone = np.ones(12, dtype=bool)
    order = topk_drop_order(scores, holds, everyone, k, drop)
    amounts = size(order, state, dealable, Costs.both_ways(0.01))
    after = state.holdings + amounts
    sold = holds & (after == 0.0)
    assert np.count_nonzero(after) <= max(k, holds.sum() - sold.sum())
    assert not amounts[~dealable].any() and (after >= 0.0).all()
    assert sold.sum() <= drop
    assert state.cash - amounts.sum() - 0.01 * np.abs(amounts).sum() >= -1e-12
    bought = amounts[amounts > 0]
    assert bought == pytest.approx(np.full(len(bought), bought.max(initial=0.0)))


@given(
    scores=arrays(float, 12, elements=st.floats(-5, 5)),
    holds=arrays(bool, 12),
    k=st.integers(1, 8),
    drop=st.integers(0, 8),
)
def test_where_everything_deals_it_is_topk_drop(scores, holds, k, drop) -> None:
    everyone = np.ones(12, dtype=bool)
    done = topk_drop(scores, holds, everyone, everyone, k, drop)
    wanted = holds.copy()
    wanted[done.sell], wanted[done.buy] = False, True
    order = topk_drop_order(scores, holds, everyone, k, drop)
    after = holds + size(order, State(holds * 1.0, 0.5), everyone, 0.0)
    assert np.array_equal(after > 0.0, wanted)


@pytest.mark.parametrize("order", [([0], [0, 0], 1), ([0, 1], [2], 1), ([0, 1], [0], -1)])
def test_a_replacement_that_does_not_fit(order) -> None:
    sell, buy, k = order
    wrong = Replace(np.array(sell, dtype=bool), np.array(buy), k)
    days = CALENDAR.sessions()
    market = Market(days[0], ("A", "B"), np.zeros((4, 2)), np.zeros(4))
    signals = {days[0]: Signals(days[0], np.ones(2, dtype=bool), np.zeros(2), np.zeros(2))}
    with pytest.raises(InputError, match="does not fit 2 funds") as caught:
        simulate(market, signals, lambda state, known: wrong, Terms(), CALENDAR)
    assert "decision of 2001-01-02" in str(caught.value)
