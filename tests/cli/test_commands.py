"""The command line as a person uses it."""

import json
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from finembed_core.home import Home
from finembed_core.settings import Settings, load_settings
from tests.study_runs import finembed, store_bytes


def test_a_second_run_finds_nothing_to_do(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = store_bytes(study / "home")
    assert finembed("run") == 0
    assert "everything is current through 1994-12" in capsys.readouterr().out
    assert store_bytes(study / "home") == before


def test_a_month_computed_again_has_the_same_bytes(study: Path) -> None:
    before = store_bytes(study / "home")
    for table in ("universe", "macro_factors", "polymodel_features", "predictions"):
        for path in (study / "home" / "store" / table).glob("1994-07*"):
            path.unlink()
    assert finembed("run") == 0
    assert store_bytes(study / "home") == before


def test_status_counts_current_and_missing_months(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (study / "home" / "store" / "predictions").glob("1994-1*"):
        path.unlink()
    assert finembed("status") == 0
    lines = capsys.readouterr().out.splitlines()
    predictions = next(line for line in lines if line.strip().startswith("predictions"))
    assert predictions.split() == ["predictions", "month", "57", "0", "3", "1994-10"]
    warehouse = next(line for line in lines if line.strip().startswith("warehouse"))
    assert warehouse.split() == ["warehouse", "whole", "0", "1", "0"]
    assert any("no_selection" in line for line in lines)


def test_status_and_warehouse_count_what_was_excluded(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = "window: 18, min_obs: 12, min_factor_history: 24"
    text = (study / "finembed.yaml").read_text().replace(limits, f"{limits}, degree: 3")
    text = text.replace("min_factor_history: 24", "min_factor_history: 170")
    (study / "finembed.yaml").write_text(text.replace("min_months: 24", "min_months: 150"))
    assert finembed("run") == 0
    capsys.readouterr()
    assert finembed("status") == 0
    found = [line.split() for line in capsys.readouterr().out.splitlines()]
    excluded = next(line for line in found if line[:1] == ["polymodel_excluded"])
    sql = "select reason, rows from reason_counts where \"table\" = 'polymodel_excluded'"
    assert finembed("query", sql, "--format", "csv") == 0
    assert capsys.readouterr().out.splitlines()[1].split(",") == excluded[1:]
    assert excluded[1] == "short_history"


def test_results_say_what_to_know_before_believing_them(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finembed("run") == 0
    out = capsys.readouterr().out
    assert "simulated data, net of costs" in out
    notes = [line for line in out.splitlines() if line.startswith("note:")]
    assert len(notes) == len(set(notes))
    assert "note: simulated data: no real fund is in these results" in notes
    assert finembed("query", "select warnings from latest_run", "--format", "json") == 0
    stored = json.loads(json.loads(capsys.readouterr().out)[0]["warnings"])
    assert {f"note: {warning}" for warning in stored} <= set(notes)
    [page] = (study / "home" / "reports").glob("report-*.html")
    assert "simulated data</h1>" in page.read_text()
    assert finembed("rebalance", "--month", "1994-12") == 0
    assert capsys.readouterr().out.startswith("simulated data")


def test_a_study_without_a_risk_free_series_says_that_it_assumes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{fund},2000-{k:02d}-28,0.0{k % 9}" for fund in "ab" for k in range(1, 13)]
    (tmp_path / "returns.csv").write_text("\n".join(["fund_id,date,ret", *rows]))
    (tmp_path / "finembed.yaml").write_text(
        "dataset: {source: files, files: {fund_observations: [{path: returns.csv}]}}\n"
        "learning: {models: [persistence]}\nportfolio: {models: [persistence]}\n"
    )
    assert finembed("run") == 0
    assert capsys.readouterr().out.count("no risk-free series: 0 is assumed") == 1
    [page] = (tmp_path / ".finembed" / "reports").glob("report-*.html")
    assert "no risk-free series: 0 is assumed" in page.read_text()
    assert "simulated data</h1>" not in page.read_text()


def test_query_in_three_formats(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "select strategy, months from leaderboard where strategy = 'sa_persistence'"
    assert finembed("query", sql) == 0
    assert "sa_persistence" in capsys.readouterr().out
    assert finembed("query", sql, "--format", "csv") == 0
    assert capsys.readouterr().out.splitlines()[0] == "strategy,months"
    assert finembed("query", sql, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["strategy"] == "sa_persistence"


def test_query_writes_any_answer(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finembed("query", "select * from series", "--format", "csv") == 0
    assert "risk_factor" in capsys.readouterr().out
    for style in ("table", "csv", "json"):
        sql = "select * from runs a join runs b using (seed)"
        assert finembed("query", sql, "--format", style) == 0
        assert "run_id_1" in capsys.readouterr().out
        sql = "select now()::timestamp - created_at as age from runs"
        assert finembed("query", sql, "--format", style) == 0
        assert "age" in capsys.readouterr().out


def test_export_writes_a_table(study: Path) -> None:
    assert finembed("export", "metrics", "metrics.parquet") == 0
    assert {"strategy", "metric", "value"} <= set(pl.read_parquet("metrics.parquet").columns)


def test_doctor_finds_a_sound_study(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finembed("doctor") == 0
    out = capsys.readouterr().out
    assert "10 funds" in out
    assert "all is well" in out


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["query", "select 1"],
        ["export", "metrics", "metrics.csv"],
        ["rebalance", "--month", "1994-12"],
        ["report"],
    ],
)
@pytest.mark.parametrize("there", [False, True], ids=["absent", "empty"])
def test_looking_makes_no_home(
    study: Path, capsys: pytest.CaptureFixture[str], command: list[str], there: bool
) -> None:
    if there:
        (study / "typo").mkdir()
    assert finembed(*command, "--home", "typo") == 2
    assert "there is no home folder yet" in capsys.readouterr().err
    assert not (study / "typo").exists() or not list((study / "typo").iterdir())


def test_doctor_makes_no_home_and_says_that_there_is_none(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finembed("doctor", "--home", "typo") == 0
    assert "no home yet: finembed run makes it" in capsys.readouterr().out
    assert not (study / "typo").exists()
    (study / "taken").write_text("mine")
    assert finembed("doctor", "--home", "taken") == 2
    assert "a file, not a folder" in capsys.readouterr().out


def test_init_writes_settings_that_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finembed("init", tmp_path / "mine") == 0
    settings = load_settings(tmp_path / "mine" / "finembed.yaml")
    assert settings.dataset.source == "files"
    assert settings.dataset.files.series is not None
    uncommented = [
        line[2:] if line.startswith("# ") else line
        for line in (tmp_path / "mine" / "finembed.yaml").read_text().splitlines()
    ]
    assert "polymodel:" in uncommented
    start = uncommented.index("pairs:")
    pairs = yaml.safe_load("\n".join(uncommented[start : start + 6]))
    assert Settings.model_validate(pairs).pairs is not None
    assert finembed("init", tmp_path / "mine") == 2
    assert "already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--through", "2031-01"], ["no data for 2031-01", "1990-01 to 1994-12"]),
        (["rebalance", "--month", "2031-01"], ["2031-01", "1990-01 to 1994-12"]),
        (["rebalance", "--month", "1990-01"], ["no predictions of persistence", "1993-"]),
        (["rebalance", "--month", "1994-12", "--strategy", "x"], ["x", "sa_persistence"]),
        (["rebalance", "--month", "1994-12", "--holdings", "none.csv"], ["none.csv"]),
        (["query", "drop table metrics"], ["read-only"]),
        (["query", "select * from nothing"], ["nothing", "leaderboard"]),
        (["export", "metrics", "metrics.doc"], [".csv", ".parquet"]),
        (["export", "nothing", "a.csv"], ["nothing"]),
        (["run", "--settings", "absent.yaml"], ["absent.yaml"]),
        (["query", "select 1", "--home", "elsewhere"], ["elsewhere", "finembed demo"]),
        (["run", "--through", "last month"], ["YYYY-MM"]),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    study: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    before = store_bytes(study / "home")
    assert finembed(*arguments) == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words), message
    assert "Traceback" not in message
    assert store_bytes(study / "home") == before


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("polymodel: {ridgee: 2}", ["polymodel.ridgee", "ridge"]),
        ("polymodel: {ridge: -1}", ["polymodel.ridge", "greater than 0"]),
        ("dataset: {first_month: yesterday}", ["dataset.first_month", "yesterday", "YYYY-MM"]),
        ("dataset: {name: nowhere}", ["nowhere", "french_monthly"]),
        ("polymodel: [", ["not YAML"]),
        ("learning: {retrain_every: 5}", ["learning.retrain_every"]),
    ],
)
def test_a_wrong_setting_names_itself(
    study: Path, capsys: pytest.CaptureFixture[str], setting: str, words: list[str]
) -> None:
    (study / "finembed.yaml").write_text(setting)
    assert finembed("run") == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words), message


def test_a_month_beyond_the_source_is_refused_before_anything_is_written(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finembed("run", "--through", "2050-01", "--home", "fresh") == 2
    message = capsys.readouterr().err
    assert "no data for 2050-01" in message and "1990-01 to 1994-12" in message
    assert store_bytes(study / "fresh") == {}


def test_a_month_beyond_the_files_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{fund},2000-{k:02d}-28,0.0{k % 9}" for fund in "ab" for k in range(1, 13)]
    Path("returns.csv").write_text("\n".join(["fund_id,date,ret", *rows]))
    Path("finembed.yaml").write_text(
        "dataset: {source: files, files: {fund_observations: [{path: returns.csv}]}}\n"
    )
    for month in ("2030-01", "1999-12"):
        assert finembed("run", "--through", month) == 2
        message = capsys.readouterr().err
        assert f"no data for {month}" in message and "2000-01 to 2000-12" in message
        assert store_bytes(tmp_path / ".finembed") == {}


def test_init_says_where_it_cannot_write(
    study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (study / "afile").write_text("mine")
    for folder in ("afile", "afile/below"):
        assert finembed("init", folder) == 2
        message = capsys.readouterr().err
        assert "cannot be written" in message and "afile" in message
        assert "choose a folder" in message
    assert (study / "afile").read_text() == "mine"

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "closed/data")

    monkeypatch.setattr(Path, "mkdir", refused)
    assert finembed("init", "closed") == 2
    assert "Permission denied" in capsys.readouterr().err


def test_a_home_of_another_version_is_refused(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / "home" / "home.json").write_text('{"layout": 99}')
    assert finembed("run") == 2
    assert "layout 99" in capsys.readouterr().err


def test_a_folder_with_other_things_is_not_taken_for_a_home(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / "photos").mkdir()
    (study / "photos" / "cat.jpg").touch()
    assert finembed("run", "--home", "photos") == 2
    assert "not a finembed home" in capsys.readouterr().err
    assert [path.name for path in (study / "photos").iterdir()] == ["cat.jpg"]


def test_the_demo_leaves_a_study_of_ones_own_alone(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = store_bytes(study / "home")
    assert finembed("demo") == 2
    assert "finembed run" in capsys.readouterr().err
    assert store_bytes(study / "home") == before


def test_settings_in_another_encoding_are_named(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / "finembed.yaml").write_bytes("dataset: {name: caf\u00e9}".encode("latin-1"))
    assert finembed("run") == 2
    assert "not UTF-8" in capsys.readouterr().err


def test_a_file_is_not_taken_for_a_home(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (study / "notes").write_text("mine")
    assert finembed("run", "--home", "notes") == 2
    assert "a file, not a folder" in capsys.readouterr().err
    assert (study / "notes").read_text() == "mine"


def test_a_home_that_was_killed_at_birth_can_be_opened(tmp_path: Path) -> None:
    (tmp_path / ".abc.json").touch()  # what a killed process leaves of the stamp
    assert Home(tmp_path).open().store.root.is_dir()
    assert (tmp_path / "home.json").exists()


def test_of_two_settings_files_only_the_named_one_is_read(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (study / "finembed.yaml").rename(study / "mine.yaml")
    (study / "finembed.yaml").write_text("no: settings")
    for module in ("launch", "definitions"):  # as in a process that begins
        monkeypatch.delitem(sys.modules, f"finembed_dagster.{module}", raising=False)
    assert finembed("run", "--settings", "mine.yaml") == 0
