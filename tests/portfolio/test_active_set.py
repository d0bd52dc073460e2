"""The active set method finds what interior points find, exactly, and says where it cannot."""

from typing import Any

import numpy as np
import pytest

from finembed_core.portfolio import minimum_variance as module
from finembed_core.portfolio.active_set import active_set
from finembed_core.portfolio.covariance import RiskModel, factor, ledoit_wolf, oas, sample
from finembed_core.portfolio.minimum_variance import minimum_variance
from tests.portfolio.test_minimum_variance import check_feasible, simulated, without


@pytest.mark.parametrize("estimator", [ledoit_wolf, oas, factor])
@pytest.mark.parametrize(("months", "funds"), [(36, 30), (36, 700), (120, 100)])
def test_it_is_exact_and_never_cycles(estimator: Any, months: int, funds: int) -> None:
    for seed in range(5):
        returns = simulated(months, funds, seed)
        model, mean = estimator(returns), returns.mean(axis=0)
        own = np.linspace(0.0, 8.0 / funds, funds)  # one fund may not be held at all
        for limits in (
            {},
            {"cap": 5.0 / funds},
            {"cap": own},
            {"mean": mean, "floor": float(np.quantile(mean, 0.95))},
            {"cap": 5.0 / funds, "mean": mean, "floor": float(np.quantile(mean, 0.7))},
        ):
            found = minimum_variance(model, **limits)
            assert (found.solver, found.status) == ("active_set", "solved")
            check_feasible(found, **limits)
            assert found.excess < 1e-11
            assert found.kkt_residual < 1e-10


def test_it_agrees_with_interior_points(monkeypatch) -> None:
    returns = simulated(36, 300)
    model, mean = factor(returns), returns.mean(axis=0)
    limits = {"cap": 0.02, "mean": mean, "floor": float(np.quantile(mean, 0.8))}
    exact = minimum_variance(model, **limits)
    monkeypatch.setattr(module, "SOLVERS", without("active_set"))
    other = minimum_variance(model, **limits)
    assert other.solver == "piqp"
    assert exact.weights == pytest.approx(other.weights, abs=1e-6)
    held = exact.weights[exact.weights > 0.0]
    at_cap = held > 0.02 - 1e-9
    assert at_cap.any() and not at_cap.all() and len(held) < 300


def test_by_hand_two_funds_at_their_caps() -> None:
    """Uncapped 4/7, 2/7, 1/7; the first may have 0.4, the second 0.35 of it, so 0.25 is left."""
    model = RiskModel(np.zeros((1, 3)), np.array([1.0, 2.0, 4.0]))
    weights, _, _, status = active_set(model, np.array([0.4, 0.35, 1.0]), None, np.arange(3))
    assert status == "solved"
    assert weights == pytest.approx([0.4, 0.35, 0.25], abs=1e-15)


def test_one_fund_may_be_all_of_it() -> None:
    """The others move with the first, and more: the least variance is the first alone."""
    model = RiskModel(np.array([[1.0, 2.0, 3.0]]), np.array([0.5, 1.0, 1.0]))
    weights, _, _, status = active_set(model, np.ones(3), None, np.arange(3))
    assert (status, weights.tolist()) == ("solved", [1.0, 0.0, 0.0])


def test_without_specific_variances_it_says_so_and_piqp_takes_over() -> None:
    model = sample(simulated(12, 50))
    problem = module._Problem.of(model, 1.0, None, None)
    assert module._active_set(problem)[::3] == (None, "singular")
    assert minimum_variance(model).solver == "piqp"
    nobody = active_set(model, np.zeros(50), None, np.arange(50))
    assert nobody[::3] == (None, "singular")


def test_specific_variances_of_rounding_are_none() -> None:
    tiny = RiskModel(simulated(12, 50), np.full(50, 1e-300))
    assert active_set(tiny, np.ones(50), None, np.arange(50))[::3] == (None, "singular")
    assert minimum_variance(tiny).excess <= module.ACCEPTED
