"""Transforms against the formulas of McCracken and Ng (2016), written out one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finembed_core.errors import InputError
from finembed_core.macro.transforms import FRED_MD_CODES, TRANSFORMS, transform_name

ONE_BY_ONE = {
    "1": lambda x, t, s: x[t],
    "2": lambda x, t, s: x[t] - x[t - s],
    "3": lambda x, t, s: (x[t] - x[t - s]) - (x[t - s] - x[t - 2 * s]),
    "4": lambda x, t, s: np.log(x[t]),
    "5": lambda x, t, s: np.log(x[t] / x[t - s]),
    "6": lambda x, t, s: np.log(x[t] / x[t - s]) - np.log(x[t - s] / x[t - 2 * s]),
    "7": lambda x, t, s: x[t] / x[t - s] - x[t - s] / x[t - 2 * s],
    "pct_change": lambda x, t, s: x[t] / x[t - s] - 1,
}
VALUES = st.lists(st.one_of(st.just(np.nan), st.floats(0.5, 200.0)), min_size=1, max_size=30)


@pytest.mark.parametrize("code", ONE_BY_ONE)
@given(values=VALUES, lag=st.sampled_from([1, 3]))
def test_equals_the_formula_and_a_gap_gives_a_missing_value(code, values, lag):
    x = np.array(values)
    transform = TRANSFORMS[transform_name(code)]
    expected = np.full(len(x), np.nan)
    for t in range(transform.reach * lag, len(x)):
        expected[t] = ONE_BY_ONE[code](x, t, lag)
    np.testing.assert_allclose(transform.function(x, lag), expected, rtol=1e-9, atol=1e-9)


def test_columns_do_not_mix():
    x = np.random.default_rng(1).uniform(1, 2, (20, 3))
    for transform in TRANSFORMS.values():
        together = transform.function(x, 1)
        for k in range(3):
            np.testing.assert_array_equal(together[:, k], transform.function(x[:, k], 1))


def test_logs_and_growth_need_positive_values():
    x = np.array([2.0, -1.0, 3.0, 0.0, 4.0])
    assert np.isnan(TRANSFORMS["log"].function(x, 1)).tolist() == [False, True, False, True, False]
    np.testing.assert_array_equal(
        TRANSFORMS["pct_change"].function(x, 1), [np.nan, -1.5, np.nan, -1.0, np.nan]
    )


def test_names_and_codes():
    assert {transform_name(code) for code in FRED_MD_CODES} <= set(TRANSFORMS)
    assert transform_name("5.0") == transform_name(" log_diff ") == "log_diff"
    with pytest.raises(InputError, match="code from 1 to 7"):
        transform_name("8")
