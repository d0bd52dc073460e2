"""Coverage tests against published values, scipy's G-tests and planted clusters."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from scipy import stats

from finembed_core.polymodel.var_exceptions import (
    conditional_coverage_test,
    find_exceptions,
    independence_test,
    kupiec_test,
    pooled_rate,
)

panels = arrays(float, (30, 4), elements=st.sampled_from([0.01, -0.01, -0.03, -0.08, np.nan]))
VAR = np.full((30, 4), 0.02)


def forecasts(hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns of -0.03 against a VaR of 0.02 where a cell is marked, and of 0 elsewhere."""
    return np.where(hits, -0.03, 0.0), np.full(hits.shape, 0.02)


def markov_chain(rng: np.random.Generator, months: int, funds: int, after_calm: float, after_hit):
    """Exceptions with one probability after a calm month, another after an exception."""
    draws = rng.random((months, funds))
    hits = np.empty((months, funds), dtype=bool)
    hits[0] = draws[0] < after_calm
    for t in range(1, months):
        hits[t] = draws[t] < np.where(hits[t - 1], after_hit, after_calm)
    return hits


def test_matlab_equity_example():
    """Risk Management Toolbox, `varbacktest` reference page for `cc`: EquityIndex, Normal95."""
    transitions = [[932, 53], [53, 4]]
    coverage = kupiec_test(57, 1043, 0.95)
    independence = independence_test(transitions)
    joint = conditional_coverage_test(57, 1043, transitions, 0.95)
    assert coverage.statistic == pytest.approx(0.46147, abs=5e-6)
    assert coverage.p_value == pytest.approx(0.49694, abs=5e-6)
    assert independence.statistic == pytest.approx(0.25866, abs=5e-6)
    assert independence.p_value == pytest.approx(0.61104, abs=5e-6)
    assert joint.statistic == pytest.approx(0.72013, abs=5e-6)
    assert joint.p_value == pytest.approx(0.69763, abs=5e-6)


def test_jorion_jp_morgan_in_1998():
    """Jorion, *Value at Risk* (3rd ed.), chapter 6: 20 exceptions in 252 days at 95%.

    6 of them come right after another; the book counts 252 transitions.
    """
    transitions = [[218, 14], [14, 6]]
    assert kupiec_test(20, 252, 0.95).statistic == pytest.approx(3.91, abs=5e-3)
    assert independence_test(transitions).statistic == pytest.approx(9.53, abs=5e-3)
    joint = conditional_coverage_test(20, 252, transitions, 0.95).statistic
    assert joint == pytest.approx(13.44, abs=5e-3)


def test_jorion_exercise():
    """Its question 10: 6 exceptions in 252 days at 99%, 4 of them right after another."""
    assert kupiec_test(6, 252, 0.99).statistic == pytest.approx(3.498, abs=1e-3)
    assert independence_test([[244, 2], [2, 4]]).statistic == pytest.approx(25.837, abs=1e-3)


@pytest.mark.parametrize(
    ("level", "regions"),
    [
        (0.990, [(1, 6), (2, 10), (5, 16)]),
        (0.975, [(3, 11), (7, 20), (16, 35)]),
        (0.950, [(7, 20), (17, 35), (38, 64)]),
        (0.925, [(12, 27), (28, 50), (60, 91)]),
        (0.900, [(17, 35), (39, 64), (82, 119)]),
    ],
)
def test_kupiec_nonrejection_regions(level, regions):
    """Kupiec (1995) for 255, 510 and 1000 days at 5%; he prints "N < 7" for the first."""
    for months, region in zip((255, 510, 1000), regions, strict=True):
        accepted = np.flatnonzero(kupiec_test(np.arange(months), months, level).p_value > 0.05)
        assert (accepted[0], accepted[-1]) == region


@given(months=st.integers(1, 400), share=st.floats(0, 1), level=st.sampled_from([0.9, 0.95, 0.99]))
def test_kupiec_is_a_g_test(months, share, level):
    count = round(share * months)
    expected = [months * (1 - level), months * level]
    oracle = stats.power_divergence([count, months - count], expected, lambda_="log-likelihood")
    ours = kupiec_test(count, months, level)
    assert ours.statistic == pytest.approx(oracle.statistic, rel=1e-9, abs=1e-9)
    rounded = max(oracle.statistic, 0.0)  # scipy's may fall below 0 by rounding
    assert ours.p_value == pytest.approx(stats.chi2(1).sf(rounded), rel=1e-6)


@given(st.tuples(*[st.integers(1, 300)] * 4))
def test_independence_is_a_g_test_of_the_transitions(cells):
    table = np.reshape(cells, (2, 2))
    oracle = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    ours = independence_test(table)
    assert ours.statistic == pytest.approx(oracle.statistic, rel=1e-9, abs=1e-9)
    assert ours.p_value == pytest.approx(oracle.pvalue, rel=1e-4)


