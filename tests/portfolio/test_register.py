"""Every strategy by its rule, on signals that can be worked out by hand."""

import numpy as np
import pytest

from finembed_core.calendar import Month
from finembed_core.errors import SettingsError, SolverError
from finembed_core.portfolio.covariance import ESTIMATORS
from finembed_core.portfolio.orders import Replace, Signals, State, TargetWeights
from finembed_core.portfolio.register import (
    STRATEGIES,
    asset_classes,
    base_of_tilt,
    chosen_strategies,
    find_strategy,
)
from finembed_core.settings import Settings

NAN = np.nan
MONTH = Month.parse("2001-01")
POLICY = {strategy.name: strategy.policy for strategy in STRATEGIES}
CLASSES = {
    "stocks": "A",
    "long_bonds": "B",
    "intermediate_bonds": "C",
    "gold": "D",
    "commodities": "E",
}


def signals(p_up, eligible=None, returns=None) -> Signals:
    n = len(p_up)
    yes = np.ones(n, dtype=bool) if eligible is None else np.array(eligible, dtype=bool)

    def history(month: Month, months: int) -> np.ndarray:
        assert month == MONTH
        return np.array(returns)[-months:]

    ids = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:n])
    return Signals(MONTH, yes, np.array(p_up, dtype=float), np.full(n, NAN), ids, history)


def weights(name: str, known: Signals, **portfolio) -> np.ndarray:
    settings = Settings.model_validate({"portfolio": portfolio}).portfolio
    orders = POLICY[name](State(np.zeros(len(known.p_up)), 1.0), known, settings)
    assert isinstance(orders, TargetWeights)
    return orders.weights


def window(funds: int = 6, months: int = 36) -> np.ndarray:
    rng = np.random.default_rng(3)
    market = rng.normal(0.005, 0.03, (months, 1))
    return market + rng.normal(0.0, 0.01, (months, funds)) * np.arange(1, funds + 1)


def test_rankings_hold_the_best() -> None:
    p_up = np.linspace(0.9, 0.1, 12)
    p_up[0] = NAN
    five = weights("top_5", signals(p_up, eligible=[1, 0] + [1] * 10))
    assert np.flatnonzero(five).tolist() == [2, 3, 4, 5, 6]
    assert five[2:7] == pytest.approx(np.full(5, 0.2))
    assert np.count_nonzero(weights("top_10", signals(p_up))) == 10


def test_topk_drop_replaces_the_worst_by_the_best() -> None:
    known = signals([0.1, 0.2, 0.9, 0.8, 0.7])
    own = Settings.model_validate(
        {"portfolio": {"topk_drop": {"holdings": 3, "replaced": 1}}}
    ).portfolio
    orders = POLICY["topk_drop"](State(np.array([1.0, 1, 1, 0, 0]), 0.0), known, own)
    assert isinstance(orders, Replace)
    assert np.flatnonzero(orders.sell).tolist() == [0]
    assert (orders.buy.tolist(), orders.k) == ([3, 4], 3)
    unseen = signals([NAN] * 5)
    assert POLICY["topk_drop"](State(np.ones(5), 0.0), unseen, own) is None


def test_positions_are_distances_from_the_mean() -> None:
    known = signals([0.7, 0.5, 0.3, NAN, 0.9], eligible=[1, 1, 1, 1, 0])
    assert weights("long_only", known) == pytest.approx([1, 0, 0, 0, 0])
    assert weights("long_short", known) == pytest.approx([0.5, 0, -0.5, 0, 0])
    assert weights("long_short", known, gross_leverage=2) == pytest.approx([1, 0, -1, 0, 0])
    assert weights("simplex", known) == pytest.approx([1.6 / 3, 1 / 3, 0.4 / 3, 0, 0])


