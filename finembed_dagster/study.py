"""A study: one home folder and one settings tree, found by option, variable or default."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import files
from pathlib import Path
from urllib.parse import unquote

from finembed_core.backtest.run import RUN_TABLES
from finembed_core.errors import HomeError
from finembed_core.files import written_whole
from finembed_core.home import OTHER_FOLDER, Home
from finembed_core.settings import Settings, load_settings
from finembed_core.store import PartStore
from finembed_dagster.lock import WriteLock

HOME_VARIABLE = "FINEMBED_HOME"
SETTINGS_VARIABLE = "FINEMBED_SETTINGS"
DEFAULT_HOME = Path(".finembed")
DEFAULT_SETTINGS = Path("finembed.yaml")
PATTERN = "*?["


@dataclass(frozen=True)
class Study:
    """Where everything lies and how it is computed.

    Attributes
    ----------
    home : Home
    settings : Settings
    settings_path : Path or None
        None where the defaults are in force.
    """

    home: Home
    settings: Settings
    settings_path: Path | None

    @classmethod
    def find(cls, home: Path | None = None, settings: Path | None = None) -> Study:
        """Resolve option, then environment variable, then default.

        Raises
        ------
        SettingsError
            A settings file was named that cannot be read, or it holds a mistake.
        """
        chosen = settings or _from_environment(SETTINGS_VARIABLE)
        if chosen is None and DEFAULT_SETTINGS.exists():
            chosen = DEFAULT_SETTINGS
        root = home or _from_environment(HOME_VARIABLE) or DEFAULT_HOME
        path = None if chosen is None else chosen.resolve()
        return cls(Home(root.resolve()), load_settings(path), path)

    @property
    def store(self) -> PartStore:
        """The part store of the home."""
        return self.home.store

    def existing(self) -> Study:
        """The study itself, if its home stands: for commands that only look, and make none.

        Raises
        ------
        HomeError
            There is no home, or none of this version.
        """
        if not self.home.check():
            raise HomeError(
                "there is no home folder yet",
                where=str(self.home.root),
                remedy="run `finembed demo` or `finembed run` first, or name another with --home",
            )
        return self

    def _require_plain_path(self) -> None:
        """Dagster finds its settings, and DuckDB the parts, by pattern; its logs have addresses."""
        path = str(self.home.root)
        if set(PATTERN) & set(path) or unquote(path) != path:
            raise HomeError(
                f"the home's path holds one of {' '.join(PATTERN)}, or a % before two digits, which"
                " stand for other letters",
                where=path,
                remedy=OTHER_FOLDER,
            )

    @cached_property
    def lock(self) -> WriteLock:
        """The right to write the store, which what killed writers left is cleared from first."""
        return WriteLock(self.home.root, partial(self.home.clear, RUN_TABLES))

    def enter(self) -> Study:
        """Open the home and make this study the one that Dagster's processes see.

        Sets DAGSTER_HOME and the two variables for this process and its children, and puts the
        project's dagster.yaml into force.

        Raises
        ------
        HomeError
            The home cannot be opened, or its path means another to Dagster or DuckDB.
        """
        self._require_plain_path()
        self.home.open()
        os.environ["DAGSTER_HOME"] = str(self.home.dagster)
        os.environ[HOME_VARIABLE] = str(self.home.root)
        if self.settings_path is None:
            os.environ.pop(SETTINGS_VARIABLE, None)
        else:
            os.environ[SETTINGS_VARIABLE] = str(self.settings_path)
        source, target = shipped_file("dagster.yaml"), self.home.dagster / "dagster.yaml"
        if not target.exists() or target.read_bytes() != source.read_bytes():
            with written_whole(target) as temporary:
                temporary.write_bytes(source.read_bytes())
        return self


def shipped_file(name: str) -> Path:
    """A top-level file of the project, in a checkout or as installed from a wheel."""
    checkout = Path(__file__).resolve().parent.parent
    brought = [file for file in files("finembed") or () if file.name == name]
    for candidate in (checkout / name, *(Path(str(file.locate())).resolve() for file in brought)):
        if candidate.exists():
            return candidate
    raise HomeError(
        f"{name} is missing from this installation",
        where=f"{checkout}, and what the package brought",
        remedy="install finembed again",
    )


def _from_environment(variable: str) -> Path | None:
    text = os.environ.get(variable)
    return Path(text) if text else None
