"""The study of p-values: its own laws, tests and draws against scipy and statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from benchmarks.polymodel_significance.accuracy import beta_from_zero, pearson_three, two_moments
from benchmarks.polymodel_significance.laws import EXPOSURES, exposed, exposure_sd, students
from benchmarks.polymodel_significance.power import f_test, recall
from benchmarks.polymodel_significance.tables import interval
from finembed_core.polymodel.basis import hermite_basis


@pytest.mark.parametrize(
    ("tail", "law"),
    [
        (two_moments, stats.beta(1.5, 16.0)),
        (pearson_three, stats.gamma(1.5, loc=0.01, scale=0.05)),
        (beta_from_zero, stats.beta(1.5, 16.0, scale=0.8)),
    ],
)
def test_each_law_is_found_from_its_moments(tail, law):
    mean, variance, skewness = (float(m) for m in law.stats("mvs"))
    x = np.linspace(0.02, 0.7, 30)
    np.testing.assert_allclose(tail(x, mean, np.sqrt(variance), skewness), law.sf(x), rtol=1e-8)


def test_two_moments_remain_where_there_is_no_beta_law_from_zero():
    moments = np.array(0.1), np.array(0.05), np.array(-40.0)
    np.testing.assert_array_equal(beta_from_zero(0.3, *moments), two_moments(0.3, *moments))


def test_f_test_is_that_of_statsmodels():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 36, 5))
    y = y + 0.4 * x
    quartic = hermite_basis(x.T, 4)[..., 1:]
    for columns in (quartic, quartic[..., :1]):
        own = f_test(columns, y)
        for k in range(5):
            expected = sm.OLS(y[:, k], sm.add_constant(columns[k])).fit().f_pvalue
            np.testing.assert_allclose(own[k], expected, rtol=1e-9)


@pytest.mark.parametrize("kind", ["linear", "short put"])
def test_planted_exposures_explain_their_share(kind):
    rng = np.random.default_rng(2)
    x, noise = students(rng, (2, 400_000), 5)
    y = exposed(kind, 0.3, x, noise)
    share = np.corrcoef(EXPOSURES[kind](x), y)[0, 1] ** 2
    assert abs(share - 0.3) < 0.01
    assert abs(np.std(y) - 1.0) < 0.02


def test_quadratic_exposure_has_the_variance_of_the_student_law():
    """Fourth moment of the law with variance 1: 3 + 6 / (5 - 4) = 9."""
    np.testing.assert_allclose(exposure_sd("quadratic"), np.sqrt(9 - 1), rtol=1e-6)


def test_interval_is_that_of_scipy():
    for count in (0, 7, 60):
        low, high = interval(count, 60, 0.95)
        expected = stats.binomtest(count, 60).proportion_ci(0.95)
        np.testing.assert_allclose([low, high], [expected.low, expected.high], atol=1e-10)


def test_recall_is_read_at_the_rate_of_false_positives():
    null = np.arange(1, 1001) / 1000
    planted = np.array([0.001, 0.009, 0.02, 0.9])
    assert recall([planted], [null], 0.01) == [0.5]
