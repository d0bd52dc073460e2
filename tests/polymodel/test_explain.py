"""Explanations say what the features say, and where on the curve it comes from."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from finembed_core.errors import MissingPartError
from finembed_core.polymodel.explain import LEVEL_NAMES, explain
from finembed_core.polymodel.features import SELECTED_COLUMNS, polymodel_features
from finembed_core.polymodel.history import LongHistory
from tests.oracles.test_polymodel_example import RF, SETTINGS, X, Y, worked_example
from tests.polymodel.months import month_inputs, paper_settings, planted

ADAPTIVE = paper_settings()
STRICT = paper_settings(alpha=1e-9)  # what no noise passes


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"significance": "exact"},
        {"significance": "moments", "selection": "benjamini_hochberg", "alpha": 0.05},
        {"significance": "exact", "selection": "relative", "cross_validated": True},
        {"penalize_intercept": True, "stress_probability": 0.95},
    ],
)
def test_numbers_are_those_of_the_features(chosen):
    settings = paper_settings(**chosen)
    inputs = planted(funds=8)
    inputs.funds.values[:5, 2] = np.nan
    month = polymodel_features(inputs, settings)
    for fund_id in inputs.funds.ids:
        found = explain(inputs, settings, fund_id, most=10)
        assert_frame_equal(found.features, month.features.filter(fund_id=fund_id), check_exact=True)
        selected = month.selected.filter(fund_id=fund_id)
        if selected.is_empty():
            assert not found.factors["selected"].any()
            continue
        assert found.factors["selected"].all()
        columns = SELECTED_COLUMNS[2:]
        assert_frame_equal(
            found.factors.select(columns).sort("factor_id"),
            selected.select(columns),
            check_exact=True,
        )


@pytest.mark.parametrize(
    ("fund_id", "factor_id", "shape"),
    [
        ("f00", "x00", "moves with it"),
        ("f01", "x01", "loses at both ends"),
        ("f02", "x02", "loses when it falls"),
    ],
)
def test_planted_exposures_are_told_apart(fund_id, factor_id, shape):
    best = explain(planted(noise=0.002), ADAPTIVE, fund_id).factors.row(0, named=True)
    assert (best["factor_id"], best["shape"]) == (factor_id, shape)


def test_a_mirrored_exposure_is_told_by_its_mirrored_words():
    inputs = planted(noise=0.002)
    inputs.funds.values[:] *= -1.0
    shapes = [explain(inputs, ADAPTIVE, f).factors["shape"][0] for f in ("f00", "f01", "f02")]
    assert shapes == ["moves against it", "gains at both ends", "gains when it falls"]


def test_the_curve_through_a_line_is_the_line():
    inputs = planted(noise=1e-6)
    line = explain(inputs, paper_settings(ridge=1e-9), "f00").factors.row(0, named=True)
    for name, theta in zip(LEVEL_NAMES, inputs.history.quantiles[:5, 0], strict=True):
        assert line[f"factor_{name}"] == theta
        assert line[f"fund_{name}"] == pytest.approx(0.003 + 0.8 * theta, abs=1e-4)
    assert line["y_max_at"] == pytest.approx(line["factor_01"])
    assert line["lta"] == pytest.approx(0.003 + 0.8 * inputs.history.mean[0], abs=1e-4)


def test_the_worked_example():
    numbers = worked_example()
    inputs = month_inputs(Y[:, None], X[:, None], np.full(36, RF))
    found = explain(inputs, SETTINGS, "f00")
    row = found.factors.row(0, named=True)
    for column, name in {
        "p_value": "p",
        "score": "score",
        "r2": "R2",
        "residual_sd": "s",
    }.items():
        assert row[column] == pytest.approx(numbers[name], rel=1e-9), column
    stress = {"y_max": "Ymax", "svar": "SVaR", "svar_clamped": "SVaR clamped", "lta": "LTA"}
    for column, name in stress.items():
        assert row[column] == pytest.approx(numbers[name], abs=1e-5), column
    mean, sd = numbers["factor mean"], numbers["factor sd"]
    places = {f"factor_{name}": f"theta_{name}" for name in LEVEL_NAMES}
    places |= {"seen_low": "window low", "seen_high": "window high"}
    for column, name in places.items():
        assert row[column] == pytest.approx(mean + sd * numbers[name], rel=1e-9), column
    assert row["extrapolated"]
    assert found.points["factor"].to_list() == X[-36:].tolist()
    assert found.points["fund"].to_list() == Y.tolist()


def test_the_worst_loss_lies_where_it_is_said_to_lie():
    found = explain(planted(), ADAPTIVE, "f01")
    for row in found.factors.iter_rows(named=True):
        curve = found.curves.filter(factor_id=row["factor_id"])
        assert curve["factor"].is_sorted()
        assert curve["factor"][0] <= min(row["stress_low"], row["seen_low"], row["factor_01"])
        assert curve["factor"][-1] >= max(row["stress_high"], row["seen_high"], row["factor_99"])
        there = np.interp(row["y_max_at"], curve["factor"], curve["fund"])
        assert there == pytest.approx(-row["y_max"], abs=1e-4)
        inside = curve.filter(pl.col("factor").is_between(row["stress_low"], row["stress_high"]))
        assert inside["fund"].min() >= -row["y_max"] - 1e-4


def test_no_place_where_no_loss_is_predicted():
    inputs = planted(noise=1e-5)
    inputs.funds.values[:] = 0.5 + 0.001 * inputs.factors.values[:, [0]]
    best = explain(inputs, ADAPTIVE, "f00").factors.row(0, named=True)
    assert best["y_max"] == 0.0
    assert best["y_max_at"] is None


def test_shapes_end_where_the_window_ends():
    """A history far wilder than the window: the quartic turns out there, the words do not."""
    inputs = planted(funds=4, noise=0.002)
    earlier = np.random.default_rng(1).standard_t(5, (264, 10)) * 0.4
    wilder = LongHistory.of(np.concatenate([earlier, inputs.factors.values]), ADAPTIVE)
    wild = dataclasses.replace(inputs, history=wilder)
    best = explain(wild, paper_settings(ridge=1e-6), "f00").factors.row(0, named=True)
    assert best["extrapolated"]
    assert best["factor_01"] < 2 * best["seen_low"] < 0
    assert best["shape"] == "moves with it"


def test_the_best_come_first_and_the_one_that_sets_stress_var_always_comes():
    inputs = planted(funds=4)
    returns, x = inputs.funds.values, inputs.factors.values
    returns[:, 0] = 0.8 * x[:, 0] - 20.0 * x[:, 1] ** 2 + 0.3 * returns[:, 0]
    settings = paper_settings(alpha=0.05)
    found = explain(inputs, settings, "f00", most=10)
    assert found.factors["score"].is_sorted(descending=True)
    assert found.factors.height == found.features["n_selected"][0] > 1
    worst = found.features["svar_factor"][0]
    assert worst == found.factors.sort("svar")["factor_id"][-1]
    assert worst != found.factors["factor_id"][0]
    fewer = explain(inputs, settings, "f00", most=1)
    assert fewer.factors["factor_id"].to_list() == [found.factors["factor_id"][0], worst]
    assert (
        set(fewer.points["factor_id"]) == set(fewer.curves["factor_id"]) == {*fewer.factors[:, 0]}
    )


def test_where_none_is_selected_the_best_are_shown_and_said_to_be_none():
    found = explain(planted(), STRICT, "f03", most=3)
    assert found.features["reason"][0] == "no_selection"
    assert found.factors["selected"].to_list() == [False] * 3
    assert found.factors["score"][0] == found.features["best_score"][0]


@pytest.mark.parametrize("reason", ["not_reported", "too_few_months", "constant_returns"])
def test_a_fund_that_is_not_fitted_has_its_reason_and_empty_tables(reason):
    inputs = planted(funds=4)
    whole = explain(inputs, ADAPTIVE, "f00")
    if reason == "not_reported":
        inputs.funds.values[-1, 0] = np.nan
    elif reason == "too_few_months":
        inputs.funds.values[:13, 0] = np.nan
    else:
        inputs.funds.values[:, 0] = 0.01
    found = explain(inputs, ADAPTIVE, "f00")
    assert found.features["reason"][0] == reason
    for name in ("factors", "points", "curves"):
        frame = getattr(found, name)
        assert frame.is_empty()
        assert frame.schema == getattr(whole, name).schema


def test_no_factor_that_can_be_tested():
    inputs = month_inputs(np.random.default_rng(2).normal(size=(36, 2)), np.full((90, 2), 0.1))
    found = explain(inputs, ADAPTIVE, "f00")
    assert found.features["reason"][0] == "no_factors"
    assert found.factors.is_empty()


def test_points_are_the_months_that_both_have():
    inputs = planted(funds=4)
    inputs.funds.values[3, 0] = np.nan
    inputs.factors.values[5, 0] = np.nan
    points = explain(inputs, ADAPTIVE, "f00").points.filter(factor_id="x00")
    left_out = [inputs.funds.dates[k].item() for k in (3, 5)]
    assert points.height == 34
    assert not points["month"].is_in(left_out).any()
    assert points["month"].is_sorted()


def test_a_fund_without_any_return_in_the_window_is_refused():
    with pytest.raises(MissingPartError, match="no return of nobody"):
        explain(planted(), ADAPTIVE, "nobody")
