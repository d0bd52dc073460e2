"""Paired draws and counts of wins: against the backtest's metrics, planted, and under noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from finembed_core.backtest.inference import batch_metrics
from finembed_core.backtest.resampling import stationary_draws
from finembed_core.embeddings.evaluation.paired import PairedDraws
from finembed_core.embeddings.evaluation.wins import count_wins

HOLDING = 15


def drawn(active: np.ndarray, draws: int = 200, seed: int = 1) -> PairedDraws:
    return PairedDraws.of(active, np.arange(0, len(active), HOLDING), draws=draws, seed=seed)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_moments_on_draws_equal_the_metrics_of_the_drawn_returns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    net, risk_free = rng.normal(0.0005, 0.01, (150, 3)), rng.uniform(0, 1e-4, 150)
    paired = drawn(net, draws=7, seed=seed)
    periods = stationary_draws(10, paired.block, 7, seed)  # of 15 sessions
    index = (periods[:, :, None] * 15 + np.arange(15)).reshape(7, 150)
    for column in range(3):
        expected = batch_metrics(net[index, column], risk_free[index], 252)
        found = paired.moments(net, risk_free)
        for name in ("annual_return", "volatility", "sharpe"):
            np.testing.assert_allclose(found[name][:, column], expected[name], rtol=1e-9)
        mean = net[index, column].mean(axis=1) * 252
        np.testing.assert_allclose(found["mean_return"][:, column], mean, rtol=1e-9)


@given(seed=st.integers(0, 10**6), n=st.integers(8 * HOLDING, 12 * HOLDING))
@settings(max_examples=15, deadline=None)
def test_the_record_itself_has_its_own_metrics(seed: int, n: int) -> None:
    """Whatever the length of the last holding period."""
    rng = np.random.default_rng(seed)
    net, risk_free = rng.normal(0.0005, 0.01, (n, 2)), rng.uniform(0, 1e-4, n)
    found, expected = drawn(net).whole(net, risk_free), batch_metrics(net.T, risk_free, 252)
    for name in ("annual_return", "volatility", "sharpe"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9)


def test_a_portfolio_that_loses_everything_has_a_return_of_minus_one() -> None:
    net = np.full((200, 1), 0.01)
    net[50] = -1.0
    paired = drawn(np.random.default_rng(1).normal(size=(200, 1)), draws=50)
    found = paired.moments(net, np.zeros(200))["annual_return"][:, 0]
    lost = paired.counts[:, 50 // HOLDING] > 0.0
    np.testing.assert_allclose(found[lost], -1.0)
    assert lost.any() and not lost.all() and (found[~lost] > 0.0).all()


def test_blocks_are_whole_holding_periods() -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(40 * HOLDING, 5))
    slow = np.repeat(np.cumsum(rng.normal(size=(40, 5)), axis=0), HOLDING, axis=0)
    assert 1.0 <= drawn(noise).block < 2.5 < drawn(slow).block
    paired = drawn(noise)
    assert paired.periods == 40 and (paired.counts.sum(axis=1) == 40).all()
    assert paired.degrees == 40 / paired.block - 1


def test_a_short_record_has_no_interval_and_says_so() -> None:
    noise = np.random.default_rng(3).normal(size=(7 * HOLDING, 2))
    paired = drawn(noise)
    assert paired.silence == "no interval: 7 holding periods, 8 are needed"
    found = paired.moments(noise * 0.01, np.zeros(len(noise)))["sharpe"]
    assert found.shape == (0, 2)
    assert np.isnan(paired.interval("sharpe", 1.0, found[:, 0])).all()
    wins = count_wins(np.array([1.0, -1.0]), found, paired)
    assert (wins.won, wins.n, wins.sign_p) == (1, 2, 1.0) and np.isnan(wins.low)


def test_the_sign_test_is_the_binomial_one() -> None:
    """The notes' 21 of 24: 2 P(X >= 21) with X binomial (24, 1/2)."""
    differences = np.array([0.1] * 21 + [-0.1] * 3)
    paired = drawn(np.random.default_rng(4).normal(size=(200, 1)))
    wins = count_wins(differences, np.tile(differences, (200, 1)), paired)
    assert (wins.won, wins.n) == (21, 24)
    assert wins.sign_p == pytest.approx(2 * binom.sf(20, 24, 0.5))
    assert wins.sign_p == pytest.approx(2.77e-4, rel=1e-2)


