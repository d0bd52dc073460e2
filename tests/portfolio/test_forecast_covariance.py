"""The minimum variance portfolio of forecasts: against formulas, in special cases, on bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

from finembed_core.errors import InputError
from finembed_core.portfolio.covariance import ESTIMATORS, ledoit_wolf
from finembed_core.portfolio.forecast_covariance import gmv_weights, of_unequal_lives, total
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
    assert effect.forecast_share == pytest.approx(part)
    alone = minimum_variance(ledoit_wolf(residuals)).weights
    assert effect.moved == pytest.approx(0.5 * np.abs(weights - alone).sum())
    assert 0.0 < effect.moved < 1.0


def test_collapsed_forecasts_change_nothing() -> None:
    _, residuals = made(2)
    flat = np.full((5, 64), 0.001)
    weights, effect = gmv_weights(flat, residuals)
    np.testing.assert_allclose(weights, minimum_variance(ledoit_wolf(residuals)).weights, atol=1e-6)
    assert effect.forecast_share < 1e-12 and effect.moved < 1e-6


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
    weights, effect = gmv_weights(forecasts, residuals)
    assert weights.min() >= 0.0
    assert weights.sum() == pytest.approx(1.0, abs=1e-9)
    assert 0.0 <= effect.forecast_share <= 1.0 and 0.0 <= effect.moved <= 1.0


@given(seed=st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_the_order_of_funds_does_not_matter(seed: int) -> None:
    forecasts, residuals = made(seed)
    order = np.random.default_rng(seed).permutation(5)
    one, _ = gmv_weights(forecasts, residuals)
    two, _ = gmv_weights(forecasts[order], residuals[:, order])
    np.testing.assert_allclose(one[order], two, atol=1e-5)


def equals(seed: int, rows: int, rho: float = 0.8, funds: int = 10) -> np.ndarray:
    """Returns of equal funds that share a factor."""
    rng = np.random.default_rng(seed)
    own, common = rng.normal(size=(rows, funds)), rng.normal(size=(rows, 1))
    return 0.01 * (np.sqrt(rho) * common + np.sqrt(1.0 - rho) * own)


@pytest.mark.parametrize("name", ["sample", "ledoit_wolf"])
def test_a_young_fund_is_no_diversifier(name: str) -> None:
    """Ten equal funds of correlation .8, one of them seen in the last 100 of 1,000 rows."""
    returns = equals(1, 1000)
    returns[:900, 3] = np.nan
    model = of_unequal_lives(returns, ESTIMATORS[name])
    sigma = model.dense()
    deviation = np.sqrt(np.diag(sigma))
    with_others = np.delete(sigma[3] / deviation / deviation[3], 3)
    assert with_others.mean() == pytest.approx(0.8, abs=0.04)
    assert deviation[3] == pytest.approx(0.01, rel=0.1)
    assert minimum_variance(model).weights[3] < 0.2


@given(seed=st.integers(0, 10**6), young=st.integers(30, 180))
@settings(max_examples=25, deadline=None)
def test_covariances_of_unequal_lives_are_near_those_of_whole_ones(seed: int, young: int) -> None:
    whole = equals(seed, 400)
    cut = whole.copy()
    cut[: 400 - young, ::3] = np.nan
    one, two = (of_unequal_lives(x, ESTIMATORS["sample"]).dense() for x in (whole, cut))
    np.testing.assert_allclose(one, np.cov(whole.T))
    assert np.abs(two / one - 1.0).max() < 5.0 / np.sqrt(young)


def test_a_gap_earns_what_the_others_earned_times_beta() -> None:
    """The second fund has twice the first one's returns: nothing is left to be its own."""
    one = np.array([0.01, 0.03, -0.01, 0.01, -0.03])
    two = np.where([True, True, True, False, False], 2.0 * one, np.nan)
    found = of_unequal_lives(np.column_stack([one, two]), ESTIMATORS["sample"])
    np.testing.assert_allclose(found.dense(), np.cov(one, 2.0 * one), atol=1e-18)


def test_a_gap_beside_nobody_that_moves_has_the_variance_of_what_was_observed() -> None:
    still, moving = np.full(4, 0.01), np.array([0.02, np.nan, -0.04, np.nan])
    found = of_unequal_lives(np.column_stack([still, moving]), ESTIMATORS["ledoit_wolf"])
    assert found.dense()[0, 1] == 0.0
    assert found.diagonal.sum() == pytest.approx(9e-4)


def test_rows_in_which_nobody_was_seen_count_for_nothing() -> None:
    returns = equals(2, 50)
    padded = np.vstack([np.full((20, 10), np.nan), returns])
    one, two = (of_unequal_lives(x, ESTIMATORS["sample"]) for x in (returns, padded))
    np.testing.assert_array_equal(one.dense(), two.dense())


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
