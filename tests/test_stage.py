"""Parts are built when something they are made from has changed, each as soon as it is done."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl
import pytest

from finembed_core.errors import InputError, MissingPartError
from finembed_core.fingerprint import digest
from finembed_core.settings import ExecutionSettings, Section
from finembed_core.stage import SERIAL, BuiltPart, Output, Stage, build
from finembed_core.store import PartStore

SPREAD = ExecutionSettings(mode="processes", workers=2)
KEYS = [f"2000-{month:02}" for month in range(1, 7)]
VALUES = {key: float(place) for place, key in enumerate(KEYS)}
BAD = -1.0


class Factor(Section):
    factor: float = 2.0


@dataclass(frozen=True)
class Value:
    value: float

    def digest(self) -> str:
        return digest(self)


class Recorder:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def start(self, label: str, total: int) -> None:
        self.told.append((label, total))

    def advance(self, note: str = "") -> None:
        self.told.append(note)

    def finish(self) -> None:
        self.told.append("finished")


def multiplied(inputs: Value, factor: float) -> dict[str, Output]:
    if inputs.value == BAD:
        raise InputError("a bad value")
    frame = pl.DataFrame({"value": [inputs.value * factor]})
    note = f"{inputs.value} times {factor}".encode()
    return {"product": Output(frame, notes={"factor": factor}), "note": Output(files={"txt": note})}


def stage_of(
    values: Mapping[str, float] = VALUES,
    factor: float = 2.0,
    modules: tuple[str, ...] = ("finembed_core.errors",),
    **changes: Any,
) -> Stage[Value]:
    fields: dict[str, Any] = {
        "gather": lambda key: Value(values[key]),
        "compute": partial(multiplied, factor=factor),
    }
    return Stage(
        name="products",
        tables=("product", "note"),
        sections=(Factor(factor=factor),),
        modules=modules,
        **fields | changes,
    )


def products(store: PartStore) -> dict[str, float]:
    return {key: store.read("product", key).item() for key in store.keys("product")}


def skipped(built: list[BuiltPart]) -> list[str]:
    return [part.key for part in built if part.skipped]


def states(stage: Stage[Value], store: PartStore) -> dict[str, str]:
    return {key: stage.state(store, key, stage.gather(key).digest()) for key in KEYS}


def test_what_was_computed_is_stored_and_reported(store: PartStore) -> None:
    (part,) = build(stage_of(), ["2000-04"], store)
    assert (part.key, part.skipped) == ("2000-04", False)
    assert part.manifests == {
        table: store.manifest(table, "2000-04") for table in ("product", "note")
    }
    assert store.read("product", "2000-04").item() == 6.0
    assert store.read_file("note", "2000-04", "txt") == b"3.0 times 2.0"
    assert part.manifests["product"].notes == {"factor": 2.0}


def test_current_parts_are_skipped_and_not_computed(store: PartStore) -> None:
    first = list(build(stage_of(), KEYS, store))
    again = list(build(stage_of(compute=None), KEYS, store))
    assert skipped(first) == []
    assert skipped(again) == KEYS
    assert [part.manifests for part in again] == [part.manifests for part in first]


@pytest.mark.parametrize(
    ("changed", "rebuilt"),
    [
        ({}, []),
        ({"values": {**VALUES, "2000-03": 7.0}}, ["2000-03"]),
        ({"factor": 3.0}, KEYS),
        ({"modules": ("finembed_core.files",)}, KEYS),
    ],
    ids=["nothing", "an input", "a setting", "the code"],
)
def test_what_changed_is_computed_again_and_nothing_else(
    store: PartStore, changed: dict[str, Any], rebuilt: list[str]
) -> None:
    list(build(stage_of(), KEYS, store))
    stage = stage_of(**changed)
    assert [key for key, state in states(stage, store).items() if state == "stale"] == rebuilt
    built = list(build(stage, KEYS, store))
    assert [part.key for part in built] == KEYS
    assert skipped(built) == [key for key in KEYS if key not in rebuilt]
    values, factor = changed.get("values", VALUES), changed.get("factor", 2.0)
    assert products(store) == {key: values[key] * factor for key in KEYS}
    assert set(states(stage, store).values()) == {"current"}


@pytest.mark.parametrize("table", ["product", "note"])
def test_a_part_without_one_of_its_tables_is_missing(store: PartStore, table: str) -> None:
    list(build(stage_of(), KEYS, store))
    store.delete(table, "2000-02")
    assert states(stage_of(), store) == {**dict.fromkeys(KEYS, "current"), "2000-02": "missing"}
    assert skipped(list(build(stage_of(), KEYS, store))) == [k for k in KEYS if k != "2000-02"]


def test_tables_written_together_stand_together(
    store: PartStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(build(stage_of(), KEYS, store))
    write = store.write

    def dies_between(table: str, *arguments: Any, **options: Any) -> object:
        if table == "note":
            raise KeyboardInterrupt
        return write(table, *arguments, **options)

    tripled = stage_of(factor=3.0)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(store, "write", dies_between)
        list(build(tripled, KEYS[:1], store))
    assert products(store)["2000-01"] == 0.0
    assert states(tripled, store)["2000-01"] == "stale"
    list(build(tripled, KEYS[:1], store))
    assert store.read_file("note", "2000-01", "txt") == b"0.0 times 3.0"


def _no_value(key: str) -> Value:
    if key == "2000-04":
        raise MissingPartError("no inputs in April")
    return Value(VALUES[key])


@pytest.mark.parametrize("execution", [SERIAL, SPREAD], ids=["serial", "processes"])
@pytest.mark.parametrize(
    "fault",
    [
        {"values": {**VALUES, "2000-04": BAD}},
        {"gather": _no_value},
    ],
    ids=["in computing", "in gathering"],
)
def test_a_fault_leaves_the_parts_before_it_and_the_next_build_goes_on(
    store: PartStore, fault: dict[str, Any], execution: ExecutionSettings
) -> None:
    with pytest.raises((InputError, MissingPartError)):
        list(build(stage_of(**fault, spread=True), KEYS, store, execution))
    assert products(store) == {key: 2 * VALUES[key] for key in KEYS[:3]}
    assert store.keys("note") == KEYS[:3]
    built = list(build(stage_of(), KEYS, store))
    assert skipped(built) == KEYS[:3]
    assert products(store) == {key: 2 * VALUES[key] for key in KEYS}


def test_processes_build_the_same_parts_with_the_skips_in_their_places(store: PartStore) -> None:
    list(build(stage_of(), KEYS[1::3], store))
    built = list(build(stage_of(spread=True), KEYS, store, SPREAD))
    assert [part.key for part in built] == KEYS
    assert skipped(built) == KEYS[1::3]
    other = PartStore(store.root.parent / "other")
    serial = list(build(stage_of(spread=True), KEYS, other))
    assert [part.manifests for part in serial] == [part.manifests for part in built]


@pytest.mark.parametrize("execution", [SERIAL, SPREAD])
def test_a_part_may_rest_on_the_part_before(store: PartStore, execution: ExecutionSettings) -> None:
    """A stage that may not be spread is not, whatever the settings say."""

    def gather(key: str) -> Value:
        before = KEYS.index(key) - 1
        return Value(store.read("product", KEYS[before]).item() if before >= 0 else 1.0)

    list(build(stage_of(gather=gather), KEYS, store, execution))
    assert list(products(store).values()) == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0]


def test_a_build_that_is_left_keeps_what_it_has_committed(store: PartStore) -> None:
    parts = build(stage_of(), KEYS, store)
    assert [next(parts).key, next(parts).key] == KEYS[:2]
    parts.close()
    assert store.keys("product") == KEYS[:2]
    assert skipped(list(build(stage_of(), KEYS, store))) == KEYS[:2]


def test_no_keys_are_no_work(store: PartStore) -> None:
    told = Recorder()
    assert list(build(stage_of(), iter([]), store, progress=told)) == []
    assert told.told == [("products", 0), "finished"]
    assert store.tables() == []


def test_progress_tells_each_part_when_it_is_done_or_found_current(store: PartStore) -> None:
    list(build(stage_of(), KEYS[1:4], store))
    told, at_gathering = Recorder(), []

    def gather(key: str) -> Value:
        at_gathering.append(len(told.told) - 1)
        return Value(VALUES[key])

    list(build(stage_of(gather=gather), KEYS[:5], store, progress=told))
    assert told.told == [
        ("products", 5),
        "2000-01",
        "2000-02 is current",
        "2000-03 is current",
        "2000-04 is current",
        "2000-05",
        "finished",
    ]
    assert at_gathering == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("ends", ["with a fault", "early"])
def test_progress_is_finished_however_the_build_ends(store: PartStore, ends: str) -> None:
    told = Recorder()
    parts = build(stage_of({**VALUES, "2000-02": BAD}), KEYS, store, progress=told)
    next(parts)
    if ends == "early":
        parts.close()
    else:
        with pytest.raises(InputError):
            next(parts)
    assert told.told == [("products", 6), "2000-01", "finished"]


def test_settings_and_code_are_hashed_from_what_the_stage_names() -> None:
    assert stage_of().settings == stage_of(values={}).settings != stage_of(factor=3.0).settings
    assert stage_of().code != stage_of(modules=("finembed_core.files",)).code
