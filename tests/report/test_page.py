"""The page as text: what it holds, what it escapes, what it never asks for."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest

from finembed_core.errors import InputError, MissingPartError, WarehouseError
from finembed_core.files import clear_abandoned
from finembed_core.report import write_report
from finembed_core.report.render import written
from finembed_core.report.section import Chart, Column, Section, Table
from finembed_core.warehouse.query import query
from tests.report import study
from tests.report.study import NASTY, OTHER, RUN

MEGABYTE = 1_000_000


def own_text(html: str) -> str:
    """The page without plotly's code and its own."""
    return re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)


class Tables(HTMLParser):
    """Cells of every table: (text, value that it sorts by)."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[list[list[tuple[str, str | None]]]] = []
        self._value: str | None = None
        self._text: list[str] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tbody":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag == "td":
            self._value, self._text = dict(attrs).get("data-v"), []

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "td" and self._text is not None:
            self.tables[-1][-1].append(("".join(self._text), self._value))
            self._text = None


def blocks(sections: dict[str, Section]) -> list[Chart | Table]:
    return [block for section in sections.values() for block in section.blocks]


def test_the_page_loads_nothing_and_is_small(html: str) -> None:
    assert html.count("plotly.js v") == 1
    assert not re.search(r"<(script|link|img|iframe|object)[^>]*\s(src|href|data)=", html)
    assert "default-src 'none'" in html
    assert len(html.encode()) < 8 * MEGABYTE
    assert "url(" not in re.findall(r"<style>.*?</style>", html, re.DOTALL)[0]


def test_under_each_chart_and_table_lies_its_sql(html: str, sections: dict[str, Section]) -> None:
    shown = [unescape(sql) for sql in re.findall(r"<pre>(.*?)</pre>", own_text(html), re.DOTALL)]
    assert shown == [block.sql for block in blocks(sections)]


def test_every_cell_is_a_value_of_the_sql_on_the_page(html: str, full: Path) -> None:
    """Of the page alone: its SQL is asked again, and the cells above it are found in the answer."""
    for part in re.findall(r"<h3>.*?</pre>", own_text(html), re.DOTALL):
        sql = unescape(re.findall(r"<pre>(.*?)</pre>", part, re.DOTALL)[0])
        answer = query(full, sql)
        for rows in Tables(part).tables:
            assert len(rows) == answer.height
            numbers = [float(v) for row in rows for _, v in row if v is not None]
            known = [v for row in answer.rows() for v in row if isinstance(v, (int, float))]
            for number in numbers:
                assert any(abs(number - v) <= 1e-9 * max(1, abs(v)) for v in known), (sql, number)


def test_every_text_of_the_data_is_escaped(html: str) -> None:
    text = own_text(html)
    for raw in ("<b>R&D", "<i>note", "R&D</b>"):
        assert raw not in text, raw
    assert "&lt;i&gt;note&lt;/i&gt;" in text
    assert "&lt;b&gt;R&amp;D&lt;/b&gt;" in text
    assert "a &lt; b" in text
    assert html.count("</script>") == len(re.findall(r"<script", html))


def test_charts_travel_as_data_that_cannot_end_its_element(html: str) -> None:
    charts = re.findall(r'<script type="application/json" id="[\w-]+">(.*?)</script>', html)
    assert len(charts) >= 15
    for chart in charts:
        assert "<" not in chart and "&" not in chart
        assert set(json.loads(chart)) == {"data", "layout"}


def test_contents_lead_to_every_section(html: str, sections: dict[str, Section]) -> None:
    links = re.findall(r'<a href="#(\w+)">', html)
    assert links == list(sections)
    assert all(f'<section id="{name}"' in html for name in links)


def test_simulated_data_are_called_so(html: str) -> None:
    assert "Simulated data: no real fund is in these results." in html
    assert "simulated data</h1>" in html


def test_the_same_run_gives_the_same_bytes(full: Path, tmp_path: Path) -> None:
    first = write_report(full, tmp_path / "one").read_bytes()
    assert write_report(full, tmp_path / "two").read_bytes() == first
    left = sorted(file.name for file in (tmp_path / "one").iterdir())
    assert left == ["latest.html", f"report-{RUN}.html"]


def test_any_run_can_be_asked_for(full: Path, tmp_path: Path) -> None:
    file = write_report(full, tmp_path, OTHER, tmp_path / "mine.html")
    assert file == tmp_path / "mine.html"
    assert f"run {OTHER}" in file.read_text()


def test_the_link_to_the_latest_is_made_though_a_sweep_came_between(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary link has no lock: another run takes it for what a killed writer left."""
    link, swept = Path.symlink_to, []

    def linked(place: Path, target: str) -> None:
        link(place, target)
        if not swept:
            swept.append(place)
            clear_abandoned(place.parent)
            assert not place.is_symlink()

    monkeypatch.setattr(Path, "symlink_to", linked)
    file = write_report(full, tmp_path)
    assert swept and (tmp_path / "latest.html").resolve() == file


def test_an_unknown_run_is_named_with_the_newest(full: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no run 'x'") as raised:
        write_report(full, tmp_path, "x")
    assert "table runs, 2 of them" in str(raised.value)
    assert f"{RUN}, {OTHER}" in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_no_warehouse_and_no_run_are_said(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="there is no warehouse yet"):
        write_report(tmp_path / "none.duckdb", tmp_path)
    path = study.warehouse(tmp_path)
    with duckdb.connect(str(path)) as opened:
        opened.execute("DELETE FROM runs")
    with pytest.raises(MissingPartError, match="no run yet"):
        write_report(path, tmp_path)


def test_a_folder_that_is_a_file_is_a_mistake_that_is_explained(full: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(InputError, match="the report cannot be written"):
        write_report(full, tmp_path / "taken")


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (-0.0001, Column("", ".1%"), "0.0%"),
        (-0.0001, Column("", "+.1%"), "+0.0%"),
        (0.12346, Column(""), "0.1235"),
        (12345, Column(""), "12,345"),
        (2017, Column("", "d"), "2017"),
        (True, Column(""), "yes"),
        ("sell", Column("", names={"sell": "redeem"}), "redeem"),
        (NASTY, Column("", names={"sell": "redeem"}), NASTY),
    ],
)
def test_values_are_written_with_sensible_digits(value: object, column: Column, text: str) -> None:
    assert written(value, column) == text


def test_a_report_lives_as_long_as_its_run(tmp_path: Path) -> None:
    path = study.warehouse(tmp_path)
    folder = tmp_path / "reports"
    newest = write_report(path, folder)
    older = write_report(path, folder, study.OTHER)
    gone, kept = folder / f"report-{'c' * 16}.html", folder / "report-of-mine.html"
    for file in (gone, kept):
        file.write_text("x")
    write_report(path, folder, study.OTHER)
    assert not gone.exists() and kept.exists() and older.exists()
    assert (folder / "latest.html").resolve() == newest.resolve()
    write_report(path, folder, output=tmp_path / "mine.html")
    assert sorted(f.name for f in folder.iterdir()) == sorted(
        [newest.name, older.name, kept.name, "latest.html"]
    )
