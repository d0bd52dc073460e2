"""Tests of a study against arch, skfolio, the papers' numbers and plain loops."""

import math
from itertools import combinations
from statistics import NormalDist

import numpy as np
import pytest
from arch.bootstrap import SPA, StepM
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from skfolio.measures import deflated_sharpe_ratio, probabilistic_sharpe_ratio

from finembed_core.backtest.resampling import bootstrap_variance, stationary_draws
from finembed_core.backtest.selection import (
    DeflatedSharpe,
    deflated_sharpe,
    expected_max_sharpe,
    overfitting,
    probabilistic_sharpe,
    sharpe_ratios,
)
from finembed_core.backtest.superiority import superiority
from finembed_core.errors import InputError


def noise(n: int, strategies: int, seed: int) -> np.ndarray:
    """Returns with a common part."""
    rng = np.random.default_rng(seed)
    return 0.01 * rng.standard_normal((n, 1)) + 0.02 * rng.standard_normal((n, strategies))


def names(table: np.ndarray) -> list[str]:
    return [f"s{k}" for k in range(table.shape[1])]


def standardized(active: np.ndarray, block: int) -> np.ndarray:
    return active / np.sqrt(len(active) * bootstrap_variance(active, block))


# SPA and StepM


@pytest.mark.parametrize("seed", range(4))
def test_as_arch_has_it_on_standardized_differences(seed: int) -> None:
    active = noise(150, 6, seed) + np.array([0.006, 0.003, 0.0, 0.0, -0.01, 0.001])
    ours = superiority(names(active), active, seed=seed, draws=300, block=3, size=0.1)
    losses = -standardized(active, 3)
    spa = SPA(np.zeros(150), losses, 3, 300, seed=seed)
    spa.compute()
    assert (ours.p_lower, ours.p_value, ours.p_upper) == tuple(spa.pvalues)
    step = StepM(np.zeros(150), losses, 0.1, 3, 300, seed=seed)
    step.compute()
    assert ours.superior == tuple(f"s{k}" for k in step.superior_models)
    assert ours.p_lower <= ours.p_value <= ours.p_upper
    assert (ours.size, ours.block) == (0.1, 3)


def test_as_a_plain_bootstrap_has_it() -> None:
    """Hansen's statistic on draws of our own; equal but for the draws."""
    active = noise(200, 5, 9) + np.array([0.003, 0.0, -0.001, -0.02, -0.001])
    z = standardized(active, 4)
    mean, n = z.mean(axis=0), len(z)
    means = z[stationary_draws(n, 4.0, 4000, 1)].mean(axis=1)
    kept = mean >= -np.sqrt(2 * np.log(np.log(n)) / n)
    highest = (means - np.where(kept, mean, 0.0)).max(axis=1)
    p = np.mean(highest > mean.max())
    ours = superiority(names(active), active, seed=2, draws=4000, block=4)
    assert not kept[3] and ours.p_value == pytest.approx(p, abs=4 * np.sqrt(2 * p * (1 - p) / 4000))


def test_a_loud_strategy_does_not_drown_a_quiet_one() -> None:
    """arch 8 takes the highest plain mean: a noisy strategy sets the bar for all."""
    rng = np.random.default_rng(5)
    active = np.column_stack([rng.normal(0.001, 0.002, 120), rng.normal(0.0, 0.2, 120)])
    plain = SPA(np.zeros(120), -active, 2, 500, studentize=True, seed=1)
    plain.compute()
    assert plain.pvalues["consistent"] > 0.1
    ours = superiority(["quiet", "loud"], active, seed=1, draws=500, block=2)
    assert ours.p_value < 0.01 and ours.superior == ("quiet",)


@pytest.mark.parametrize("seed", range(3))
def test_adjusted_p_values_say_at_which_size_a_strategy_is_named(seed: int) -> None:
    active = noise(150, 6, seed) + np.array([0.006, 0.004, 0.003, 0.0, -0.01, 0.001])
    found = superiority(names(active), active, seed=seed, draws=400, block=3)
    assert found.p_values.min() == found.p_value
    assert (found.p_values[np.argsort(-found.statistics)] == np.sort(found.p_values)).all()
    for size in (0.01, 0.05, 0.1, 0.3, 0.6):
        named = superiority(names(active), active, seed=seed, draws=400, block=3, size=size)
        inside = np.isin(names(active), named.superior)
        assert (found.p_values[inside] <= size + 1 / 400).all(), size
        assert (found.p_values[~inside] >= size - 1 / 400).all(), size


def test_statistics_are_means_over_their_errors() -> None:
    active = noise(150, 3, 1) + np.array([0.006, 0.0, -0.01])
    found = superiority(names(active), active, seed=1, draws=100, block=1)
    n = len(active)
    plain = active.mean(axis=0) / (active.std(axis=0) / np.sqrt(n))
    assert found.statistics == pytest.approx(plain, rel=1e-9)


