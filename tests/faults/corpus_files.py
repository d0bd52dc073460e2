"""Files: wrong names, broken Parquet, folders, links, pipes, devices, what may not be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from tests.faults.corpus import DAYS, GOOD, VALUES, Writer, errors, text, values


def parquet(folder: Path) -> bytes:
    file = folder / "made.parquet"
    columns = {"fund_id": ["A"] * len(DAYS), "date": list(DAYS), "ret": list(VALUES)}
    pl.DataFrame(columns).write_parquet(file)
    content = file.read_bytes()
    file.unlink()
    return content


def bent(change: Callable[[bytes], bytes], name: str = "data.parquet") -> Writer:
    """A sound Parquet file whose bytes were changed."""
    return lambda folder: text(change(parquet(folder)), name)(folder)


def at(path: str, make: Callable[[Path], object] = lambda folder: None, **spec: Any) -> Writer:
    """What `make` leaves in the folder, named by `path`."""

    def write(folder: Path) -> dict[str, Any]:
        make(folder)
        return {"fund_observations": [{"path": path, **spec}]}

    return write


def linked(target: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "data.csv").symlink_to(target)


def outside(folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "real.csv").write_text(GOOD)
    (folder / "data.csv").symlink_to(other / "real.csv")


def several(folder: Path) -> None:
    inner = folder / "data"
    inner.mkdir()
    (inner / "one.CSV").write_text(GOOD)
    (inner / "notes.txt").write_text("not data")
    (inner / "loop").symlink_to(inner)


def named_like_a_file(folder: Path) -> None:
    (folder / "data" / "folder.csv").mkdir(parents=True)


def forbidden(folder: Path) -> None:
    """Refused to everybody, root included: reading fails, whatever the permissions say."""
    (folder / "data.csv").write_text(GOOD)
    (folder / "data.csv").chmod(0)
    if os.access(folder / "data.csv", os.R_OK):
        (folder / "data.csv").unlink()
        (folder / "data.csv").symlink_to("/proc/self/mem")


def roundabout(folder: Path) -> dict[str, Any]:
    (folder / "data.csv").write_text(GOOD)
    return {"fund_observations": [{"path": f"../{folder.name}/data.csv"}]}


def clutter(folder: Path) -> None:
    (folder / "data[1].csv").write_text(GOOD)


NOT_CSV = [
    *errors(
        "other kinds of files",
        ("CSV named .parquet", text(GOOD, "data.parquet"), "not Parquet", "name it .csv"),
        ("Parquet named .csv", bent(bytes, "data.csv"), "Parquet, not CSV", "name it .parquet"),
        ("Parquet cut off", bent(lambda raw: raw[: len(raw) // 2]), "breaks off"),
        ("Parquet, a byte missing", bent(lambda raw: raw[:-1]), "breaks off"),
        (
            "Parquet with a broken footer",
            bent(lambda raw: raw[:-40] + b"\xff" * 32 + raw[-8:]),
            "cannot be read",
        ),
        (
            "Parquet with a footer of 4 GB",
            bent(lambda raw: raw[:-8] + b"\xff\xff\xff\xff" + raw[-4:]),
            "cannot be read",
        ),
        (
            "Parquet with broken pages",
            bent(lambda raw: raw[:4] + b"\xff" * 60 + raw[64:]),
            "cannot be read",
        ),
        ("Parquet of nothing", text(b"PAR1PAR1", "data.parquet"), "cannot be read"),
        ("empty Parquet", text(b"", "data.parquet"), "not Parquet"),
        ("Excel workbook named .csv", text(b"PK\x03\x04" + b"\x14\0\6\0" * 20), "Excel", "as CSV"),
        ("old Excel workbook", text(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "old Excel workbook"),
        ("JSON", text('[{"fund_id": "A", "date": "2020-01-31", "ret": 0.1}]'), "JSON"),
        ("a page that says error", text("\n<!DOCTYPE html>\n<html>404, not found</html>"), "HTML"),
        ("PDF", text(b"%PDF-1.7\n%\xe2\xe3"), "PDF"),
    ),
    *values(
        "other kinds of files",
        ("Parquet in capitals", bent(bytes, "DATA.PARQUET"), "A"),
        ("any other ending is text", text(GOOD, "data.txt"), "A"),
    ),
]
PATHS = [
    *errors(
        "paths",
        ("no such file", at("data.csv"), "there is no file data.csv", "correct `path`"),
        ("a pattern without match", at("data/*.csv"), "there is no file *.csv"),
        ("a pattern that is none", at("d**a.csv"), "no pattern for files"),
        ("an empty folder", at("data", lambda folder: (folder / "data").mkdir()), "no CSV or"),
        ("a folder named like a file", at("data", named_like_a_file), "no regular file"),
        ("a link that leads nowhere", at("data.csv", linked("gone.csv")), "no regular file"),
        ("a link to itself", at("data.csv", linked("data.csv")), "no regular file"),
        ("a pipe", at("data.csv", lambda folder: os.mkfifo(folder / "data.csv")), "pipes"),
        ("an endless device", at("/dev/zero"), "no regular file"),
        ("a link to an endless device", at("data.csv", linked("/dev/zero")), "no regular file"),
        ("no permission", at("data.csv", forbidden), "the file cannot be read"),
        ("NUL in the path", at("da\0ta.csv"), "there is no file"),
        ("a path of 5000 characters", at("x" * 5000), "name too long"),
    ),
    *values(
        "paths",
        ("a link to a file elsewhere", at("data.csv", outside), "A"),
        ("up and down again", roundabout, "A"),
        ("a folder with other things in it", at("data", several), "A"),
        ("a name that is a pattern, too", at("data[1].csv", clutter), "A"),
    ),
]

CASES = [*NOT_CSV, *PATHS]
