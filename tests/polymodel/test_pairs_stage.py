"""Pair statistics as a stage: built from the features' information sets, stale on their own."""

import pytest

from finembed_core.chain import chain
from finembed_core.errors import SettingsError
from finembed_core.polymodel.stage import (
    FEATURES,
    PAIRS,
    SELECTED,
    pairs_stage,
    polymodel_stage,
)
from finembed_core.settings import ExecutionSettings, Settings
from finembed_core.stage import build
from tests.polymodel.stores import DECIDED, write_store

KEYS = [str(DECIDED - 1), str(DECIDED)]


def settings_of(polymodel=None, **pairs):
    tree = {"polymodel": {"shuffles": 199, **(polymodel or {})}}
    return Settings.model_validate(tree | {"pairs": {"first_month": KEYS[0], **pairs}})


def stage_of(store, settings):
    return pairs_stage(store, settings, settings.pairs)


@pytest.fixture
def filled(store):
    write_store(store)
    return store


def test_build_then_skip(filled):
    settings = settings_of()
    list(build(stage_of(filled, settings), KEYS, filled))
    list(build(polymodel_stage(filled, settings), KEYS, filled))
    pairs = filled.read(PAIRS, KEYS[1])
    assert pairs.height == filled.read(FEATURES, KEYS[1])["n_factors"].sum() == 12
    selected = filled.read(SELECTED, KEYS[1]).select("fund_id", "factor_id")
    assert pairs.join(selected, on=["fund_id", "factor_id"]).height == selected.height > 0
    again = list(build(stage_of(filled, settings), KEYS, filled))
    assert [part.skipped for part in again] == [True, True]
    wider = settings_of(first_month="1999-01", last_month="2000-01")
    again = list(build(stage_of(filled, wider), KEYS, filled))
    assert [part.skipped for part in again] == [True, True]
    other = settings_of(columns=["r2"])
    again = list(build(stage_of(filled, other), KEYS, filled))
    assert [part.skipped for part in again] == [False, False]
    assert filled.read(PAIRS, KEYS[1]).width == 4


def test_it_sees_what_features_see(filled):
    settings = settings_of()
    stages = stage_of(filled, settings), polymodel_stage(filled, settings)
    assert len({stage.gather(KEYS[1]).digest() for stage in stages}) == 1


def test_processes_write_the_same_bytes(filled):
    stage = stage_of(filled, settings_of())
    serial = [part.manifests[PAIRS].content for part in build(stage, KEYS, filled)]
    for key in KEYS:
        filled.delete(PAIRS, key)
    spread = ExecutionSettings(mode="processes", workers=2)
    parallel = [part.manifests[PAIRS].content for part in build(stage, KEYS, filled, spread)]
    assert serial == parallel


@pytest.mark.parametrize(
    ("polymodel", "pairs", "words"),
    [
        ({}, {"funds": ["f0", "g1"]}, ["funds called g1 in", "pairs.funds", "f1"]),
        ({}, {"factors": ["x9", "y", "z"]}, ["called x9 and 2 more", "pairs.factors", "x0"]),
        ({}, {"factors": ["x0_lag1"]}, ["x0_lag1"]),
        ({"factor_lags": 1}, {"factors": ["x0_lag2"]}, ["x0_lag2", "x0_lag1"]),
        ({}, {"factors": ["macro_F1"]}, ["macro_F1"]),
        ({"macro_factors_as_risk_factors": True}, {"factors": ["macro_F9"]}, ["macro_F1"]),
    ],
)
def test_an_unknown_name_is_refused(filled, polymodel, pairs, words):
    stage = stage_of(filled, settings_of(polymodel, **pairs))
    with pytest.raises(SettingsError) as caught:
        stage.gather(KEYS[1])
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_names_of_every_kind_are_known(filled):
    """Also those that the month itself does not have: f4 is not born yet."""
    polymodel = {"factor_lags": 1, "macro_factors_as_risk_factors": True}
    factors = ["x0", "x2_lag1", "macro_F1", "macro_F1_lag1"]
    settings = settings_of(polymodel, factors=factors, funds=["f0", "f4"])
    list(build(stage_of(filled, settings), KEYS[1:], filled))
    found = filled.read(PAIRS, KEYS[1])
    assert found["factor_id"].to_list() == sorted(factors)
    assert found["fund_id"].unique().to_list() == ["f0"]


def test_only_the_months_asked_for_belong_to_the_chain(store):
    months = [DECIDED + k for k in range(-3, 4)]
    assert PAIRS not in chain(store, Settings())
    until = settings_of(last_month=str(DECIDED + 1))
    assert chain(store, until)[PAIRS].keys(months, until) == [*KEYS, str(DECIDED + 1)]
    on = settings_of()
    assert len(chain(store, on)[PAIRS].keys(months, on)) == 5
