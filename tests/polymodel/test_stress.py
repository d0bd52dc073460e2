"""Worst losses and long-term weights against scipy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from finembed_core.polymodel.basis import hermite_basis
from finembed_core.polymodel.history import LEVELS
from finembed_core.polymodel.longterm import (
    expected_basis,
    lagrange_weights,
    quadrature_weights,
)
from finembed_core.polymodel.stress import (
    GRID,
    observed_range,
    stress_var,
    worst_loss,
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
