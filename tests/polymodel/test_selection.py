"""Selection rules on p-values written out by hand."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from finembed_core.polymodel.selection import select_factors
from finembed_core.settings import PolyModelSettings

NAN = np.nan
# three factors (rows), four funds; 1/1000 is the floor of 999 shuffles
P = np.array(
    [
        [0.001, 0.010, 0.500, NAN],
        [0.030, 0.011, NAN, NAN],
        [0.040, 0.900, 0.700, NAN],
    ]
)


def choose(rule, alpha=0.01, p=P):
    settings = PolyModelSettings(significance="exact", selection=rule, alpha=alpha, shuffles=999)
    return select_factors(p, settings)


def test_absolute():
    selection = choose("absolute")
    assert selection.chosen.T.tolist() == [
        [True, False, False],
        [True, False, False],
        [False, False, False],
        [False, False, False],
    ]
    assert selection.tested.tolist() == [3, 3, 2, 0]
    assert selection.selected.tolist() == [1, 1, 0, 0]
    np.testing.assert_allclose(selection.expected_false, [0.03, 0.03, 0.02, 0.0])
    np.testing.assert_allclose(selection.best, [-np.log(0.001), -np.log(0.01), -np.log(0.5), NAN])


def test_expected_false_counts_the_steps_of_p():
    """With 999 shuffles p <= 0.0015 means p = 0.001, which luck reaches one time in 1,000."""
    np.testing.assert_allclose(choose("absolute", 0.0015).expected_false, [0.003, 0.003, 0.002, 0])


def test_relative_takes_half_of_the_best_score():
    selection = choose("relative")  # thresholds p <= sqrt(best p): .0316, .1, .707
    assert selection.chosen.T.tolist() == [
        [True, True, False],
        [True, True, False],
        [True, False, True],
        [False, False, False],
    ]
    np.testing.assert_allclose(selection.expected_false, [0.093, 0.3, 2 * 0.707, 0.0])


def test_relative_floors_scores_at_the_step_of_the_shuffles():
    p = np.array([[1e-12], [0.03], [0.04]])
    assert choose("relative", p=p).chosen.ravel().tolist() == [True, True, False]


def test_benjamini_hochberg_equals_scipy():
    rng = np.random.default_rng(1)
    p = rng.integers(1, 1001, (40, 30)) / 1000
    p[:8, ::2] = 0.001
    selection = choose("benjamini_hochberg", 0.1, p)
    expected = false_discovery_control(p, axis=0) <= 0.1 + 1e-12
    np.testing.assert_array_equal(selection.chosen, expected)
    np.testing.assert_allclose(selection.expected_false, 0.1 * expected.sum(axis=0))


@pytest.mark.parametrize("rule", ["absolute", "relative", "benjamini_hochberg"])
def test_nothing_tested(rule):
    selection = choose(rule, p=np.full((0, 2), NAN))
    assert selection.selected.tolist() == [0, 0]
    assert np.isnan(selection.best).all()
