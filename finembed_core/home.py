"""The home folder: store, warehouse, dagster state and reports of one study."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from finembed_core.errors import HomeError
from finembed_core.files import (
    abandoned,
    clear_abandoned,
    lock,
    lock_file,
    remove,
    written_whole,
)
from finembed_core.store import PartStore

LAYOUT = 1
OTHER_FOLDER = "choose another folder with --home or FINEMBED_HOME"
LOST = "home.json is lost or damaged: `finembed doctor --repair` writes it anew"


@dataclass(frozen=True)
class Home:
    """Paths under one home folder (``FINEMBED_HOME``)."""

    root: Path

    @property
    def store(self) -> PartStore:
        """The part store."""
        return PartStore(self.root / "store")

    @property
    def warehouse(self) -> Path:
        """The DuckDB file."""
        return self.root / "warehouse.duckdb"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME."""
        return self.root / "dagster"

    @property
    def _building(self) -> list[Path]:
        """A new DuckDB file that still grows, its log and what it spilled."""
        return sorted(self.root.glob("warehouse.duckdb.building*"))

    @property
    def reports(self) -> Path:
        """Pictures and pages."""
        return self.root / "reports"

    @property
    def _stamp(self) -> Path:
        return self.root / "home.json"

    def open(self) -> Home:
        """Make the folders, or check that an existing home fits this version.

        Raises
        ------
        HomeError
            The folder belongs to another layout version, or cannot be written.
        """
        self.check()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not self._stamp.exists():  # first of all: without it the folder is nobody's home
                self.stamp()
            for folder in (self.root / "store", self.dagster, self.reports):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise self._closed(error) from None
        return self

    def check(self) -> bool:
        """Whether the home has been made, by a version that this one understands; makes nothing.

        Raises
        ------
        HomeError
            Something else is in its place, or it cannot be read.
        """
        try:
            self._check()
            return self._stamp.exists()
        except OSError as error:
            raise self._closed(error) from None

    def stamp(self) -> None:
        """Mark the folder as a home of this version."""
        with written_whole(self._stamp) as temporary:
            temporary.write_text(json.dumps({"layout": LAYOUT}))

    def lost_its_stamp(self) -> bool:
        """Whether the folder is a home by all but its stamp, which is absent or unreadable."""
        found = self._layout() if self._stamp.exists() else None
        return found is None and self.dagster.is_dir() and bool(self.store.tables())

    def leftovers(self, irreplaceable: Collection[str] = ()) -> list[Path]:
        """What killed writers left (`PartStore.leftovers`): ask while nobody writes."""
        found = [path for folder in self._written for path in abandoned(folder)]
        return [*self._building, *found, *self.store.leftovers(irreplaceable)]

    def clear(self, irreplaceable: Collection[str] = ()) -> None:
        """Delete what killed writers left: while holding the right to write."""
        self._clear_building()
        for folder in self._written:
            clear_abandoned(folder)
        for path in self.store.leftovers(irreplaceable):
            path.unlink(missing_ok=True)

    def _clear_building(self) -> None:
        if not self._building:
            return
        with suppress(BlockingIOError), lock(lock_file(self.warehouse), wait=False):
            for path in self._building:
                remove(path)

    @property
    def _written(self) -> tuple[Path, ...]:
        return (self.root, self.dagster, self.reports)

    def _closed(self, error: OSError) -> HomeError:
        return HomeError(
            f"the home folder cannot be opened: {error.strerror}",
            where=str(self.root),
            remedy=OTHER_FOLDER,
        )

    def _check(self) -> None:
        if self._stamp.exists():
            self._check_stamp()
        elif self.root.exists() and not self.root.is_dir():
            raise HomeError(
                "the home is a file, not a folder",
                where=str(self.root),
                remedy=OTHER_FOLDER,
            )
        elif self.root.exists() and any(not p.name.startswith(".") for p in self.root.iterdir()):
            raise HomeError(
                "this folder is not empty and is not a finembed home",
                where=str(self.root),
                remedy=LOST if self.lost_its_stamp() else OTHER_FOLDER,
            )

    def _check_stamp(self) -> None:
        layout = self._layout()
        if layout != LAYOUT:
            lost = self.lost_its_stamp()
            raise HomeError(
                f"this home has layout {layout}, this version reads layout {LAYOUT}",
                where=str(self.root),
                remedy=LOST
                if lost
                else "use the finembed version that made it, or a new home folder",
            )

    def _layout(self) -> object:
        """Layout that the stamp tells; None where it tells nothing."""
        try:
            return json.loads(self._stamp.read_text())["layout"]
        except (ValueError, KeyError, TypeError):  # not JSON, not even text
            return None