def test_exceptions_by_hand():
    returns = np.array(
        [
            [-0.05, -0.02, np.nan],
            [-0.09, 0.03, 0.01],
            [0.01, np.nan, -0.10],
            [-0.05, -0.06, -0.01],
            [-0.08, -0.06, 0.02],
        ]
    )
    var = np.full_like(returns, 0.04)
    var[3, 0] = 0.05  # lost just that: no exception
    var[4, 2] = np.nan
    found = find_exceptions(returns, var)
    assert found.months.tolist() == [5, 4, 3]
    assert found.count.tolist() == [3, 2, 1]
    assert found.transitions[:, :, 0].tolist() == [[1, 1], [1, 1]]
    assert found.transitions[:, :, 1].tolist() == [[1, 0], [0, 1]]
    assert found.transitions[:, :, 2].tolist() == [[0, 1], [1, 0]]
    np.testing.assert_allclose(found.rate, [0.6, 0.5, 1 / 3])
    np.testing.assert_allclose(found.mean_excess, [0.1 / 3, 0.02, 0.06])
    np.testing.assert_allclose(found.mean_relative_excess, [2.5 / 3, 0.5, 1.5])

    pooled = find_exceptions(returns, var, pooled=True)
    assert (pooled.count, pooled.months, pooled.rate) == (6, 12, 0.5)
    np.testing.assert_allclose(pooled.mean_excess, 0.2 / 6)
    np.testing.assert_array_equal(pooled.transitions, found.transitions.sum(axis=-1))


def test_a_var_that_promises_a_gain_has_no_multiple():
    returns, var = np.array([[-0.05], [0.01], [0.01]]), np.array([[0.02], [-0.02], [0.0]])
    found = find_exceptions(returns, var)
    assert found.count == [2]
    np.testing.assert_allclose(found.mean_excess, (0.03 + 0.01) / 2)
    np.testing.assert_allclose(found.mean_relative_excess, 1.5)


def test_without_exceptions():
    found = find_exceptions(*forecasts(np.zeros((36, 1), dtype=bool)))
    assert (found.count, found.rate) == ([0], [0.0])
    assert np.isnan(found.mean_excess) and np.isnan(found.mean_relative_excess)
    assert kupiec_test(0, 36, 0.99).statistic == pytest.approx(-2 * 36 * np.log(0.99))
    alone = independence_test(found.transitions)
    assert (alone.statistic, alone.p_value) == ([0.0], [1.0])


def test_with_nothing_but_exceptions():
    found = find_exceptions(*forecasts(np.ones((36, 1), dtype=bool)))
    assert (found.count, found.rate) == ([36], [1.0])
    assert kupiec_test(36, 36, 0.99).statistic == pytest.approx(-2 * 36 * np.log(0.01))
    alone = independence_test(found.transitions)
    assert (alone.statistic, alone.p_value) == ([0.0], [1.0])


def test_a_single_observation_has_a_rate_and_no_transition():
    found = find_exceptions(*forecasts(np.ones((1, 2), dtype=bool)))
    assert found.rate.tolist() == [1.0, 1.0]
    assert kupiec_test(found.count, found.months, 0.95).statistic == pytest.approx(
        -2 * np.log(0.05)
    )
    assert np.isnan(independence_test(found.transitions).p_value).all()
    joint = conditional_coverage_test(found.count, found.months, found.transitions, 0.95)
    assert np.isnan(joint.statistic).all() and np.isnan(joint.p_value).all()


def test_a_fund_that_was_never_judged():
    returns, var = forecasts(np.ones((12, 2), dtype=bool))
    var[:, 1] = np.nan
    found = find_exceptions(returns, var)
    assert found.months.tolist() == [12, 0]
    assert np.isnan([found.rate[1], found.mean_excess[1], found.mean_relative_excess[1]]).all()
    assert np.isnan(kupiec_test(found.count, found.months, 0.95).p_value).tolist() == [False, True]
    rate = pooled_rate(returns[:, 1:], var[:, 1:], 3, 0.95, 100, 1)
    assert np.isnan([rate.rate, rate.low, rate.high]).all()


@pytest.mark.parametrize(
    ("months", "level", "size"),
    [(1000, 0.95, 0.05), (2000, 0.99, 0.05), (36, 0.99, 0.006), (240, 0.99, 0.125)],
)
def test_how_often_kupiec_rejects_a_right_forecast(months, level, size):
    """Its exact size at 5%, from the binomial law of the count: nominal in long records alone."""
    count = np.arange(months + 1)
    rejected = kupiec_test(count, months, level).p_value < 0.05
    exact = stats.binom(months, 1 - level).pmf(count[rejected]).sum()
    assert exact == pytest.approx(size, abs=0.01 if size == 0.05 else 5e-4)


