"""Permutation moments against all orders written out, the spec's formula, and many shuffles."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from finembed_core.calendar import Month
from finembed_core.polymodel.basis import hermite_basis
from finembed_core.polymodel.fit import Ridge
from finembed_core.polymodel.permutation_moments import beta_p_values, standardized_moments
from finembed_core.polymodel.shuffling import TargetShuffling, exact_p_values, shuffled_rows
from finembed_core.polymodel.significance import moments_p_values

MONTH = Month.parse("2005-03")


def random_test(rng, n, q=3, factors=2, funds=3):
    """U and y as a month has them; y skewed and with heavy tails."""
    factor = rng.standard_normal((factors, n, q)) ** 3
    factor -= factor.mean(axis=1, keepdims=True)
    return TargetShuffling.of(factor, rng.standard_normal((n, funds)) ** 3)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([6, 7]))
def test_moments_are_those_of_all_orders(seed, n):
    test = random_test(np.random.default_rng(seed), n)
    mean, sd, skewness = standardized_moments(test.factor, test.unit)
    orders = np.array(list(itertools.permutations(range(n))))
    for j in range(2):
        for i in range(3):
            values = np.square(test.unit[orders, i] @ test.factor[j]).sum(axis=1)
            np.testing.assert_allclose(mean[j, i], values.mean(), rtol=1e-9)
            np.testing.assert_allclose(sd[j, i], values.std(), rtol=1e-7)
            np.testing.assert_allclose(skewness[j, i], stats.skew(values), rtol=1e-5, atol=1e-7)


def test_variance_is_the_published_one():
    """Kazi-Aoual, Hitier, Sabatier and Lebreton (1995) for y'By with centered y and B."""
    n = 36
    test = random_test(np.random.default_rng(1), n)
    _, sd, _ = standardized_moments(test.factor, test.unit)
    for j in range(2):
        b = test.factor[j] @ test.factor[j].T
        t1, t2, s2 = np.trace(b), np.trace(b @ b), np.square(np.diag(b)).sum()
        for i in range(3):
            k = (test.unit[:, i] ** 4).sum()
            v = 2 * ((n - 1) * t2 - t1**2) / ((n - 1) ** 2 * (n + 1))
            v += (
                (n * (n + 1) * s2 - (n - 1) * (t1**2 + 2 * t2))
                * (n * (n + 1) * k - 3 * (n - 1))
                / ((n + 1) * n * (n - 1) * (n - 2) * (n - 3))
            )
            np.testing.assert_allclose(sd[j, i] ** 2, v, rtol=1e-10)


@pytest.mark.parametrize(
    ("a", "b", "low"), [(1.5, 16.0, 0.0), (2.0, 14.0, 0.02), (0.8, 9.0, -0.03)]
)
def test_tail_is_that_of_the_beta_law_with_these_moments(a, b, low):
    law = stats.beta(a, b, loc=low, scale=1.0 - low)
    mean, variance, skewness = (float(m) for m in law.stats("mvs"))
    x = np.linspace(max(low, 0.0) + 1e-3, 0.9, 50)
    p = beta_p_values(x, np.array(mean), np.sqrt(variance), np.array(skewness))
    np.testing.assert_allclose(p, law.sf(x), rtol=3e-4)


def test_below_the_support_of_the_law_everything_is_above():
    law = stats.beta(2.0, 14.0, loc=0.05, scale=0.95)
    mean, variance, skewness = (np.array(float(m)) for m in law.stats("mvs"))
    assert beta_p_values(np.array([0.01]), mean, np.sqrt(variance), skewness) == 1.0


def test_two_moments_remain_where_three_fit_no_law():
    """A skewness below that of the two-point law has no beta law at all."""
    p = beta_p_values(np.array([0.3]), np.array(0.1), np.array(0.05), np.array(-40.0))
    total = 0.1 * 0.9 / 0.05**2 - 1
    np.testing.assert_allclose(p, stats.beta(0.1 * total, 0.9 * total).sf(0.3), rtol=1e-4)


@pytest.mark.parametrize("law", ["normal", "student3", "lognormal"])
def test_p_values_are_close_to_those_of_many_shuffles(law):
    rng = np.random.default_rng(2)
    draw = {"normal": rng.standard_normal, "student3": lambda s: rng.standard_t(3, s)}
    draw["lognormal"] = lambda s: rng.lognormal(0, 1, s)
    factor = Ridge.on(hermite_basis(rng.standard_normal((12, 36)), 4)).factor(1.0)
    test = TargetShuffling.of(factor, draw[law]((36, 12)))
    exact = exact_p_values(test.exceedances(shuffled_rows(36, 20_000, 1, MONTH)), 20_000)
    error = np.abs(np.log10(moments_p_values(test)) - np.log10(exact))[exact > 0.005]
    assert np.median(error) < 0.03
    assert error.max() < 0.3


def test_moments_do_not_depend_on_the_units_of_the_factor():
    rng = np.random.default_rng(3)
    basis = hermite_basis(rng.standard_normal((3, 36)) * 1e-3, 4)  # a very quiet window
    y = rng.standard_normal((36, 4))
    quiet = Ridge.on(basis).factor(1.0)
    p = moments_p_values(TargetShuffling.of(quiet, y))
    np.testing.assert_allclose(moments_p_values(TargetShuffling.of(quiet * 1e3, y)), p, rtol=1e-5)
    assert ((p > 0.0) & (p <= 1.0)).all()


def test_a_factor_that_stands_still_has_p_value_one():
    factor = Ridge.on(hermite_basis(np.full((1, 36), 0.3), 4)).factor(1.0)
    y = np.random.default_rng(8).standard_normal((36, 3))
    assert (moments_p_values(TargetShuffling.of(factor, y)) == 1.0).all()
