import numpy as np
import pytest

from finembed_core.calendar import Month
from finembed_core.portfolio.orders import SellAndSpend, Signals, State, TargetWeights
from finembed_core.portfolio.policies.selection import (
    ranking,
    select_top,
    simple_average,
    weighted_average,
)
from finembed_core.portfolio.policies.universe import aum_weight, equal_weight
from finembed_core.settings import PortfolioSettings

NAN = np.nan
HALF = PortfolioSettings()


def signals(p_up, eligible=None, aum=None) -> Signals:
    n = len(p_up)
    yes = np.ones(n, dtype=bool) if eligible is None else np.array(eligible, dtype=bool)
    size = np.full(n, NAN) if aum is None else np.array(aum, dtype=float)
    return Signals(Month.parse("2001-01"), yes, np.array(p_up, dtype=float), size)


def state(*holdings: float, cash: float = 0.0) -> State:
    return State(np.array(holdings), cash)


def test_ranking_breaks_ties_by_id_and_leaves_out_the_rest() -> None:
    known = signals([0.5, 0.9, 0.5, NAN, 0.99], eligible=[1, 1, 1, 1, 0])
    assert ranking(known)[:3].tolist() == [2, 1, 3]
    assert np.isnan(ranking(known)[3:]).all()
    assert select_top(known, 0.5).tolist() == [True, True, False, False, False]
    assert select_top(known, 0.3).tolist() == [False, True, False, False, False]
    assert select_top(signals([NAN, NAN]), 0.5).tolist() == [False, False]


def test_sa_keeps_sells_and_spreads() -> None:
    known = signals([0.9, 0.8, 0.7, 0.1, 0.2, 0.3])
    orders = simple_average(state(1, 0, 0, 2, 0, 0), known, HALF)
    assert isinstance(orders, SellAndSpend)
    assert orders.sell.tolist() == [0, 0, 0, 1, 0, 0]
    assert orders.spend.tolist() == [0, 0.5, 0.5, 0, 0, 0]


def test_sa_with_nothing_new_keeps_its_cash() -> None:
    known = signals([0.9, 0.8, 0.2, 0.1])
    orders = simple_average(state(1, 1, 1, 0, cash=5), known, HALF)
    assert isinstance(orders, SellAndSpend)
    assert orders.sell.tolist() == [0, 0, 1, 0]
    assert orders.spend.tolist() == [0, 0, 0, 0]


def test_sa_sells_what_lost_its_prediction_or_eligibility() -> None:
    known = signals([0.9, NAN, 0.8, 0.1], eligible=[1, 1, 0, 1])
    orders = simple_average(state(1, 1, 1, 0), known, HALF)
    assert isinstance(orders, SellAndSpend)
    assert orders.sell.tolist() == [0, 1, 1, 0]


def test_wa_weights_by_aum_and_skips_funds_without() -> None:
    known = signals([0.9, 0.8, 0.7, 0.1, 0.1, 0.1], aum=[3, NAN, 1, 100, 100, 0])
    orders = weighted_average(state(*np.zeros(6), cash=1), known, HALF)
    assert isinstance(orders, TargetWeights)
    assert orders.weights == pytest.approx([0.75, 0, 0.25, 0, 0, 0])


def test_universes() -> None:
    known = signals([NAN] * 4, eligible=[1, 0, 1, 1], aum=[1, 50, 3, NAN])
    equal, by_aum = (
        policy(state(*np.zeros(4)), known, HALF) for policy in (equal_weight, aum_weight)
    )
    assert isinstance(equal, TargetWeights) and isinstance(by_aum, TargetWeights)
    assert equal.weights == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    assert by_aum.weights == pytest.approx([0.25, 0, 0.75, 0])


def test_nothing_known_is_no_order() -> None:
    nobody = signals([NAN, NAN], eligible=[0, 0])
    for policy in (simple_average, weighted_average, equal_weight, aum_weight):
        assert policy(state(1, 0), nobody, HALF) is None
