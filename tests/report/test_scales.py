import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.report.scales import scale_for

NUMBERS = st.floats(-1e7, 1e7, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-4)


@settings(deadline=None, max_examples=100)
@given(st.lists(NUMBERS, min_size=2, max_size=8), st.integers(3, 9))
def test_linear_ticks_are_few_distinct_and_on_the_axis(values, most):
    scale = scale_for("linear", np.array(values), 0.0, 100.0, margin=0.05)
    ticks = scale.ticks(most)
    places = scale([value for value, _ in ticks])
    assert 2 <= len(ticks) <= 2 * most
    assert (places >= -1e-6).all()
    assert (places <= 100 + 1e-6).all()
    assert len({label for _, label in ticks}) == len(ticks)


@settings(deadline=None, max_examples=100)
@given(st.floats(0.01, 100), st.floats(1.02, 1e4), st.integers(3, 9))
def test_log_ticks_are_few_distinct_and_on_the_axis(low, ratio, most):
    scale = scale_for("log", np.array([low, low * ratio]), 200.0, 0.0)
    ticks = scale.ticks(most)
    places = scale([value for value, _ in ticks])
    assert 2 <= len(ticks) <= 2 * most
    assert (places >= -1e-6).all()
    assert (places <= 200 + 1e-6).all()
    assert len({label for _, label in ticks}) == len(ticks)


@settings(deadline=None, max_examples=100)
@given(st.dates(dt.date(1930, 1, 1), dt.date(2040, 1, 1)), st.integers(1, 1200))
def test_date_ticks_are_few_and_at_the_start_of_a_month(first, months):
    start = np.datetime64(first, "D").astype(float)
    scale = scale_for("date", np.array([start, start + 30.5 * months]), 0.0, 600.0)
    ticks = scale.ticks(8)
    assert len(ticks) <= 8
    assert months < 2 or len(ticks) >= 1
    for day, label in ticks:
        stamp = str(np.datetime64(int(day), "D"))
        assert stamp.startswith(label) and stamp.endswith("-01")


@pytest.mark.parametrize(
    ("values", "tickformat", "labels"),
    [
        ([0, 0.25], ".0%", ["0%", "5%", "10%", "15%", "20%", "25%"]),
        ([-0.02, 0.01], ".0%", ["-2.0%", "-1.5%", "-1.0%", "-0.5%", "0.0%", "0.5%", "1.0%"]),
        ([0, 5000], None, ["0", "1,000", "2,000", "3,000", "4,000", "5,000"]),
        ([0, 2.5e6], None, ["0.0M", "0.5M", "1.0M", "1.5M", "2.0M", "2.5M"]),
        ([1, 9], "d", ["2", "4", "6", "8"]),
        ([1, 2], "d", ["1", "2"]),
    ],
)
def test_labels_are_as_short_as_they_can_be(values, tickformat, labels):
    scale = scale_for("linear", np.array(values, dtype=float), 0.0, 1.0, tickformat=tickformat)
    assert [label for _, label in scale.ticks(6)] == labels


def test_a_log_axis_has_a_floor():
    scale = scale_for("log", np.array([1.0, 1e-310]), 0.0, 100.0)
    assert float(scale(1e-310)) == pytest.approx(0.0)
    assert np.isnan(scale(0.0))


def test_one_value_still_has_an_axis():
    for kind in ("linear", "log"):
        scale = scale_for(kind, np.array([0.3, 0.3]), 0.0, 100.0)
        assert float(scale(0.3)) == pytest.approx(50, abs=1)
        assert scale.ticks(5)


def test_nothing_finite_still_has_an_axis():
    assert scale_for("linear", np.array([np.nan]), 0.0, 1.0).ticks(5)
