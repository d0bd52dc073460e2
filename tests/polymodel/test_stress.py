"""Quantiles, Pareto tails, worst losses and long-term weights against scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from finembed_core.polymodel.basis import hermite_basis
from finembed_core.polymodel.longterm import (
    LEVELS,
    expected_basis,
    lagrange_weights,
    quadrature_weights,
)
from finembed_core.polymodel.stress import (
    GRID,
    empirical_quantiles,
    long_history_quantiles,
    observed_range,
    pareto_upper_quantile,
    stress_var,
    worst_loss,
)


def probability_weighted_fit(excess):
    """Hosking and Wallis (1987) one observation at a time: shape xi and scale sigma."""
    y, n = sorted(excess), len(excess)
    a0 = sum(y) / n
    a1 = sum((n - i) / (n - 1) * v for i, v in enumerate(y, start=1)) / n
    return 2 - a0 / (a0 - 2 * a1), 2 * a0 * a1 / (a0 - 2 * a1)


def test_empirical_quantiles_equal_numpy():
    values = np.random.default_rng(1).standard_normal((50, 4))
    values[:30, 1] = np.nan
    values[:49, 2] = np.nan
    levels = [0.0, 0.01, 0.16, 0.5, 0.99, 1.0]
    expected = np.nanquantile(values, levels, axis=0)
    np.testing.assert_allclose(empirical_quantiles(values, levels), expected, rtol=1e-14)


@pytest.mark.parametrize("degrees", [3, 30])
def test_pareto_quantile_is_scipys_on_hosking_wallis_parameters(degrees):
    values = np.random.default_rng(2).standard_t(degrees, (400, 3))
    quantile = pareto_upper_quantile(values, 0.99, 0.10, 20)
    for j in range(3):
        threshold = np.quantile(values[:, j], 0.9)
        excess = values[values[:, j] > threshold, j] - threshold
        xi, sigma = probability_weighted_fit(excess)
        share = len(excess) / 400
        expected = threshold + stats.genpareto(xi, scale=sigma).isf(0.01 / share)
        np.testing.assert_allclose(quantile[j], expected, rtol=1e-10)


def test_pareto_tail_agrees_with_maximum_likelihood_and_the_truth():
    values = stats.t(4).ppf((np.arange(4000) + 0.5) / 4000)[:, None]
    quantile = pareto_upper_quantile(values, 0.99, 0.10, 20)[0]
    threshold = np.quantile(values, 0.9)
    excess = values[values > threshold] - threshold
    xi, _, sigma = stats.genpareto.fit(excess, floc=0)
    likelihood = threshold + stats.genpareto(xi, scale=sigma).isf(0.1)
    assert quantile == pytest.approx(likelihood, rel=0.01)
    assert quantile == pytest.approx(stats.t(4).ppf(0.99), rel=0.01)


def test_exponential_tail_has_shape_zero():
    """Ten excesses of 1 and ten of 39 make a0 = 4 a1, so xi = 0 and sigma = a0 = 20."""
    first = 1.0 / 0.9  # the threshold is the interpolated 90% quantile, a tenth of the first
    values = np.array([0.0] * 180 + [first, 39.0 + first / 10] * 10)[:, None]
    quantile = pareto_upper_quantile(values, 0.99, 0.10, 20)
    np.testing.assert_allclose(quantile, first / 10 + 20.0 * np.log(10.0), rtol=1e-9)


def test_few_exceedances_fall_back_to_the_empirical_quantile():
    values = np.random.default_rng(4).standard_normal((150, 2))
    quantiles = long_history_quantiles(values, [0.01, 0.5, 0.99], 0.10, 20)
    np.testing.assert_allclose(quantiles, np.quantile(values, [0.01, 0.5, 0.99], axis=0))


def test_equal_exceedances_fall_back_to_the_empirical_quantile():
    values = np.r_[np.zeros(180), np.ones(25)][:, None]
    values[:20] = -1.0
    assert pareto_upper_quantile(values, 0.99, 0.2, 20)[0] == 1.0


def test_lower_tail_mirrors_the_upper():
    values = np.random.default_rng(5).standard_t(3, (300, 5))
    low, high = long_history_quantiles(values, [0.01, 0.99], 0.10, 20)
    mirrored = long_history_quantiles(-values, [0.01, 0.99], 0.10, 20)
    np.testing.assert_allclose([-high, -low], mirrored, rtol=1e-12)


def test_missing_months_do_not_move_a_tail():
    values = np.random.default_rng(6).standard_t(3, (300, 2))
    gaps = np.insert(values, [0, 0, 100, 299], np.nan, axis=0)
    np.testing.assert_allclose(
        pareto_upper_quantile(gaps, 0.99, 0.1, 20), pareto_upper_quantile(values, 0.99, 0.1, 20)
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_worst_loss_equals_a_bounded_search(seed, degree):
    rng = np.random.default_rng(seed)
    coefficients = rng.standard_normal((4, degree + 1)) * 0.03
    low, high = -rng.uniform(0.5, 3, 4), rng.uniform(0.5, 3, 4)
    found = worst_loss(coefficients, low, high)
    for m in range(4):
        x = np.linspace(low[m], high[m], 20_001)
        phi = hermite_basis(x, degree) @ coefficients[m]
        curvature = np.abs(np.gradient(np.gradient(phi, x), x)).max()
        step = (high[m] - low[m]) / (GRID - 1)
        expected = max(0.0, -phi.min())
        assert expected - curvature * step**2 / 8 - 1e-12 <= found[m] <= expected + 1e-6


def test_worst_loss_is_never_negative():
    assert worst_loss(np.array([[0.5, 0.01]]), np.array([-3.0]), np.array([3.0])) == [0.0]


def test_worst_loss_on_a_single_point():
    loss = worst_loss(np.array([[0.0, 0.02]]), np.array([-1.5]), np.array([-1.5]))
    np.testing.assert_allclose(loss, 0.03)


def test_stress_var_adds_unexplained_risk():
    expected = np.sqrt(0.04**2 + (0.02 * stats.norm.ppf(0.99)) ** 2)
    np.testing.assert_allclose(stress_var(np.array([0.04]), np.array([0.02]), 0.99), expected)


def test_observed_range_is_that_of_the_shared_months():
    factors = np.array([[5.0], [1.0], [np.nan], [2.0]])
    returns = np.array([[np.nan], [0.1], [0.1], [0.1]])
    low, high = observed_range(factors, returns, np.array([0]), np.array([0]))
    assert (low.item(), high.item()) == (1.0, 2.0)


def test_lagrange_weights_are_those_of_the_spec():
    np.testing.assert_allclose(
        lagrange_weights(), [0.04795, 0.26085, 0.38241, 0.26085, 0.04795], atol=5e-6
    )


@given(st.integers(0, 2**32 - 1))
def test_quadrature_weights_meet_their_constraints(seed):
    nodes = np.sort(np.random.default_rng(seed).standard_t(4, (5, 3)), axis=0)
    weights = quadrature_weights(nodes)
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, atol=1e-10)
    np.testing.assert_allclose((weights * nodes).sum(axis=0), 0.0, atol=1e-10)


def test_quadrature_weights_are_the_nearest_ones():
    nodes = np.array([-2.6, -0.9, 0.1, 0.95, 2.1])
    start = lagrange_weights()
    oracle = optimize.minimize(
        lambda w: 1e3 * np.square(w - start).sum(),
        start,
        constraints=[
            {"type": "eq", "fun": lambda w: w.sum() - 1.0},
            {"type": "eq", "fun": lambda w: w @ nodes},
        ],
        options={"ftol": 1e-14},
    )
    np.testing.assert_allclose(quadrature_weights(nodes[:, None])[:, 0], oracle.x, atol=1e-6)


def test_half_collapsed_nodes_keep_the_constraints():
    """A policy rate hardly ever moves: its middle quantiles coincide."""
    nodes = np.array([[-4.0], [-0.1], [-0.1], [-0.1], [4.5]])
    weights = quadrature_weights(nodes)
    np.testing.assert_allclose([weights.sum(), (weights * nodes).sum()], [1.0, 0.0], atol=1e-10)


def test_a_linear_fund_earns_its_intercept():
    nodes = np.random.default_rng(7).standard_normal((5, 2))
    expectation = expected_basis(np.sort(nodes, axis=0), 4)
    np.testing.assert_allclose(expectation[:, :2], [[1.0, 0.0], [1.0, 0.0]], atol=1e-12)


def test_long_term_alpha_is_close_to_the_gaussian_expectation():
    nodes = stats.norm.ppf(LEVELS)[:, None]
    expectation = expected_basis(nodes, 2)[0]
    np.testing.assert_allclose(expectation, [1.0, 0.0, 0.0], atol=0.03)
