"""Quantiles and Pareto tails against numpy and scipy; months that are added one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from finembed_core.calendar import month_ends
from finembed_core.panel import Panel
from finembed_core.polymodel.history import (
    LongHistory,
    SortedHistories,
    empirical_quantiles,
    long_history_quantiles,
    pareto_upper_quantile,
)
from finembed_core.settings import PolyModelSettings

SETTINGS = PolyModelSettings()


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
    quantile = pareto_upper_quantile(np.sort(values, axis=0), 0.99, 0.10, 20)
    for j in range(3):
        threshold = np.quantile(values[:, j], 0.9)
        excess = values[values[:, j] > threshold, j] - threshold
        xi, sigma = probability_weighted_fit(excess)
        share = len(excess) / 400
        expected = threshold + stats.genpareto(xi, scale=sigma).isf(0.01 / share)
        np.testing.assert_allclose(quantile[j], expected, rtol=1e-10)


def test_pareto_tail_agrees_with_maximum_likelihood_and_the_truth():
    values = stats.t(4).ppf((np.arange(4000) + 0.5) / 4000)[:, None]
    quantile = pareto_upper_quantile(np.sort(values, axis=0), 0.99, 0.10, 20)[0]
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
    quantile = pareto_upper_quantile(np.sort(values, axis=0), 0.99, 0.10, 20)
    np.testing.assert_allclose(quantile, first / 10 + 20.0 * np.log(10.0), rtol=1e-9)


def test_few_exceedances_fall_back_to_the_empirical_quantile():
    values = np.random.default_rng(4).standard_normal((150, 2))
    quantiles = long_history_quantiles(np.sort(values, axis=0), [0.01, 0.5, 0.99], 0.10, 20)
    np.testing.assert_allclose(quantiles, np.quantile(values, [0.01, 0.5, 0.99], axis=0))


def test_equal_exceedances_fall_back_to_the_empirical_quantile():
    values = np.r_[np.zeros(180), np.ones(25)][:, None]
    values[:20] = -1.0
    assert pareto_upper_quantile(np.sort(values, axis=0), 0.99, 0.2, 20)[0] == 1.0


def test_lower_tail_mirrors_the_upper():
    values = np.random.default_rng(5).standard_t(3, (300, 5))
    low, high = long_history_quantiles(np.sort(values, axis=0), [0.01, 0.99], 0.10, 20)
    mirrored = long_history_quantiles(np.sort(-values, axis=0), [0.01, 0.99], 0.10, 20)
    np.testing.assert_allclose([-high, -low], mirrored, rtol=1e-12)


def test_missing_months_do_not_move_a_tail():
    values = np.random.default_rng(6).standard_t(3, (300, 2))
    gaps = np.insert(values, [0, 0, 100, 299], np.nan, axis=0)
    np.testing.assert_allclose(
        pareto_upper_quantile(np.sort(gaps, axis=0), 0.99, 0.1, 20),
        pareto_upper_quantile(np.sort(values, axis=0), 0.99, 0.1, 20),
    )


def test_units_are_mean_and_sd():
    values = np.array([[np.nan, 1.0], [1.0, 2.0], [3.0, 6.0]])
    found = LongHistory.of(values, SETTINGS)
    np.testing.assert_allclose(found.mean, np.nanmean(values, axis=0))
    np.testing.assert_allclose(found.sd, np.nanstd(values, axis=0, ddof=1))
    assert found.count.tolist() == [2, 3]
    z = found.standardize(values)
    np.testing.assert_allclose(np.nanmean(z, axis=0), 0.0, atol=1e-15)
    assert np.isnan(z[0, 0])


def test_a_summary_has_the_same_bits_whatever_stands_beside_it():
    values = np.random.default_rng(7).standard_t(3, (300, 4))
    values[:100, 1] = np.nan
    together = LongHistory.of(values, SETTINGS)
    longer = np.concatenate([np.full((50, 4), np.nan), values])
    assert_same(LongHistory.of(longer, SETTINGS), together)
    for k in range(4):
        assert_same(LongHistory.of(values[:, [k]], SETTINGS), together.select(np.array([k])))


def assert_same(one, other):
    for name in ("count", "mean", "sd", "quantiles"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def months(values, ids):
    return Panel(month_ends(np.arange(12_000, 12_000 + len(values))), ids, values)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_month_by_month_equals_from_scratch(seed):
    """Gaps, births, restatements, skipped months and months gone back to included."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-3, 4, (60, 5)) / 4.0
    values[rng.random(values.shape) < 0.2] = np.nan
    values[:40, 4] = np.nan
    histories = SortedHistories(SETTINGS)
    for _ in range(6):
        end = rng.integers(1, 61)
        if rng.random() < 0.5:
            values[rng.integers(0, 60), rng.integers(0, 5)] = rng.standard_normal()
        alive = np.flatnonzero(np.isfinite(values[:end]).any(axis=0))
        panel = months(values[:end, alive], tuple(f"x{k}" for k in alive))
        assert_same(histories.summarize(panel), LongHistory.of(panel.values, SETTINGS))


def test_only_what_changed_is_summarized_again(monkeypatch):
    values = np.random.default_rng(8).standard_normal((100, 3))
    values[90:, 1] = np.nan  # ended
    seen = []
    summarize = LongHistory._of_sorted
    monkeypatch.setattr(
        LongHistory,
        "_of_sorted",
        classmethod(
            lambda cls, ordered, settings: (
                seen.append(ordered.shape[1]) or summarize(ordered, settings)
            )
        ),
    )
    histories = SortedHistories(SETTINGS)
    seen.clear()
    for end in (95, 96, 96):
        histories.summarize(months(values[:end], ("a", "b", "c")))
    assert seen == [3, 2, 0]
