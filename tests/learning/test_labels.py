"""Labels: which month, known since when, which class."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finembed_core.calendar import DecisionCalendar, Month, month_ends
from finembed_core.learning.labels import classify, read_labels, unchanged_band
from finembed_core.panel import History
from finembed_core.settings import LearningSettings

JANUARY = Month.parse("2000-01")


def history(calendar: DecisionCalendar, lags: list[int]) -> History:
    """One fund, return k/100 in month k, available `lags[k]` days after the month's end."""
    dates = month_ends(JANUARY.ordinal + np.arange(len(lags)))
    known = calendar.information_month(dates, dates + np.array(lags))
    return History(dates, np.array(["a"] * len(lags)), np.arange(len(lags)) / 100, known)


@pytest.mark.parametrize(("lag", "ahead"), [(0, 1), (15, 2)])
def test_label_is_the_first_month_earned_after_dealing(lag, ahead):
    calendar = DecisionCalendar(lag)
    months = JANUARY.ordinal + np.arange(4)
    labels = read_labels(
        history(calendar, [lag] * 12), calendar, JANUARY + 11, months, np.array(["a"] * 4)
    )
    np.testing.assert_array_equal(labels.label_month, months + ahead)
    np.testing.assert_allclose(labels.returns, (np.arange(4) + ahead) / 100)
    np.testing.assert_array_equal(labels.known_from, months + ahead)


def test_a_late_report_is_no_label_before_it_arrives():
    calendar = DecisionCalendar(0)
    late = history(calendar, [0, 0, 40, 0, 0, 0])  # March, the label of February, comes in May
    february, fund = np.array([JANUARY.ordinal + 1]), np.array(["a"])
    for known, expected in [(2, np.nan), (3, np.nan), (4, 0.02)]:
        labels = read_labels(late, calendar, JANUARY + known, february, fund)
        np.testing.assert_equal(labels.returns[0], expected)
    assert labels.known_from[0] == JANUARY.ordinal + 4


def test_unknown_funds_and_months_have_no_label():
    calendar = DecisionCalendar(0)
    labels = read_labels(
        history(calendar, [0] * 6),
        calendar,
        JANUARY + 5,
        np.array([JANUARY.ordinal, JANUARY.ordinal + 5]),
        np.array(["nobody", "a"]),
    )
    assert np.isnan(labels.returns).all()
    assert (labels.known_from == -1).all()


def test_month_ends_are_days():
    assert month_ends([JANUARY.ordinal])[0].item() == dt.date(2000, 1, 31)


@given(
    st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=200),
    st.floats(0.05, 0.95),
)
def test_quantile_band_leaves_its_share_unchanged(returns, share):
    values = np.array(returns)
    band = unchanged_band(values, LearningSettings(band="quantile", band_share=share))
    unchanged = classify(values, band) == 0
    assert unchanged.mean() >= share - 1.0 / len(values)
    assert (np.abs(values[unchanged]) <= band).all()
    assert (np.sign(values[~unchanged]) == classify(values, band)[~unchanged]).all()


def test_fixed_band_is_the_threshold():
    settings = LearningSettings(band="fixed", band_threshold=0.02)
    assert unchanged_band(np.array([0.5]), settings) == 0.02
    np.testing.assert_array_equal(
        classify(np.array([-0.03, -0.02, 0.02, 0.03]), 0.02), [-1, 0, 0, 1]
    )
