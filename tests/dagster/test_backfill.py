"""A backfill from the web page does the months asked for, no more and no fewer."""

import importlib
import sys
from pathlib import Path

import dagster as dg
import pytest

from finembed_dagster.assets.ingest import TABLES
from tests.dagster.harness import backfill, web_page
from tests.study_runs import store_bytes

MONTHS = ["1994-05-01", "1994-06-01", "1994-07-01"]
MONTHLY = ["universe", "macro_factors", "polymodel_features", "models_in_force", "predictions"]
INGEST = list(TABLES)
STORED = {"universe", "macro_factors", "polymodel_features", "predictions"}
TREND_MODELS = ["trend_model_majority", "trend_model_persistence"]

# Dagster itself calls what it has deprecated when it runs backfills in this process.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def fresh_definitions(study: Path) -> None:
    """Definitions are made at import, of the study that the variables name then."""
    sys.modules.pop("finembed_dagster.definitions", None)
    importlib.import_module("finembed_dagster.definitions")


def _materialized(instance: dg.DagsterInstance, asset: str) -> set[str]:
    return set(instance.get_materialized_partitions(dg.AssetKey(asset)))


@pytest.mark.parametrize(
    "assets",
    [
        ["polymodel_features"],
        ["macro_factors", "polymodel_features"],
        [*INGEST, *MONTHLY[:3]],
        ["models_in_force", "predictions"],
        [*INGEST, *MONTHLY, *TREND_MODELS, "backtests", "warehouse"],
    ],
    ids=["one", "two", "with ingest", "models", "everything"],
)
def test_exactly_the_months_asked_for(study: Path, assets: list[str]) -> None:
    before = store_bytes(study / "home")
    for month in MONTHS:
        for asset in set(assets) & {
            "universe",
            "macro_factors",
            "polymodel_features",
            "predictions",
        }:
            (study / "home" / "store" / asset / f"{month[:7]}.json").unlink()
    with web_page() as (instance, workspace):
        assert backfill(instance, workspace, assets, MONTHS) == "COMPLETED_SUCCESS"
        for asset in MONTHLY:
            assert _materialized(instance, asset) == (set(MONTHS) if asset in assets else set())
        for asset in TREND_MODELS:
            done = _materialized(instance, asset)
            assert done == ({"1994-01-01"} if asset in assets else set())
    assert store_bytes(study / "home") == before


def test_a_retraining_alone(study: Path) -> None:
    before = store_bytes(study / "home")
    (study / "home" / "store" / "trend_model_persistence" / "1994-01.json").unlink()
    with web_page() as (instance, workspace):
        status = backfill(instance, workspace, ["trend_model_persistence"], ["1994-01-01"])
        assert status == "COMPLETED_SUCCESS"
        assert _materialized(instance, "trend_model_persistence") == {"1994-01-01"}
    assert store_bytes(study / "home") == before


def test_a_missing_earlier_month_fails_clearly(study: Path) -> None:
    for month in ("1994-04", "1994-05"):
        (study / "home" / "store" / "macro_loadings" / f"{month}.json").unlink()
    with web_page() as (instance, workspace):
        assert backfill(instance, workspace, ["macro_factors"], MONTHS) == "COMPLETED_FAILED"
        run = instance.get_runs()[0]
        messages = [
            event.dagster_event.step_failure_data.error.to_string()
            for event in instance.all_logs(run.run_id, dg.DagsterEventType.STEP_FAILURE)
        ]
    assert any("1994-04" in message for message in messages)
