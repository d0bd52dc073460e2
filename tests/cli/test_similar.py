"""`finembed similar` as a person uses it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from finembed_core.home import Home
from finembed_core.settings import Settings
from finembed_core.warehouse.publish import publish
from finembed_core.warehouse.query import query
from tests.report.browser import Browser
from tests.study_runs import finembed, store_bytes
from tests.warehouse.fake_embeddings import DATES, SEEDS, rewrite, write_embeddings
from tests.warehouse.fake_store import fake_store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with embeddings; never written to by a test."""
    home = Home(tmp_path_factory.mktemp("made") / "home").open()
    publish(fake_store(home.root / "store"), home.warehouse, Settings())
    return home.root


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, named by the variable; the current folder is empty."""
    copy = Path(shutil.copytree(made, tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("FINEMBED_HOME", str(copy))
    monkeypatch.delenv("FINEMBED_SETTINGS", raising=False)
    return copy


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_the_nearest_are_those_of_the_vectors(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = Home(home).store.read("embeddings", "2000-11").filter(pl.col("seed") == SEEDS[0])
    unit = vectors["vector"].to_numpy().astype(float)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    nearest = vectors["fund_id"].to_list()[np.argsort(unit @ unit[3])[-2]]  # the last is itself
    assert finembed("similar", "D3", "--date", "2000-12-15", "--count", "4") == 0
    found = lines(capsys)
    assert found[0] == "D3, Daily D3, 2000-11-30"
    assert found[1] == "iTransformer, multi-modal, 3 seeds, retrained 2000-10-02"
    assert found[2].startswith("4 of the 4 nearest are in its category, Category 03; of all other")
    rows = [line.split() for line in found if re.match(r"^ +D\d+ ", line)]
    assert len(rows) == 4 and rows[0][0] == nearest
    assert float(rows[0][6]) <= float(rows[0][5]) <= float(rows[0][7])
    assert any(line.startswith("note: similar is what looks alike") for line in found)
    assert found[-1] == "picture   add --output FILE.html"


@pytest.mark.parametrize("called", ["d3", " D3 ", "daily d3"])
def test_a_fund_is_found_by_its_name_and_in_any_case(
    home: Path, capsys: pytest.CaptureFixture[str], called: str
) -> None:
    assert finembed("similar", called) == 0
    assert lines(capsys)[0] == "D3, Daily D3, 2000-12-29"


def test_without_a_date_the_last_that_the_fund_has_is_shown(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finembed("similar", "D0") == 0
    assert lines(capsys)[0] == "D0, Daily D0, 2000-11-30"


def test_the_sql_gives_the_same_answer(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finembed("similar", "D3", "--count", "3", "--sql") == 0
    sql = capsys.readouterr().out
    frame = query(home / "warehouse.duckdb", sql)
    assert finembed("similar", "D3", "--count", "3") == 0
    rows = [line.split()[0] for line in lines(capsys) if re.match(r"^ +D\d+ ", line)]
    assert rows == frame["fund_id"].to_list() and len(rows) == 3


def test_an_id_that_is_sql_is_only_a_name(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nasty = "x' OR '1'='1"
    store = Home(home).store
    for table in ("daily_funds", "embeddings"):
        for key in store.keys(table):
            renamed = pl.col("fund_id").replace("D3", nasty)
            rewrite(store, table, key, store.read(table, key).with_columns(renamed))
    publish(store, home / "warehouse.duckdb", Settings())
    assert finembed("similar", nasty, "--output", "nasty.html") == 0
    assert lines(capsys)[0].startswith(nasty)
    assert finembed("similar", nasty, "--sql") == 0
    assert query(home / "warehouse.duckdb", capsys.readouterr().out).height == 10
    assert finembed("similar", "'; DROP TABLE embeddings; --") == 2


def test_one_seed_says_that_nothing_is_known_of_luck(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Home(home).store
    write_embeddings(store, n=6, seeds=(1,))
    publish(store, home / "warehouse.duckdb", Settings())
    assert finembed("similar", "D3") == 0
    out = capsys.readouterr().out
    assert "1 seed," in out and "note: one seed: nothing says" in out
    assert "note: no more than 4 other funds have an embedding on 2000-12-29" in out


def test_the_picture_marks_the_fund_and_loads_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = store_bytes(home)
    assert finembed("similar", "D3", "--output", "map.html") == 0
    assert lines(capsys)[-1] == "picture   map.html"
    page = Path("map.html").read_text()
    assert page.count("plotly.js v") == 1
    assert not re.search(r"""<(script|link|img)[^>]*(src|href)=""", page)
    assert store_bytes(home) == before
    with Browser(tmp_path / "profile") as browser:
        for width in (1280, 390):
            browser.open(Path("map.html"), width)
            assert browser.complaints == [] and len(browser.requests) == 1
            assert browser.ask("document.documentElement.scrollWidth") <= width
            data = "document.querySelector('.plot')._fullData"
            points = f"{data}.map(trace => [trace.name, trace._length])"
            drawn = dict(browser.ask(points))
            assert drawn["the fund"] == 1 and drawn["nearest"] == 10
            assert browser.ask("document.querySelectorAll('.plot .points path').length") == 24 + 11


def test_help_teaches_by_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert finembed("similar", "--help") == 0
    out = capsys.readouterr().out
    assert "finembed similar AAPL --date 2015-06-30 --output map.html" in out
    assert "docs/similar.md" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["D777"], ["no fund is called 'D777'", "D7 = Daily D7", "from daily_funds"]),
        (["D3", "--date", "1999-01-01"], ["no embeddings by 1999-01-01", "2000-10-31 or later"]),
        (
            ["D0", "--date", "2001-01-01"],
            ["D0 has no embedding on 2000-12-29", "too few days of the look", "ask for 2000-11-30"],
        ),
        (["D3", "--date", "May"], ["--date", "YYYY-MM-DD"]),
        (["D3", "--count", "0"], ["--count", "from 1 on"]),
        (["D3", "--output", "map.png"], ["map.png", ".html"]),
        (["D3", "--output", "nowhere/map.html"], ["cannot be written", "choose a folder"]),
        (["D3", "--home", "typo"], ["there is no home folder yet"]),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    assert finembed("similar", *arguments) == 2
    said = capsys.readouterr()
    assert all(word in said.err for word in words), said.err
    assert "Traceback" not in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("missing", "asked", "words"),
    [
        (["2000-11", "2000-12"], "2000-11-30", "ask for 2000-10-31, the last date before"),
        (["2000-11"], "2000-11-30", "ask for 2000-10-31, the last date before"),
        (["2000-10"], "2000-11-15", "ask for 2000-11-30, the first date"),
    ],
)
def test_a_gap_is_answered_with_a_date_that_the_fund_has(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    missing: list[str],
    asked: str,
    words: str,
) -> None:
    store = Home(home).store
    for key in missing:
        frame = store.read("embeddings", key)
        rewrite(store, "embeddings", key, frame.filter(pl.col("fund_id") != "D5"))
    publish(store, home / "warehouse.duckdb", Settings())
    assert finembed("similar", "D5", "--date", asked) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_the_reason_is_that_of_the_very_date(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too young once, it fell silent later: an old reason is not the one of this date."""
    store = Home(home).store
    frame = store.read("embeddings", "2000-12")
    rewrite(store, "embeddings", "2000-12", frame.filter(pl.col("fund_id") != "D5"))
    old = {"date": [DATES[0]], "fund_id": ["D5"], "reason": ["too_short"]}
    rows = pl.concat([store.read("embedding_exclusions", "2000-12"), pl.DataFrame(old)])
    rewrite(store, "embedding_exclusions", "2000-12", rows)
    publish(store, home / "warehouse.duckdb", Settings())
    assert finembed("similar", "D5", "--date", "2000-12-29") == 2
    said = capsys.readouterr().err
    assert "no reason is recorded" in said and "look-back" not in said


@pytest.mark.parametrize("how", ["empty", "older version"])
def test_a_home_without_embeddings_says_what_they_need(
    home: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        if how == "empty":
            connection.execute("DELETE FROM embeddings")
        else:
            connection.execute("DROP VIEW latest_embeddings")
            connection.execute("DROP TABLE embeddings")
    assert finembed("similar", "D3") == 2
    message = capsys.readouterr().err
    assert "this home has no embeddings" in message and "finembed run" in message
