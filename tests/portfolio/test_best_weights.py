"""Best weights in hindsight against cvxpy, and what must hold of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.errors import InputError
from finembed_core.portfolio.best_weights import best_weights
from tests.portfolio.hindsight import clarabel, utility


def world(seed, sessions=64, funds=12):
    """Returns with a common factor, deviations from 0.1% to 2% a day."""
    rng = np.random.default_rng(seed)
    deviations = np.exp(rng.uniform(np.log(1e-3), np.log(2e-2), funds))
    common = rng.normal(size=(sessions, 1)) * rng.uniform(0.0, 1.5, funds)
    return 3e-4 + deviations * (common + rng.normal(size=(sessions, funds)))


@pytest.mark.parametrize("risk_aversion", [1.0, 10.0, 300.0])
@pytest.mark.parametrize(("sessions", "funds"), [(64, 5), (64, 40), (64, 150), (5, 30)])
def test_agrees_with_clarabel(sessions, funds, risk_aversion):
    returns = world(funds, sessions, funds)
    ours, theirs = (
        best_weights(returns, risk_aversion),
        clarabel(returns, risk_aversion, tolerance=1e-12),
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    best = utility(returns, ours, risk_aversion)
    assert best >= utility(returns, theirs, risk_aversion) - 1e-8 * abs(best)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10_000), st.integers(2, 80), st.integers(1, 60), st.sampled_from([0.5, 10, 1e4])
)
def test_a_portfolio_that_none_of_many_beats(seed, sessions, funds, risk_aversion):
    returns = world(seed, sessions, funds)
    weights = best_weights(returns, risk_aversion)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    rng = np.random.default_rng(seed)
    if funds > 1:
        rivals = [
            *np.eye(funds),
            *rng.dirichlet(np.full(funds, 0.1), 20),
            np.full(funds, 1 / funds),
        ]
        values = [utility(returns, rival, risk_aversion) for rival in rivals]
        best = utility(returns, weights, risk_aversion)
        assert best >= max(values) - 1e-8 * np.abs(values).max()


def test_a_fund_with_a_missing_return_is_not_held():
    returns = world(1)
    held = best_weights(returns, 10.0)
    returns[3, np.argmax(held)] = np.nan
    weights = best_weights(returns, 10.0)
    assert weights[np.argmax(held)] == 0
    whole = np.flatnonzero(~np.isnan(returns).any(axis=0))
    np.testing.assert_array_equal(weights[whole], best_weights(returns[:, whole], 10.0))


def test_risk_aversion_and_ridge_matter():
    returns = world(2, 30, 50)
    bold, timid = best_weights(returns, 1.0), best_weights(returns, 1e4)
    assert np.count_nonzero(bold) < np.count_nonzero(timid)
    variance = [np.var(returns @ weights) for weights in (bold, timid)]
    assert variance[0] > 10 * variance[1]


def test_equal_funds_are_held_equally():
    returns = np.repeat(world(3, funds=1), 4, axis=1)
    np.testing.assert_allclose(best_weights(returns, 10.0), np.full(4, 0.25), atol=1e-9)


def test_still_funds():
    still = np.full((64, 3), 1e-4)
    np.testing.assert_allclose(best_weights(still, 10.0).sum(), 1.0)
    better = still + np.array([0.0, 1e-5, 0.0])
    np.testing.assert_allclose(best_weights(better, 10.0), [0.0, 1.0, 0.0], atol=1e-9)
    with_risk = np.column_stack([still[:, 0], world(4, funds=1)[:, 0] - 0.01])
    np.testing.assert_allclose(best_weights(with_risk, 10.0), [1.0, 0.0], atol=1e-3)


@pytest.mark.parametrize(
    ("returns", "risk_aversion", "message"),
    [
        (np.zeros((1, 3)), 10.0, "two sessions"),
        (np.full((5, 2), np.nan), 10.0, "without missing"),
        (np.full((5, 2), np.inf), 10.0, "infinite"),
        (np.zeros((5, 2)), 0.0, "positive"),
    ],
)
def test_what_has_no_answer_is_refused(returns, risk_aversion, message):
    with pytest.raises(InputError, match=message):
        best_weights(returns, risk_aversion)
