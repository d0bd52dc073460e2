"""Short positions: against a plain book, worked by hand, and what becomes of a ruined portfolio."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.backtest.contributions import contributions
from finembed_core.backtest.simulator import Death, Market, Terms, Track, simulate
from finembed_core.backtest.tables import strategy_tables
from finembed_core.backtest.terms import DealingTerms
from finembed_core.calendar import DecisionCalendar
from finembed_core.errors import InputError
from finembed_core.portfolio.orders import SellAndSpend, Signals, State, TargetWeights
from tests.backtest.plain_shorts import PlainShorts
from tests.backtest.worlds import FIRST, world

CALENDAR = DecisionCalendar(0)
BORROW_BPS = 3650.0  # a thousandth per day


def signed_weights(seed: int, months: int, funds: int) -> np.ndarray:
    """Books of every kind: neutral, 130/30, net short; gross exposure up to 3."""
    rng = np.random.default_rng(seed + 1)
    weights = rng.normal(0, 0.4, (months, funds)) * (rng.random((months, funds)) < 0.8)
    net = weights.sum(axis=1, keepdims=True)
    weights -= np.where(net > 1.0, (net - 1.0) / funds, 0.0)
    return weights * np.minimum(1.0, 3.0 / np.abs(weights).sum(axis=1, keepdims=True).clip(1e-9))


def run(seed: int, cost: float, delay: int, borrow_bps: float) -> tuple[Track, Market, np.ndarray]:
    made = world(seed, cost=cost, delay=delay)
    market = dataclasses.replace(made.market, returns=0.5 * made.market.returns)
    weights = signed_weights(seed, len(market.returns), len(market.ids))

    def policy(state: State, known: Signals) -> TargetWeights:
        return TargetWeights(weights[known.month - FIRST])

    terms = Terms(1.0, cost, delay, shorts=True, borrow_bps=borrow_bps)
    return simulate(market, made.signals, policy, terms, CALENDAR), market, weights


WORLDS = {
    "seed": st.integers(0, 10**6),
    "cost": st.sampled_from([0.0, 0.001, 0.02]),
    "delay": st.sampled_from([0, 2]),
    "borrow_bps": st.sampled_from([0.0, 50.0, BORROW_BPS]),
}


@given(**WORLDS)
@settings(max_examples=120, deadline=None)
def test_equals_the_plain_book(seed: int, cost: float, delay: int, borrow_bps: float) -> None:
    track, market, weights = run(seed, cost, delay, borrow_bps)
    book = PlainShorts(1.0, cost, delay)
    for k, month in enumerate(track.months):
        row = market.returns[k].tolist()
        reported = {f: None if np.isnan(r) else r for f, r in zip(market.ids, row, strict=True)}
        if k:
            fee = borrow_bps / 1e4 * (month.end - (month - 1).end).days / 365
            book.month(k, reported, market.risk_free[k], fee)
            for death in market.deaths:
                if death.month == month:
                    book.death(k, market.ids[death.fund], death.terminal)
        if track.ruin is not None and month == track.ruin.month:
            assert book.nav() == pytest.approx(track.ruin.nav, abs=1e-9) and book.nav() <= 0.0
            assert (track.nav[k:] == 0.0).all()
            return
        assert book.nav() == pytest.approx(track.nav[k], rel=1e-8, abs=1e-10)
        assert book.borrowed == pytest.approx(track.borrow_fees[k], abs=1e-10)
        if month < market.last:
            book.fees = 0.0
            names = [fund for fund, value in reported.items() if value is not None]
            book.reset(dict(zip(market.ids, weights[k].tolist(), strict=True)), names)
            assert book.fees == pytest.approx(track.costs[k + 1], abs=1e-9)
        assert book.cash == pytest.approx(track.cash[k], abs=1e-9)
        assert book.debts == pytest.approx(track.payables[k], abs=1e-9)
        dense = [book.funds.get(fund, 0.0) for fund in market.ids]
        assert track.holdings[k] == pytest.approx(dense, rel=1e-8, abs=1e-9)


@given(**WORLDS)
@settings(max_examples=60, deadline=None)
def test_invariants(seed: int, cost: float, delay: int, borrow_bps: float) -> None:
    track, market, _ = run(seed, cost, delay, borrow_bps)
    assert (track.cash >= 0).all() and (track.payables >= 0).all() and (track.nav >= 0).all()
    before_ruin = len(track.nav) - 1 if track.ruin is None else track.ruin.month - track.first
    opening = (track.nav[:-1] - track.costs[1:])[:before_ruin]
    assert track.nav_after[:-1][:before_ruin] == pytest.approx(opening, rel=1e-9, abs=1e-12)
    assert np.cumprod(1 + track.net) == pytest.approx(track.nav[1:], rel=1e-9, abs=1e-12)
    made = contributions(track, market)  # raises where the parts do not sum
    assert made.total_return == pytest.approx(track.nav[-1] - 1.0, rel=1e-9, abs=1e-12)


def book(
    returns, weights, rate: float = 0.0, deaths: tuple[Death, ...] = (), **terms: float
) -> tuple[Track, Market]:
    """Funds A, B, ... from 2001-01, reset to the rows of `weights`."""
    values = np.array(returns, dtype=float)
    months, n = values.shape
    market = Market(FIRST, tuple("ABCD"[:n]), values, np.full(months, rate), deaths)
    nothing, yes = np.full(n, np.nan), np.ones(n, dtype=bool)
    signals = {FIRST + k: Signals(FIRST + k, yes, nothing, nothing) for k in range(len(weights))}

    def policy(state: State, known: Signals) -> TargetWeights:
        return TargetWeights(np.array(weights[known.month - FIRST], dtype=float))

    return simulate(market, signals, policy, Terms(shorts=True, **terms), CALENDAR), market


def test_a_short_position_worked_by_hand() -> None:
    """A for 1, half of it paid by selling B short: cash 0.5.

    February, 28 days: A +10% 0.1, B +10% -0.05, cash 1% 0.005, fee 2.8% of 0.5 = 0.014: 1.041.
    """
    track, _ = book([[0, 0], [0.1, 0.1]], [[1.0, -0.5]], 0.01, borrow_bps=BORROW_BPS)
    assert track.nav == pytest.approx([1, 1.041])
    assert track.holdings[0].tolist() == [1.0, -0.5] and track.cash[0] == pytest.approx(0.5)
    assert track.borrow_fees == pytest.approx([0, 0.014])
    assert track.cash[1] == pytest.approx(0.491) and track.payables[1] == 0.0


def test_a_fee_without_cash_is_payable_until_something_is_sold() -> None:
    """130/30 leaves no cash: the fee of 0.3 x 2.8% waits for the next reset, here to all cash."""
    weights = [[1.3, -0.3], [0.0, 0.0]]
    track, _ = book(np.zeros((3, 2)), weights, borrow_bps=BORROW_BPS)
    assert track.cash == pytest.approx([0, 1 - 0.0084, 1 - 0.0084])
    assert track.nav == pytest.approx([1, 1 - 0.0084, 1 - 0.0084])
    kept, _ = book(np.zeros((3, 2)), weights[:1], borrow_bps=BORROW_BPS)
    assert kept.payables == pytest.approx([0, 0.3 * 0.028, 0.3 * (0.028 + 0.031)])


def test_trades_say_what_a_sale_is_for() -> None:
    weights = [[-0.5], [-0.8], [-0.2], [0.0], [0.4], [-0.4]]
    track, market = book(np.zeros((7, 1)), weights)
    rows = strategy_tables("s", track, market, CALENDAR, None)["trades"]
    assert rows.select("side", "reason").rows() == [
        ("sell", "enter"),
        ("sell", "increase"),
        ("buy", "reduce"),
        ("buy", "exit"),
        ("buy", "enter"),
        ("sell", "reduce"),
    ]
    assert (rows["amount"] > 0).all()


@pytest.mark.parametrize("delay", [0, 2])
def test_a_dead_fund_is_covered_at_once(delay: int) -> None:
    """B, sold short for 0.5, dies and pays back a fifth: 0.1 covers it, 0.4 are earned."""
    returns = np.zeros((4, 2))
    returns[2:, 1] = np.nan
    deaths = (Death(FIRST + 2, 1, -0.8, "unknown"),)
    track, market = book(returns, [[0.5, -0.5]], deaths=deaths, delay=delay)
    assert track.nav == pytest.approx([1, 1, 1.4, 1.4])
    assert track.cash == pytest.approx([1, 1, 0.9, 0.9]) and not track.receivables.any()
    rows = strategy_tables("s", track, market, CALENDAR, None)["trades"].filter(
        reason="dead: unknown"
    )
    assert rows.select("side", "amount").row(0) == ("buy", pytest.approx(0.1))
    made = contributions(track, market)
    assert made.write_offs[1].tolist() == pytest.approx([0.0, 0.4])


def test_ruin_closes_the_book_and_is_told() -> None:
    """A, sold short for three times the NAV, rises by half: 1 + 3 - 4.5 = -0.5."""
    returns = [[0, 0], [0.5, 0], [0.1, 0], [0.1, 0]]
    track, market = book(returns, [[-3.0, 0.0]] * 4)
    assert track.ruin is not None
    assert (track.ruin.month, track.ruin.nav) == (FIRST + 1, pytest.approx(-0.5))
    assert track.nav.tolist() == [1, 0, 0, 0]
    assert track.net == pytest.approx([-1, 0, 0])
    assert not track.holdings[1:].any() and not track.cash[1:].any()
    assert len(track.decisions) == 1  # nothing is decided afterwards
    tables = strategy_tables("s", track, market, CALENDAR, None)
    ruin = tables["trades"].filter(reason="ruin")
    assert ruin.select("fund_id", "side", "amount").rows() == [("A", "buy", 4.5)]
    assert tables["drawdowns"]["depth"].to_list() == [-1.0]
    made = contributions(track, market)
    assert made.cash[0] == pytest.approx(0.5)  # what the creditor bears


def test_a_total_loss_is_no_rounding_less() -> None:
    """-(0.7 - 0.05) / 0.7 - 0.05 / 0.7 misses -1 by a bit, which a root would make 1e-6 of."""
    track, _ = book([[0, 0], [0.5, 0]], [[-3.0, 0.0]])
    money = {"nav": np.array([0.7, 0.0]), "earned": np.array([0.0, -(0.7 - 0.05)])}
    track = dataclasses.replace(track, costs=np.array([0.0, 0.05]), **money)
    assert (track.gross - track.cost)[0] != -1.0 and track.net.tolist() == [-1.0]


def test_costs_above_the_nav_ruin_too() -> None:
    """What is left of the NAV cannot pay for closing: the purchase ends with the cash."""
    returns = [[0, 0], [0.325, 0], [0, 0]]
    track, market = book(returns, [[-3.0, 0.0], [0.0, 0.0]], cost=0.01)
    assert track.nav_after[1] < 0.0
    tables = strategy_tables("s", track, market, CALENDAR, None)
    for table, column in (("holdings", "weight"), ("returns", "cash")):
        assert np.isfinite(tables[table][column].to_numpy()).all()
    weight = tables["holdings"].filter(date=(FIRST + 1).end)["weight"].sum()
    (row,) = tables["returns"].filter(date=(FIRST + 1).end).rows(named=True)
    assert weight + row["cash"] + row["receivables"] == pytest.approx(1.0)
    assert track.ruin is not None and track.ruin.nav < 0.0 and (track.cash >= 0.0).all()
    assert np.prod(1 + track.net) == pytest.approx(0.0, abs=1e-12)


def test_a_blocked_long_position_scales_what_is_covered() -> None:
    """A cannot be sold in February: 1.5 in A, 0.5 short in B, no cash to cover it with."""
    track, _ = book([[0, 0], [np.nan, 0], [0, 0]], [[1.5, -0.5], [0.0, 0.0]])
    assert track.holdings[1].tolist() == [1.5, -0.5] and track.cash[1] == 0.0


@pytest.mark.parametrize(
    ("terms", "orders", "message", "where"),
    [
        (Terms(), [0.5, -0.1], "a weight of -0.1", "2001-01, fund B"),
        (Terms(shorts=True), [np.nan, 0.5], "a weight of nan", "2001-01, fund A"),
        (Terms(), [0.1, np.nan], "a weight of nan", "2001-01, fund B"),
        (Terms(), [0.7, 0.31], "weights sum to 1.01", "decision of 2001-01"),
        (Terms(shorts=True), [2.0, -0.9], "weights sum to 1.1", "decision of 2001-01"),
        (Terms(shorts=True), [np.inf, -np.inf], "a weight of inf", "fund A, and 1 others"),
        (Terms(), [0.1, 0.2, 0.3], "(3,) values where there are 2", "decision of 2001-01"),
        (Terms(cost=0.5, shorts=True), [1.0, -1.5], "gross exposure 2.5", "125%"),
        (Terms(), ([0, 0], [0.5, 0.6]), "shares of the cash sum to 1.1", "decision of 2001-01"),
        (Terms(), ([1.5, 0], [0, 0]), "1.5 of it", "fund A"),
        (Terms(), ([np.nan, 0], [0, 0]), "a share to sell of nan", "fund A"),
        (Terms(shorts=True), ([0, 0], [1, 0]), "SellAndSpend orders know no short", "2001-01"),
    ],
)
def test_orders_that_cannot_be(terms: Terms, orders, message: str, where: str) -> None:
    market = Market(FIRST, ("A", "B"), np.zeros((3, 2)), np.zeros(3))
    nothing, yes = np.full(2, np.nan), np.ones(2, dtype=bool)
    if isinstance(orders, tuple):
        given_orders = SellAndSpend(*(np.array(part, dtype=float) for part in orders))
    else:
        given_orders = TargetWeights(np.array(orders))
    signals = {FIRST: Signals(FIRST, yes, nothing, nothing)}
    with pytest.raises(InputError) as caught:
        simulate(market, signals, lambda state, known: given_orders, terms, CALENDAR)
    assert message in str(caught.value) and where in str(caught.value)


def test_rounding_is_no_excess() -> None:
    track, _ = book(np.zeros((2, 2)), [[0.5, 0.5 + 5e-10]])
    assert track.cash[0] == 0.0 and track.nav[1] == pytest.approx(1.0)


def test_terms_that_cannot_be() -> None:
    with pytest.raises(InputError, match="dealing terms cannot be sold short"):
        Terms(dealing=DealingTerms.none(2), shorts=True)
    with pytest.raises(InputError, match="borrow fee of 10 bps"):
        Terms(borrow_bps=10)
    with pytest.raises(InputError, match="borrow fee of -1 bps"):
        Terms(shorts=True, borrow_bps=-1)