def test_independence_on_independent_and_on_clustered_exceptions():
    rng = np.random.default_rng(7)
    calm = markov_chain(rng, 1000, 2000, 0.1, 0.1)
    found = find_exceptions(*forecasts(calm))
    rejected = independence_test(found.transitions).p_value < 0.05
    assert rejected.mean() == pytest.approx(0.05, abs=0.015)

    clustered = markov_chain(rng, 500, 200, 0.03, 0.4)  # 4.8% in all: right on average
    found = find_exceptions(*forecasts(clustered))
    assert np.median(kupiec_test(found.count, found.months, 0.952).p_value) > 0.2
    assert (independence_test(found.transitions).p_value < 0.01).mean() > 0.9
    joint = conditional_coverage_test(found.count, found.months, found.transitions, 0.952)
    assert (joint.p_value < 0.05).mean() > 0.9


def test_pooled_interval_knows_that_funds_fall_together():
    """30 funds share one fate per month: months are 1/30 as informative as cells seem to be."""
    rng = np.random.default_rng(8)
    covered, naive = [], []
    for world in range(100):
        fates = np.repeat(rng.random((240, 1)) < 0.05, 30, axis=1)
        returns, var = forecasts(fates)
        rate = pooled_rate(returns, var, 3, 0.95, 200, world)
        covered.append(rate.low <= 0.05 <= rate.high)
        found = find_exceptions(returns, var, pooled=True)
        naive.append(kupiec_test(found.count, found.months, 0.95).p_value > 0.05)
    assert 0.85 < np.mean(covered) <= 1.0
    assert np.mean(naive) < 0.5


def test_pooled_interval_is_wider_for_clusters_and_for_confidence():
    rng = np.random.default_rng(9)
    fates = np.repeat(markov_chain(rng, 600, 1, 0.02, 0.8), 5, axis=1)
    single = pooled_rate(*forecasts(fates), 1, 0.9, 500, 1)
    blocks = pooled_rate(*forecasts(fates), 12, 0.9, 500, 1)
    assert single.rate == blocks.rate == pytest.approx(fates.mean())
    assert blocks.high - blocks.low > 1.5 * (single.high - single.low)
    narrow = pooled_rate(*forecasts(fates), 12, 0.5, 500, 1)
    assert blocks.low < narrow.low < narrow.high < blocks.high


def test_pooled_rate_depends_on_the_seed_alone():
    panel = forecasts(np.random.default_rng(10).random((60, 8)) < 0.1)
    assert pooled_rate(*panel, 6, 0.95, 200, 1) == pooled_rate(*panel, 6, 0.95, 200, 1)
    assert pooled_rate(*panel, 6, 0.95, 200, 1) != pooled_rate(*panel, 6, 0.95, 200, 2)


def test_pooled_rate_passes_over_months_without_forecasts_and_knows_no_unseen_exception():
    returns, var = forecasts(np.zeros((60, 4), dtype=bool))
    var[:40] = np.nan
    rate = pooled_rate(returns, var, 12, 0.95, 500, 1)
    assert (rate.rate, rate.low, rate.high) == (0.0, 0.0, 0.0)


@given(panels, st.permutations(range(30)), st.permutations(range(4)))
def test_order_of_months_does_not_matter_to_kupiec(returns, months, funds):
    found = find_exceptions(returns, VAR)
    moved = find_exceptions(returns[months][:, funds], VAR)
    before = kupiec_test(found.count, found.months, 0.95).statistic
    np.testing.assert_array_equal(
        kupiec_test(moved.count, moved.months, 0.95).statistic, before[funds]
    )


@given(panels)
def test_the_joint_statistic_is_the_sum(returns):
    for pooled in (False, True):
        found = find_exceptions(returns, VAR, pooled)
        coverage = kupiec_test(found.count, found.months, 0.95)
        independence = independence_test(found.transitions)
        joint = conditional_coverage_test(found.count, found.months, found.transitions, 0.95)
        np.testing.assert_allclose(joint.statistic, coverage.statistic + independence.statistic)
        np.testing.assert_allclose(joint.p_value, stats.chi2.sf(joint.statistic, 2))
        for test in (coverage, independence, joint):
            assert np.isnan(test.statistic).tolist() == np.isnan(test.p_value).tolist()
            assert not (test.statistic < 0).any()


@given(panels, st.floats(0.01, 100.0))
def test_a_change_of_units_changes_nothing_but_the_excess(returns, scale):
    found, scaled = find_exceptions(returns, VAR), find_exceptions(scale * returns, scale * VAR)
    np.testing.assert_array_equal(scaled.transitions, found.transitions)
    np.testing.assert_array_equal(scaled.rate, found.rate)
    np.testing.assert_allclose(scaled.mean_excess, scale * found.mean_excess)
    np.testing.assert_allclose(scaled.mean_relative_excess, found.mean_relative_excess)