def test_where_every_draw_agrees_there_is_no_interval() -> None:
    """Four of four, a sign test of .125: no share of [1, 1] that leaves one half out."""
    differences = np.full(4, 0.1)
    paired = drawn(np.random.default_rng(4).normal(size=(200, 1)))
    wins = count_wins(differences, np.tile(differences, (200, 1)), paired)
    assert wins.sign_p == pytest.approx(0.125)
    assert np.isnan(wins.low) and np.isnan(wins.high)


def test_draws_without_a_value_are_no_losses() -> None:
    rng = np.random.default_rng(8)
    paired = drawn(rng.normal(size=(200, 1)))
    draws = rng.normal(0.1, 0.1, (200, 6))
    gaps = draws.copy()
    gaps[0] = np.nan  # nothing is defined on a draw
    gaps[1, :3], draws[1, :3] = np.nan, draws[1, 3:]
    found = np.array([0.1, 0.1, 0.1, 0.1, 0.1, -0.1])
    one, two = (count_wins(found, each, paired) for each in (draws[1:], gaps))
    assert one == two


def test_periods_are_those_of_the_decisions() -> None:
    """Thirty-one sessions between two of them; the last decision has earned nothing."""
    starts = np.array([0, 16, 47, 63, 200])
    active = np.random.default_rng(9).normal(size=(90, 2))
    paired = PairedDraws.of(active, starts, draws=5, seed=1)
    assert paired.starts.tolist() == [0, 16, 47, 63] and paired.lengths.tolist() == [16, 31, 16, 27]
    np.testing.assert_allclose(paired.by_period(active)[1], active[16:47].sum(axis=0))


def test_ties_are_no_contest() -> None:
    paired = drawn(np.random.default_rng(5).normal(size=(200, 1)))
    wins = count_wins(np.array([0.1, 0.0, np.nan]), np.ones((200, 3)), paired)
    assert (wins.won, wins.n) == (1, 1)
    none = count_wins(np.zeros(2), np.ones((200, 2)), paired)
    assert none.n == 0 and np.isnan(none.sign_p) and np.isnan(none.share)


def study_of(rng: np.random.Generator, skill: float, common: float) -> np.ndarray:
    """Returns of 12 portfolios over their benchmarks: a luck for every book's life, and noise."""
    books = rng.normal(skill, 0.001, (30, 12)) + common * rng.normal(0.0, 0.001, (30, 1))
    return np.repeat(books, HOLDING, axis=0) + rng.normal(0.0, 0.004, (30 * HOLDING, 12))


def judged(active: np.ndarray, seed: int = 1):
    paired = drawn(active, seed=seed)
    draws = paired.moments(active, np.zeros(len(active)))["mean_return"]
    means = active.mean(axis=0) * 252
    ends = paired.interval("mean_return", means.mean(), draws.mean(axis=1))
    return ends, count_wins(means, draws, paired)


def test_noise_is_found_about_as_often_as_it_should_be() -> None:
    """5% of 200 studies without skill; a binomial of these has a standard deviation of 1.5%.

    Portfolios share most of their luck: the sign test, which takes them for independent, fails.
    """
    rng = np.random.default_rng(6)
    found = [judged(study_of(rng, 0.0, 3.0), study) for study in range(200)]
    assert sum(not low <= 0.0 <= high for (low, high), _ in found) <= 20
    assert sum(wins.dependent_p <= 0.05 for _, wins in found) <= 20
    assert sum(wins.sign_p <= 0.05 for _, wins in found) >= 100


def test_planted_skill_is_found() -> None:
    (low, _), wins = judged(study_of(np.random.default_rng(7), 0.001, 0.5))
    assert low > 0.0 and wins.won == 12 and wins.dependent_p <= 0.05 and wins.low > 0.5