def test_all_are_superior() -> None:
    """One in the first step, the other in the second: arch alone stops with a ValueError."""
    active = np.random.default_rng(9).normal(0, 0.01, (200, 2)) + np.array([0.002, 0.0016])
    with pytest.raises(ValueError, match="zero-size"):
        StepM(np.zeros(200), -active, 0.05, 3, 500, seed=1).compute()
    for scale in (1.0, 30.0):
        better = superiority(["a", "b"], active * [1.0, scale], seed=1, draws=500, block=3)
        assert better.superior == ("a", "b")


def test_all_are_worse() -> None:
    active = noise(100, 3, 1) - 0.02
    found = superiority(names(active), active, seed=1, draws=200)
    assert found.superior == () and found.p_lower > 0.3


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.permutations(range(4)), st.floats(0.01, 100.0))
def test_order_and_scale_do_not_matter(seed: int, order: list[int], scale: float) -> None:
    active = noise(60, 4, seed) + np.array([0.01, 0.0, 0.0, -0.01])
    labels = names(active)
    one = superiority(labels, active, seed=1, draws=100, block=3)
    scales = np.array([scale, 1.0, 1 / scale, 2.0])
    shuffled = (active * scales)[:, order]
    two = superiority([labels[k] for k in order], shuffled, seed=1, draws=100, block=3)
    assert set(one.superior) == set(two.superior)
    assert (one.p_value, one.p_lower, one.p_upper) == (two.p_value, two.p_lower, two.p_upper)


def test_superiority_errors() -> None:
    active = noise(50, 3, 0)
    with pytest.raises(InputError, match="s1 has missing values"):
        superiority(names(active), np.where(np.arange(3) == 1, np.nan, active), seed=0)
    with pytest.raises(InputError, match="b does not vary against the benchmark"):
        superiority(["a", "b", "c"], active * [1, 0, 1], seed=0)
    with pytest.raises(InputError, match="10 periods are too few"):
        superiority(names(active), active[:10], seed=0)
    with pytest.raises(InputError, match="a column each"):
        superiority(["a"], active, seed=0)
    with pytest.raises(InputError, match="size 2"):
        superiority(names(active), active, seed=0, size=2.0)


# Deflated Sharpe ratio


def test_the_example_of_the_paper() -> None:
    """Bailey and Lopez de Prado (2014), pp. 9-10: annual Sharpe 2.5 of five years of 250 days.

    Skewness -3, kurtosis 10, variance 1/2 of the annual ratios: the best of 100 trials has 0.1132
    a day and a deflated ratio of 0.9004; of 46 trials 0.9505, as of 88 had it been normal.
    """
    sharpe, variance = 2.5 / math.sqrt(250), 0.5 / 250
    assert expected_max_sharpe(100, variance) == pytest.approx(0.1132, abs=5e-5)
    for trials, skewness, kurtosis, expected in ((100, -3, 10, 0.9004), (46, -3, 10, 0.9505)):
        bar = expected_max_sharpe(trials, variance)
        found = probabilistic_sharpe(sharpe, bar, 1250, skewness, kurtosis)
        assert found == pytest.approx(expected, abs=5e-5)
    normal = probabilistic_sharpe(sharpe, expected_max_sharpe(88, variance), 1250, 0.0, 3.0)
    assert normal == pytest.approx(0.9505, abs=5e-5)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 200))
def test_as_in_plain_python_and_in_skfolio(seed: int, trials: int) -> None:
    rng = np.random.default_rng(seed)
    excess = rng.standard_t(5, 120) * 0.03 + 0.006
    ratios = rng.normal(0.0, 0.1, trials)
    found = deflated_sharpe(excess, trials, float(np.var(ratios, ddof=1)))

    values, normal = excess.tolist(), NormalDist()
    n, mean = len(values), math.fsum(values) / len(values)
    m2, m3, m4 = (math.fsum((v - mean) ** k for v in values) / n for k in (2, 3, 4))
    sharpe = mean / math.sqrt(m2 * n / (n - 1))
    g3, g4, euler = m3 / m2**1.5, m4 / m2**2, 0.5772156649015329
    bar = math.sqrt(np.var(ratios, ddof=1)) * (
        (1 - euler) * normal.inv_cdf(1 - 1 / trials)
        + euler * normal.inv_cdf(1 - 1 / (trials * math.e))
    )
    error = math.sqrt((1 - g3 * sharpe + (g4 - 1) / 4 * sharpe**2) / (n - 1))
    over_zero, over_bar = normal.cdf(sharpe / error), normal.cdf((sharpe - bar) / error)
    by_hand = DeflatedSharpe(sharpe, n, g3, g4, trials, bar, over_zero, over_bar)
    assert vars(found) == pytest.approx(vars(by_hand), rel=1e-9)
    assert found.deflated == pytest.approx(deflated_sharpe_ratio(excess, ratios), rel=1e-9)
    assert found.probabilistic == pytest.approx(probabilistic_sharpe_ratio(excess), rel=1e-9)


def test_one_trial_has_nothing_to_deflate() -> None:
    found = deflated_sharpe(noise(60, 1, 0)[:, 0], 1, 0.01)
    assert found.expected_max == 0.0 and found.deflated == found.probabilistic


