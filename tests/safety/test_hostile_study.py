"""A study of hostile names goes through the whole chain: shown right, obeyed nowhere."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from finembed_core.report.page import document
from finembed_core.warehouse.query import query
from finembed_core.warehouse.quoting import identifier
from finembed_dagster.cli.texts import SEEN, seen
from tests.safety.hostile import (
    FACTORS,
    IDS,
    IMAGE,
    LAST,
    NAMES,
    SCRIPT,
    UNSEEN,
    write_study,
)
from tests.study_runs import finembed

ROOT = Path(__file__).resolve().parents[2]
SECRET = "canary-2b91c4"
SECRETS = ("RAY_AUTH_TOKEN", "FRED_API_KEY", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, computed by a process whose environment holds secrets."""
    folder = tmp_path_factory.mktemp("hostile's") / "own folder"
    folder.mkdir()
    write_study(folder)
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "finembed_dagster.cli", "run", "--home", "home"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths} | dict.fromkeys(SECRETS, SECRET),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FINEMBED_HOME", str(folder / "home"))
    monkeypatch.delenv("FINEMBED_SETTINGS", raising=False)


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def said(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    capsys.readouterr()
    assert finembed(*arguments) == code
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err and "\u202e" not in out + err
    return out + err


def test_every_name_arrives_as_it_was_given(folder: Path) -> None:
    warehouse = folder / "home" / "warehouse.duckdb"
    for column, texts in (("fund_id", set(IDS)), ("name", NAMES), ("category", NAMES)):
        assert set(query(warehouse, f"SELECT {column} FROM funds").to_series()) == texts
    predicted = query(warehouse, "SELECT DISTINCT fund_id FROM predictions")["fund_id"]
    assert set(predicted) == set(IDS)
    assert set(query(warehouse, "SELECT series_id FROM series")["series_id"]) == set(FACTORS)
    for view in query(warehouse, "SHOW TABLES")["name"]:
        query(warehouse, f'FROM "{view}"')


def test_commands_show_names_and_obey_none(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "current" in said(capsys, "status")
    table = said(capsys, "query", 'SELECT name, 1 AS "[red][/]" FROM funds')
    assert "[red][/]" in table and SCRIPT in table and "\u241b[31mescape\u2407" in table
    assert finembed("query", "SELECT fund_id FROM funds ORDER BY 1", "--format", "csv") == 0
    exact = pl.read_csv(capsys.readouterr().out.encode())["fund_id"]
    assert exact.to_list() == sorted(IDS), "what a machine reads is not changed"
    for text in (*IDS, UNSEEN[1], UNSEEN[3]):
        assert text.split("\n")[0].translate(SEEN)[:10] in said(capsys, "explain", "--", text)
    assert "no embeddings" in said(capsys, "similar", IDS[1], code=2)
    assert "no fund is called" in said(capsys, "explain", "[/] \x1b[2J", code=2)
    (run,) = query(folder / "home" / "warehouse.duckdb", "SELECT run_id FROM runs")["run_id"]
    assert run[:8] in said(capsys, "runs")
    assert "nothing is wrong" in said(capsys, "doctor") or "all is well" in said(capsys, "doctor")
    said(capsys, "report", "--run", run)
    said(capsys, "rebalance", "--month", LAST)
    orders = pl.read_csv(next((folder / "home" / "reports").glob("*.csv")))
    assert set(orders["fund_id"]) <= set(IDS) and orders.height
    out = folder / "[red] out.json"
    said(capsys, "export", "funds", out)
    assert {row["fund_id"] for row in json.loads(out.read_text())} == set(IDS)
    out.unlink()


class Page(HTMLParser):
    """Tags, their attributes, and what stands inside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.scripts: list[str] = []
        self.data = ""
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._script = tag == "script"
        if self._script:
            self.scripts.append(dict(attrs).get("type") or "code")

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script and self.scripts[-1] == "application/json":
            json.loads(data)
        elif not self._script:
            self.data += data


@pytest.mark.parametrize(("made_by", "codes"), [("run", 2), ("explain", 3)])
def test_pages_hold_no_element_that_data_made(
    folder: Path, made_by: str, codes: int, tmp_path: Path
) -> None:
    if made_by == "run":
        file = next((folder / "home" / "reports").glob("report-*.html"))
    else:
        file = tmp_path / "picture.html"
        assert finembed("explain", IMAGE, "--output", file) == 0
    page = Page(file.read_text(encoding="utf-8"))
    assert "img" not in page.tags and "iframe" not in page.tags
    assert not {name for name in page.attributes if name.startswith("on")}
    assert page.scripts.count("code") == codes, "plotly's and the page's own"
    assert "alert('a')" in page.data, "shown as text"


@given(st.text())
@hypothesis_settings(max_examples=50, deadline=None)
def test_a_title_is_text_to_a_page_and_a_terminal(text: str) -> None:
    page = Page(document(text, []))
    assert page.tags <= {"html", "head", "meta", "title", "style", "body"}
    from rich.text import Text

    shown = Text.from_markup(seen(text)).plain
    assert not set(shown) & {chr(code) for code in (*range(9), 27, 127, 0x9B, 0x202E)}


def test_nothing_is_written_elsewhere_and_nobody_else_may_write(folder: Path) -> None:
    given = {"finembed.yaml", "returns.csv", "values.csv", "funds.csv", "series.csv", "home"}
    assert {path.name for path in folder.iterdir()} == given
    for path in (folder / "home").rglob("*"):
        assert path.is_symlink() or not path.stat().st_mode & stat.S_IWOTH, path
        assert path.resolve().is_relative_to((folder / "home").resolve())
    assert not [p for p in (folder / "home" / "store").rglob("*") if set("'<[=*\n") & set(p.name)]


def test_no_variable_of_the_environment_is_kept(folder: Path) -> None:
    """Not in the store, the warehouse, the report, nor in Dagster's log of the run."""
    for path in files(folder):
        assert SECRET.encode() not in path.read_bytes(), path
        if path.suffix == ".parquet":
            assert SECRET not in pl.read_parquet(path).write_json(), path
    warehouse = folder / "home" / "warehouse.duckdb"
    for table in query(warehouse, "SHOW TABLES")["name"]:
        assert SECRET not in query(warehouse, f"FROM {identifier(table)}").write_json(), table
    assert any("dagster" in str(path) for path in files(folder / "home"))
