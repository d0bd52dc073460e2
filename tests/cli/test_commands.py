"""The command line as a person uses it."""

import json
from pathlib import Path

import polars as pl
import pytest

from finembed_core.home import Home
from finembed_core.settings import load_settings
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
    assert predictions.split() == ["predictions", "57", "0", "3", "1994-10"]
    warehouse = next(line for line in lines if line.strip().startswith("warehouse"))
    assert warehouse.split() == ["warehouse", "0", "1", "0"]
    assert any("no_selection" in line for line in lines)


def test_query_in_three_formats(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "select strategy, months from leaderboard where strategy = 'sa_persistence'"
    assert finembed("query", sql) == 0
    assert "sa_persistence" in capsys.readouterr().out
    assert finembed("query", sql, "--format", "csv") == 0
    assert capsys.readouterr().out.splitlines()[0] == "strategy,months"
    assert finembed("query", sql, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["strategy"] == "sa_persistence"


def test_export_writes_a_table(study: Path) -> None:
    assert finembed("export", "metrics", "metrics.parquet") == 0
    assert {"strategy", "metric", "value"} <= set(pl.read_parquet("metrics.parquet").columns)


def test_doctor_finds_a_sound_study(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finembed("doctor") == 0
    out = capsys.readouterr().out
    assert "10 funds" in out
    assert "all is well" in out


def test_rebalance_from_the_strategy_and_from_own_holdings(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finembed("rebalance", "--month", "1994-12") == 0
    assert "sa_persistence: decided 1995-01-15, dealt 1995-01-31" in capsys.readouterr().out
    funds = pl.read_parquet(next((study / "home" / "store" / "universe").glob("1994-12@*")))
    fund = funds.filter("eligible")["fund_id"][0]
    (study / "mine.csv").write_text(f"fund_id,value\n{fund},100\ncash,50\n")
    assert finembed("rebalance", "--month", "1994-12", "--holdings", "mine.csv") == 0
    assert "buy" in capsys.readouterr().out
    written = pl.read_csv(study / "home" / "reports" / "rebalance-1994-12-sa_persistence.csv")
    assert {"p_up", "p_up_before", "rank", "rank_before", "svar_before"} <= set(written.columns)


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
    assert finembed("init", tmp_path / "mine") == 2
    assert "already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--through", "2031-01"], ["no data for 2031-01", "1990-01 to 1994-12"]),
        (["rebalance", "--month", "2031-01"], ["2031-01"]),
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
