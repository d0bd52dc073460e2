import pickle
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from finembed_core.errors import InputError, SolverError
from finembed_core.portfolio import minimum_variance as module
from finembed_core.portfolio.covariance import (
    ESTIMATORS,
    RiskModel,
    factor,
    ledoit_wolf,
    oas,
    sample,
)
from finembed_core.portfolio.minimum_variance import ACCEPTED, Solution, minimum_variance
from finembed_core.portfolio.simplex import project_simplex


def simulated(months: int, funds: int, seed: int = 0, calmest: float = 0.003) -> np.ndarray:
    """Monthly returns with three factors; deviations up to 6%."""
    rng = np.random.default_rng(seed)
    common = rng.standard_t(5, (months, 3)) @ rng.normal(0.3, 0.4, (3, funds))
    deviations = np.exp(rng.uniform(np.log(calmest), np.log(0.06), funds))
    return 0.005 + deviations * (common + 0.7 * rng.standard_t(5, (months, funds)))


def check_feasible(found: Solution, cap: Any = 1.0, mean: Any = None, floor: Any = None) -> None:
    weights = found.weights
    assert (weights >= 0.0).all()
    assert (weights <= cap).all()
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert found.budget_error == abs(weights.sum() - 1.0)
    if floor is not None:
        assert mean @ weights >= floor - 1e-12 * np.abs(mean).max()
    assert 0.0 <= found.excess <= ACCEPTED


def without(*names: str) -> dict[str, module.Solver]:
    return {name: solver for name, solver in module.SOLVERS.items() if name not in names}


@pytest.fixture
def interior_points(monkeypatch) -> None:
    """Without the active set method, which would leave nothing to the others."""
    monkeypatch.setattr(module, "SOLVERS", without("active_set"))


