"""Settings files and books of holdings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.faults.corpus import GOOD, Writer, errors, values

DATASET = "dataset:\n  source: files\n  files: {fund_observations: [{path: data.csv}]}\n"
BOMB = "ingest:\n  maturing_categories:\n    - &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"    - &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghijk", "bcdefghijkl", strict=True)
)


def settings(content: str | bytes, *, more: bool = False) -> Writer:
    """A settings file beside sound data; with `more`, after a sound ``dataset``."""

    def write(folder: Path) -> dict[str, Any]:
        (folder / "data.csv").write_text(GOOD)
        raw = content if isinstance(content, bytes) else content.encode()
        return {"yaml": DATASET.encode() + raw if more else raw}

    return write


def gate(content: str) -> Writer:
    return settings(f"ingest: {content}\n", more=True)


def files(content: str) -> Writer:
    return settings(f"dataset:\n  source: files\n  files: {content}\n")


def book(content: str | bytes) -> Writer:
    return lambda folder: {"holdings": content if isinstance(content, bytes) else content.encode()}


SETTINGS = [
    *errors(
        "settings files",
        ("aliases that multiply", settings(BOMB), "aliases", "write the values out"),
        ("an alias of itself", settings("dataset: &a {files: *a}\n"), "aliases"),
        ("a thousand brackets", settings("dataset: " + "[" * 1000), "nested too deeply"),
        ("ten thousand brackets", settings("[" * 10000 + "]" * 10000), "nested too deeply"),
        ("a section twice", settings(DATASET + DATASET), "`dataset` stands twice"),
        ("a Python object", settings("dataset: !!python/object/apply:os.getcwd []\n"), "not YAML"),
        ("a tab for blanks", settings("dataset:\n\tsource: files\n"), "not YAML"),
        ("bytes", settings(b"\x89PNG\r\n\x1a\n\xff\xfe"), "not UTF-8"),
        ("control characters", settings("dataset: \x07\n"), "not YAML"),
        ("a list", settings("- dataset\n"), "must hold sections"),
        ("two documents", settings(DATASET + "---\n" + DATASET), "not YAML"),
        ("a misspelt name", gate("{stale_month: 6}"), "no setting `ingest.stale_month`"),
        ("a name of an object", settings("? [a, b]\n: 1\n"), "settings file"),
        ("text for a number", gate("{stale_months: six}"), "`ingest.stale_months` is 'six'"),
        ("half a month", gate("{stale_months: 6.5}"), "stale_months"),
        ("NaN", gate("{max_abs_return: .nan}"), "max_abs_return"),
        ("infinity", gate("{max_abs_return: .inf}"), "max_abs_return"),
        ("out of range", gate("{nav: {reset_loss: 2}}"), "`ingest.nav.reset_loss` is 2"),
        ("a month that is none", settings("dataset: {first_month: 2020-13}\n"), "first_month"),
        ("no files", files("{}"), "no fund observations"),
        ("no path", files("{fund_observations: [{columns: {ret: r}}]}"), "path` is needed"),
        (
            "a column of none of ours",
            files("{fund_observations: [{path: data.csv, columns: {return: ret}}]}"),
            "no column 'return'",
        ),
        (
            "a constant of another type",
            files("{fund_observations: [{path: data.csv, constants: {aum: much}}]}"),
            "cannot be",
        ),
        (
            "a matrix of nothing",
            files("{fund_observations: [{path: data.csv, layout: wide}]}"),
            "cannot hold None",
        ),
        ("10 MB", settings(b"# " + b"x" * 10_000_000), "larger than"),
    ),
    *values(
        "settings files",
        ("byte order mark", settings(b"\xef\xbb\xbf" + DATASET.encode()), "A"),
        (
            "an honest alias",
            settings(
                DATASET.replace("data.csv", "&p data.csv") + "ingest: {maturing_categories: [*p]}\n"
            ),
            "A",
        ),
    ),
]
HOLDINGS = [
    *errors(
        "holdings",
        ("semicolons", book("fund_id;value\nA;100\n"), "separated by ';'"),
        ("a column missing", book("fund,value\nA,100\n"), "no column fund_id"),
        ("a column twice", book("fund_id,value,value\nA,100,1\n"), "stands twice"),
        ("thousands", book('fund_id,value\nA,"1,000"\n'), "'1,000' is not a number", "row 2"),
        ("a value of NaN", book("fund_id,value\nA,NaN\n"), "not a number"),
        ("a value below 0", book("fund_id,value\nA,-1\n"), "negative"),
        ("a fund twice", book("fund_id,value\nA,1\nA,2\n"), "listed twice"),
        ("a fund nobody knows", book("fund_id,value\nZ,1\n"), "not among the funds"),
        ("a cell too few", book("fund_id,value\nA,100\nB\n"), "1 cells, the header 2", "line 3"),
        ("UTF-16", book("fund_id,value\nA,100\n".encode("utf-16")), "UTF-16"),
        ("latin-1", book("fund_id,value\nMüller,100\n".encode("latin-1")), "not UTF-8"),
        ("Excel", book(b"PK\x03\x04" + bytes(100)), "Excel"),
        ("empty", book(""), "no column fund_id"),
        ("worth nothing", book("fund_id,value\nA,0\n"), "worth nothing"),
    ),
    *values(
        "holdings",
        ("byte order mark, blanks", book("\ufeff fund_id , value \n A , 100 \n\n"), "A"),
    ),
]
CASES = [*SETTINGS, *HOLDINGS]
