import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finembed_core.portfolio.orders import (
    Costs,
    SellAndSpend,
    State,
    TargetWeights,
    indicated_weights,
    size,
)

ALL = np.ones(3, dtype=bool)


def book(rng: np.random.Generator, n: int = 8) -> State:
    holdings = np.where(rng.random(n) < 0.5, rng.uniform(0, 5, n), 0.0)
    return State(holdings, float(rng.choice([0.0, 2.0])) + 0.1, float(rng.choice([0.0, 3.0])))


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.001, 0.1]), st.booleans())
def test_cash_is_always_enough(seed: int, cost: float, reset: bool) -> None:
    rng = np.random.default_rng(seed)
    state = book(rng)
    weights = rng.dirichlet(np.ones(8)) * rng.choice([1.0, 0.7]) * (rng.random(8) < 0.7)
    orders = TargetWeights(weights) if reset else SellAndSpend(rng.random(8), weights)
    dealable = rng.random(8) < 0.8
    amounts = size(orders, state, dealable, cost)
    cash = state.cash - amounts.sum() - cost * np.abs(amounts).sum()
    assert cash >= -1e-12 * state.nav
    assert (state.holdings + amounts >= 0.0).all()
    assert (amounts[~dealable] == 0.0).all()


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.001, 0.1]))
def test_weights_are_reached_after_costs(seed: int, cost: float) -> None:
    rng = np.random.default_rng(seed)
    holdings = rng.uniform(0, 5, 8)
    state = State(holdings, 1.0)
    weights = rng.dirichlet(np.ones(8)) * rng.choice([1.0, 0.6])
    amounts = size(TargetWeights(weights), state, np.ones(8, dtype=bool), cost)
    nav = state.nav - cost * np.abs(amounts).sum()
    assert holdings + amounts == pytest.approx(weights * nav, rel=1e-9, abs=1e-12)


@given(
    seed=st.integers(0, 10**6),
    buy=st.sampled_from([0.0, 0.001, 0.03]),
    sell=st.sampled_from([0.0, 0.002, 0.05]),
    by_fund=st.booleans(),
)
def test_signed_weights_are_reached_after_costs(
    seed: int, buy: float, sell: float, by_fund: bool
) -> None:
    """From one long-short book to another, gross exposures up to 6: no cash is missing."""
    rng = np.random.default_rng(seed)

    def weights(gross: float) -> np.ndarray:
        made = rng.normal(0, 1, 8) * (rng.random(8) < 0.8)
        made *= gross / max(np.abs(made).sum(), 1e-9)
        return made - max(made.sum() - 1.0, 0.0) / 8

    holdings, wanted = weights(rng.uniform(0, 3)), weights(rng.uniform(0, 6))
    owed = float(rng.choice([0.0, 0.01]))
    state = State(holdings, 1.0 - holdings.sum() + owed, payables=owed)
    costs = Costs(buy, sell)
    if by_fund:
        costs = Costs(buy * rng.uniform(0, 1, 8), sell * rng.uniform(0, 1, 8))
    amounts = size(TargetWeights(wanted), state, np.ones(8, dtype=bool), costs)
    nav = state.nav - costs.of(amounts).sum()
    assert holdings + amounts == pytest.approx(wanted * nav, rel=1e-9, abs=1e-12)
    assert state.cash - amounts.sum() - costs.of(amounts).sum() - owed >= -1e-12


def test_what_cannot_be_dealt_stays_and_the_rest_shares_what_is_left() -> None:
    state = State(np.array([6.0, 4.0, 0.0]), 0.0)
    target = TargetWeights(np.array([0.0, 0.5, 0.5]))
    amounts = size(target, state, np.array([False, True, True]), 0.0)
    assert amounts == pytest.approx([0, -2, 2])  # 4 to share, by equal weights
    amounts = size(target, state, np.array([True, True, False]), 0.0)
    assert amounts == pytest.approx([-6, 1, 0])  # the third one's half stays in cash


def test_receivables_count_but_cannot_be_spent() -> None:
    state = State(np.zeros(3), 2.0, receivables=8.0)
    thirds = TargetWeights(np.full(3, 1 / 3))
    assert size(thirds, state, ALL, 0.0) == pytest.approx([2 / 3] * 3)
    tenth = TargetWeights(np.array([0.1, 0.0, 0.0]))
    assert size(tenth, state, ALL, 0.0) == pytest.approx([1.0, 0, 0])


def test_buying_pays_its_own_cost() -> None:
    state = State(np.zeros(3), 1.01)
    amounts = size(SellAndSpend(np.zeros(3), np.array([0.5, 0.5, 0])), state, ALL, 0.01)
    assert amounts == pytest.approx([0.5, 0.5, 0])


def test_no_trade_where_the_target_is_held() -> None:
    holdings = np.array([0.1, 0.2, 0.7])
    amounts = size(TargetWeights(holdings / holdings.sum()), State(holdings, 0.0), ALL, 0.01)
    assert (amounts == 0.0).all()


def test_rounding_is_no_trade_but_closing_is() -> None:
    state = State(np.array([1.0, 1e-14, 0.0]), 1e-15)
    spend = SellAndSpend(np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    amounts = size(spend, state, ALL, 0.0)
    assert amounts.tolist() == [0.0, -1e-14, 0.0]


def test_indicated_weights() -> None:
    state = State(np.array([3.0, 1.0, 0.0]), 0.0)
    swap = SellAndSpend(np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    assert indicated_weights(swap, state) == pytest.approx([0.75, 0.0, 0.25])
    nothing = indicated_weights(swap, State(np.zeros(3), 0.0))
    assert nothing.tolist() == [0.0, 0.0, 0.0]
