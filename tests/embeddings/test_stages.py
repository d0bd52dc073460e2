"""Training, predictions and embeddings as parts of the store."""

import json

import numpy as np
import polars as pl
import pytest

from finembed_core.calendar import Month, month_range
from finembed_core.chain import chain, chain_state, discard_foreign_parts
from finembed_core.daily_panel import read_daily
from finembed_core.embeddings.checkpoint import FundModels
from finembed_core.embeddings.description import description_stage
from finembed_core.embeddings.evaluation.study import KEY, SCHEMAS
from finembed_core.embeddings.fitting import TOO_LITTLE
from finembed_core.embeddings.information.table import information
from finembed_core.embeddings.information_set import InformationReader
from finembed_core.embeddings.predictions import asked, embeddings
from finembed_core.embeddings.stages import embedding_stage, encoder_stage, prediction_stage
from finembed_core.embeddings.tables import (
    CHECKS,
    EMBEDDINGS,
    EXCLUSIONS,
    INFORMATION,
    PREDICTIONS,
    model_table,
)
from finembed_core.errors import MissingPartError, SettingsError
from finembed_core.histories import ingested_months
from finembed_core.stage import build
from finembed_core.store import PartStore
from tests.embeddings.small_store import FUNDS, SESSIONS, returns, small_settings, small_store

SETTINGS = small_settings(every_sessions=30)
TABLE = model_table("rlinear")


def built(store: PartStore, settings=SETTINGS) -> InformationReader:
    """Everything of one encoder."""
    reader = InformationReader(store, settings)
    decided = [str(month) for month in reader.decision_months]
    months = [str(month) for month in ingested_months(store)]
    for stage, keys in (
        (encoder_stage(store, settings, "rlinear", reader), decided),
        (prediction_stage(store, settings, reader), decided),
        (embedding_stage(store, settings, reader), months),
    ):
        list(build(stage, keys, store))
    return reader


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> PartStore:
    made = small_store(tmp_path_factory.mktemp("store"))
    built(made)
    return made


def trained(store: PartStore) -> list[str]:
    return [m.key for m in store.manifests(TABLE) if "model.json" in m.files]


def test_decisions_without_enough_history_say_so(store):
    young = [m for m in store.manifests(TABLE) if "model.json" not in m.files]
    assert young and trained(store)
    assert {m.notes["reason"] for m in young} == {TOO_LITTLE}
    assert max(m.key for m in young) < min(trained(store))
    first = store.manifest(PREDICTIONS, young[0].key)
    assert first is not None and first.rows == 0
    assert first.notes["absent_encoders"] == {"rlinear": TOO_LITTLE}


def test_every_mode_and_seed_predicts_every_fund_that_is_listed(store):
    key = trained(store)[-1]
    frame = store.read(PREDICTIONS, key)
    reader = InformationReader(store, SETTINGS)
    listing = reader.windows.listed(reader.decision(Month.parse(key)))
    assert frame["fund_id"].n_unique() == len(listing.columns) == FUNDS
    assert frame.height == FUNDS * 5 * 2
    assert frame["date"].unique().to_list() == [reader.day(Month.parse(key))]
    sums = frame.group_by("mode", "seed").agg(pl.col("weight", "gmv").sum())
    np.testing.assert_allclose(sums["weight"], 1.0, atol=1e-9)
    np.testing.assert_allclose(sums["gmv"], 1.0, atol=1e-9)
    assert frame.select(pl.col("weight", "gmv").min() >= 0.0).row(0) == (True, True)
    assert frame["forecast"].is_between(-1.0, 1.0).all()


def test_performance_is_predicted_where_one_network_answers_everything(store):
    frame = store.read(PREDICTIONS, trained(store)[-1])
    told = frame.group_by("mode").agg(pl.col("sharpe", "volatility", "drawdown").count() > 0)
    joint = {"probe", "multi_objective", "multi_modal"}
    assert {mode: any(flags) for mode, *flags in told.iter_rows()} == {
        mode: mode in joint for mode in SETTINGS.embeddings.modes
    }
    assert (frame["volatility"].drop_nulls() > 0.0).all()


def test_a_young_fund_is_left_out_with_its_reason(store, tmp_path):
    """It has 8 of 16 sessions where three quarters are needed."""
    reader = InformationReader(store, SETTINGS)
    month = reader.decision_months[2]
    made, day = returns(), reader.day(month)
    made[:, -1] = made[:, 0]
    made[: reader.decision(month) - 7, -1] = np.nan
    young = small_store(tmp_path, made)
    built(young, small_settings(every_sessions=30, first_decision=day, last_decision=day))
    assert trained(young) == []  # what is left out does not hang on networks
    rows = young.read(EXCLUSIONS, str(month)).filter(date=day).rows()
    assert rows == [(day, f"F{FUNDS - 1:02d}", "too_short")]


