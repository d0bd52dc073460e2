"""Parts are whole, current or absent; a crash at any step leaves the old part standing."""

import os
from pathlib import Path
from threading import Event, Thread

import polars as pl
import pytest

from finembed_core.errors import IntegrityError, MissingPartError
from finembed_core.store import PartStore

OLD = pl.DataFrame({"fund_id": ["a", "b"], "ret": [0.01, None]})
NEW = pl.DataFrame({"fund_id": ["a"], "ret": [0.02]})


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def test_what_was_written_is_read(store: PartStore) -> None:
    manifest = store.write("t", "2000-01", OLD, files={"txt": b"why"}, notes={"rows": 2})
    assert store.read("t", "2000-01").equals(OLD)
    assert store.read_file("t", "2000-01", "txt") == b"why"
    assert store.manifest("t", "2000-01") == manifest
    assert (manifest.rows, manifest.notes) == (2, {"rows": 2})


def test_a_file_can_be_opened_where_it_lies(store: PartStore) -> None:
    store.write("t", "k", OLD, files={"txt": b"why"})
    path = store.file_path("t", "k", "txt")
    assert path.read_bytes() == b"why"
    path.write_bytes(b"hmm")
    with pytest.raises(IntegrityError, match="changed or damaged"):
        store.file_path("t", "k", "txt")
    for key, suffix in (("k", "npy"), ("other", "txt")):
        with pytest.raises(MissingPartError, match=f"t has no part {key}"):
            store.file_path("t", key, suffix)


def test_the_same_frame_gives_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        store = PartStore(tmp_path / name)
        store.write("t", "k", OLD.clone(), inputs="i", settings="s", code="c")
        written.append({path.name: path.read_bytes() for path in (tmp_path / name / "t").iterdir()})
    assert written[0] == written[1]


def test_current_means_all_three_hashes(store: PartStore) -> None:
    marks = {"inputs": "i", "settings": "s", "code": "c"}
    store.write("t", "k", OLD, **marks)
    assert store.is_current("t", "k", **marks)
    for name in marks:
        assert not store.is_current("t", "k", **{**marks, name: "other"})
    assert not store.is_current("t", "other", **marks)


def test_a_new_part_replaces_the_old_one_and_its_files(store: PartStore) -> None:
    store.write("t", "k", OLD, files={"txt": b"x"})
    store.write("t", "k", NEW)
    assert store.read("t", "k").equals(NEW)
    assert len(list((store.root / "t").iterdir())) == 2
    store.delete("t", "k")
    assert not list((store.root / "t").iterdir())


def test_keys_and_tables(store: PartStore) -> None:
    assert store.tables() == []
    assert store.keys("t") == []
    store.write("t", "2000-02", NEW)
    store.write("t", "2000-01", OLD, files={"json": b"{}"})
    assert store.keys("t") == ["2000-01", "2000-02"]
    assert store.tables() == ["t"]
    assert store.read_many("t").height == 3


@pytest.mark.parametrize("step", range(1, 5))
def test_a_crash_between_two_steps_leaves_a_whole_part(
    store: PartStore, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Steps: rename the data, flush the folder; rename the manifest, flush the folder."""
    store.write("t", "k", OLD)
    calls = 0

    def dies(call):
        def maybe(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == step:
                raise Killed
            return call(*arguments, **options)

        return maybe

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", dies(Path.replace))
        patched.setattr(os, "fsync", dies(os.fsync))
        patched.setattr(Path, "unlink", lambda *_, **__: None)  # a dead process tidies nothing
        with pytest.raises(Killed):
            store.write("t", "k", NEW)
    assert store.read("t", "k").equals(OLD)
    assert store.keys("t") == ["k"]
    store.write("t", "k", NEW)
    assert store.read("t", "k").equals(NEW)
    assert len(list((store.root / "t").iterdir())) == 2  # what the crash left is gone


def test_a_damaged_file_is_named(store: PartStore) -> None:
    store.write("t", "k", OLD)
    (data,) = (store.root / "t").glob("k@*")
    data.write_bytes(data.read_bytes()[:-1] + b"?")
    with pytest.raises(IntegrityError, match="changed or damaged") as caught:
        store.read("t", "k")
    assert str(data) in str(caught.value)


@pytest.mark.parametrize("damage", ["truncate", "lose the data", "other content"])
def test_a_part_that_is_not_whole_is_absent(store: PartStore, damage: str) -> None:
    store.write("t", "k", OLD)
    manifest = store.root / "t" / "k.json"
    if damage == "truncate":
        manifest.write_bytes(manifest.read_bytes()[:20])
    elif damage == "other content":
        manifest.write_text('{"a": 1}')
    else:
        next((store.root / "t").glob("k@*")).unlink()
    assert store.manifest("t", "k") is None
    with pytest.raises(MissingPartError, match="t has no part k"):
        store.read("t", "k")


def test_nothing_to_read_is_said(store: PartStore) -> None:
    with pytest.raises(MissingPartError, match="no parts yet"):
        store.read_many("t")


def test_a_reader_beside_a_writer_finds_one_whole_part_or_the_other(store: PartStore) -> None:
    done = Event()

    def write() -> None:
        for k in range(150):
            store.write("t", "k", NEW if k % 2 else OLD)
        done.set()

    store.write("t", "k", OLD)
    writer = Thread(target=write)
    writer.start()
    seen = []
    while not done.is_set():
        seen.append(store.read("t", "k").height)
    writer.join()
    assert set(seen) <= {OLD.height, NEW.height}


def test_files_that_a_damaged_or_lost_manifest_may_have_named_are_no_leftovers(
    store: PartStore,
) -> None:
    manifests = [store.root / "t" / f"{key}.json" for key in ("damaged", "lost", "partly")]
    for path in manifests:
        store.write("t", path.stem, pl.DataFrame({"x": [1]}), files={"txt": b"text"})
    manifests[0].write_text("{")
    manifests[1].unlink()
    next(store.root.glob("t/partly@*.txt")).unlink()
    (store.root / "t" / "notes@2001.txt").write_text("a user's own")
    (store.root / "t" / "partly@old_copy.d").mkdir()
    for key in ("one", "other"):
        store.write("u", key, pl.DataFrame({"x": [len(key)]}))
    (store.root / "u" / "one.json").write_bytes((store.root / "u" / "other.json").read_bytes())
    assert store.leftovers(["t"]) == []
    assert {path.name.partition("@")[0] for path in store.leftovers()} == {"lost"}
