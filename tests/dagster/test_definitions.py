"""The asset graph, its jobs and what a run leaves in Dagster."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import PackagePath, PathDistribution
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import yaml

from finembed_core.calendar import Month
from finembed_core.errors import HomeError
from finembed_core.settings import load_settings
from finembed_dagster import processes
from finembed_dagster import study as study_module
from finembed_dagster.gathered import build_definitions
from finembed_dagster.launch import LOCATION_TAG, Launcher
from finembed_dagster.partitions import (
    decision_months_definition,
    retrainings_definition,
)
from finembed_dagster.pictures import table_markdown
from finembed_dagster.processes import PROCESS_TAG, end_dead_runs, this_process
from finembed_dagster.study import Study, shipped_file
from tests.dagster.asset_checks import last_statuses

GRAPH = {
    "universe": {"fund_observations", "funds"},
    "macro_factors": {"series_observations", "series"},
    "polymodel_features": {
        "fund_observations",
        "series_observations",
        "series",
        "macro_factors",
    },
    "models_in_force": {"polymodel_features", "macro_factors", "fund_observations"},
    "trend_model_majority": {"models_in_force"},
    "trend_model_persistence": {"models_in_force"},
    "predictions": {"polymodel_features", "universe", "macro_factors", "models_in_force"},
    "backtests": {
        "predictions",
        "universe",
        "fund_observations",
        "series_observations",
        "macro_factors",
    },
    "warehouse": {"backtests"},
}


@pytest.fixture
def entered(study: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    return Study.find().enter()


def test_the_asset_graph(entered: Study) -> None:
    graph = build_definitions(entered).resolve_asset_graph()
    found = {
        node.key.to_user_string(): {parent.to_user_string() for parent in node.parent_keys}
        for node in graph.asset_nodes
        if node.parent_keys
    }
    assert found == GRAPH
    assert all(node.description for node in graph.asset_nodes)
    assert all(node.group_name != "default" and node.kinds for node in graph.asset_nodes)


def test_pair_statistics_are_an_asset_where_they_are_kept(entered: Study) -> None:
    with Path("finembed.yaml").open("a") as file:
        file.write("pairs: {first_month: 1994-03}\n")
    definitions = build_definitions(Study.find())
    graph = definitions.resolve_asset_graph()
    parents = {
        name: {parent.to_user_string() for parent in graph.get(dg.AssetKey(name)).parent_keys}
        for name in (*GRAPH, "polymodel_pairs")
    }
    assert parents.pop("polymodel_pairs") == GRAPH["polymodel_features"]
    assert parents.pop("warehouse") == {"backtests", "polymodel_pairs"}
    assert parents.items() <= GRAPH.items()
    for job in ("full_history", "monthly_rebalance"):
        selected = definitions.resolve_job_def(job).asset_layer.selected_asset_keys
        assert dg.AssetKey("polymodel_pairs") in selected


def test_every_month_left_its_facts_and_every_check_passed(entered: Study) -> None:
    with dg.DagsterInstance.get() as instance:
        months = set(decision_months_definition(entered.settings).get_partition_keys())
        for asset in ("universe", "macro_factors", "polymodel_features", "predictions"):
            assert set(instance.get_materialized_partitions(dg.AssetKey(asset))) == months
        retrained = instance.get_materialized_partitions(dg.AssetKey("trend_model_persistence"))
        assert set(retrained) == {f"{year}-01-01" for year in range(1990, 1995)}
        assert last_statuses(instance, entered) == ["SUCCEEDED"] * 6
        event = instance.get_latest_materialization_event(dg.AssetKey("backtests"))
        assert event is not None and event.asset_materialization is not None
        assert "data:image/svg+xml" in str(event.asset_materialization.metadata["wealth"].value)
        event = instance.get_latest_materialization_event(dg.AssetKey("warehouse"))
        assert event is not None and event.asset_materialization is not None
        report = Path(str(event.asset_materialization.metadata["report"].value))
        assert report.name.startswith("report-") and report.suffix == ".html"
        metadata = event.asset_materialization.metadata
        assert str(metadata["report_page"].value) == report.resolve().as_uri()
        table = str(metadata["latest_rebalance"].value)
        assert "| blocked_by | notice | dealing | settle |" in table and "| buy |" in table


def test_a_picture_of_all_months_is_stored_once(entered: Study) -> None:
    with dg.DagsterInstance.get() as instance:
        for asset, name in (
            ("universe", "funds"),
            ("macro_factors", "explained_variance"),
            ("polymodel_features", "svar_over_time"),
        ):
            records = instance.fetch_materializations(dg.AssetKey(asset), limit=1000).records
            holding = [
                record.partition_key
                for record in records
                if record.asset_materialization and name in record.asset_materialization.metadata
            ]
            assert holding == [records[0].partition_key] == ["1994-12-01"]


def test_the_page_finds_the_runs_of_the_command_line(entered: Study) -> None:
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs(dg.RunsFilter(tags={LOCATION_TAG: "__repository__@finembed"}))
    assert {run.job_name for run in runs} == {"ingest", "full_history"}


def test_a_table_of_the_page_shows_the_columns_asked_for() -> None:
    frame = pl.DataFrame({"fund": ["a|b", None], "share": [0.1234, None], "left_out": [1, 2]})
    lines = table_markdown(frame, {"fund": "", "share": ".1%"}).splitlines()
    assert lines == ["| fund | share |", "| --- | --- |", r"| a\|b | 12.3% |", "|  |  |"]


def test_one_month_again_through_the_job_of_the_page(entered: Study) -> None:
    month = Month.parse("1994-11")
    result = Launcher(entered).run("monthly_rebalance", (month, month))
    assert result.success
    done = {
        event.asset_key.to_user_string()
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    assert {"data_quality", "polymodel_features", "predictions", "warehouse"} <= done


def test_retrainings_have_their_own_partitions() -> None:
    settings = load_settings(None)
    keys = retrainings_definition(settings).get_partition_keys()
    assert keys[0] == "1990-01-01"
    assert keys[-1] == "2017-01-01"
    assert len(keys) == 28
    months = decision_months_definition(settings).get_partition_keys()
    assert (months[0], months[-1], len(months)) == ("1990-01-01", "2017-03-01", 327)


def test_the_shipped_files_are_in_force(entered: Study) -> None:
    in_force = yaml.safe_load((entered.home.dagster / "dagster.yaml").read_text())
    assert in_force == yaml.safe_load(shipped_file("dagster.yaml").read_text())
    assert in_force["telemetry"] == {"enabled": False}
    with dg.DagsterInstance.get() as instance:
        assert instance.run_monitoring_enabled
    workspace = yaml.safe_load(shipped_file("workspace.yaml").read_text())
    assert (
        workspace["load_from"][0]["python_module"]["module_name"] == "finembed_dagster.definitions"
    )


def test_a_wheel_brings_the_shipped_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads(shipped_file("pyproject.toml").read_text())
    shipped = project["tool"]["setuptools"]["data-files"]["share/finembed"]
    assert shipped == ["dagster.yaml", "workspace.yaml"]
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "dagster.yaml").touch()

    def installed(_: str) -> list[PackagePath]:
        path = PackagePath("../share/dagster.yaml")
        path.dist = PathDistribution(tmp_path / "lib" / "finembed.dist-info")
        return [path]

    (tmp_path / "lib").mkdir()
    monkeypatch.setattr(study_module, "files", installed)
    monkeypatch.setattr(study_module, "__file__", str(tmp_path / "lib" / "pkg" / "study.py"))
    assert shipped_file("dagster.yaml") == tmp_path / "share" / "dagster.yaml"
    with pytest.raises(HomeError, match=r"workspace.yaml is missing"):
        shipped_file("workspace.yaml")


def test_a_process_of_somebody_else_that_the_system_hides_is_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(number: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    monkeypatch.setattr(processes, "_started", lambda number: "")
    assert not processes._is_dead(this_process().rpartition(":")[0] + ":1")


@pytest.mark.parametrize("process", ["gone", "another got its number", "alive"])
@pytest.mark.parametrize("claims", [False, True])
def test_a_killed_run_ends_and_its_slot_comes_free(
    entered: Study, process: str, claims: bool
) -> None:
    alive, own = process == "alive", this_process()
    host, number, _ = own.split(":")
    known = {"gone": f"{host}:{2**22 + 1}", "another got its number": f"{host}:{number}:1"}
    with dg.DagsterInstance.get() as instance:
        job = build_definitions(entered).resolve_job_def("publish")
        run = instance.create_run_for_job(
            job, tags={PROCESS_TAG: known.get(process, own)}, status=dg.DagsterRunStatus.STARTED
        )
        events = instance.event_log_storage
        events.set_concurrency_slots("warehouse", 1)
        if claims:
            claim = events.claim_concurrency_slot("warehouse", run.run_id, "warehouse")
            assert claim.is_claimed
        end_dead_runs(instance)
        after = instance.get_run_by_id(run.run_id)
        assert after is not None
        assert after.is_finished is not alive
        info = events.get_concurrency_info("warehouse")
        assert bool(info.claimed_slots) == (alive and claims)


def test_a_process_that_loads_everything_ends_in_silence() -> None:
    code = "import finembed_dagster.definitions, torch"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout + ended.stderr == ""
