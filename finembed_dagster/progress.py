"""Progress in a terminal (a bar) and in Dagster's log (a line with rate and remaining time)."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

SECONDS_BETWEEN_LINES = 5.0


class TerminalProgress:
    """One bar per stage; a finished bar stays as a line."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars: Bars | None = None

    def start(self, label: str, total: int) -> None:
        """Show a bar for a stage of `total` items."""
        self.finish()
        self._bars = Bars(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
        )
        self._bars.start()
        self._task = self._bars.add_task(label, total=total, note="")

    def advance(self, note: str = "") -> None:
        """Move the bar by one."""
        if self._bars is not None:
            self._bars.update(self._task, advance=1, note=note)

    def finish(self) -> None:
        """Leave the bar as it stands."""
        if self._bars is not None:
            self._bars.update(self._task, note="")
            self._bars.stop()
            self._bars = None


class LogProgress:
    """A log line every few seconds, and one at the end.

    Parameters
    ----------
    write : callable
        Takes a line, such as ``context.log.info``.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._total = 0

    def start(self, label: str, total: int) -> None:
        """Begin to count."""
        self._label, self._total, self._done = label, total, 0
        self._began = self._last = time.monotonic()

    def advance(self, note: str = "") -> None:
        """Count one, and write a line when the last is some seconds old."""
        self._done += 1
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            self._line(now - self._began, note)

    def finish(self) -> None:
        """Write how far it came."""
        if self._total:
            seconds = time.monotonic() - self._began
            self._write(f"{self._label}: {self._done}/{self._total} in {seconds:.1f} s")
            self._total = 0

    def _line(self, seconds: float, note: str) -> None:
        rate = self._done / seconds
        left = (self._total - self._done) / rate
        self._write(
            f"{self._label}: {self._done}/{self._total} ({note}), "
            f"{rate:.1f} per second, {left:.0f} s left"
        )
