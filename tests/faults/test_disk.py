"""A full or closed disk is said in one message, harms nothing that stood, and is got over."""

import errno
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from finembed_core.errors import FinembedError, HomeError, InputError, WarehouseError
from finembed_core.files import WRITING, abandoned, clear_abandoned, written_whole
from finembed_core.home import Home
from finembed_core.report.write import write_report
from finembed_core.settings import load_settings
from finembed_core.store import PartStore
from finembed_core.warehouse.publish import publish
from finembed_dagster.mishaps import in_words
from tests.faults.harness import difference, left_in_dagster, write_study, zygote
from tests.faults.mounts import closed, resize, small_disk
from tests.study_runs import finembed, store_bytes


def frame(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"x": np.random.default_rng(0).normal(size=rows)})


def test_a_part_that_finds_no_room_leaves_the_old_one(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        store = PartStore(disk / "store")
        store.write("t", "k", frame(10))
        before = store_bytes(disk)
        with pytest.raises(HomeError, match="the disk is full"), in_words():
            store.write("t", "k", frame(20_000))
        assert store_bytes(disk) == before
        assert store.leftovers() == []


def test_a_warehouse_and_a_report_that_find_no_room_leave_the_old_ones(study: Path) -> None:
    settings = load_settings(study / "finembed.yaml")
    whole = Home(study / "home")
    with small_disk(study / "disk", "200k") as disk:
        (disk / "warehouse.duckdb").write_bytes(b"old")
        with pytest.raises(WarehouseError, match="could not be built"):
            publish(whole.store, disk / "warehouse.duckdb", settings)
        assert (disk / "warehouse.duckdb").read_bytes() == b"old"
        with pytest.raises(InputError, match="No space left"):
            write_report(whole.warehouse, disk)
        assert {p.name for p in disk.iterdir()} <= {"warehouse.duckdb", "warehouse.duckdb.lock"}


def test_a_home_that_can_only_be_read_is_said_and_can_be_looked_at(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = store_bytes(study / "home")
    with closed(study / "home"):
        assert finembed("run") == 2
        told = capsys.readouterr().err
        assert "Read-only file system" in told and "--home" in told
        assert finembed("doctor", "--repair") == 2
        assert finembed("query", "select 1 as one") == 0
        assert finembed("status") == 0
        assert finembed("doctor") == 0
        assert "can only be read" in capsys.readouterr().out
    assert store_bytes(study / "home") == before


@pytest.mark.slow
def test_a_study_on_a_disk_that_is_full_again_and_again_ends_like_any_other(
    study: Path,
) -> None:
    """Each run in a process of its own: what a full disk kept it from saying, its end tells."""
    whole = store_bytes(study / "home")
    folder = write_study(study / "full", (study / "finembed.yaml").read_text())
    with small_disk(folder / "home", "100k") as home, zygote() as processes:
        failed = 0
        for size in ("100k", "1m", "4m", "8m", "10m", "12m", "14m", "16m", "20m", "24m", "400m"):
            resize(home, size)
            ended = processes.run(folder)
            told = (folder / "output.txt").read_text()
            assert ended.code in (0, 2), told
            failed += ended.code == 2
            if ended.code == 2:
                assert "remedy" in told
                stored = store_bytes(home) if (home / "store").exists() else {}
                assert set(stored.items()) <= set(whole.items())
        assert failed >= 4
        assert difference(home, study / "home") == ""
        assert finembed("doctor", "--home", home) == 0


def of_sqlite(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    return error


def nested(inner: Exception) -> Exception:
    try:
        try:
            raise inner
        except Exception as cause:
            raise RuntimeError("what a framework makes of it") from cause
    except RuntimeError as outer:
        return outer


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x"), "the disk is full"),
        (OSError(errno.EFBIG, "File too large"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "access is denied"),
        (OSError(errno.EIO, "Input/output error", "/x"), "the system refused"),
        (MemoryError(), "memory ran out"),
        (of_sqlite(sqlite3.SQLITE_IOERR_WRITE), "cannot be used"),
        (of_sqlite(sqlite3.SQLITE_FULL), "the disk is full"),
        (of_sqlite(sqlite3.SQLITE_CORRUPT), "a log of Dagster is damaged"),
        (InputError("a mistake of the input"), "a mistake of the input"),
    ],
)
def test_what_the_machine_did_is_one_message_however_it_is_wrapped(
    error: Exception, words: str
) -> None:
    for raised in (error, nested(error)):
        with pytest.raises(FinembedError, match=words), in_words():
            raise raised


@pytest.mark.parametrize(
    "error",
    [
        KeyError("a"),
        FileNotFoundError(2, "No such file"),
        BrokenPipeError(),
        of_sqlite(sqlite3.SQLITE_CONSTRAINT),
        sqlite3.ProgrammingError("a statement of ours is wrong"),
    ],
)
def test_what_is_not_the_machines_fault_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)), in_words():
        raise error


@pytest.mark.parametrize("got_over", [InputError("x"), PermissionError(errno.EACCES, "denied")])
def test_a_mishap_that_was_being_got_over_is_not_to_blame(got_over: Exception) -> None:
    def mistake() -> None:
        try:
            raise got_over
        except (OSError, InputError):
            {}["a bug of ours"]

    with pytest.raises(KeyError), in_words():
        mistake()


def test_only_the_files_of_dead_writers_are_cleared(tmp_path: Path) -> None:
    dead = tmp_path / f"{WRITING}abcdefgh.html"
    dead.write_text("half")
    (tmp_path / ".hidden").write_text("mine")
    (tmp_path / f"{WRITING}link").symlink_to("nowhere")
    with written_whole(tmp_path / "page.html") as alive:
        alive.write_text("whole")
        assert set(abandoned(tmp_path)) == {dead, tmp_path / f"{WRITING}link"}
        clear_abandoned(tmp_path)
        assert alive.exists() and not dead.exists()
    assert {p.name for p in tmp_path.iterdir()} == {"page.html", ".hidden"}


def test_a_home_can_be_moved_and_lie_anywhere(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = store_bytes(study / "home")
    place = study / 'it\'s "50%" ü #1 & co; x=y'
    shutil.move(study / "home", place)
    assert finembed("run", "--home", place) == 0
    assert "everything is current" in capsys.readouterr().out
    assert store_bytes(place) == before
    assert finembed("doctor", "--home", place) == 0
    assert left_in_dagster(place) == ""
    assert (place / "reports" / "latest.html").exists()
    for name in ("what?", "50%20", "some[1]", "all*"):
        assert finembed("run", "--home", study / name) == 2
        assert "stand for other letters" in capsys.readouterr().err
        assert not (study / name).exists()
