"""Ctrl-C ends a command, whatever the code under way makes of it.

While Dagster runs a job its handler stands in place of Python's and raises an exception of its own
between two steps or within one. Libraries written in other languages turn what is raised inside
them into errors of theirs (DuckDB into "Query interrupted", Polars into a panic), and a signal
that comes after the last step is dropped. So what was raised does not tell; the signal does.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the end if SIGINT or SIGTERM was handled meanwhile.

    Python writes the number of every signal that it handles to its wakeup descriptor, no matter
    whose handler is called. Outside of the main thread, where no signal arrives, nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        asked = _asked_to_stop(reader)
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)
        if asked:
            raise KeyboardInterrupt


def _asked_to_stop(reader: int) -> bool:
    try:
        return bool({signal.SIGINT, signal.SIGTERM} & set(os.read(reader, 4096)))
    except BlockingIOError:
        return False
