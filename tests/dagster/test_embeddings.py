"""Embeddings of a user's own daily NAVs, by the commands and jobs that users run."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from finembed_core.chain import chain_state, decision_months
from finembed_core.embeddings import text
from finembed_core.store import PartStore
from finembed_dagster.assets.monthly import NONE_DUE
from finembed_dagster.checks import finite_vectors, known_funds, whole_portfolios
from finembed_dagster.gathered import build_definitions
from finembed_dagster.partitions import months_of
from finembed_dagster.study import Study
from tests.dagster.asset_checks import last_statuses
from tests.dagster.harness import backfill, web_page
from tests.embedding_study import FUNDS, write_study
from tests.study_runs import entered, finembed, store_bytes

MODEL = "fund_model_rlinear"
BRANCH = [MODEL, "embeddings", "fund_predictions"]
GRAPH = {
    MODEL: {"daily_panel", "daily_funds", "text_vectors", "macro_factors"},
    "embeddings": {"daily_panel", "daily_funds", "text_vectors", "macro_factors", MODEL},
    "fund_predictions": {"daily_panel", "daily_funds", "text_vectors", "macro_factors", MODEL},
    "embedding_study": {"fund_predictions"},
    "warehouse": {"backtests", "embeddings", "embedding_study"},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished home; copy it before changing anything."""
    folder = tmp_path_factory.mktemp("daily")
    settings = write_study(folder)
    assert finembed("run", "--home", folder / "home", "--settings", settings) == 0
    return folder


