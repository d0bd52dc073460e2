"""A backfill of the web page whose server, daemon and run are killed ends after a restart."""

import os
import signal
from pathlib import Path

import pytest

from tests.dagster.harness import LAUNCH
from tests.dagster.served import PATIENCE, served
from tests.faults.harness import left_in_dagster
from tests.study_runs import finembed, store_bytes

pytestmark = pytest.mark.slow

STATUS = """
query($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
}
"""
MONTHS = [f"{year}-{month:02}-01" for year in (1993, 1994) for month in range(1, 13)]
ASSET = "polymodel_features"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "Ctrl-C"])
def test_a_backfill_ends_after_the_server_was_killed(study: Path, number: int) -> None:
    home, whole = study / "home", store_bytes(study / "home")
    for month in MONTHS:
        (home / "store" / ASSET / f"{month[:7]}.json").unlink()
    params = {"assetSelection": [{"path": [ASSET]}], "partitionNames": MONTHS}
    with served(study) as (page, process):
        page.wait_for(lambda: bool(page.ask("{ version }")), "page")
        answer = page.ask(LAUNCH, params=params)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        backfill = answer["backfillId"]
        first = home / "store" / ASSET / "1993-02.json"
        page.wait_for(first.exists, "first month of the backfill")
        os.killpg(process.pid, number)
        process.wait(PATIENCE)
    with served(study) as (page, _):

        def ended() -> bool:
            found = page.ask(STATUS, id=backfill)["partitionBackfillOrError"]
            return found["status"] not in ("REQUESTED", "CANCELING", "FAILING")

        page.wait_for(ended, "end of the backfill")
    assert finembed("run") == 0
    assert store_bytes(home) == whole
    assert left_in_dagster(home) == ""
