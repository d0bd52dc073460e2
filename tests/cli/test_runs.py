"""Runs listed, compared and, on request only, forgotten."""

import shutil
from pathlib import Path

import pytest

from finembed_core.home import Home
from finembed_core.store import PartStore
from finembed_core.warehouse.query import query
from tests.study_runs import entered, finembed


@pytest.fixture(scope="module")
def compared(finished_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was run twice; the second time with other costs."""
    folder = tmp_path_factory.mktemp("compared") / "study"
    shutil.copytree(finished_study, folder)
    settings = folder / "finembed.yaml"
    settings.write_text(settings.read_text() + "backtest: {cost_bps: 60}\n")
    assert finembed("run", "--home", folder / "home", "--settings", settings) == 0
    return folder


@pytest.fixture
def study(compared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the current folder."""
    return entered(compared, tmp_path, monkeypatch)


@pytest.fixture
def two_runs(study: Path) -> list[str]:
    """Ids of its runs, the newest first."""
    newest = query(warehouse(study), "SELECT run_id FROM runs ORDER BY created_at DESC")
    return newest["run_id"].to_list()


def warehouse(study: Path) -> Path:
    return Home(study / "home").warehouse


def parts_of(study: Path, run_id: str) -> list[str]:
    store = PartStore(study / "home" / "store")
    return [table for table in store.tables() if run_id in store.keys(table)]


def test_runs_are_listed_the_newest_first(
    study: Path, two_runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert finembed("runs") == 0
    out = capsys.readouterr().out
    first, second = (next(x for x in out.splitlines() if run_id in x) for run_id in two_runs)
    assert out.index(first) < out.index(second)
    assert first.split()[0] == "*" and second.split()[0] == two_runs[1]
    assert "simulated" in first and "1994-12" in first and "complete" in first
    assert "12 trials in all" in out  # six strategies each; to hold the index is none


def test_two_runs_differ_in_what_was_changed(
    study: Path, two_runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert finembed("runs", "diff", two_runs[0][:6], two_runs[1]) == 0
    made, metrics = capsys.readouterr().out.split("metrics", 1)
    changed = [line.split() for line in made.splitlines() if line.strip().startswith("backtest.")]
    assert changed == [["backtest.cost_bps", "60.0", "10.0"]]
    assert "data_hash" not in made
    assert "sa_persistence" in metrics and "index_" not in metrics  # the index has no costs
    sql = (
        "SELECT * FROM run_diff WHERE strategy = 'sa_persistence' AND metric = 'annual_return'"
        f" AND run_id = '{two_runs[0]}' AND other_run = '{two_runs[1]}'"
    )
    (row,) = query(warehouse(study), sql).to_dicts()
    assert row["difference"] == row["value"] - row["other_value"] < 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("diff", "zz", "yy"), "there is no run 'zz'"),
        (("diff", "", ""), "2 runs begin with ''"),
        (("prune", "zz"), "there is no run 'zz'"),
        (("prune", "--keep", "x"), "no number of runs"),
        (("prune",), "one of the arguments"),
    ],
)
def test_mistakes_are_explained(
    two_runs: list[str],
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert finembed("runs", *arguments) == 2
    assert message in capsys.readouterr().err


def test_nothing_is_pruned_unless_asked_for(
    study: Path, two_runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = warehouse(study).read_bytes()
    assert finembed("runs", "prune", "--keep", 1) == 2
    said = capsys.readouterr()
    assert "12 trials become 6" in said.out and "flatter" in said.out
    assert "--yes" in said.err
    assert warehouse(study).read_bytes() == before and parts_of(study, two_runs[1])
    assert finembed("runs", "prune", "--keep", 2, "--yes") == 0
    assert "nothing to prune" in capsys.readouterr().out


def test_a_pruned_run_leaves_store_and_warehouse(
    study: Path, two_runs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    deflated = "SELECT DISTINCT run_id, n_trials FROM significance WHERE test = 'deflated_sharpe'"
    assert sorted(query(warehouse(study), deflated)["n_trials"]) == [12, 12]
    assert finembed("runs", "prune", two_runs[1][:8], "--yes") == 0
    assert parts_of(study, two_runs[1]) == [] and "returns" in parts_of(study, two_runs[0])
    assert query(warehouse(study), deflated).rows() == [(two_runs[0], 6)]
    assert query(warehouse(study), "SELECT run_id FROM latest_run").item() == two_runs[0]
    capsys.readouterr()
    assert finembed("status") == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(x for x in lines if "warehouse" in x).split()[1:] == ["whole", "1", "0", "0"]


def test_without_the_latest_run_the_other_one_is_shown(study: Path, two_runs: list[str]) -> None:
    assert finembed("runs", "prune", two_runs[0], "--yes") == 0
    assert query(warehouse(study), "SELECT run_id FROM latest_run").item() == two_runs[1]
    assert finembed("run") == 0  # what was pruned can be had again
    assert query(warehouse(study), "SELECT run_id FROM latest_run").item() == two_runs[0]