def test_expected_maximum_of_many_normals() -> None:
    highest = np.random.default_rng(0).standard_normal((20_000, 50)).max(axis=1).mean()
    assert expected_max_sharpe(50, 1.0) == pytest.approx(highest, rel=0.02)


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(1, 500), st.floats(0.001, 10))
def test_more_trials_deflate_more(a: int, b: int, scale: float) -> None:
    excess = noise(60, 1, 3)[:, 0] + 0.01
    few, many = (deflated_sharpe(excess * scale, k, 0.02) for k in sorted((a, b)))
    assert many.deflated <= few.deflated
    assert few.sharpe == pytest.approx(sharpe_ratios(excess[:, None])[0])


def test_sharpe_errors() -> None:
    excess = noise(60, 1, 0)[:, 0]
    for trials, variance in ((0, 0.1), (5, -0.1), (5, np.nan)):
        with pytest.raises(InputError, match="no best of"):
            deflated_sharpe(excess, trials, variance)
    with pytest.raises(InputError, match="constant series"):
        deflated_sharpe(np.full(60, 0.01), 5, 0.1)
    with pytest.raises(InputError, match="missing values"):
        deflated_sharpe(np.where(excess > 0, excess, np.nan), 5, 0.1)
    with pytest.raises(InputError, match="no Sharpe ratio"):
        probabilistic_sharpe(1.0, 0.0, 60, 3.0, 1.0)
    assert np.isnan(sharpe_ratios(np.full((30, 1), 0.01))).all()


# Probability of backtest overfitting


@pytest.mark.parametrize(("n", "blocks"), [(48, 6), (43, 6), (60, 2), (50, 4)])
def test_cscv_by_a_loop(n: int, blocks: int) -> None:
    excess = noise(n, 5, n) + 0.002
    pieces = np.array_split(np.arange(n), blocks)
    logits, here, there = [], [], []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([pieces[k] for k in chosen])
        outside = np.setdiff1d(np.arange(n), inside)
        first, second = (
            excess[rows].mean(axis=0) / excess[rows].std(axis=0, ddof=1)
            for rows in (inside, outside)
        )
        best = int(np.argmax(first))
        relative = rankdata(second)[best] / 6
        logits.append(math.log(relative / (1 - relative)))
        here.append(first[best])
        there.append(second[best])
    found = overfitting(names(excess), excess, blocks)
    assert found.logits == pytest.approx(logits, rel=1e-12)
    assert found.in_sample == pytest.approx(here, rel=1e-12)
    assert found.out_of_sample == pytest.approx(there, rel=1e-9, abs=1e-14)
    assert found.probability == np.mean(np.array(logits) <= 0)
    assert found.loss_probability == np.mean(np.array(there) < 0)
    if len(here) > 2:
        slope, intercept = np.polyfit(here, there, 1)
        assert (found.slope, found.intercept) == pytest.approx((slope, intercept), rel=1e-8)


def test_skill_is_not_overfitting() -> None:
    excess = noise(160, 6, 2)
    excess[:, 4] += 0.02
    found = overfitting(names(excess), excess)
    assert found.probability == 0.0 and found.loss_probability == 0.0
    assert len(found.logits) == 12_870


def test_twins_share_their_rank() -> None:
    excess = noise(40, 1, 1)
    found = overfitting(["a", "b"], np.hstack([excess, excess]), 4)
    assert found.logits.tolist() == [0.0] * 6 and found.probability == 1.0


def test_a_strategy_in_cash_has_sharpe_zero_there() -> None:
    excess = noise(40, 2, 4)
    excess[:20, 0] = 0.0
    found = overfitting(["cash at first", "other"], excess, 2)
    halves = [sharpe_ratios(excess[:20, 1:])[0], sharpe_ratios(excess[20:])]
    first = max(0.0, halves[0])
    assert found.in_sample[0] == pytest.approx(first, abs=1e-15)
    assert found.in_sample[1] == pytest.approx(max(halves[1]))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**4), st.permutations(range(5)), st.floats(0.01, 100.0))
def test_cscv_knows_neither_order_nor_scale(seed: int, order: list[int], scale: float) -> None:
    excess = noise(50, 5, seed)
    one = overfitting(names(excess), excess, 8)
    two = overfitting(names(excess), (excess * [scale, 1.0, 2.0, 1 / scale, 1.0])[:, order], 8)
    assert two.logits == pytest.approx(one.logits)
    assert two.out_of_sample == pytest.approx(one.out_of_sample)
    assert (two.slope, two.probability) == pytest.approx((one.slope, one.probability))


def test_overfitting_errors() -> None:
    excess = noise(60, 3, 0)
    for blocks in (0, 3, 22, 32):
        with pytest.raises(InputError, match=f"split into {blocks} blocks"):
            overfitting(names(excess), excess, blocks)
    with pytest.raises(InputError, match="one strategy"):
        overfitting(["a"], excess[:, :1])
    with pytest.raises(InputError, match="missing values"):
        overfitting(names(excess), np.where(excess > 0.03, np.inf, excess))
