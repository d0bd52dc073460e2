"""A run that is stopped, politely or not, is gone on with to the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.study_runs import finembed, store_bytes

PATIENCE = 60.0


def _run_until(study: Path, table: str, parts: int) -> subprocess.Popen[bytes]:
    """Start a run of the whole chain in an empty home, wait until a table has some parts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "finembed_dagster.cli", "run", "--home", "fresh"],
        cwd=study,
        env=os.environ | {"PYTHONWARNINGS": "default"},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    end = time.monotonic() + PATIENCE
    while len(list((study / "fresh" / "store" / table).glob("*.json"))) < parts:
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < end, "the run did not get that far"
        time.sleep(0.02)
    return process


@pytest.mark.parametrize(("name", "code"), [("SIGKILL", -9), ("SIGINT", 130)])
def test_a_stopped_run_is_gone_on_with_to_the_same_bytes(study: Path, name: str, code: int) -> None:
    process = _run_until(study, "polymodel_features", 7)
    process.send_signal(signal.Signals[name])
    assert process.wait(PATIENCE) == code
    whole = store_bytes(study / "home")
    standing = {
        name: found for name, found in store_bytes(study / "fresh").items() if name in whole
    }
    assert standing.items() <= whole.items()
    assert finembed("run", "--home", study / "fresh") == 0
    assert store_bytes(study / "fresh") == whole
