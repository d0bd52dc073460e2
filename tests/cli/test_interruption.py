"""A run that is stopped, politely or not, ends as asked and is gone on with to the same bytes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from finembed_dagster.cli.interruption import interruptible
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


@contextmanager
def _handler(number: signal.Signals, handler: object) -> Iterator[None]:
    before = signal.signal(number, handler)  # type: ignore[arg-type]
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_a_handler_drops_still_ends_the_command(number: signal.Signals) -> None:
    with (
        _handler(number, lambda *_: None),
        pytest.raises(KeyboardInterrupt),
        interruptible(),
    ):
        signal.raise_signal(number)


def test_an_interrupt_that_became_an_error_of_a_library_is_an_interrupt() -> None:
    def stop() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("Query interrupted") from None

    with (
        _handler(signal.SIGINT, signal.default_int_handler),  # a job in the background ignores it
        pytest.raises(KeyboardInterrupt) as caught,
        interruptible(),
    ):
        stop()
    assert str(caught.value.__context__) == "Query interrupted"


def test_what_nobody_interrupted_ends_as_it_would() -> None:
    before = signal.set_wakeup_fd(-1)
    with interruptible():
        pass
    with (
        _handler(signal.SIGUSR1, lambda *_: None),
        pytest.raises(ValueError, match="wrong"),
        interruptible(),
    ):
        signal.raise_signal(signal.SIGUSR1)
        raise ValueError("wrong")
    assert signal.set_wakeup_fd(before) == -1


def test_threads_have_no_signals_to_watch() -> None:
    done: list[bool] = []

    def work() -> None:
        with interruptible():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
