import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from finembed_core.errors import InputError, SolverError
from finembed_core.portfolio.covariance import RiskModel, factor, ledoit_wolf, sample
from finembed_core.portfolio.risk_parity import risk_parity


def simulated(months: int, funds: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(months, 2)) @ rng.normal(0.3, 1.0, (2, funds))
    return 10 ** rng.uniform(-3, -1, funds) * (common + rng.normal(size=(months, funds)))


def contributions(model: RiskModel, weights: np.ndarray) -> np.ndarray:
    return weights * model.times(weights) / model.variance(weights)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(0, 10**6), st.sampled_from([1e-4, 1.0, 1e3]))
def test_every_fund_contributes_the_same(funds: int, seed: int, scale: float) -> None:
    returns = scale * simulated(36, funds, seed)
    models = [ledoit_wolf(returns)]
    models += [sample(returns)] if funds < 20 else []  # more of them may hedge each other
    models += [factor(returns, 3)] if funds > 3 else []
    for model in models:
        found = risk_parity(model)
        assert (found.weights > 0.0).all()
        assert found.weights.sum() == pytest.approx(1.0, abs=1e-12)
        shares = contributions(model, found.weights)
        assert shares * funds == pytest.approx(np.ones(funds), abs=1e-8)
        assert found.residual <= 1e-8


@pytest.mark.parametrize("shape", [(36, 2_000), (252, 300)])
def test_many_funds(shape: tuple[int, int]) -> None:
    model = ledoit_wolf(simulated(*shape))
    shares = contributions(model, risk_parity(model).weights)
    assert shares * shape[1] == pytest.approx(np.ones(shape[1]), abs=1e-8)


def test_two_funds_weigh_by_their_deviations_whatever_the_correlation() -> None:
    # Maillard, Roncalli and Teiletche (2010), two assets: sigma_2 / (sigma_1 + sigma_2)
    for correlation in (-0.9, 0.0, 0.7):
        matrix = np.array([[0.04, correlation * 0.06], [correlation * 0.06, 0.09]])
        model = RiskModel(np.linalg.cholesky(matrix).T, np.zeros(2))
        assert risk_parity(model).weights == pytest.approx([0.6, 0.4], rel=1e-9)


def test_equal_correlations_give_inverse_deviations() -> None:
    deviations = np.array([0.1, 0.2, 0.3, 0.4])
    model = RiskModel(0.5 * deviations[None], 0.75 * deviations**2)  # correlation 1/4
    expected = (1.0 / deviations) / (1.0 / deviations).sum()
    assert risk_parity(model).weights == pytest.approx(expected, rel=1e-9)


def test_agrees_with_least_squares_of_the_contributions() -> None:
    model = sample(simulated(60, 5, seed=4))
    model = model.scaled(float(model.diagonal.mean()))

    def unequal(weights: np.ndarray) -> float:
        return 1e4 * float(np.square(contributions(model, weights) - 0.2).sum())

    found = minimize(
        unequal,
        np.full(5, 0.2),
        method="SLSQP",
        bounds=[(1e-6, 1.0)] * 5,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0},
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    assert risk_parity(model).weights == pytest.approx(found.x, abs=1e-5)


def test_order_does_not_matter() -> None:
    model, order = ledoit_wolf(simulated(36, 40)), np.random.default_rng(0).permutation(40)
    moved = RiskModel(model.loadings[:, order], model.specific[order])
    assert risk_parity(moved).weights == pytest.approx(risk_parity(model).weights[order], rel=1e-9)


def test_a_portfolio_without_risk_leaves_no_equal_contributions() -> None:
    hedged = RiskModel(np.array([[1.0, -1.0]]), np.zeros(2))
    for model in (hedged, sample(simulated(12, 200))):
        with pytest.raises(SolverError, match="free of risk"):
            risk_parity(model)


def test_a_fund_without_variance_is_named() -> None:
    with pytest.raises(InputError, match="1 funds have no variance, the first in column 1"):
        risk_parity(RiskModel(np.zeros((1, 3)), np.array([1.0, 0.0, 2.0])))
    with pytest.raises(InputError, match="missing, infinite or negative"):
        risk_parity(RiskModel(np.zeros((1, 2)), np.array([1.0, np.nan])))
