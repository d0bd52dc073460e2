"""How long work tells where it is; terminals and Dagster logs each bring their own."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of each finished item of a stage."""

    def start(self, label: str, total: int) -> None:
        """A stage begins that has `total` items."""
        ...

    def advance(self, note: str = "") -> None:
        """One more item is done."""
        ...

    def finish(self) -> None:
        """The stage is over, done or not."""
        ...


class Silent:
    """No progress at all."""

    def start(self, label: str, total: int) -> None:
        """Ignore."""

    def advance(self, note: str = "") -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""
