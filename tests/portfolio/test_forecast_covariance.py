"""The minimum variance portfolio of forecasts: against formulas, in special cases, on bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

from finembed_core.errors import InputError
from finembed_core.portfolio.covariance import ledoit_wolf
from finembed_core.portfolio.forecast_covariance import gmv_weights, total, without_gaps
from finembed_core.portfolio.minimum_variance import minimum_variance


def made(seed: int, funds: int = 5, steps: int = 64, rows: int = 200):
    rng = np.random.default_rng(seed)
    forecasts = rng.normal(0.0, 0.003, (funds, steps))
    residuals = rng.normal(0.0, rng.uniform(0.005, 0.02, funds), (rows, funds))
    return forecasts, residuals


def test_equals_the_unconstrained_formula_where_no_weight_is_negative() -> None:
    """``w = S^-1 1 / 1'S^-1 1`` with S the sum of two covariances of scikit-learn."""
    forecasts, residuals = made(1)
    sigma = LedoitWolf().fit(forecasts.T).covariance_ + LedoitWolf().fit(residuals).covariance_
    expected = np.linalg.solve(sigma, np.ones(5))
    expected /= expected.sum()
    assert (expected > 0.0).all()
    weights, effect = gmv_weights(forecasts, residuals)
    np.testing.assert_allclose(weights, expected, atol=1e-5)
    part = np.trace(LedoitWolf().fit(forecasts.T).covariance_) / np.trace(sigma)
    assert effect.trace_share == pytest.approx(part)
    alone = minimum_variance(ledoit_wolf(residuals)).weights
    assert effect.moved == pytest.approx(0.5 * np.abs(weights - alone).sum())
    assert 0.0 < effect.moved < 1.0


def test_collapsed_forecasts_change_nothing() -> None:
    _, residuals = made(2)
    flat = np.full((5, 64), 0.001)
    weights, effect = gmv_weights(flat, residuals)
    np.testing.assert_allclose(weights, minimum_variance(ledoit_wolf(residuals)).weights, atol=1e-6)
    assert effect.trace_share < 1e-12 and effect.moved < 1e-6


def test_a_fund_whose_forecast_swings_is_held_less() -> None:
    _, residuals = made(3)
    forecasts = np.zeros((5, 64))
    forecasts[2] = np.where(np.arange(64) % 2, 0.05, -0.05)
    before, _ = gmv_weights(np.zeros((5, 64)), residuals)
    after, effect = gmv_weights(forecasts, residuals)
    assert after[2] < before[2] / 2 and effect.moved > 0.01


@given(seed=st.integers(0, 10**6), gaps=st.floats(0.0, 0.5))
@settings(max_examples=25, deadline=None)
def test_weights_are_a_portfolio(seed: int, gaps: float) -> None:
    forecasts, residuals = made(seed, funds=7, rows=40)
    rng = np.random.default_rng(seed)
    residuals[rng.random(residuals.shape) < gaps] = np.nan
    weights, effect = gmv_weights(forecasts, residuals, cap=0.4)
    assert weights.min() >= 0.0 and weights.max() <= 0.4
    assert weights.sum() == pytest.approx(1.0, abs=1e-9)
    assert 0.0 <= effect.trace_share <= 1.0 and 0.0 <= effect.moved <= 1.0


@given(seed=st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_the_order_of_funds_does_not_matter(seed: int) -> None:
    forecasts, residuals = made(seed)
    order = np.random.default_rng(seed).permutation(5)
    one, _ = gmv_weights(forecasts, residuals)
    two, _ = gmv_weights(forecasts[order], residuals[:, order])
    np.testing.assert_allclose(one[order], two, atol=1e-5)


def test_without_gaps_keeps_the_variance_of_what_was_observed() -> None:
    returns = np.array([[0.01, 0.02], [0.03, np.nan], [-0.01, -0.04], [0.01, np.nan]])
    filled = without_gaps(returns)
    np.testing.assert_allclose(np.square(filled).mean(axis=0), [2e-4, 9e-4])
    np.testing.assert_allclose(filled.mean(axis=0), 0.0, atol=1e-17)
    assert filled[1, 1] == 0.0


def test_the_sum_of_covariances() -> None:
    forecasts, residuals = made(4)
    one, two = ledoit_wolf(forecasts.T), ledoit_wolf(residuals)
    np.testing.assert_allclose(total(one, two).dense(), one.dense() + two.dense())


def test_one_fund_has_all_the_weight() -> None:
    forecasts, residuals = made(5, funds=1)
    assert gmv_weights(forecasts, residuals)[0].tolist() == [1.0]


@pytest.mark.parametrize(
    ("forecasts", "residuals", "message"),
    [
        (np.full((2, 9), np.nan), np.ones((9, 2)), "have no forecast"),
        (np.zeros((3, 9)), np.ones((9, 2)), "beside residuals of 2 funds"),
        (np.zeros((2, 9)), np.full((9, 2), np.nan), "fewer than 2 returns"),
    ],
)
def test_bad_input_is_refused(forecasts: np.ndarray, residuals: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        gmv_weights(forecasts, residuals)