@pytest.mark.parametrize("p_up", [0.1, 0.7, 1 / 3])
@pytest.mark.parametrize("funds", [1, 3, 6])
def test_equal_probabilities_are_no_position(p_up: float, funds: int) -> None:
    """The mean of three times 0.1 is not 0.1: rounding must not become a portfolio."""
    known = signals([p_up] * funds)
    assert weights("long_short", known).tolist() == [0.0] * funds
    assert weights("long_only", known).tolist() == [0.0] * funds
    assert weights("simplex", known) == pytest.approx(np.full(funds, 1 / funds))
    assert weights("tilt", known) == pytest.approx(np.full(funds, 1 / funds), rel=1e-15)


def test_a_tilt_leans_from_its_base_and_no_further_than_it_may() -> None:
    known = signals([0.7, 0.5, 0.3, NAN, 0.9], eligible=[1, 1, 1, 1, 0])
    little = weights("tilt", known, tilt={"strength": 0.1})
    assert little == pytest.approx([0.27, 0.25, 0.23, 0.25, 0])
    much = weights("tilt", known, tilt={"strength": 100, "active_share": 0.1})
    assert 0.5 * np.abs(much[:4] - 0.25).sum() == pytest.approx(0.1)
    assert much.sum() == pytest.approx(1) and much[4] == 0
    nothing = signals([NAN] * 4)
    assert weights("tilt", nothing) == pytest.approx(np.full(4, 0.25))
    parity = weights("risk_parity", signals([NAN] * 6, returns=window()))
    base = weights("tilt", signals([NAN] * 6, returns=window()), tilt={"base": "risk_parity"})
    assert base == pytest.approx(parity)


@pytest.mark.parametrize("name", [n for n in POLICY if n.startswith("gmv_")])
def test_least_variance_sees_the_eligible_funds_with_whole_windows(name: str) -> None:
    returns = window(funds=12)
    returns[20, 1] = NAN
    known = signals([NAN] * 12, eligible=[0] + [1] * 11, returns=returns)
    found = weights(name, known)
    assert found[0] == found[1] == 0 and found.sum() == pytest.approx(1)
    model = ESTIMATORS[name.removeprefix("gmv_")](returns[:, 2:])
    least = model.variance(found[2:])
    rng = np.random.default_rng(1)
    assert least < min(model.variance(w) for w in rng.dirichlet(np.full(10, 0.3), 1000))
    capped = weights(name, known, minimum_variance={"cap": 0.12})
    assert capped.max() == pytest.approx(0.12)
    assert model.variance(capped[2:]) > least


def test_the_floor_is_per_year_and_one_out_of_reach_is_no_decision() -> None:
    returns = window(funds=8)
    known = signals([NAN] * 8, returns=returns)
    mean = 12 * returns.mean(axis=0)
    floor = float(np.sort(mean)[-2])
    found = weights("gmv_ledoit_wolf", known, minimum_variance={"floor": floor})
    assert float(mean @ found) == pytest.approx(floor, abs=1e-8)
    with pytest.raises(SolverError, match="no portfolio within the caps has a mean of"):
        weights("gmv_ledoit_wolf", known, minimum_variance={"floor": float(mean.max()) + 0.1})


def test_optimizers_say_how_it_went() -> None:
    known = signals([NAN] * 6, returns=window())
    for name in ("gmv_oas", "risk_parity"):
        orders = POLICY[name](State(np.zeros(6), 1.0), known, Settings().portfolio)
        assert isinstance(orders, TargetWeights) and orders.solved is not None
        assert orders.solved.kkt_residual < 1e-6 and orders.solved.budget_error < 1e-12
        assert orders.solved.iterations > 0


def test_months_without_funds_or_returns_decide_nothing() -> None:
    flat = np.zeros((36, 3))
    for name in ("gmv_sample", "risk_parity"):
        nobody = signals([NAN] * 3, eligible=[0, 0, 0], returns=flat)
        assert POLICY[name](State(np.zeros(3), 1.0), nobody, Settings().portfolio) is None
    missing = signals([NAN] * 3, returns=np.full((36, 3), NAN))
    for name in [*(n for n in POLICY if n.startswith("gmv_")), "risk_parity"]:
        assert POLICY[name](State(np.zeros(3), 1.0), missing, Settings().portfolio) is None
    still = signals([NAN] * 3, returns=flat)
    assert POLICY["risk_parity"](State(np.zeros(3), 1.0), still, Settings().portfolio) is None
    with pytest.raises(SolverError, match="no fund varies"):
        weights("gmv_sample", still)


