"""Adaptive verdicts against those of many shuffles."""

import numpy as np
import pytest
from scipy import stats

from finembed_core.calendar import Month
from finembed_core.polymodel.adaptive import MEETING, GroupShuffles, settled_p_values
from finembed_core.polymodel.basis import hermite_basis
from finembed_core.polymodel.device import Device
from finembed_core.polymodel.fit import Ridge
from finembed_core.polymodel.pairs import fit_pairs
from finembed_core.polymodel.selection import select_factors, thresholds
from finembed_core.polymodel.shuffling import TargetShuffling, shuffled_rows
from finembed_core.polymodel.significance import moments_p_values, p_values
from tests.polymodel.months import paper_settings, planted

MONTH = Month.parse("2005-03")


def outliers(seed, factors=20, funds=60):
    """Heavy tails and one month that outweighs the others: where moments are at their worst."""
    rng = np.random.default_rng(seed)
    x = rng.standard_t(3, (36, factors))
    y = rng.standard_normal((36, funds)) + 0.3 * x[:, [0]]
    y[rng.integers(0, 36, funds // 2), np.arange(funds // 2)] += 8.0
    return x / x.std(axis=0), y


def settled(test, moments, alpha, rows):
    j, i = (np.arange(k) for k in moments.shape)
    settings = paper_settings(selection="absolute", alpha=alpha)
    return settled_p_values(moments, [GroupShuffles(j, i, test, rows)], settings)


@pytest.mark.parametrize("rule", ["absolute", "relative", "benjamini_hochberg"])
def test_verdicts_are_those_of_exact_wherever_these_are_settled(rule):
    """Settled: the intervals of the p-value and of the fund's threshold do not meet."""
    settings = paper_settings(selection=rule, alpha={"absolute": 0.01}.get(rule, 0.2))
    x, y = outliers(1)
    fits = fit_pairs(y, x, settings)
    chosen = select_factors(p_values(fits, MONTH, settings), settings).chosen
    many = settings.model_copy(update={"significance": "exact", "shuffles": 10_000, "seed": 2})
    exact = p_values(fits, MONTH, many)
    error = 4.0 * np.sqrt(exact * (1 - exact) / 10_000)
    low, high = exact - error, exact + error
    limits = thresholds(low, settings), thresholds(high, settings)
    yes, no = high <= np.minimum(*limits), low > np.maximum(*limits)
    assert chosen[yes].all()
    assert not chosen[no].any()
    assert (yes | no).mean() > 0.9
    assert yes.sum() > 10


@pytest.mark.parametrize("rule", ["absolute", "benjamini_hochberg"])
def test_moments_settle_nothing_that_may_be_selected(rule):
    """Adaptive selects as shuffling every pair until the end would: moments leave none out."""
    settings = paper_settings(selection=rule, alpha={"absolute": 0.01}.get(rule, 0.2))
    x, y = outliers(8)
    fits = fit_pairs(y, x, settings)
    adaptive = select_factors(p_values(fits, MONTH, settings), settings).chosen
    whole = settings.model_copy(update={"significance": "exact", "shuffles": 10_000})
    exact = select_factors(p_values(fits, MONTH, whole), settings).chosen
    assert exact.sum() > 10
    assert (adaptive != exact).sum() <= 0.05 * exact.sum()


def test_refined_pairs_have_the_share_of_their_shuffles():
    x, y = outliers(2)
    test = TargetShuffling.of(Ridge.on(hermite_basis(x.T, 4)).factor(1.0), y)
    moments = moments_p_values(test)
    rows = shuffled_rows(36, 10_000, 1, MONTH)
    found = settled(test, moments, 0.01, rows)
    left = moments > MEETING / 36
    np.testing.assert_array_equal(found[left], moments[left])
    count = test.exceedances(rows)
    for k, p in zip(count[~left], found[~left], strict=True):
        if 20 < k < 300:  # enough exceedances to be counted: within five standard errors
            share = k / 10_000
            assert abs(p - share) < 5 * np.sqrt(share / 250)
        assert p <= 2 * k / 10_000 + 0.05


def test_certain_pairs_cost_few_shuffles(monkeypatch):
    spent = []
    original = TargetShuffling.pair_exceedances

    def counted(self, factor, fund, rows):
        spent.append((len(factor), len(rows)))
        return original(self, factor, fund, rows)

    monkeypatch.setattr(TargetShuffling, "pair_exceedances", counted)
    rng = np.random.default_rng(3)
    x = rng.standard_normal((36, 5))
    y = x[:, [0]] + 0.2 * rng.standard_normal((36, 50))
    p_values(fit_pairs(y, x, paper_settings()), MONTH, paper_settings())
    certain = sum(pairs * shuffles for pairs, shuffles in spent if pairs >= 50)
    assert certain <= 60 * 1500


def test_pairs_counted_alone_are_counted_as_all_together():
    x, y = outliers(4, factors=7, funds=11)
    y[:, 0] = np.round(y[:, 0])  # ties
    rows = shuffled_rows(36, 1500, 1, MONTH)
    factor = Ridge.on(hermite_basis(x.T, 4)).factor(1.0)
    for device in (Device(), Device("cpu:0")):  # numpy, and torch as on an accelerator
        test = TargetShuffling.of(factor, y, device)
        together = test.exceedances(rows)
        for j, i in ([3, 3, 3, 5], [0, 4, 10, 2]), ([0, 2, 6, 6], [1, 1, 1, 0]):
            alone = test.pair_exceedances(np.array(j), np.array(i), rows)
            np.testing.assert_array_equal(alone, together[j, i])


def test_torch_counts_as_numpy_does():
    x, y = outliers(5)
    factor = Ridge.on(hermite_basis(x.T, 4)).factor(1.0)
    rows = shuffled_rows(36, 400, 1, MONTH)
    here = TargetShuffling.of(factor, y).exceedances(rows)
    there = TargetShuffling.of(factor, y, Device("cpu:0", 2**22)).exceedances(rows)
    np.testing.assert_array_equal(here, there)


def test_false_selections_stay_at_their_rate():
    rng = np.random.default_rng(6)
    settings = paper_settings(alpha=0.05)
    chosen = []
    for k in range(30):  # new factors each time: funds tested on one factor are not independent
        fits = fit_pairs(rng.standard_t(4, (36, 10)), rng.standard_normal((36, 10)), settings)
        chosen.append((p_values(fits, MONTH + k, settings) <= 0.05).diagonal())
    rejected = np.concatenate(chosen)
    assert stats.binomtest(int(rejected.sum()), rejected.size, 0.05).pvalue > 0.01


def test_planted_exposures_are_selected():
    inputs = planted()
    settings = paper_settings()
    x = inputs.history.standardize(inputs.factors.values)
    fits = fit_pairs(inputs.funds.values, x, settings)
    chosen = select_factors(p_values(fits, MONTH, settings), settings).chosen
    assert all(chosen[k % 4, k] for k in range(30) if k % 4 < 3)


@pytest.mark.parametrize("rule", ["absolute", "relative", "benjamini_hochberg"])
def test_p_values_of_a_fund_do_not_depend_on_other_funds(rule):
    x, y = outliers(7, factors=9, funds=12)
    y[:5, 2] = np.nan
    settings = paper_settings(selection=rule, alpha=0.05)
    together = p_values(fit_pairs(y, x, settings), MONTH, settings)
    for i in range(12):
        alone = p_values(fit_pairs(y[:, [i]], x, settings), MONTH, settings)
        np.testing.assert_array_equal(alone[:, 0], together[:, i])


def test_one_month_that_meets_another_is_shuffled_at_small_thresholds():
    """Shuffled R2 then has two humps; moments say a quarter of 1/n where the truth is far below."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((36, 4)) * 0.5
    y = x + rng.standard_normal((36, 4)) * 0.3
    x[20], y[20] = 4.0, 10.0
    test = TargetShuffling.of(Ridge.on(hermite_basis(x.T, 4)).factor(1.0), y)
    rows = shuffled_rows(36, 10_000, 1, MONTH)
    moments = moments_p_values(test)
    assert (moments.diagonal() > 0.004).all()
    assert (test.exceedances(rows).diagonal() == 0).all()
    found = settled(test, moments, 0.001, rows)
    assert (found.diagonal() < 0.001).all()
