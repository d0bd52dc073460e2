"""The stage on a store: inputs cut right, parts built, skipped and made stale."""

import numpy as np
import polars as pl
import pytest

from finembed_core.errors import MissingPartError
from finembed_core.polymodel.features import polymodel_features
from finembed_core.polymodel.stage import EXCLUDED, FEATURES, SELECTED, polymodel_stage
from finembed_core.settings import ExecutionSettings, Settings
from finembed_core.stage import build
from tests.polymodel.months import month_inputs, paper_settings
from tests.polymodel.stores import DECIDED, write_store

SETTINGS = Settings.model_validate({"polymodel": {"shuffles": 199}})
KEYS = [str(DECIDED - 1), str(DECIDED)]


@pytest.fixture
def filled(store):
    write_store(store)
    return store


def test_information_set(filled):
    inputs = polymodel_stage(filled, SETTINGS).gather(str(DECIDED))
    assert inputs.funds.ids == ("f0", "f1", "f2", "f3", "f5")  # f4 is not born yet
    assert inputs.funds.values.shape == (36, 5)
    assert inputs.factors.ids == ("x0", "x1", "x2")
    assert inputs.history.count.tolist() == [66, 66, 66]
    assert inputs.funds.dates[-1] == inputs.factors.dates[-1] == np.datetime64("1999-06-30")
    np.testing.assert_array_equal(inputs.risk_free, 0.002)


def test_macro_factors_join_the_risk_factors(filled):
    wanted = Settings.model_validate({"polymodel": {"macro_factors_as_risk_factors": True}})
    stage = polymodel_stage(filled, wanted)
    inputs = stage.gather(str(DECIDED))
    assert inputs.factors.ids == ("x0", "x1", "x2", "macro_F1")
    assert inputs.factors.values.shape == (36, 4)
    assert inputs.history.count.tolist() == [66, 66, 66, 90]
    with pytest.raises(MissingPartError):
        stage.gather(str(DECIDED + 1))


def test_build_then_skip(filled):
    built = list(build(polymodel_stage(filled, SETTINGS), KEYS, filled))
    assert [part.skipped for part in built] == [False, False]
    features = filled.read(FEATURES, str(DECIDED))
    assert features["reason"].to_list() == ["", "", "", "", "not_reported"]
    assert features["svar_factor"][0] == "x0"
    notes = filled.manifest(FEATURES, str(DECIDED)).notes
    assert notes == {"funds": 5, "reasons": {"not_reported": 1}, "excluded_factors": {}}
    assert filled.read(SELECTED, str(DECIDED)).height >= 4
    again = list(build(polymodel_stage(filled, SETTINGS), KEYS, filled))
    assert [part.skipped for part in again] == [True, True]


def test_lagged_factors_are_those_of_the_months_before(filled):
    plain = polymodel_stage(filled, Settings()).gather(str(DECIDED))
    wanted = Settings.model_validate({"polymodel": {"factor_lags": 2}})
    inputs = polymodel_stage(filled, wanted).gather(str(DECIDED))
    now, before = plain.factors, inputs.factors
    names = [f"x{k}{lag}" for lag in ("", "_lag1", "_lag2") for k in range(3)]
    assert list(before.ids) == names
    np.testing.assert_array_equal(before.values[:, :3], now.values)
    np.testing.assert_array_equal(before.values[1:, 3:6], now.values[:-1])
    np.testing.assert_array_equal(before.values[2:, 6:], now.values[:-2])
    assert np.isfinite(before.values).all()  # the months before the window are known, too
    assert inputs.history.count.tolist() == [66] * 3 + [65] * 3 + [64] * 3


def test_a_fund_that_reacts_late_selects_the_lagged_factor():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((120, 1)) * 0.04
    y = rng.standard_normal((36, 1)) * 0.01
    y[:, 0] += 0.5 * x[-37:-1, 0]
    late = np.concatenate([[[np.nan]], x[:-1]])
    result = polymodel_features(month_inputs(y, np.column_stack([x, late])), paper_settings())
    assert result.selected["factor_id"].to_list() == ["x01"]


def test_excluded_factors_have_a_table_with_their_reasons(filled):
    for key in filled.keys("series_observations"):
        rows = filled.read("series_observations", key)
        flat = pl.when(pl.col("series_id") == "x1").then(0.01).otherwise("value")
        filled.write("series_observations", key, rows.with_columns(value=flat))
    list(build(polymodel_stage(filled, SETTINGS), KEYS, filled))
    excluded = filled.read(EXCLUDED, str(DECIDED))
    assert excluded.rows() == [(DECIDED.end, "x1", "constant")]
    notes = filled.manifest(FEATURES, str(DECIDED)).notes
    assert notes["excluded_factors"] == {"constant": 1}
    filled.delete(EXCLUDED, str(DECIDED))
    again = list(build(polymodel_stage(filled, SETTINGS), KEYS, filled))
    assert [part.skipped for part in again] == [True, False]


def test_a_restated_value_makes_the_months_that_see_it_stale(filled):
    list(build(polymodel_stage(filled, SETTINGS), KEYS, filled))
    frame = filled.read("fund_observations", str(DECIDED))
    filled.write("fund_observations", str(DECIDED), frame.with_columns(pl.col("ret") + 0.01))
    again = list(build(polymodel_stage(filled, SETTINGS), KEYS, filled))
    assert [part.skipped for part in again] == [True, False]


def test_processes_write_the_same_bytes(filled):
    stage = polymodel_stage(filled, SETTINGS)
    serial = [part.manifests[FEATURES].content for part in build(stage, KEYS, filled)]
    for key in KEYS:
        filled.delete(FEATURES, key)
    spread = ExecutionSettings(mode="processes", workers=2)
    parallel = [part.manifests[FEATURES].content for part in build(stage, KEYS, filled, spread)]
    assert serial == parallel


def test_months_before_any_data(filled):
    key = "1993-05"
    list(build(polymodel_stage(filled, SETTINGS), [key], filled))
    assert filled.read(FEATURES, key).height == 0


def test_first_months_have_reasons(filled):
    key = "1994-06"
    list(build(polymodel_stage(filled, SETTINGS), [key], filled))
    assert set(filled.read(FEATURES, key)["reason"]) == {"too_few_months"}


def test_nothing_ingested(store):
    with pytest.raises(MissingPartError):
        polymodel_stage(store, SETTINGS).gather("1999-01")


def test_cash_that_nobody_observed_earns_nothing(store):
    write_store(store)
    for key in store.keys("series_observations"):
        rows = store.read("series_observations", key)
        store.write("series_observations", key, rows.filter(pl.col("series_id") != "cash"))
    inputs = polymodel_stage(store, SETTINGS).gather(str(DECIDED))
    np.testing.assert_array_equal(inputs.risk_free, 0.0)