@pytest.fixture
def daily(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A copy of the finished study, entered."""
    entered(finished, tmp_path, monkeypatch)
    return Study.find().enter()


def metadata(instance: dg.DagsterInstance, asset: str) -> dict[str, dict[str, object]]:
    """What the page shows beside each partition of an asset."""
    records = instance.fetch_materializations(dg.AssetKey(asset), limit=1000).records
    return {
        record.partition_key or "": {
            name: entry.value for name, entry in record.asset_materialization.metadata.items()
        }
        for record in records
        if record.asset_materialization
    }


def test_the_asset_graph(daily: Study) -> None:
    graph = build_definitions(daily).resolve_asset_graph()
    for name, parents in GRAPH.items():
        node = graph.get(dg.AssetKey(name))
        assert {parent.to_user_string() for parent in node.parent_keys} == parents
        assert node.description and node.kinds
        assert node.group_name == ("portfolios" if name == "warehouse" else "embeddings")


def test_what_the_page_shows(daily: Study) -> None:
    with dg.DagsterInstance.get() as instance:
        trained = metadata(instance, MODEL)
        decided = {f"{key}-01" for key in daily.store.keys(MODEL)}
        idle = {key for key, shown in trained.items() if shown.get("note") == NONE_DUE["decision"]}
        assert len(decided) >= 4 and idle and idle | decided == set(trained)
        assert not idle & decided
        [pictured] = [key for key, shown in trained.items() if "learning_curve" in shown]
        assert pictured == max(trained)
        assert "data:image/svg+xml" in str(trained[pictured]["learning_curve"])
        shown = metadata(instance, "embedding_study")[""]
        assert "| gmv | rlinear | multi_modal |" in str(shown["scoreboard"])
        assert shown["warnings"] == [] and "| weights | " in str(shown["wins"])
        assert last_statuses(instance, daily) == ["SUCCEEDED"] * 10


def test_a_second_run_computes_nothing(daily: Study, capsys: pytest.CaptureFixture[str]) -> None:
    before = store_bytes(daily.home.root)
    assert finembed("run") == 0
    assert "everything is current through" in capsys.readouterr().out
    assert store_bytes(daily.home.root) == before


@pytest.mark.filterwarnings("ignore")  # Dagster calls what it has deprecated itself
def test_a_backfill_over_a_range_restores_what_was_lost(daily: Study) -> None:
    before = store_bytes(daily.home.root)
    months = [f"{key}-01" for key in daily.store.keys("embeddings")[-5:]]
    lost = [key for key in daily.store.keys(MODEL) if f"{key}-01" in months]
    assert 0 < len(lost) < len(months)
    for table in BRANCH:
        for key in lost:
            daily.store.delete(table, key)
    sys.modules.pop("finembed_dagster.definitions", None)
    importlib.import_module("finembed_dagster.definitions")
    with web_page() as (instance, workspace):
        assert backfill(instance, workspace, BRANCH, months) == "COMPLETED_SUCCESS"
        for asset in BRANCH:
            done = instance.get_materialized_partitions(dg.AssetKey(asset))
            assert set(done) == set(months)
    assert store_bytes(daily.home.root) == before


def test_similar_funds_report_and_status(daily: Study, capsys: pytest.CaptureFixture[str]) -> None:
    picture = Path("map.html")
    assert finembed("similar", "F3", "--output", picture) == 0
    said = capsys.readouterr().out
    assert "RLinear, multi-modal, 2 seeds" in said and f"of the {FUNDS - 1} nearest" in said
    assert "F1" in said and picture.stat().st_size > 10_000
    assert finembed("report", "--output", "page.html") == 0
    page = Path("page.html").read_text()
    assert "What embeddings are worth" in page
    assert "Absent: embedding" not in page
    capsys.readouterr()
    assert finembed("status") == 0
    assets = capsys.readouterr().out.partition("data quality")[0]
    rows = {line.split()[0]: line.split()[1:5] for line in assets.splitlines() if line.split()}
    decisions = str(len(daily.store.keys(MODEL)))
    assert rows[MODEL] == rows["fund_predictions"] == ["decision", decisions, "0", "0"]
    assert rows["embedding_study"] == ["whole", "2", "0", "0"]


@pytest.mark.parametrize(
    ("lost", "other"), [("embeddings", "fund_predictions"), ("fund_predictions", "embeddings")]
)
def test_what_nothing_reads_makes_nothing_stale(daily: Study, lost: str, other: str) -> None:
    key = daily.store.keys(MODEL)[-2]
    daily.store.delete(lost, key)
    months = decision_months(daily.store)
    states = {s.name: s.keys for s in chain_state(daily.store, daily.settings, months)}
    assert states[lost][key] == "missing"
    assert set(states[other].values()) == {"current"}


def test_status_of_the_study_where_macro_factors_are_missing(
    daily: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in daily.store.keys("macro_factors"):
        daily.store.delete("macro_factors", key)
    assert finembed("status") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["embedding_study", "whole", "1", "1", "0"] in [row[:5] for row in rows]


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, of a study that has not been computed."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_that_ends_before_the_data_do_says_what_is_absent(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No decision is trained yet, and no model reads texts: both are told, neither is an error."""
    monkeypatch.setattr(text, "installed", lambda: False)
    write_study(fresh)
    assert finembed("run", "--home", "home", "--through", "2000-02") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"text tower {text.ABSENT}" in said
    assert "no decision has predictions" in said


def test_data_without_a_daily_panel_say_so_in_one_line(
    fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(fresh, daily=False)
    assert finembed("run", "--home", "home", "--through", "2000-02") == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if "daily panel" in line]
    assert len(notes) == 1 and "no embeddings" in notes[0]
    assert finembed("doctor", "--home", "home") == 0
    assert "no panel, hence no embeddings" in capsys.readouterr().out
    shutil.rmtree("home")
    write_study(fresh, daily=False, enabled=False)
    assert finembed("run", "--home", "home", "--through", "2000-02") == 0
    assert "daily panel" not in capsys.readouterr().out


@pytest.mark.parametrize("extra", [True, False])
def test_doctor_knows_texts_and_the_daily_panel(
    fresh: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    extra: bool,
) -> None:
    monkeypatch.setattr("finembed_dagster.cli.doctor.installed", lambda: extra)
    write_study(fresh)
    assert finembed("doctor", "--home", "home") == 0
    said = capsys.readouterr().out
    assert (text.ABSENT in said) is not extra
    assert f"daily     {FUNDS} funds beside MKT, 259 sessions, 2000-01-03" in said


def test_checks_find_what_is_wrong(daily: Study) -> None:
    key = [
        k
        for k in daily.store.keys("fund_predictions")
        if daily.store.read("fund_predictions", k).height
    ][-1]
    months = months_of([f"{key}-01"])
    store: PartStore = daily.store
    for check in (whole_portfolios, finite_vectors, known_funds):
        assert check(daily, months)[0]
    frame = store.read("fund_predictions", key)
    for far in (1.1, 1.0 + 1e-7):
        store.write("fund_predictions", key, frame.with_columns(gmv=pl.col("gmv") * far))
        assert whole_portfolios(daily, months)[1]["members_off"] == 4
    first = pl.col("seed") == frame["seed"][0]
    without = pl.when(~first).then(pl.col("gmv")).alias("gmv")
    store.write("fund_predictions", key, frame.with_columns(without))
    assert whole_portfolios(daily, months) == (True, {"portfolios": 6, "members_off": 0})
    frame = store.read("embeddings", key)
    first = pl.int_range(pl.len()) == 0
    nothing = pl.lit([float("nan")] * 6, dtype=pl.Array(pl.Float32, 6))
    broken = frame.with_columns(
        fund_id=pl.when(first).then(pl.lit("X")).otherwise("fund_id"),
        vector=pl.when(first).then(nothing).otherwise("vector"),
    )
    store.write("embeddings", key, broken)
    assert finite_vectors(daily, months) == (False, {"vectors": frame.height, "broken": 1})
    assert known_funds(daily, months)[1]["unknown"] == ["X"]
