"""What a user waits for: the whole demo, one more month, nothing new; and what is overhead.

    python -m benchmarks.whole_chain

Claims: demo under 5 minutes, one more month under 60 s, nothing new under 20 s, under 4 GB, and
under 0.4 s per month of store and Dagster, on 2 cores.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from finembed_core.chain import chain, decision_months
from finembed_core.execution import map_items
from finembed_core.settings import ExecutionSettings
from finembed_core.stage import SERIAL
from finembed_dagster.study import Study

BEFORE_LAST, LAST = "2017-02", "2017-03"
CHEAP = """\
learning: {models: [majority, persistence]}
portfolio: {models: [persistence]}
embeddings: {enabled: false}
execution: {mode: serial, workers: 1}
"""


def finembed(*arguments: str) -> float:
    """Wall seconds of one command in a process of its own."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "finembed_dagster.cli", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def computing_alone(home: Path, settings: Path) -> tuple[float, int]:
    """Wall seconds of all gathering and computing of a finished study, writing nothing."""
    study = Study.find(home, settings)
    months = decision_months(study.store)
    execution: ExecutionSettings = SERIAL
    began = time.perf_counter()
    for link in chain(study.store, study.settings).values():
        inputs = (link.stage.gather(key) for key in link.keys(months, study.settings))
        for _ in map_items(link.stage.compute, inputs, execution):
            continue
    return time.perf_counter() - began, len(months)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        home = str(Path(folder) / "demo")
        figures = {
            f"demo from 1990 through {BEFORE_LAST}": finembed(
                "run", "--home", home, "--through", BEFORE_LAST
            ),
            "one more month": finembed("run", "--home", home, "--through", LAST),
            "nothing new": finembed("run", "--home", home),
        }
        for name, seconds in figures.items():
            print(f"{name:<32}{seconds:8.1f} s")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        print(f"{'peak memory of a process':<32}{peak:8.2f} GB")
        settings, cheap = Path(folder) / "cheap.yaml", Path(folder) / "cheap"
        settings.write_text(CHEAP)
        whole = finembed("run", "--home", str(cheap), "--settings", str(settings))
        again = finembed("run", "--home", str(cheap), "--settings", str(settings))
        alone, months = computing_alone(cheap, settings)
        # What a run does besides the months: start, ingest, states, backtest, warehouse.
        overhead = (whole - again - alone) / months
        print(f"{'store and Dagster, per month':<32}{overhead:8.3f} s")


if __name__ == "__main__":
    main()