@pytest.mark.parametrize("left_out", [(), ("active_set",)])
@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 40),
    st.integers(0, 10**6),
    st.sampled_from(sorted(ESTIMATORS)),
    st.sampled_from(["none", "equal", "own", "tight", "just"]),
    st.sampled_from([None, 0.0, 0.3, 0.9, 1.0]),
    st.sampled_from([1e-4, 3e-3]),
)
def test_weights_are_feasible_and_certified(
    left_out: tuple[str, ...],
    funds: int,
    seed: int,
    name: str,
    caps: str,
    height: float | None,
    calmest: float,
) -> None:
    rng = np.random.default_rng(seed)
    returns = simulated(24, max(funds, 6 if name == "factor" else 1), seed, calmest)
    funds = returns.shape[1]
    own = rng.uniform(0.0, 1.0, funds) * (rng.random(funds) < 0.8)
    cap: Any = {
        "none": 1.0,
        "equal": min(3.0 / funds, 1.0),
        "own": own + max(1.2 - own.sum(), 0.0) / funds,
        "tight": (1.0 + 1e-9) / funds,
        "just": 1.0 / funds,
    }[caps]
    model, mean, floor = ESTIMATORS[name](returns), returns.mean(axis=0), None
    if height is not None:
        limits = np.minimum(np.broadcast_to(cap, funds), 1.0)
        lowest, largest = (float(mean @ module._cheapest(s * mean, limits)[1]) for s in (1, -1))
        floor = lowest + height * (largest - lowest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SOLVERS", without(*left_out))
        found = minimum_variance(model, cap=cap, mean=None if floor is None else mean, floor=floor)
    assert found.solver not in left_out
    check_feasible(found, cap, mean, floor)
    least = model.variance(found.weights)
    least -= found.excess * max(least, module.RISKLESS * model.diagonal.mean())
    others = project_simplex(found.weights + 0.1 * rng.normal(size=(30, funds)), cap)
    for other in others:
        if floor is None or mean @ other >= floor:
            assert model.variance(other) >= least * (1.0 - 1e-12)


def test_equals_the_closed_form_where_nothing_binds() -> None:
    returns = np.random.default_rng(1).normal(size=(500, 8)) * np.linspace(0.02, 0.03, 8)
    for estimator in (sample, ledoit_wolf, oas):
        model = estimator(returns)
        raw = np.linalg.solve(model.dense(), np.ones(8))
        assert (raw > 0.0).all()
        assert minimum_variance(model).weights == pytest.approx(raw / raw.sum(), abs=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_another_method(seed: int) -> None:
    returns = simulated(36, 7, seed)
    model, mean, cap = ledoit_wolf(returns), returns.mean(axis=0), np.linspace(0.2, 0.5, 7)
    floor = float(np.quantile(mean, 0.75))
    level = float(model.diagonal.mean())
    other = minimize(
        lambda w: model.variance(w) / level,
        project_simplex(mean / mean.std(), cap),
        jac=lambda w: 2.0 * model.times(w) / level,
        method="SLSQP",
        bounds=[(0.0, limit) for limit in cap],
        constraints=[
            {"type": "eq", "fun": lambda w: w.sum() - 1.0},
            {"type": "ineq", "fun": lambda w: (mean @ w - floor) * 1e3},
        ],
        options={"ftol": 1e-15, "maxiter": 500},
    )
    found = minimum_variance(model, cap=cap, mean=mean, floor=floor)
    check_feasible(found, cap, mean, floor)
    assert found.weights == pytest.approx(other.x, abs=1e-5)
    assert found.kkt_residual <= 1e-4


def test_no_point_of_a_grid_is_better() -> None:
    grid = np.array([(a, b, 100 - a - b) for a in range(101) for b in range(101 - a)]) / 100.0
    for seed in range(5):
        returns = simulated(36, 3, seed)
        model, mean = sample(returns), returns.mean(axis=0)
        floor = float(np.median(mean))
        found = minimum_variance(model, cap=0.7, mean=mean, floor=floor)
        allowed = grid[(grid.max(axis=1) <= 0.7) & (grid @ mean >= floor)]
        variances = np.square(allowed @ model.loadings.T).sum(axis=1)
        assert model.variance(found.weights) <= variances.min() * (1.0 + 1e-9)


def test_bound_holds_for_bad_weights_and_any_multiplier() -> None:
    returns = simulated(36, 30)
    model, mean = ledoit_wolf(returns), returns.mean(axis=0)
    floor = float(np.quantile(mean, 0.8))
    found = minimum_variance(model, cap=0.2, mean=mean, floor=floor)
    problem = module._Problem.of(model, 0.2, mean, floor)
    rng = np.random.default_rng(0)
    for weights in rng.dirichlet(np.ones(30), 20):
        worse = problem.feasible(weights)
        true = 1.0 - model.variance(found.weights) / model.variance(worse)
        for multiplier in (0.0, 0.1, 10.0):
            assert problem.certified(worse, multiplier).excess >= true - 1e-6


@pytest.mark.parametrize("funds", [12, 800])
@pytest.mark.parametrize("estimator", [ledoit_wolf, factor])
def test_order_and_unit_do_not_matter(estimator: Any, funds: int) -> None:
    returns, order = simulated(36, funds), np.random.default_rng(0).permutation(funds)
    mean, cap = returns.mean(axis=0), np.linspace(1.0, 5.0, funds) * max(2.0 / funds, 0.01)
    floor = float(np.quantile(mean, 0.7))
    weights = minimum_variance(estimator(returns), cap=cap, mean=mean, floor=floor).weights
    moved = minimum_variance(
        estimator(returns[:, order]), cap=cap[order], mean=mean[order], floor=floor
    )
    assert moved.weights == pytest.approx(weights[order], abs=1e-5)
    smaller = minimum_variance(
        estimator(1e-3 * returns), cap=cap, mean=1e-3 * mean, floor=1e-3 * floor
    )
    assert smaller.weights == pytest.approx(weights, abs=1e-5)


def plain_excess(model: RiskModel, solver: str, least: float) -> float:
    """Excess variance of the plain formulation, as it calls itself optimal; `least` is no unit."""
    weights = cp.Variable(len(model.specific))
    variance = cp.quad_form(weights, cp.psd_wrap(model.dense()))
    task = cp.Problem(cp.Minimize(variance), [cp.sum(weights) == 1, weights >= 0])
    task.solve(solver=solver)
    assert task.status == "optimal"
    raw = np.maximum(weights.value, 0.0)
    return model.variance(raw / raw.sum()) / least - 1.0


@pytest.mark.parametrize(
    ("solver", "raw", "scaled"),
    [(cp.PIQP, 1e-5, 1e-6), (cp.CLARABEL, 1e-3, 1e-6), (cp.OSQP, 1e-1, 1e-2)],
)
def test_raw_units_would_have_failed(solver: str, raw: float, scaled: float) -> None:
    """The same problem and solver, called optimal: wrong in raw returns, right in our unit."""
    model = factor(simulated(36, 500))
    found = minimum_variance(model)
    assert found.excess < 1e-8
    least = model.variance(found.weights)
    assert plain_excess(model, solver, least) > raw
    assert plain_excess(model.scaled(least), solver, 1.0) < scaled


@pytest.mark.parametrize("months", [36, 120])
def test_working_sets_find_the_whole_solution(months: int, monkeypatch, interior_points) -> None:
    returns = simulated(months, 900, calmest=0.02)
    model, mean = ledoit_wolf(returns), returns.mean(axis=0)
    for limits in (
        {},
        {"cap": 0.004},
        {"mean": mean, "floor": float(np.quantile(mean, 0.99))},
        {"cap": 0.01, "mean": mean, "floor": float(np.quantile(mean, 0.8))},
    ):
        monkeypatch.setattr(module, "START", 60)
        parts = minimum_variance(model, **limits)
        monkeypatch.setattr(module, "START", 10**6)
        whole = minimum_variance(model, **limits)
        check_feasible(parts, **limits)
        assert parts.weights == pytest.approx(whole.weights, abs=1e-6)
        assert np.count_nonzero(parts.weights) < 600  # no dust


@pytest.mark.parametrize("estimator", [ledoit_wolf, factor])
def test_dense_and_factor_form_agree(estimator: Any, monkeypatch, interior_points) -> None:
    model, found = estimator(simulated(36, 120)), []
    for funds_per_row in (0, 10**6):
        monkeypatch.setattr(module, "DENSE_FROM", funds_per_row)
        found.append(minimum_variance(model, cap=0.1).weights)
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_another_solver_takes_over(monkeypatch) -> None:
    returns = simulated(36, 40)
    model, mean = ledoit_wolf(returns), returns.mean(axis=0)
    limits = {"cap": 0.2, "mean": mean, "floor": float(np.quantile(mean, 0.7))}
    expected = minimum_variance(model, **limits)
    assert (expected.solver, expected.status) == ("active_set", "solved")
    assert expected.iterations > 0 and expected.excess < 1e-12
    for broken, name, status in (
        ("active_set", "piqp", "solved"),
        ("piqp", "clarabel", "optimal"),
    ):
        monkeypatch.setitem(module.SOLVERS, broken, lambda problem: (None, 0.0, 3, "broken"))
        found = minimum_variance(model, **limits)
        assert (found.solver, found.status) == (name, status)
        check_feasible(found, **limits)
        assert found.weights == pytest.approx(expected.weights, abs=1e-5)


def test_weights_that_cannot_be_certified_are_not_returned(monkeypatch, interior_points) -> None:
    def equal(problem: module._Problem) -> tuple[np.ndarray, float, int, str]:
        return np.full(len(problem.caps), 1.0 / len(problem.caps)), 0.0, 1, "solved"

    monkeypatch.setitem(module.SOLVERS, "piqp", equal)
    monkeypatch.setitem(module.SOLVERS, "clarabel", lambda problem: (None, 0.0, 0, "failed"))
    with pytest.raises(SolverError, match=r"piqp: solved, excess variance up to .*no weights") as e:
        minimum_variance(ledoit_wolf(simulated(36, 40)))
    assert "40 funds" in str(e.value)
    assert "keep the last weights" in str(pickle.loads(pickle.dumps(e.value)))


def test_a_portfolio_free_of_risk_is_one_of_many() -> None:
    model = sample(simulated(12, 300))
    found = minimum_variance(model)
    check_feasible(found)
    assert model.variance(found.weights) <= module.RISKLESS * model.diagonal.mean()


def test_a_fund_that_stands_still_takes_it_all() -> None:
    returns = simulated(36, 20)
    returns[:, 4] = 0.001
    assert minimum_variance(sample(returns)).weights[4] == pytest.approx(1.0, abs=1e-6)


def test_one_fund_and_caps_that_leave_no_choice() -> None:
    assert minimum_variance(sample(simulated(36, 1))).weights.tolist() == [1.0]
    for funds in (3, 49):
        found = minimum_variance(ledoit_wolf(simulated(36, funds)), cap=1.0 / funds)
        assert found.weights == pytest.approx(np.full(funds, 1.0 / funds), rel=1e-12)


def test_a_floor_that_everybody_keeps_changes_nothing() -> None:
    model, mean = ledoit_wolf(simulated(36, 20)), np.linspace(0.01, 0.02, 20)
    free = minimum_variance(model).weights
    assert minimum_variance(model, mean=mean, floor=0.01).weights.tolist() == free.tolist()
    assert minimum_variance(model, mean=mean, floor=0.0).weights.tolist() == free.tolist()


MEAN = np.array([0.01, 0.02, 0.03])


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"cap": 0.3}, r"sum to 0\.9, so that the weights cannot sum to 1"),
        ({"cap": [0.5, 0.6, -0.1]}, "missing or negative"),
        ({"cap": np.nan}, "missing or negative"),
        ({"mean": MEAN, "floor": 0.04}, r"mean of 0\.04; the largest one is 0\.03"),
        ({"mean": MEAN, "floor": 0.026, "cap": 0.5}, r"the largest one is 0\.025"),
        ({"mean": MEAN}, "needs both"),
        ({"floor": 0.01}, "needs both"),
        ({"mean": MEAN[:2], "floor": 0.01}, "3 finite numbers"),
        ({"mean": MEAN * [1, 1, np.nan], "floor": 0.01}, "3 finite numbers"),
    ],
)
def test_what_cannot_be_solved(limits: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        minimum_variance(ledoit_wolf(simulated(36, 3)), **limits)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (RiskModel(np.zeros((1, 2)), np.zeros(2)), "no fund varies"),
        (RiskModel(np.array([[1.0, np.nan]]), np.ones(2)), "missing, infinite or negative"),
        (RiskModel(np.ones((1, 2)), np.array([1.0, -0.1])), "missing, infinite or negative"),
    ],
)
def test_what_is_no_covariance(model: RiskModel, words: str) -> None:
    with pytest.raises(InputError, match=words):
        minimum_variance(model)
