"""350 months launched from the web page of a running `finembed ui`, asked all the while."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.load.measure import memory_of
from finembed_dagster.assets.ingest import TABLES
from finembed_dagster.study import HOME_VARIABLE, SETTINGS_VARIABLE, Study
from tests.dagster.harness import LAUNCH
from tests.dagster.served import DAEMONS, PATIENCE, Page, alive, served

FUNDS, MONTHS = 200, 350
MONTHLY = ("universe", "macro_factors", "polymodel_features", "models_in_force", "predictions")
WHOLE = ("backtests", "warehouse")
SETTINGS = """\
dataset:
  source: simulated
  profile: hedge_funds
  simulated: {{funds: {funds}, months: {months}, factors: 20, seed: 1}}
polymodel: {{shuffles: 100}}
learning: {{models: [majority, persistence]}}
portfolio: {{models: [persistence], strategies: [sa, equal_weight_universe, index]}}
execution: {{mode: serial, workers: 1}}
"""
ASSETS = "{ assetNodes { assetKey { path } partitionKeys } }"
STATE = """
query($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill {
      status
      runs(limit: 100) { id status startTime endTime assetSelection { path } }
    }
  }
}
"""
SLOTS = """
{ instance { concurrencyLimits {
    concurrencyKey claimedSlots { runId } pendingSteps { runId } } } }
"""
LATENCY_QUERY = "{ runsOrError(limit: 10) { ... on Runs { results { id status } } } }"
LONGEST = 3600.0
MB = 2**20


def backfill(funds=FUNDS, months=MONTHS):
    """Run the backfill twice; print seconds, latency of the page and memory; return them.

    Raises
    ------
    SystemExit
        It did not complete, took several runs over the months, left a slot claimed, or the page
        did not answer a question.
    """
    with tempfile.TemporaryDirectory() as folder, _environment():
        study = Path(folder)
        (study / "finembed.yaml").write_text(SETTINGS.format(funds=funds, months=months))
        with served(study) as (page, process):
            page.wait_for(lambda: page.healthy_daemons() >= DAEMONS, "page with healthy daemons")
            first = _launched(page, process.pid)
            second = _launched(page, process.pid)
            held = _slots(page)
            os.killpg(process.pid, signal.SIGINT)
            process.wait(PATIENCE)
            page.wait_for(lambda: not alive(process.pid), "end of all processes")
        stored = len(Study.find(study / ".finembed").store.keys("predictions"))
    _show(first, second, months)
    failed = first["failed"] + second["failed"]
    if held or failed:
        raise SystemExit(f"slots still claimed: {held}; questions that failed: {failed}")
    if stored != months:
        raise SystemExit(f"predictions of {stored} months are in the store")
    return first, second


@contextmanager
def _environment() -> Iterator[None]:
    """No home or settings of whoever runs this; this checkout's code in every process."""
    here = str(Path(__file__).resolve().parents[2])
    with mock.patch.dict(os.environ, {"PYTHONPATH": here}):
        for name in (HOME_VARIABLE, SETTINGS_VARIABLE, "DAGSTER_HOME"):
            os.environ.pop(name, None)
        yield


def _launched(page: Page, group: int) -> dict:
    """Launch over every month of the page's assets, and ask until it has ended."""
    nodes = {node["assetKey"]["path"][-1]: node for node in page.ask(ASSETS)["assetNodes"]}
    months = nodes["predictions"]["partitionKeys"]
    chosen = [{"path": [name]} for name in (*TABLES, *MONTHLY, *WHOLE)]
    start = time.perf_counter()
    answer = page.ask(LAUNCH, params={"assetSelection": chosen, "partitionNames": months})
    number = answer["launchPartitionBackfill"]["backfillId"]
    with _Watch(page, group) as watch:
        state = _ended(page, number)
    took = time.perf_counter() - start
    over_months = [
        run
        for run in state["runs"]
        if {"path": ["predictions"]} in (run["assetSelection"] or []) and run["endTime"]
    ]
    if state["status"] != "COMPLETED_SUCCESS" or len(over_months) != 1:
        raise SystemExit(f"the backfill ended as {state}")
    (run,) = over_months
    return {
        "seconds": took,
        "run": run["endTime"] - run["startTime"],
        "runs": len(state["runs"]),
        "months": len(months),
        "latency": np.array(watch.seconds),
        "failed": watch.failed,
        "memory": watch.memory,
    }


def _ended(page: Page, number: str) -> dict:
    state: dict = {}

    def over() -> bool:
        nonlocal state
        state = page.ask(STATE, id=number)["partitionBackfillOrError"]
        return state["status"] not in ("REQUESTED", "CANCELING")

    page.wait_for(over, "end of the backfill", LONGEST)
    return state


def _slots(page: Page) -> list[dict]:
    limits = page.ask(SLOTS)["instance"]["concurrencyLimits"]
    return [own for own in limits if own["claimedSlots"] or own["pendingSteps"]]


class _Watch:
    """Asks the page twice a second and looks at the memory of all its processes."""

    def __init__(self, page: Page, group: int) -> None:
        self.seconds: list[float] = []
        self.failed = 0
        self.memory: dict[str, int] = {}
        self._page, self._group = page, group
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.5):
            start = time.perf_counter()
            try:
                self._page.ask(LATENCY_QUERY)
                self.seconds.append(time.perf_counter() - start)
            except (OSError, AssertionError):
                self.failed += 1
            self._weigh()

    def _weigh(self) -> None:
        for folder in Path("/proc").iterdir():
            try:
                if not folder.name.isdigit() or os.getpgid(int(folder.name)) != self._group:
                    continue
                name = _role((folder / "cmdline").read_text())
                most = max(self.memory.get(name, 0), memory_of(folder.name))
                self.memory[name] = most
            except (OSError, StopIteration):  # it has ended meanwhile
                continue


def _role(command: str) -> str:
    """What a process of `dagster dev` does, by its command line."""
    for word, role in (
        ("spawn_main", "run"),
        ("webserver", "web server"),
        ("daemon", "daemon"),
        ("grpc", "code server"),
    ):
        if word in command:
            return role
    return "others"


def _show(first: dict, second: dict, months: int) -> None:
    print(
        "\n| backfill | months | runs | seconds | of it over the months | a month | "
        "page: median, most, asked, failed |\n|---|---|---|---|---|---|---|"
    )
    for name, own in (("everything to do", first), ("all current", second)):
        late = own["latency"]
        print(
            f"| {name} | {own['months']} | {own['runs']} | {own['seconds']:.0f} | "
            f"{own['run']:.0f} | {own['run'] / months:.2f} | {np.median(late):.3f} s, "
            f"{late.max():.2f} s, {len(late)}, {own['failed']} |"
        )
    print("\n| peak MB | " + " | ".join(sorted(first["memory"])) + " |")
    print(f"|---|{'---|' * len(first['memory'])}")
    for name, own in (("everything to do", first), ("all current", second)):
        weights = [f"{own['memory'].get(role, 0) / MB:,.0f}" for role in sorted(first["memory"])]
        print(f"| {name} | {' | '.join(weights)} |")
