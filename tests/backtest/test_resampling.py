"""Draws against arch's stationary bootstrap, and against what must hold of them exactly."""

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap, optimal_block_length
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from finembed_core.backtest.resampling import block_length, bootstrap_variance, stationary_draws
from finembed_core.errors import InputError


def autoregressive(n: int, strategies: int, seed: int) -> np.ndarray:
    series = np.random.default_rng(seed).normal(0.005, 0.03, (n, strategies))
    for t in range(1, n):
        series[t] += 0.4 * series[t - 1]
    return series


def arch_draws(n: int, block: int, draws: int, seed: int) -> np.ndarray:
    bootstrap = StationaryBootstrap(block, np.arange(n), seed=seed)
    return np.array([data[0][0] for data in bootstrap.bootstrap(draws)])


def test_one_series_has_the_block_length_of_arch() -> None:
    series = autoregressive(200, 4, 1)
    lengths = [block_length(series[:, k]) for k in range(4)]
    assert lengths == optimal_block_length(series)["stationary"].tolist()
    assert min(lengths) > 1.0
    assert block_length(series) == max(lengths)


def test_a_block_is_a_period_at_least() -> None:
    white = np.random.default_rng(0).normal(size=400)
    assert optimal_block_length(white)["stationary"].item() < 1.0
    assert block_length(white) == 1.0


def test_constant_and_short_series_have_no_say() -> None:
    series = autoregressive(100, 1, 2)
    assert block_length(np.column_stack([series, np.full(100, 0.01)])) == block_length(series)
    assert block_length(np.full(50, 0.01)) == 1.0
    assert block_length(series[:2]) == 1.0


@settings(deadline=None)
@given(st.integers(0, 10**6), st.permutations(range(5)))
def test_the_order_of_strategies_does_not_matter(seed: int, order: list[int]) -> None:
    series = autoregressive(60, 5, seed)
    assert block_length(series) == block_length(series[:, order])


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(InputError, match="missing values"):
        block_length(np.array([0.1, np.nan, 0.2, 0.1]))


@settings(deadline=None)
@given(st.integers(1, 40), st.floats(1, 50), st.integers(1, 20), st.integers(0, 2**32))
def test_draws_are_positions_and_repeatable(n: int, block: float, draws: int, seed: int) -> None:
    index = stationary_draws(n, block, draws, seed)
    assert index.shape == (draws, n)
    assert index.min() >= 0 and index.max() < n
    assert np.array_equal(index, stationary_draws(n, block, draws, seed))


@pytest.mark.parametrize(("n", "block", "draws"), [(0, 2.0, 5), (5, 0.5, 5), (5, 2.0, 0)])
def test_what_cannot_be_drawn_is_an_error(n: int, block: float, draws: int) -> None:
    with pytest.raises(InputError, match="cannot draw"):
        stationary_draws(n, block, draws, 0)
    with pytest.raises(InputError, match="cannot draw"):
        stationary_draws(5, np.nan, 5, 0)


def test_blocks_are_as_long_as_those_of_arch() -> None:
    """The next period follows with probability 1 - p, or by chance: 1 - p + p/n."""
    n, block, draws = 50, 4, 4000
    expected = 1 - 1 / block + 1 / (block * n)
    error = np.sqrt(expected * (1 - expected) / (draws * (n - 1)))
    for index in (stationary_draws(n, block, draws, 1), arch_draws(n, block, draws, 1)):
        share = np.mean(index[:, 1:] == (index[:, :-1] + 1) % n)
        assert share == pytest.approx(expected, abs=4 * error)


def test_every_period_is_drawn_alike() -> None:
    index = stationary_draws(30, 5.0, 3000, 2)
    assert stats.chisquare(np.bincount(index[:, 0])).pvalue > 0.01
    assert stats.chisquare(np.bincount(index[:, -1])).pvalue > 0.01
    single = stationary_draws(30, 1.0, 3000, 2)
    assert stats.chisquare(np.bincount(single.ravel())).pvalue > 0.01


@pytest.mark.parametrize("block", [1, 3, 12])
def test_statistics_are_distributed_as_with_arch(block: int) -> None:
    series = autoregressive(90, 1, 3)[:, 0]
    ours, theirs = (series[draw(90, block, 3000, 5)] for draw in (stationary_draws, arch_draws))
    for statistic in (np.mean, np.std, np.min):
        a, b = statistic(ours, axis=1), statistic(theirs, axis=1)
        assert stats.ks_2samp(a, b, method="asymp").pvalue > 0.01


@pytest.mark.parametrize("block", [1.0, 2.5, 8.0])
def test_variance_of_the_mean_by_hand(block: float) -> None:
    """Sum over all pairs of places: i apart, they are in one block with (1 - 1/block)^i."""
    series = autoregressive(17, 2, 4)
    n = len(series)
    centered = series - series.mean(axis=0)
    around = [np.mean(centered * np.roll(centered, -i, axis=0), axis=0) for i in range(n)]
    total = np.zeros(2)
    for s in range(n):
        for t in range(n):
            total += (1 - 1 / block) ** abs(s - t) * around[abs(s - t)]
    assert bootstrap_variance(series, block) == pytest.approx(total / n**2, rel=1e-12)


def test_draws_have_this_variance() -> None:
    series = autoregressive(120, 1, 5)
    means = series[:, 0][stationary_draws(120, 4.0, 20_000, 6)].mean(axis=1)
    assert means.var() == pytest.approx(bootstrap_variance(series, 4.0)[0], rel=0.05)
    assert means.mean() == pytest.approx(series.mean(), abs=5 * means.std() / np.sqrt(20_000))
