"""Basis and ridge fits against scipy and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import eval_hermitenorm
from sklearn.linear_model import Ridge as Oracle

from finembed_core.calendar import Month
from finembed_core.polymodel.basis import hermite_basis, is_flat
from finembed_core.polymodel.fit import PENALTIES, missing_pattern_groups
from finembed_core.polymodel.pairs import fit_pairs, fitted_curves
from finembed_core.polymodel.significance import p_values
from tests.polymodel.months import paper_settings

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


def test_flat_columns():
    columns = np.array([[0.1, 0.0, np.nan, 0.1], [0.1 + 1e-17, 0.0, np.nan, 0.2]])
    assert is_flat(columns).tolist() == [True, True, True, False]


@pytest.mark.parametrize("penalize_intercept", [False, True])
def test_fit_equals_scikit_learn(penalize_intercept):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((36, 3)), rng.standard_normal((36, 4)) * 0.03 + 0.01
    settings = paper_settings(ridge=0.7, penalize_intercept=penalize_intercept)
    fits = fit_pairs(y, x, settings)
    curves = fitted_curves(fits, np.ones((3, 4), dtype=bool), settings)
    basis = hermite_basis(x.T, 4)
    for j in range(3):
        free = Oracle(alpha=0.7, solver="svd").fit(basis[j][:, 1:], y)
        residual = np.square(y - free.predict(basis[j][:, 1:])).sum(axis=0)
        r2 = 1.0 - residual / np.square(y - y.mean(axis=0)).sum(axis=0)
        np.testing.assert_allclose(fits.r2[j], r2, rtol=1e-10)
        beta = np.column_stack([free.intercept_, free.coef_])
        if penalize_intercept:
            paper = Oracle(alpha=0.7, fit_intercept=False, solver="svd").fit(basis[j], y)
            beta, residual = paper.coef_, np.square(y - paper.predict(basis[j])).sum(axis=0)
        found = curves.coefficients[curves.factor == j]
        np.testing.assert_allclose(found, beta, rtol=1e-10, atol=1e-12)
        sd = np.sqrt(residual / (36 - 5))
        np.testing.assert_allclose(curves.residual_sd[curves.factor == j], sd, rtol=1e-10)


def test_cross_validated_lambda_is_the_best_of_the_grid():
    """GCV written out with hat matrices, pair by pair."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((36, 2))
    y = np.column_stack([0.5 * x[:, 0], 0.1 * x[:, 0] ** 2, 0.02 * x[:, 1], 0 * x[:, 0]])
    y += rng.standard_normal(y.shape) * 0.3
    fits = fit_pairs(y, x, paper_settings())
    group = fits.groups[0]
    basis = hermite_basis(x.T, 4)[..., 1:]
    for j in range(2):
        for i in range(4):
            ridge = group.curve.pairs(np.array([j]))
            chosen = ridge.cross_validated(group.projections[[j], :, i], group.energy[[i]])
            h, centered = basis[j] - basis[j].mean(axis=0), y[:, i] - y[:, i].mean()
            scores = []
            for penalty in PENALTIES:
                hat = h @ np.linalg.solve(h.T @ h + penalty * np.eye(4), h.T) + 1 / 36
                rss = np.square(centered - hat @ centered).sum()
                scores.append(36 * rss / (36 - np.trace(hat)) ** 2)
            assert chosen == PENALTIES[np.argmin(scores)]


def test_near_singular_basis_gives_finite_small_coefficients():
    x = np.zeros((36, 1))
    x[0] = 1e-9  # a factor that stands still in this window, but for one twitch
    settings = paper_settings()
    fits = fit_pairs(np.random.default_rng(2).standard_normal((36, 2)), x, settings)
    beta = fitted_curves(fits, np.ones((1, 2), dtype=bool), settings).coefficients
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


@pytest.mark.parametrize("significance", ["exact", "moments", "adaptive"])
def test_missing_patterns_equal_a_loop_over_pairs(significance):
    rng = np.random.default_rng(3)
    settings = paper_settings(significance=significance, shuffles=99)
    returns, factors = rng.standard_normal((36, 8)) * 0.03, rng.standard_normal((36, 4))
    returns[:7, 1] = returns[:7, 2] = np.nan  # two births
    returns[[5, 20], 3] = np.nan  # interior gaps
    returns[:20, 4] = np.nan  # too short
    factors[3, 1] = np.nan
    factors[:11, 2] = np.nan
    everything = everyone(returns, factors, settings)
    for j in range(4):
        for i in range(8):
            alone = everyone(returns[:, [i]], factors[:, [j]], settings)
            for name, values in everything.items():
                single = alone[name][0, 0]
                np.testing.assert_allclose(values[j, i], single, rtol=1e-10, atol=1e-14)
            shared = (np.isfinite(returns[:, i]) & np.isfinite(factors[:, j])).sum()
            assert np.isnan(everything["p"][j, i]) == (shared < settings.min_obs)


def everyone(returns, factors, settings):
    """All statistics of all pairs, as arrays (J, N, ...)."""
    fits = fit_pairs(returns, factors, settings)
    curves = fitted_curves(fits, np.isfinite(fits.r2), settings)
    beta, sd = np.full((*fits.r2.shape, 5), np.nan), np.full(fits.r2.shape, np.nan)
    beta[curves.factor, curves.fund] = curves.coefficients
    sd[curves.factor, curves.fund] = curves.residual_sd
    return {"r2": fits.r2, "p": p_values(fits, MONTH, settings), "beta": beta, "sd": sd}
