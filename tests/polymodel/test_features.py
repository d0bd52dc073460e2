"""Features of a month: planted truth, reason codes, invariances."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from finembed_core.polymodel import features
from finembed_core.polymodel.features import (
    FEATURES_SCHEMA,
    SELECTED_COLUMNS,
    polymodel_features,
    screen_factors,
)
from finembed_core.polymodel.history import LongHistory
from finembed_core.settings import ExecutionSettings
from tests.polymodel.months import MONTH, month_inputs, paper_settings, planted

SETTINGS = paper_settings(significance="exact", shuffles=499)
EXACT = ["best_score", "n_selected", "n_factors", "n_obs", "expected_false", "svar_factor"]


@pytest.fixture(scope="module")
def result():
    return polymodel_features(planted(), SETTINGS)


def test_shape_of_the_tables(result):
    assert result.features.schema == pl.Schema(FEATURES_SCHEMA)
    assert result.selected.columns == SELECTED_COLUMNS
    assert result.features["fund_id"].is_sorted()
    assert result.features["month"].unique().to_list() == [MONTH.end]
    assert result.excluded_factors == {}


def test_planted_exposures_are_found(result):
    """All linear, quadratic and option-like funds select their factor; noise rarely anything."""
    pairs = set(result.selected.select("fund_id", "factor_id").rows())
    for k in range(30):
        if k % 4 < 3:
            assert (f"f{k:02d}", f"x{k % 4:02d}") in pairs
    noise = result.features.gather(list(range(3, 30, 4)))
    assert noise["n_selected"].sum() <= 4  # 7 funds x 10 factors x 1% = 0.7 expected
    np.testing.assert_allclose(noise["expected_false"], 10 * 5 / 500)


def test_features_follow_from_the_selected_pairs(result):
    summary = result.selected.group_by("fund_id").agg(
        pl.col("svar").max().clip(upper_bound=1.0),
        pl.col("factor_id").sort_by("svar").last().alias("svar_factor"),
        pl.col("lta").median(),
        pl.len().cast(pl.Int64).alias("n_selected"),
    )
    features = result.features.filter(pl.col("n_selected") > 0)
    assert_frame_equal(
        features.select(summary.columns), summary, check_row_order=False, rel_tol=1e-14
    )
    np.testing.assert_allclose(features["ltr"], features["lta"] / features["svar"])
    np.testing.assert_allclose(features["lts"], features["lta"] - 0.05 * features["svar"])
    assert (features["svar_clamped"] <= features["svar"] + 1e-12).all()
    assert (features["reason"] == "").all()
    np.testing.assert_allclose(features["sharpe_annual"], features["sharpe"] * 12**0.5)


def test_nothing_selected_is_null_and_says_so(result):
    empty = result.features.filter(pl.col("n_selected") == 0)
    assert empty.height > 0
    assert (empty["reason"] == "no_selection").all()
    for name in ("svar", "svar_clamped", "svar_factor", "extrapolated", "lta", "ltr", "lts"):
        assert empty[name].null_count() == empty.height
    for name in ("sharpe", "mrar", "best_score"):
        assert empty[name].null_count() == 0


def test_funds_do_not_depend_on_each_other(result):
    inputs = planted()
    chosen = [7, 29, 4, 0, 1, 2]
    some = dataclasses.replace(inputs, funds=inputs.funds.select([f"f{k:02d}" for k in chosen]))
    alone = polymodel_features(some, SETTINGS).features
    together = result.features.select(pl.all().gather(chosen))
    assert_frame_equal(alone.select(EXACT), together.select(EXACT))
    assert_frame_equal(alone, together, rel_tol=1e-10, abs_tol=1e-13)


def test_factors_do_not_depend_on_each_other():
    inputs = planted()
    names = ["x02", "x00"]
    history = inputs.history.select(np.array([2, 0]))
    some = dataclasses.replace(inputs, factors=inputs.factors.select(names), history=history)
    alone = polymodel_features(some, SETTINGS).selected
    together = polymodel_features(inputs, SETTINGS).selected
    together = together.filter(pl.col("factor_id").is_in(names))
    assert_frame_equal(alone, together, rel_tol=1e-10, abs_tol=1e-13)


def test_again_gives_the_same_bytes(result):
    again = polymodel_features(planted(), SETTINGS)
    assert_frame_equal(again.features, result.features, check_exact=True)
    assert_frame_equal(again.selected, result.selected, check_exact=True)


@pytest.mark.parametrize("significance", ["exact", "moments", "adaptive"])
def test_memory_changes_no_number(monkeypatch, significance):
    """Births and gaps, in blocks of 3, 7 and all funds."""
    inputs = planted(funds=40)
    inputs.funds.values[:5, 3] = inputs.funds.values[:5, 17] = np.nan
    inputs.funds.values[[9, 20], 5] = np.nan
    settings = SETTINGS.model_copy(update={"significance": significance})
    whole = polymodel_features(inputs, settings)
    for size in (3, 7):
        monkeypatch.setattr(features, "BYTES_PER_PAIR", 512 * 2**20 / (size * 10))
        cut = polymodel_features(inputs, settings, ExecutionSettings(memory_mb=512))
        assert_frame_equal(cut.features, whole.features, check_exact=True)
        assert_frame_equal(cut.selected, whole.selected, check_exact=True)


def test_reason_codes_of_funds():
    inputs = planted(funds=8)
    returns = inputs.funds.values
    returns[-1, 0] = np.nan  # dead
    returns[:13, 1] = np.nan  # born 23 months ago
    returns[:, 2] = 0.004  # a deposit
    returns[:12, 4] = np.nan  # just long enough
    features = polymodel_features(inputs, SETTINGS).features
    assert features["reason"].to_list()[:3] == [
        "not_reported",
        "too_few_months",
        "constant_returns",
    ]
    assert features["n_obs"].to_list()[:5] == [35, 23, 36, 36, 24]
    assert features["n_factors"].to_list()[:5] == [0, 0, 0, 10, 10]
    null = features.head(3)
    for name in ("sharpe", "mrar", "svar", "lta", "best_score", "expected_false"):
        assert null[name].null_count() == 3
    assert features["reason"][4] == ""


def test_a_fund_that_earns_cash_and_a_constant_has_no_sharpe_ratio():
    inputs = planted(funds=4)
    cash = 0.002 + 0.5 * inputs.factors.values[-36:, 0]
    inputs.funds.values[:, 3] = cash + 0.001
    inputs = dataclasses.replace(inputs, risk_free=cash)
    fund = polymodel_features(inputs, SETTINGS).features.row(3, named=True)
    assert fund["n_selected"] > 0
    assert fund["sharpe"] is None
    assert fund["reason"] == "constant_excess"


def test_unknown_cash_costs_sharpe_and_mrar_only():
    inputs = planted(funds=4)
    cash = np.full(36, 0.002)
    cash[:20] = np.nan
    features = polymodel_features(dataclasses.replace(inputs, risk_free=cash), SETTINGS).features
    assert (features["reason"] == "no_risk_free").all()
    assert features["sharpe"].null_count() == features["mrar"].null_count() == 4
    assert features["svar"][0] is not None


def test_reason_codes_of_factors():
    rng = np.random.default_rng(1)
    history = rng.standard_normal((120, 7))
    history[-1, 0] = np.nan  # ended
    history[-36:-12, 1] = np.nan  # long gap
    history[:70, 2] = np.nan  # young
    history[:, 3] = 0.01
    history[-36:, 4] = 0.5  # stood still in the window
    history[:, 5] = 0.0
    history[-5, 5] = 0.3  # one jump: its 1% and 99% quantiles coincide
    codes = screen_factors(history[-36:], LongHistory.of(history, SETTINGS), SETTINGS).tolist()
    assert codes == [
        "not_reported",
        "too_few_months",
        "short_history",
        "constant",
        "constant",
        "constant",
        "",
    ]
    returns = rng.standard_normal((36, 3)) * 0.02
    result = polymodel_features(month_inputs(returns, history), SETTINGS)
    assert result.features["n_factors"].to_list() == [1, 1, 1]
    assert result.excluded_factors == {
        "constant": ["x03", "x04", "x05"],
        "not_reported": ["x00"],
        "short_history": ["x02"],
        "too_few_months": ["x01"],
    }


@pytest.mark.parametrize("count", [0, 2])
def test_no_usable_factor(count):
    inputs = month_inputs(
        np.random.default_rng(2).standard_normal((36, 2)), np.full((90, count), 0.1)
    )
    features = polymodel_features(inputs, SETTINGS).features
    assert features["reason"].to_list() == ["no_factors"] * 2
    assert features["sharpe"].null_count() == 0


def test_no_funds():
    inputs = month_inputs(np.full((36, 0), np.nan), np.random.default_rng(3).normal(size=(90, 2)))
    result = polymodel_features(inputs, SETTINGS)
    assert result.features.schema == pl.Schema(FEATURES_SCHEMA)
    assert result.features.height == result.selected.height == 0


def test_stress_var_is_capped_at_everything():
    inputs = planted(funds=4)
    inputs.funds.values[:, 0] *= 40
    features = polymodel_features(inputs, SETTINGS).features
    assert features["svar"][0] == 1.0
    assert polymodel_features(inputs, SETTINGS).selected["svar"].max() > 1.0  # pairs are not


def test_a_fund_that_is_a_factor():
    inputs = planted(funds=4)
    inputs.funds.values[:, 3] = inputs.factors.values[-36:, 5]
    result = polymodel_features(inputs, SETTINGS)
    own = result.selected.filter(fund_id="f03", factor_id="x05")
    assert own["p_value"].item() == 1 / 500
    assert own["r2"].item() > 0.95


def test_penalized_intercept_moves_the_fit_but_not_its_significance(result):
    settings = SETTINGS.model_copy(update={"penalize_intercept": True})
    penalized = polymodel_features(planted(), settings)
    columns = ["fund_id", "factor_id", "r2", "p_value", "score"]
    assert_frame_equal(penalized.selected.select(columns), result.selected.select(columns))
    assert (penalized.selected["lta"] != result.selected["lta"]).all()


@pytest.mark.parametrize("rule", ["relative", "benjamini_hochberg"])
def test_other_rules_keep_the_planted_factor(rule):
    settings = SETTINGS.model_copy(update={"selection": rule, "alpha": 0.1})
    pairs = polymodel_features(planted(), settings).selected.select("fund_id", "factor_id").rows()
    assert ("f00", "x00") in pairs


def test_extrapolation_is_flagged():
    inputs = planted(funds=4)
    rng = np.random.default_rng(1)
    earlier = rng.standard_t(5, (264, 10)) * 0.2  # the history was far wilder than the window
    wilder = LongHistory.of(np.concatenate([earlier, inputs.factors.values]), SETTINGS)
    wild = polymodel_features(dataclasses.replace(inputs, history=wilder), SETTINGS).features
    assert wild["extrapolated"][0] is True
    assert wild["svar"][0] > 1.5 * wild["svar_clamped"][0]
