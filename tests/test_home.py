"""A home is made whole, recognized by its stamp, and never taken from anybody else."""

import json
from pathlib import Path

import pytest

from finembed_core.errors import HomeError
from finembed_core.files import lock, lock_file
from finembed_core.home import LAYOUT, Home


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


def contents(root: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


def test_opening_makes_every_folder_and_a_stamp(tmp_path: Path) -> None:
    home = Home(tmp_path / "new" / "home").open()
    assert contents(home.root) == {
        "home.json": json.dumps({"layout": LAYOUT}).encode(),
        "store": None,
        "dagster": None,
        "reports": None,
    }
    assert home.store.root == home.root / "store"
    assert home.warehouse == home.root / "warehouse.duckdb"
    assert (home.dagster, home.reports) == (home.root / "dagster", home.root / "reports")


def test_looking_at_paths_makes_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert home.store.tables() == []
    assert not home.warehouse.exists()
    assert not home.root.exists()


def test_checking_makes_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert not home.check()
    assert not home.root.exists()
    (tmp_path / "empty").mkdir()
    assert not Home(tmp_path / "empty").check()
    assert contents(tmp_path / "empty") == {}
    home.open()
    home.reports.rmdir()
    assert home.check()
    assert not home.reports.exists()
    (tmp_path / "file").touch()
    with pytest.raises(HomeError, match="a file, not a folder"):
        Home(tmp_path / "file").check()


def test_a_warehouse_that_is_being_built_is_no_leftover_of_a_killed_writer(tmp_path: Path) -> None:
    home = Home(tmp_path).open()
    building = tmp_path / "warehouse.duckdb.building"
    building.touch()
    with lock(lock_file(home.warehouse), wait=True):
        home.clear()
        assert building.exists()
    home.clear()
    assert not building.exists()


def test_opening_again_changes_nothing_and_brings_back_a_lost_folder(tmp_path: Path) -> None:
    home = Home(tmp_path).open()
    home.store.write("t", "k", files={"txt": b"kept"})
    before = contents(tmp_path)
    assert home.open() == home
    assert contents(tmp_path) == before
    home.reports.rmdir()
    home.open()
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "stamp",
    [
        json.dumps({"layout": LAYOUT + 1}).encode(),
        json.dumps({"layout": str(LAYOUT)}).encode(),
        b"{}",
        b"[1]",
        b"null",
        b"",
        b'{"layout": ',
        b"\xff\xfe",
    ],
)
def test_a_stamp_of_another_version_or_none_at_all_is_refused(tmp_path: Path, stamp: bytes) -> None:
    (tmp_path / "home.json").write_bytes(stamp)
    with pytest.raises(HomeError, match=f"this version reads layout {LAYOUT}") as caught:
        Home(tmp_path).open()
    assert caught.value.where == str(tmp_path)
    assert "new home folder" in str(caught.value.remedy)
    assert contents(tmp_path) == {"home.json": stamp}


@pytest.mark.parametrize("step", ["the stamp", "the store", "the reports"])
def test_a_home_whose_making_was_killed_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    root = tmp_path / "home"
    replace, mkdir = Path.replace, Path.mkdir

    def dies_replacing(path: Path, target: Path) -> Path:
        if step == "the stamp":
            assert json.loads(path.read_text()) == {"layout": LAYOUT}
            raise Killed
        return replace(path, target)

    def dies_making(path: Path, *arguments: bool, **options: bool) -> None:
        if step.endswith(path.name):
            raise Killed
        mkdir(path, *arguments, **options)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Path, "replace", dies_replacing)
        patched.setattr(Path, "mkdir", dies_making)
        patched.setattr(Path, "unlink", lambda *_, **__: None)  # a dead process tidies nothing
        Home(root).open()
    assert (root / "home.json").exists() == (step != "the stamp")
    Home(root).open()
    assert {"home.json", "store", "dagster", "reports"} <= set(contents(root))


def test_a_home_under_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    with pytest.raises(HomeError, match="cannot be opened") as caught:
        Home(tmp_path / "notes" / "home").open()
    assert caught.value.where == str(tmp_path / "notes" / "home")


@pytest.mark.parametrize("taken", ["home.json", "store"])
def test_a_home_with_something_else_in_a_place_is_said(tmp_path: Path, taken: str) -> None:
    home = Home(tmp_path).open()
    path = tmp_path / taken
    if path.is_dir():
        path.rmdir()
        path.touch()
    else:
        path.unlink()
        path.mkdir()
    with pytest.raises(HomeError, match="cannot be opened"):
        home.open()
