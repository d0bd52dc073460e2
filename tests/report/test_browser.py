"""The page in headless Chromium, with the network cut, on a desk and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest

from finembed_core.report import write_report
from tests.report.browser import Browser
from tests.report.study import NASTY

WIDTHS = (390, 1280)
CHARTS = "[...document.querySelectorAll('.plot')]"
COLUMN = "[...{table}.tBodies[0].rows].map(row => row.cells[{k}].innerText)"
TABLE = "document.querySelector('#verdict table')"


@pytest.fixture(scope="module")
def file(html: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


@pytest.mark.parametrize("width", WIDTHS)
def test_it_loads_without_a_network_and_without_a_complaint(
    browser: Browser, file: Path, width: int
) -> None:
    browser.open(file, width)
    assert browser.complaints == []
    asked = {url.partition(":")[0] for url in browser.requests}
    assert asked <= {"file", "data"}
    assert [url for url in browser.requests if url.startswith("file")] == [file.resolve().as_uri()]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_chart_is_drawn_within_the_page(browser: Browser, file: Path, width: int) -> None:
    browser.open(file, width)
    drawn = browser.ask(
        f"{CHARTS}.map(plot => [plot.id, plot.querySelectorAll('.trace, .hm image, .hm, .bars')"
        ".length, plot.querySelector('.main-svg')?.getBoundingClientRect().width ?? 0])"
    )
    assert len(drawn) >= 15
    for name, traces, wide in drawn:
        assert traces > 0, name
        assert wide > 150, name
    assert browser.ask("document.documentElement.scrollWidth") <= width


def test_a_phone_shows_one_column_and_a_desk_two(browser: Browser, file: Path) -> None:
    columns = (
        "new Set([...document.querySelectorAll('#reliability .side > div')]"
        ".map(one => Math.round(one.getBoundingClientRect().left))).size"
    )
    found = []
    for width in WIDTHS:
        browser.open(file, width)
        found.append(browser.ask(columns))
    assert found == [1, 2]


def test_tables_scroll_within_themselves_on_a_phone(browser: Browser, file: Path) -> None:
    browser.open(file, 390)
    around = "document.querySelector('#verdict .scroll')"
    assert browser.ask(f"{around}.scrollWidth") > browser.ask(f"{around}.clientWidth")
    assert browser.ask("document.querySelector('nav details').open") is False


def test_a_click_sorts_by_value_and_another_turns_it_around(browser: Browser, file: Path) -> None:
    browser.open(file, 1280)
    button = f"{TABLE}.tHead.rows[0].cells[3].querySelector('button')"
    values = f"[...{TABLE}.tBodies[0].rows].map(row => Number(row.cells[3].dataset.v))"
    browser.ask(f"{button}.click()")
    up = browser.ask(values)
    assert up == sorted(up) and len(set(up)) > 1
    assert browser.ask(f"{button}.closest('th').getAttribute('aria-sort')") == "ascending"
    browser.ask(f"{button}.click()")
    assert browser.ask(values) == up[::-1]


def test_the_keyboard_sorts_too(browser: Browser, file: Path) -> None:
    browser.open(file, 1280)
    browser.ask(f"{TABLE}.tHead.rows[0].cells[0].querySelector('button').focus()")
    browser.press("Enter")
    names = browser.ask(COLUMN.format(table=TABLE, k=0))
    assert names == sorted(names)
    browser.press(" ")
    assert browser.ask(COLUMN.format(table=TABLE, k=0)) == names[::-1]


def test_empty_cells_stay_below(browser: Browser, file: Path) -> None:
    browser.open(file, 1280)
    table = "document.querySelector('#significance table')"
    for _ in range(2):
        browser.ask(f"{table}.tHead.rows[0].cells[3].querySelector('button').click()")
        assert browser.ask(COLUMN.format(table=table, k=3))[-1] == ""


def test_the_legend_hides_a_line(browser: Browser, file: Path) -> None:
    browser.open(file, 1280)
    button = "document.querySelector('#wealth .legend button')"
    name = browser.ask(f"{button}.dataset.trace")
    visible = f"{CHARTS}[0].data.find(trace => trace.name === {name!r}).visible"
    browser.ask(f"{button}.click()")
    assert browser.ask(visible) is False
    browser.ask(f"{button}.click()")
    assert browser.ask(visible) is True


def test_text_of_the_data_makes_no_elements(browser: Browser, file: Path) -> None:
    browser.open(file, 1280)
    assert browser.ask("document.querySelectorAll('main b, main i').length") == 0
    assert NASTY in browser.ask("document.querySelector('h1').innerText")


def test_the_sql_is_folded_away_until_it_is_asked_for(browser: Browser, file: Path) -> None:
    browser.open(file, 1280)
    details = "[...document.querySelectorAll('details.sql')]"
    assert browser.ask(f"{details}.some(one => one.open)") is False
    browser.ask(f"{details}[0].querySelector('summary').click()")
    assert browser.ask(f"{details}[0].querySelector('pre').getBoundingClientRect().height") > 50


def test_it_prints(browser: Browser, file: Path, tmp_path: Path) -> None:
    """Pages, and afterwards the charts fill the window again."""
    browser.open(file, 1280)
    wide = f"{CHARTS}[0].querySelector('.main-svg').getBoundingClientRect().width"
    before = browser.ask(wide)
    browser.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert browser.ask(wide) == pytest.approx(before, abs=2)
    assert browser.complaints == []


def test_the_small_study_as_the_command_line_left_it(
    browser: Browser, finished_study: Path, tmp_path: Path
) -> None:
    home = finished_study / "home"
    [left] = (home / "reports").glob("report-*.html")
    assert write_report(home / "warehouse.duckdb", tmp_path).read_bytes() == left.read_bytes()
    browser.open(left, 1280)
    assert browser.complaints == []
    assert browser.ask("document.querySelectorAll('.plot .main-svg').length") > 0
    said = browser.ask("document.querySelector('#verdict').innerText")
    assert any(word in said for word in ("Indistinguishable", "Too few months", "is not known"))
