"""What a restated source would change is said before the run, which then computes nothing else."""

import dataclasses
import datetime as dt
import io
import shutil
from pathlib import Path

import polars as pl
import pytest
import yaml
from rich.console import Console

from finembed_core.calendar import Month
from finembed_core.chain import chain
from finembed_core.ingest import stage
from finembed_core.outlook import Outlook, outlook
from finembed_core.settings import Settings, load_settings
from finembed_core.sources.tables import InputTables
from finembed_core.store import PartStore
from finembed_dagster.cli.outlook import _show_states
from tests.restatements import Edit, at, catch_up, let_the_source_say, stamps, value_of
from tests.study_runs import SETTINGS, finembed, store_bytes

MARCH, MAY = dt.date(1994, 3, 31), dt.date(1994, 5, 31)
LATE = dt.date(1994, 8, 20)
FIRST = "1993-01"
LEARNING = {
    "models": ["majority", "persistence"],
    "lookback": 3,
    "min_train_months": 12,
    "valid_months": 6,
    "retrain_every": 3,
    "seeds": [1],
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two years of the small study, retrained every quarter, a long history before them."""
    tree = yaml.safe_load(SETTINGS)
    tree["dataset"]["first_month"] = FIRST
    file = tmp_path_factory.mktemp("settings") / "finembed.yaml"
    file.write_text(yaml.safe_dump(tree | {"learning": LEARNING}))
    return load_settings(file)


@pytest.fixture(scope="module")
def built(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> PartStore:
    store = PartStore(tmp_path_factory.mktemp("built") / "store")
    catch_up(store, settings)
    return store


@pytest.fixture
def home(built: PartStore, tmp_path: Path) -> PartStore:
    """A copy of the finished store."""
    shutil.copytree(built.root, tmp_path / "home" / "store")
    return PartStore(tmp_path / "home" / "store")


def observed(tables: InputTables, **edits: pl.DataFrame) -> InputTables:
    return dataclasses.replace(tables, **edits)


def restated(tables: InputTables) -> InputTables:
    """A return of March is another one."""
    frame = value_of(tables.fund_observations, at("sim00003", MARCH), "ret", 0.0123)
    return observed(tables, fund_observations=frame)


def restated_late(tables: InputTables) -> InputTables:
    """A return of March is another one, and known in August."""
    frame = restated(tables).fund_observations
    frame = value_of(frame, at("sim00003", MARCH), "available_at", LATE)
    return observed(tables, fund_observations=frame)


def other_assets(tables: InputTables) -> InputTables:
    frame = value_of(tables.fund_observations, at("sim00003", MARCH), "aum", 1e6)
    return observed(tables, fund_observations=frame)


def other_macro(tables: InputTables) -> InputTables:
    frame = value_of(tables.series_observations, at("macro03", MAY, "series_id"), "value", 1.5)
    return observed(tables, series_observations=frame)


def deleted(tables: InputTables) -> InputTables:
    kept = tables.fund_observations.filter(~at("sim00003", MARCH))
    return observed(tables, fund_observations=kept)


def renamed(tables: InputTables) -> InputTables:
    ids = pl.col("fund_id").replace("sim00003", "renamed")
    return observed(
        tables,
        fund_observations=tables.fund_observations.with_columns(ids),
        funds=tables.funds.with_columns(ids),
    )


def long_ago(tables: InputTables) -> InputTables:
    """A return older than every window of features."""
    frame = tables.fund_observations
    return observed(
        tables,
        fund_observations=value_of(frame, at("sim00010", dt.date(1990, 9, 30)), "ret", 0.0123),
    )


def born(tables: InputTables) -> InputTables:
    """A new fund reports from May on."""
    other = tables.fund_observations.filter(
        (pl.col("fund_id") == "sim00003") & (pl.col("date") >= MAY)
    ).with_columns(fund_id=pl.lit("new"), ret=pl.col("ret") * 0.5 + 0.001)
    return observed(tables, fund_observations=pl.concat([tables.fund_observations, other]))


CASES: dict[str, tuple[Edit, str, set[tuple[str, str, str]], dict[str, str]]] = {
    "restated": (
        restated,
        "1994-03",
        {("sim00003", "ret", "restated")},
        {"universe": "", "macro_factors": "", "polymodel_features": "1994-03"},
    ),
    "restated late": (
        restated_late,
        "1994-03",
        {("sim00003", c, "restated") for c in ("ret", "available_at")},
        {"macro_factors": "", "polymodel_features": "1994-03"},
    ),
    "assets alone": (
        other_assets,
        "1994-03",
        {("sim00003", "aum", "restated")},
        {"universe": "1994-03", "macro_factors": "", "polymodel_features": ""},
    ),
    "macro": (
        other_macro,
        "1994-06",
        {("macro03", "value", "restated")},
        {"universe": "", "macro_factors": "1994-06"},
    ),
    "deleted": (
        deleted,
        "1994-03",
        {("sim00003", c, "removed") for c in ("ret", "aum", "available_at", "assumed", "source")},
        {"universe": "1994-03", "macro_factors": ""},
    ),
    "renamed": (renamed, FIRST, set(), {"universe": FIRST, "macro_factors": ""}),
    "long ago": (
        long_ago,
        FIRST,
        {("sim00010", "ret", "restated")},
        dict.fromkeys(("universe", "macro_factors", "polymodel_features", "predictions"), ""),
    ),
    "born": (born, "1994-05", set(), {"universe": "1994-05", "macro_factors": ""}),
}


def listed(found: Outlook) -> dict[str, set[str]]:
    return {s.name: {k for k, v in s.keys.items() if v != "current"} for s in found.states}


def marked(quick: set[str]) -> list[object]:
    """All cases, those that are not named as slow ones."""
    slow = pytest.mark.slow
    return [case if case in quick else pytest.param(case, marks=slow) for case in CASES]


@pytest.mark.parametrize("case", marked(CASES.keys() - {"renamed", "born"}))
def test_a_run_computes_nothing_that_was_not_announced(
    case: str, home: PartStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit, decided, values, opened = CASES[case]
    let_the_source_say(monkeypatch, settings, edit)
    before = stamps(home)
    found = outlook(home, settings)
    assert stamps(home) == before, "to look changes nothing"
    assert found.decided_anew == Month.parse(decided)
    said = found.changes.values
    if values:
        assert set(said.select("id", "column", "change").iter_rows()) == values
    else:
        assert {"new"} <= set(said["id"]) or {"renamed", "sim00003"} <= set(said["id"])
    announced = listed(found)
    for name, month in opened.items():
        assert min(announced[name], default="") == month, name
    computed = catch_up(home, settings)
    for name, keys in computed.items():
        assert keys <= announced[name], name
    assert computed["universe"] == announced["universe"]
    assert computed["macro_factors"] == announced["macro_factors"]
    after = stamps(home)
    touched = {(f.parent.name, f.stem) for f in after if after[f] != before.get(f)}
    written = {
        (table, key)
        for name, keys in computed.items()
        for table in chain(home, settings)[name].stage.tables
        for key in keys
    }
    assert touched == written | set(found.changes.parts)


@pytest.mark.parametrize("case", marked({"deleted"}))
def test_the_store_is_that_of_a_fresh_home(
    case: str,
    home: PartStore,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_the_source_say(monkeypatch, settings, CASES[case][0])
    catch_up(home, settings)
    catch_up(PartStore(tmp_path / "fresh" / "store"), settings)
    assert store_bytes(tmp_path / "fresh") == store_bytes(tmp_path / "home")


def test_a_month_on_top_changes_no_past(
    home: PartStore, built: PartStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = stage.month_bounds(settings.dataset)
    monkeypatch.setattr(stage, "month_bounds", lambda dataset: (bounds[0], bounds[1] - 1))
    shorter = outlook(home, settings)
    assert shorter.changes.gone == (bounds[1],)
    catch_up(home, settings)
    monkeypatch.setattr(stage, "month_bounds", lambda dataset: (bounds[0] + 1, bounds[1] - 1))
    later = outlook(home, settings)
    assert later.changes.gone == (bounds[0],)
    told = io.StringIO()
    _show_states(Console(file=told, width=200), later)
    assert "those before go" in told.getvalue()
    monkeypatch.setattr(stage, "month_bounds", lambda dataset: bounds)
    found = outlook(home, settings)
    assert found.changes.values.is_empty()
    assert (found.changes.new, found.changes.gone) == ((bounds[1],), ())
    assert set().union(*listed(found).values()) == {str(bounds[1])}
    assert found.decided_anew == bounds[1]
    before = stamps(home)
    catch_up(home, settings)
    after = stamps(home)
    past = {f for f in before if f.stem <= str(bounds[1] - 1)}
    assert past
    assert {f: after[f] for f in past} == {f: before[f] for f in past}
    assert store_bytes(home.root.parent) == store_bytes(built.root.parent)


def test_an_unchanged_source_is_said_to_be(home: PartStore, settings: Settings) -> None:
    found = outlook(home, settings)
    assert (found.changes.parts, found.states, found.decided_anew) == ((), [], None)


def weights(before: dt.date) -> pl.DataFrame:
    """What was decided before a day, of every run."""
    assert finembed("export", "target_weights", "weights.parquet") == 0
    return pl.read_parquet("weights.parquet").filter(pl.col("as_of") < before)


def test_status_tells_it(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    let_the_source_say(monkeypatch, load_settings(study / "finembed.yaml"), restated)
    assert finembed("status") == 0
    told = capsys.readouterr().out
    row = next(line.split() for line in told.splitlines() if "1994-03-31" in line)
    assert row[:5] == ["fund_observations", "sim00003", "1994-03-31", "ret", "restated"]
    assert row[-2:] == ["0.0123", "1994-03"]
    assert "decisions from 1994-03 on may change, those before stand" in told
    line = next(line for line in told.splitlines() if "1994-03 to 1994-12" in line)
    assert line.split()[:5] == ["polymodel_features", "month", "10", "0", "50"]


@pytest.mark.slow
def test_a_run_decides_anew_from_the_month_that_status_named(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = weights(MARCH)
    let_the_source_say(monkeypatch, load_settings(study / "finembed.yaml"), restated)
    before = stamps(PartStore(study / "home" / "store"))
    assert finembed("run") == 0
    assert finembed("status") == 0
    assert "the source says what the store holds" in capsys.readouterr().out
    after = stamps(PartStore(study / "home" / "store"))
    touched = {f for f in before if before[f] != after[f]}
    months = {f.stem for f in touched if f.parent.name == "polymodel_features"}
    assert months == {f"1994-{k:02d}" for k in range(3, 13)}
    assert not {f for f in touched if f.parent.name.startswith("macro")}
    assert not old.is_empty()
    new = weights(MARCH).filter(pl.col("run_id") != old["run_id"][0])
    order = ["strategy", "as_of", "fund_id"]
    assert new.drop("run_id").sort(order).equals(old.drop("run_id").sort(order))


def test_a_source_that_cannot_be_read_leaves_the_rest_of_status(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = {"fund_observations": pl.DataFrame()}
    settings = load_settings(study / "finembed.yaml")
    let_the_source_say(monkeypatch, settings, lambda t: dataclasses.replace(t, **broken))
    assert finembed("status") == 0
    told = capsys.readouterr().out
    assert "the source cannot be compared with the store" in told
    assert "data quality" in told