def test_one_eligible_fund_is_all_or_not_decided() -> None:
    known = signals([NAN] * 6, eligible=[0, 0, 1, 0, 0, 0], returns=window())
    for name in ("gmv_sample", "gmv_ledoit_wolf", "gmv_oas", "risk_parity"):
        assert weights(name, known).tolist() == [0, 0, 1, 0, 0, 0]
    with pytest.raises(SolverError, match="5 factors cannot be estimated"):
        weights("gmv_factor", known)
    with pytest.raises(SolverError, match=r"caps on weights sum to 0\.5"):
        weights("gmv_oas", known, minimum_variance={"cap": 0.5})


def test_a_fund_that_does_not_vary_is_all_of_the_least_variance_and_no_part_of_equal_risk() -> None:
    returns = window()
    returns[:, 2] = 0.004
    known = signals([NAN] * 6, returns=returns)
    assert weights("gmv_sample", known)[2] == pytest.approx(1.0, abs=1e-5)
    parity = weights("risk_parity", known)
    assert parity[2] == 0.0 and (np.delete(parity, 2) > 0.0).all()


def test_funds_that_are_the_same_weigh_the_same() -> None:
    returns = window()
    returns[:, 1] = returns[:, 0]
    known = signals([NAN] * 6, returns=returns)
    for name in ("gmv_ledoit_wolf", "gmv_oas", "gmv_factor", "risk_parity"):
        found = weights(name, known)
        assert found[0] == pytest.approx(found[1], abs=1e-4), name  # nearly flat between them


def test_all_weather_waits_for_all_of_its_funds() -> None:
    known = signals([NAN] * 6)
    found = weights("all_weather", known, all_weather=CLASSES)
    assert found == pytest.approx([0.3, 0.4, 0.15, 0.075, 0.075, 0])
    early = signals([NAN] * 6, eligible=[1, 1, 0, 1, 1, 1])
    settings = Settings.model_validate({"portfolio": {"all_weather": CLASSES}})
    orders = POLICY["all_weather"](State(np.zeros(6), 1.0), early, settings.portfolio)
    assert orders is None
    assert asset_classes(settings, set("ABCDE")) == ""
    assert "names E: no such fund" in asset_classes(settings, set("ABCD"))
    assert "no fund for stocks" in asset_classes(Settings(), set("ABCDE"))
    based = Settings.model_validate({"portfolio": {"tilt": {"base": "all_weather"}}})
    assert "no fund for stocks" in base_of_tilt(based, set("ABCDE"))
    assert base_of_tilt(Settings(), set("ABCDE")) == ""


def test_names_are_ids_and_strange_ones_are_refused() -> None:
    names = [strategy.name for strategy in STRATEGIES]
    assert len(set(names)) == len(names)
    assert [s.name for s in STRATEGIES if s.needs_aum] == ["wa", "aum_weight_universe"]
    assert [s.name for s in STRATEGIES if s.sells_short] == ["long_short"]
    few = Settings.model_validate({"portfolio": {"strategies": ["index", "sa"]}})
    assert [s.name for s in chosen_strategies(few)] == ["sa", "index"]
    strange = Settings.model_validate({"portfolio": {"strategies": ["sa", "best"]}})
    with pytest.raises(SettingsError, match="names best") as caught:
        chosen_strategies(strange)
    assert "gmv_ledoit_wolf" in str(caught.value)
    strategy, model = find_strategy(Settings(), "top_5_logistic")
    assert (strategy.name, model) == ("top_5", "logistic")
