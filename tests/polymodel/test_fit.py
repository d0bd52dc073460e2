"""Basis and ridge fits against scipy and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import eval_hermitenorm
from sklearn.linear_model import Ridge as Oracle

from finembed_core.calendar import Month
from finembed_core.polymodel.basis import hermite_basis, is_flat, standardize
from finembed_core.polymodel.fit import Ridge, missing_pattern_groups
from finembed_core.polymodel.pairs import fit_pairs
from finembed_core.settings import PolyModelSettings

MONTH = Month.parse("2005-03")


def test_basis_is_scaled_hermite():
    x = np.linspace(-4, 4, 31)
    expected = [eval_hermitenorm(k, x) / math.sqrt(math.factorial(k)) for k in range(7)]
    np.testing.assert_allclose(hermite_basis(x, 6), np.array(expected).T, rtol=1e-12, atol=1e-12)


def test_basis_is_orthonormal_under_a_gaussian():
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    basis = hermite_basis(nodes, 4)
    gram = basis.T @ (basis * (weights / math.sqrt(2 * math.pi))[:, None])
    np.testing.assert_allclose(gram, np.eye(5), atol=1e-12)


def test_standardize_ignores_missing_months():
    history = np.array([[np.nan, 1.0], [1.0, 2.0], [3.0, 6.0]])
    z = standardize(history)
    np.testing.assert_allclose(np.nanmean(z, axis=0), 0.0, atol=1e-15)
    np.testing.assert_allclose(np.nanstd(z, axis=0, ddof=1), 1.0)
    assert np.isnan(z[0, 0])


def test_flat_columns():
    columns = np.array([[0.1, 0.0, np.nan, 0.1], [0.1 + 1e-17, 0.0, np.nan, 0.2]])
    assert is_flat(columns).tolist() == [True, True, True, False]


@pytest.mark.parametrize("penalize_intercept", [False, True])
def test_fit_equals_scikit_learn(penalize_intercept):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((3, 36)), rng.standard_normal((36, 4)) * 0.03 + 0.01
    basis = hermite_basis(x, 4)
    ridge = Ridge.on(basis, 0.7, penalize_intercept=penalize_intercept)
    coefficients, rss = ridge.coefficients(y), ridge.residual_sum_of_squares(y)
    for j in range(3):
        oracle = Oracle(alpha=0.7, fit_intercept=not penalize_intercept, solver="svd")
        columns = basis[j] if penalize_intercept else basis[j][:, 1:]
        oracle.fit(columns, y)
        beta = oracle.coef_
        if not penalize_intercept:
            beta = np.column_stack([oracle.intercept_, oracle.coef_])
        np.testing.assert_allclose(coefficients[j], beta, rtol=1e-10, atol=1e-12)
        residual = np.square(y - oracle.predict(columns)).sum(axis=0)
        np.testing.assert_allclose(rss[j], residual, rtol=1e-10)


def test_near_singular_basis_gives_finite_small_coefficients():
    x = np.zeros((1, 36))
    x[0, 0] = 1e-9  # a factor that stands still in this window, but for one twitch
    ridge = Ridge.on(hermite_basis(x, 4), 1.0)
    beta = ridge.coefficients(np.random.default_rng(2).standard_normal((36, 2)))
    assert np.isfinite(beta).all()
    assert np.abs(beta[..., 1:]).max() < 1e-6


@given(st.integers(0, 2**32 - 1))
def test_groups_partition_the_pairs(seed):
    rng = np.random.default_rng(seed)
    returns = np.where(rng.random((12, 5)) < 0.2, np.nan, 1.0)
    factors = np.where(rng.random((12, 3)) < 0.1, np.nan, 1.0)
    shared = (np.isfinite(returns)[:, None, :] & np.isfinite(factors)[:, :, None]).sum(axis=0)
    covered = np.zeros((3, 5), dtype=int)
    for group in missing_pattern_groups(returns, factors, 8):
        cells = np.ix_(group.factors, group.funds)
        covered[cells] += 1
        assert (shared[cells] == len(group.rows)).all()
    assert (covered == (shared >= 8)).all()


def test_missing_patterns_equal_a_loop_over_pairs():
    rng = np.random.default_rng(3)
    settings = PolyModelSettings(shuffles=99)
    returns, factors = rng.standard_normal((36, 8)) * 0.03, rng.standard_normal((36, 4))
    returns[:7, 1] = returns[:7, 2] = np.nan  # two births
    returns[[5, 20], 3] = np.nan  # interior gaps
    returns[:20, 4] = np.nan  # too short
    factors[3, 1] = np.nan
    factors[:11, 2] = np.nan
    all_at_once = fit_pairs(returns, factors, MONTH, settings)
    for j in range(4):
        for i in range(8):
            alone = fit_pairs(returns[:, [i]], factors[:, [j]], MONTH, settings)
            np.testing.assert_array_equal(all_at_once.p_value[j, i], alone.p_value[0, 0])
            for name in ("coefficients", "r2", "residual_sd"):
                together, single = getattr(all_at_once, name)[j, i], getattr(alone, name)[0, 0]
                np.testing.assert_allclose(together, single, rtol=1e-11, atol=1e-14)
            shared = (np.isfinite(returns[:, i]) & np.isfinite(factors[:, j])).sum()
            assert np.isnan(all_at_once.p_value[j, i]) == (shared < settings.min_obs)