def test_every_date_of_embeddings_says_who_has_none(tmp_path):
    """A fund falls silent before the end of a month without a decision."""
    own = small_settings(every_sessions=30, modes=["probe"], published_mode="probe", seeds=[1])
    reader = InformationReader(small_store(tmp_path / "whole"), own)
    decided = reader.decision_months
    month = [m for m in month_range(decided[0], decided[-1]) if m not in decided][-1]
    (end,) = reader.dates_of(month)
    made = returns()
    made[end - 5 : end + 1, 0] = np.nan
    store = small_store(tmp_path / "gap", made)
    reader = built(store, own)
    days = reader.windows.panel.days
    silent = (days[end].item(), "F00", "silent")
    assert silent in store.read(EXCLUSIONS, str(month)).rows()
    assert store.keys(EXCLUSIONS) == store.keys(EMBEDDINGS)
    for key in store.keys(EMBEDDINGS):
        expected = [
            (days[session].item(), *each)
            for session in reader.dates_of(Month.parse(key))
            for each in reader.windows.listed(session).excluded
            if key >= str(decided[0])
        ]
        assert store.read(EXCLUSIONS, key).rows() == expected


def test_embeddings_stand_at_month_ends_and_decisions(store):
    reader = InformationReader(store, SETTINGS)
    days = reader.windows.panel.days
    for key in trained(store):
        month = Month.parse(key)
        frame = store.read(EMBEDDINGS, key)
        expected = [days[s].item() for s in reader.dates_of(month)]
        assert frame["date"].unique().sort().to_list() == expected
        assert reader.day(month) in expected
        assert frame["vector"].dtype == pl.Array(pl.Float32, 6)
        assert set(frame["seed"]) == {1, 2}
        assert frame["mode"].unique().to_list() == ["multi_modal"]
        assert frame["retrained"].unique().to_list() == [reader.day(month)]


def test_a_month_between_decisions_is_embedded_by_the_models_in_force(store):
    decided = trained(store)
    between = [
        key
        for key in store.keys(EMBEDDINGS)
        if key > decided[0] and key not in decided and store.read(EMBEDDINGS, key).height
    ]
    assert between
    reader = InformationReader(store, SETTINGS)
    for key in between:
        frame = store.read(EMBEDDINGS, key)
        latest = max(k for k in decided if k < key)
        assert frame["retrained"].unique().to_list() == [reader.day(Month.parse(latest))]


def test_before_the_first_decision_there_is_an_empty_part(store):
    first = store.keys(EMBEDDINGS)[0]
    assert store.read(EMBEDDINGS, first).height == 0


def test_what_is_current_is_skipped(store):
    reader = InformationReader(store, SETTINGS)
    stage = encoder_stage(store, SETTINGS, "rlinear", reader)
    parts = list(build(stage, [str(m) for m in reader.decision_months], store))
    assert parts and all(part.skipped for part in parts)


def test_a_restated_return_makes_only_later_decisions_stale(store, tmp_path):
    made = returns()
    reader = InformationReader(store, SETTINGS)
    last = reader.decision(Month.parse(trained(store)[-1]))
    made[last, 0] = 0.05
    other = small_store(tmp_path, made)
    for key in store.keys(TABLE):
        month = Month.parse(key)
        one, two = (
            r.information(r.decision(month)).digest()
            for r in (reader, InformationReader(other, SETTINGS))
        )
        assert (one == two) == (reader.decision(month) < last), key


def test_predictions_ask_for_the_networks(tmp_path):
    store = small_store(tmp_path)
    reader = InformationReader(store, SETTINGS)
    stage = prediction_stage(store, SETTINGS, reader)
    key = str(reader.decision_months[-1])
    with pytest.raises(MissingPartError, match="no networks around rlinear have been trained"):
        list(build(stage, [key], store))


def test_the_chain_holds_the_branch_and_its_decisions(store):
    months = ingested_months(store)
    links = chain(store, SETTINGS)
    assert links[TABLE].keys(months, SETTINGS) == store.keys(TABLE)
    assert links[EMBEDDINGS].keys(months, SETTINGS) == [str(month) for month in months]
    assert all(links[name].dead_end for name in (TABLE, EMBEDDINGS, PREDICTIONS))
    states = {state.name: state.keys for state in chain_state(store, SETTINGS, months)}
    assert set(states[TABLE]) == set(store.keys(TABLE))
    off = small_settings(enabled=False)
    assert not [name for name, link in chain(store, off).items() if link.branch == "embeddings"]


