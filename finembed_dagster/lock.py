"""One writer at a time: a lock on the home that ends with the process that holds it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

from finembed_core.errors import HomeError
from finembed_core.files import lock

LOCK_FILE = "writing.lock"
SECONDS_BETWEEN_TRIES = 1.0


def silent(line: str) -> None:
    """Tell nobody."""


class WriteLock:
    """The right to write one home; whoever holds it may take it again.

    Parameters
    ----------
    root : Path
        The home folder, which is there.
    first : callable, optional
        What whoever takes the lock does first.
    """

    def __init__(self, root: Path, first: Callable[[], object] | None = None) -> None:
        self._root = root
        self._first = first
        self._depth = 0

    @contextmanager
    def held(self, patience: float = 0.0, tell: Callable[[str], object] = silent) -> Iterator[None]:
        """Hold the lock.

        Parameters
        ----------
        patience : float
            Seconds to wait for another writer.
        tell : callable
            Takes the line that says what is waited for.

        Raises
        ------
        HomeError
            Another process is writing, or the home cannot be locked.
        """
        with nullcontext() if self._depth else self._taken(patience, tell):
            if self._first and not self._depth:
                self._first()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    def _taken(self, patience: float, tell: Callable[[str], object]) -> TextIO:
        waited = 0.0
        while True:
            try:
                return lock(self._root / LOCK_FILE, wait=False)
            except BlockingIOError:
                if waited >= patience:
                    raise HomeError(
                        "another run is writing this home",
                        where=str(self._root),
                        remedy="wait until it has ended, then run again",
                    ) from None
            except OSError as error:
                raise HomeError(
                    f"the home cannot be locked: {error.strerror}",
                    where=str(self._root / LOCK_FILE),
                    remedy="choose a folder that can be written, with --home or FINEMBED_HOME",
                ) from None
            if not waited:
                tell(f"another run is writing this home: waiting for up to {patience:.0f} s")
            time.sleep(SECONDS_BETWEEN_TRIES)
            waited += SECONDS_BETWEEN_TRIES
