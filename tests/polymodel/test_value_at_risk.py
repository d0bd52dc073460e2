"""VaR from a fund's own returns, against PerformanceAnalytics, scipy and the definition."""

import empyrical
import hypothesis.strategies as st
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats

from finembed_core.polymodel.value_at_risk import (
    MAX_SKEWNESS,
    cornish_fisher_quantile,
    cornish_fisher_var,
    gaussian_var,
    historical_var,
    into_domain,
    sample_moments,
)
from tests.shared_data import SHARED, needs_shared

ESTIMATORS = [historical_var, gaussian_var, cornish_fisher_var]
LEVELS = [0.9, 0.95, 0.975, 0.99, 0.999]
windows = arrays(float, (24, 3), elements=st.integers(-4_000, 4_000).map(lambda n: n / 10_000))


def shared(file: str) -> pl.DataFrame:
    return pl.read_csv(SHARED / "oracles" / file, null_values=["", "NA"])


def column(file: str, name: str, months: int | None = None) -> NDArray[np.float64]:
    values = shared(file)[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return values[:months, None]


@needs_shared
@pytest.mark.parametrize(
    ("estimate", "printed"),
    [(gaussian_var, 0.012133), (cornish_fisher_var, 0.014674), (historical_var, 0.014095)],
)
def test_performance_analytics_baseline(estimate, printed):
    """VaR(edhec[1:100, 1], p = 0.95) in its tests/testthat/test-VaR_archive_baseline.R."""
    returns = column("edhec_full.csv", "Convertible Arbitrage", 100)
    assert estimate(returns, 0.95) == pytest.approx(printed, abs=5e-7)


@needs_shared
@pytest.mark.parametrize(
    ("index", "historical", "modified"),
    [
        ("Convertible Arbitrage", 0.0192, 0.0325),
        ("CTA Global", 0.0354, 0.0338),
        ("Distressed Securities", 0.0189, 0.0275),
        ("Emerging Markets", 0.0446, 0.0636),
    ],
)
def test_performance_analytics_manual(index, historical, modified):
    """table.DownsideRisk(edhec, p = .95) on the reference pages, its 152 months to 2009-08.

    Its modified VaR is the bare formula; the first two indices lie outside the domain.
    """
    returns = column("edhec_full.csv", index, 152)
    assert historical_var(returns, 0.95) == pytest.approx(historical, abs=5e-5)
    m = sample_moments(returns)
    bare = -(m.mean + m.sd * cornish_fisher_quantile(stats.norm.ppf(0.05), m.skewness, m.kurtosis))
    assert bare == pytest.approx(modified, abs=5.1e-5)
    if index in ("Distressed Securities", "Emerging Markets"):
        assert cornish_fisher_var(returns, 0.95) == pytest.approx(bare)


@needs_shared
def test_how_often_the_domain_binds():
    """The figures that the docstring of `cornish_fisher_var` gives."""
    returns = shared("edhec_full.csv").drop("").to_numpy()
    windows = np.concatenate([returns[t - 36 : t] for t in range(36, len(returns))], axis=1)
    m = sample_moments(windows)
    skewness, kurtosis = into_domain(m.skewness, m.kurtosis)
    outside = (skewness != m.skewness) | (kurtosis != m.kurtosis)
    assert outside.mean() == pytest.approx(0.73, abs=0.01)
    assert (m.kurtosis < kurtosis)[outside].mean() > 0.9
    z = stats.norm.ppf(0.01)
    bare = -(m.mean + m.sd * cornish_fisher_quantile(z, m.skewness, m.kurtosis))
    effect = (cornish_fisher_var(windows, 0.99) / bare - 1.0)[outside]
    assert np.median(effect) == pytest.approx(0.07, abs=0.005)


@pytest.mark.parametrize(
    ("probability", "skewness", "kurtosis", "quantile"),
    [
        (0.5, 1.0, 0.0, -0.1666667),
        (0.9, 0.1, 1.0, 1.220374),
        (0.99, 0.1, 0.0, 2.396116),
        (0.99, 0.1, 1.0, 2.629904),
        (0.01, 0.1, 0.0, -2.249053),
        (0.01, 0.1, 1.0, -2.482841),
        (0.01, 0.1, -1.0, -2.015265),
    ],
)
def test_cornish_fisher_quantile(probability, skewness, kurtosis, quantile):
    """The examples of mir.stat.distribution.cornish_fisher (D language)."""
    value = cornish_fisher_quantile(stats.norm.ppf(probability), skewness, kurtosis)
    assert value == pytest.approx(quantile, abs=1e-6)


def test_moments_are_those_of_scipy():
    returns = np.random.default_rng(1).standard_t(4, (60, 5)) * 0.03
    returns[:20, 1] = np.nan
    m = sample_moments(returns)
    np.testing.assert_allclose(m.mean, np.nanmean(returns, axis=0))
    np.testing.assert_allclose(m.sd, np.nanstd(returns, axis=0))
    np.testing.assert_allclose(m.skewness, stats.skew(returns, nan_policy="omit"))
    np.testing.assert_allclose(m.kurtosis, stats.kurtosis(returns, nan_policy="omit"))


@pytest.mark.parametrize("level", LEVELS)
def test_quantiles_are_those_of_empyrical_and_scipy(level):
    returns = np.random.default_rng(2).standard_t(4, (60, 5)) * 0.03
    np.testing.assert_allclose(
        historical_var(returns, level),
        [-empyrical.value_at_risk(column, 1.0 - level) for column in returns.T],
    )
    np.testing.assert_allclose(
        gaussian_var(returns, level),
        [-stats.norm(*stats.norm.fit(c)).ppf(1 - level) for c in returns.T],
    )


def test_missing_months_do_not_count():
    rng = np.random.default_rng(3)
    full = rng.standard_normal((40, 2)) * 0.04
    holes = np.insert(full, [5, 5, 17, 40], np.nan, axis=0)
    for estimate in ESTIMATORS:
        np.testing.assert_allclose(estimate(holes, 0.99), estimate(full, 0.99))


@pytest.mark.parametrize("estimate", ESTIMATORS)
def test_funds_without_history_or_movement(estimate):
    returns = np.full((12, 3), np.nan)
    returns[:, 1] = 0.004
    returns[3, 2] = -0.06
    np.testing.assert_allclose(estimate(returns, 0.99), [np.nan, -0.004, 0.06], atol=1e-15)


@pytest.mark.parametrize("estimate", ESTIMATORS)
def test_planted_quantile_is_found(estimate):
    """Of a normal law by all, of a skewed one by those that look at more than two moments."""
    returns = np.random.default_rng(4).standard_normal((200_000, 1)) * 0.04 + 0.01
    assert estimate(returns, 0.99) == pytest.approx(2.3263 * 0.04 - 0.01, rel=0.01)
    skewed = 0.05 - np.random.default_rng(5).gamma(20.0, 0.01, (200_000, 1))
    truth = stats.gamma(20.0, scale=0.01).ppf(0.99) - 0.05
    close = estimate(skewed, 0.99) == pytest.approx(truth, rel=0.01)
    assert close == (estimate is not gaussian_var)


def test_a_crash_does_not_lower_the_var():
    returns = np.random.default_rng(6).standard_normal((36, 1)) * 0.01
    returns[20] = -0.25
    m = sample_moments(returns)
    bare = [cornish_fisher_quantile(stats.norm.ppf(1 - p), m.skewness, m.kurtosis) for p in LEVELS]
    assert (np.diff(bare, axis=0) > 0).any()
    ours = [cornish_fisher_var(returns, level) for level in LEVELS]
    assert (np.diff(ours, axis=0) > 0).all()


@given(st.floats(-8, 8), st.floats(-2, 40))
def test_expansion_increases_everywhere_in_its_domain(skewness, kurtosis):
    inside = into_domain(np.array([skewness]), np.array([kurtosis]))
    values = cornish_fisher_quantile(np.linspace(-10, 10, 2001)[:, None], *inside)
    assert (np.diff(values, axis=0) >= -1e-9).all()
    np.testing.assert_allclose(into_domain(*inside), inside, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("skewness", [0.0, 0.5, 1.5, 2.4])
def test_just_outside_the_domain_it_does_not(sign, skewness):
    """Maillard's bounds are exact: a step beyond either, the expansion turns somewhere."""
    kurtosis = into_domain(np.array([skewness]), np.array([sign * 100.0]))[1] + sign * 0.05
    z = np.linspace(-100, 100, 400_001)
    values = cornish_fisher_quantile(z, np.full(1, skewness), kurtosis)
    assert (np.diff(values) < 0).any()


def test_domain_closes_at_the_largest_skewness():
    skewness, kurtosis = into_domain(np.array([-5.0, 5.0]), np.array([0.0, 90.0]))
    np.testing.assert_allclose(skewness, [-2.4853, 2.4853], atol=1e-4)
    np.testing.assert_allclose(kurtosis, 4.0 * (1.0 + 11.0 * (MAX_SKEWNESS / 6.0) ** 2), atol=1e-6)


@pytest.mark.parametrize("estimate", ESTIMATORS)
@given(returns=windows, scale=st.floats(0.01, 100.0), shift=st.floats(-1.0, 1.0))
def test_var_scales_and_shifts_with_the_returns(estimate, returns, scale, shift):
    moved = estimate(scale * returns + shift, 0.99)
    expected = scale * estimate(returns, 0.99) - shift
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-6 * (scale + abs(shift)))


@pytest.mark.parametrize("estimate", ESTIMATORS)
@given(returns=windows)
def test_var_rises_with_the_level(estimate, returns):
    var = np.stack([estimate(returns, level) for level in LEVELS])
    assert (np.diff(var, axis=0) >= -1e-12).all()


@pytest.mark.parametrize("estimate", ESTIMATORS)
@given(returns=windows, seed=st.integers(0, 100))
def test_order_of_months_and_funds_does_not_matter(estimate, returns, seed):
    rng = np.random.default_rng(seed)
    months, funds = rng.permutation(24), rng.permutation(3)
    np.testing.assert_allclose(
        estimate(returns[months][:, funds], 0.99), estimate(returns, 0.99)[funds], atol=1e-9
    )