def test_what_nobody_asks_for_any_more_is_deleted(tmp_path):
    store = small_store(tmp_path)
    month = str(InformationReader(store, SETTINGS).decision_months[0])
    of_months = (TABLE, EMBEDDINGS, PREDICTIONS, EXCLUSIONS)
    for table in of_months:
        store.write(table, month, pl.DataFrame())
    for encoder in ("rlinear", "linear"):
        for table in (INFORMATION, CHECKS):
            store.write(table, encoder, pl.DataFrame({"encoder": [encoder]}))
    for table, _ in SCHEMAS:
        store.write(table, KEY, pl.DataFrame({"encoder": ["rlinear"]}))
    discard_foreign_parts(store, SETTINGS)
    assert all(store.keys(table) for table in of_months)
    assert store.keys(INFORMATION) == store.keys(CHECKS) == ["rlinear"]
    assert all(store.keys(table) == [KEY] for table, _ in SCHEMAS)
    discard_foreign_parts(store, small_settings(enabled=False))
    made = (*of_months, INFORMATION, CHECKS, *(table for table, _ in SCHEMAS))
    assert not any(store.keys(name) for name in made)


def test_what_embeddings_hold_is_described_for_every_member(store):
    reader = InformationReader(store, SETTINGS)
    (part,) = build(description_stage(store, SETTINGS, reader), ["rlinear"], store)
    assert not part.skipped
    for table in (INFORMATION, CHECKS):
        frame = store.read(table, "rlinear")
        members = frame.select("encoder", "mode", "seed").unique()
        assert members.height == 5 * 2
        assert members["encoder"].unique().to_list() == ["rlinear"]
    assert set(store.read(INFORMATION, "rlinear")["unit"]) == {"nats"}


def test_information_is_that_of_all_windows_split_by_fund(tmp_path):
    """40 funds on a few dates, none of which a gradient has seen; one network."""
    settings = small_settings(every_sessions=30, seeds=[1], modes=["multi_modal"])
    draw = np.random.default_rng(5)
    common = draw.normal(0.0, 0.01, (SESSIONS, 2))[:, np.arange(40) % 2]
    made = (common + draw.normal(0.0, 0.006, common.shape)).astype(np.float32)
    store = small_store(tmp_path, made)
    reader = InformationReader(store, settings)
    key = reader.decision_months[-1]
    encoder = encoder_stage(store, settings, "rlinear", reader)
    list(build(encoder, [str(key)], store))
    list(build(description_stage(store, settings, reader), ["rlinear"], store))
    rows = store.read(INFORMATION, "rlinear")

    known = reader.information(reader.decision(key))
    files = {
        name: store.read_file(TABLE, str(key), name) for name in ("model.safetensors", "model.json")
    }
    models = FundModels.from_files(files, json.loads(files["model.json"])["fingerprint"])
    maker, dates, _ = asked(models, known, settings.embeddings)
    first = maker.sessions()[1][0]
    sessions = range(first, known.session + 1, 4)
    sheets = [maker.sheet(maker.facts(session), models.characteristics) for session in sessions]
    vectors = [embeddings(models, "multi_modal", [1], dates, sheet)[1] for sheet in sheets]
    windows = [known.windows.at(sheet.session, sheet.columns)[0][:, 0] for sheet in sheets]
    own = information(
        np.concatenate(windows).astype(np.float64),
        np.concatenate(vectors).astype(np.float64),
        seed=1,
        groups=np.tile(np.arange(40), len(sheets)),
    )
    told = own.drop("note").columns
    assert rows.select(told).equals(own.select(told))
    assert rows["value"].null_count() == rows["std"].null_count() == 0
    assert rows["n"].unique().to_list() == [20 * len(sheets)]
    about = f"windows of 40 funds on {len(sheets)} dates, split by fund; inputs are the fund's own"
    assert all(about in note and "characteristics and texts" in note for note in rows["note"])
    checked = store.read(CHECKS, "rlinear")
    assert checked["value"].null_count() == 0 and set(checked["n"]) == {40}


def test_an_encoder_that_is_not_in_the_settings_is_named(store):
    stage = description_stage(store, SETTINGS, InformationReader(store, SETTINGS))
    with pytest.raises(SettingsError, match="there is no encoder patchtst to describe"):
        stage.gather("patchtst")


def test_the_panel_is_mapped_not_copied(store):
    assert isinstance(read_daily(store).returns, np.memmap)
