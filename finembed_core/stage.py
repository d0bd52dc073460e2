"""A stage: tables whose parts are a pure function of (inputs, settings), built only when stale.

Every step of the chain is run by `build`, whether a Dagster asset, a test or a library user asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

import polars as pl

from finembed_core.execution import map_items
from finembed_core.fingerprint import code_fingerprint, settings_fingerprint
from finembed_core.progress import Progress, Silent
from finembed_core.settings import ExecutionSettings, Section
from finembed_core.store import Manifest, PartStore

SERIAL = ExecutionSettings(mode="serial", workers=1)


class Inputs(Protocol):
    """The information that one part is made from."""

    def digest(self) -> str:
        """Hash of all of it."""
        ...


InputsT = TypeVar("InputsT", bound=Inputs)


@dataclass(frozen=True)
class Output:
    """What a part will hold."""

    frame: pl.DataFrame | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage(Generic[InputsT]):
    """One step of the chain.

    Attributes
    ----------
    name : str
    tables : tuple of str
        Tables written together; a key is current when all of them are.
    sections : tuple of Section
        Settings that change its numbers.
    modules : tuple of str
        Modules or packages whose source is its code version.
    gather : callable
        Key to inputs; reads the store.
    compute : callable
        Inputs to one `Output` per table; pure, picklable where work is spread over processes.
    spread : bool
        Whether it may be: then `gather` runs ahead and must not read the parts just before.
    """

    name: str
    tables: tuple[str, ...]
    sections: tuple[Section, ...]
    modules: tuple[str, ...]
    gather: Callable[[str], InputsT]
    compute: Callable[[InputsT], Mapping[str, Output]]
    spread: bool = False

    @property
    def settings(self) -> str:
        """Fingerprint of the settings sections."""
        return settings_fingerprint(*self.sections)

    @property
    def code(self) -> str:
        """Fingerprint of the source."""
        return code_fingerprint(*self.modules)

    def state(
        self, store: PartStore, key: str, inputs: str
    ) -> Literal["current", "stale", "missing"]:
        """Whether the parts of `key` stand and fit these inputs, the settings and the code."""
        marks = {"inputs": inputs, "settings": self.settings, "code": self.code}
        if all(store.is_current(table, key, **marks) for table in self.tables):
            return "current"
        if any(store.manifest(table, key) is None for table in self.tables):
            return "missing"
        return "stale"


@dataclass(frozen=True)
class BuiltPart:
    """What `build` did for one key."""

    key: str
    skipped: bool
    manifests: Mapping[str, Manifest]


def build(
    stage: Stage[InputsT],
    keys: Iterable[str],
    store: PartStore,
    execution: ExecutionSettings = SERIAL,
    progress: Progress | None = None,
) -> Iterator[BuiltPart]:
    """Build the parts of these keys in order, each committed as soon as it is done.

    Keys that are current are skipped, so a run that was killed goes on where it stopped.
    """
    wanted = list(keys)
    progress = progress or Silent()
    drawn: deque[tuple[str, str | None]] = deque()  # (key, inputs digest, None where current)

    def stale_inputs() -> Iterator[InputsT]:
        for key in wanted:
            inputs = stage.gather(key)
            mark = inputs.digest()
            if stage.state(store, key, mark) == "current":
                drawn.append((key, None))
                progress.advance(f"{key} is current")
            else:
                drawn.append((key, mark))
                yield inputs

    def leading_skips() -> Iterator[BuiltPart]:
        while drawn and drawn[0][1] is None:
            key, _ = drawn.popleft()
            yield BuiltPart(key, True, _manifests(stage, store, key))

    how = execution if stage.spread else SERIAL
    progress.start(stage.name, len(wanted))
    try:
        for outputs in map_items(stage.compute, stale_inputs(), how):
            yield from leading_skips()
            key, mark = drawn.popleft()
            manifests = _commit(stage, store, key, mark or "", outputs)
            progress.advance(key)
            yield BuiltPart(key, False, manifests)
        yield from leading_skips()
    finally:
        progress.finish()


def _commit(
    stage: Stage[InputsT],
    store: PartStore,
    key: str,
    inputs: str,
    outputs: Mapping[str, Output],
) -> dict[str, Manifest]:
    return {
        table: store.write(
            table,
            key,
            outputs[table].frame,
            files=outputs[table].files,
            inputs=inputs,
            settings=stage.settings,
            code=stage.code,
            notes=outputs[table].notes,
        )
        for table in stage.tables
    }


def _manifests(stage: Stage[InputsT], store: PartStore, key: str) -> dict[str, Manifest]:
    found = {table: store.manifest(table, key) for table in stage.tables}
    return {table: manifest for table, manifest in found.items() if manifest is not None}
