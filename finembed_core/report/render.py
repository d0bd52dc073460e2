"""Sections as HTML. Every text that comes from data is escaped here or by the chart's maker."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from finembed_core.report.page import document, notes, scripts
from finembed_core.report.run import Run
from finembed_core.report.section import Chart, Column, Section, Table

LONG = 40  # characters from which a text may be broken into lines
TALL = 25  # rows from which a table scrolls within itself
SHAPES = {
    "circle": '<circle cx="6" cy="6" r="5"/>',
    "circle-open": '<circle cx="6" cy="6" r="4.5" fill="none"/>',
    "diamond": '<path d="M6 0l6 6-6 6-6-6z"/>',
    "square": '<path d="M1 1h10v10H1z"/>',
    "star": '<path d="M6 0l1.5 4.2H12L8.4 7l1.3 4.4L6 8.8l-3.7 2.6L3.6 7 0 4.2h4.5z"/>',
    "x": '<path d="M2 2l8 8M10 2l-8 8" stroke-width="3"/>',
}
"""What plotly calls the marks of a point, 12 pixels wide."""
PAINT = 'fill="{0}" stroke="{0}"'
DASHES = {"dash": "7 4", "dot": "2 3", "dashdot": "7 3 2 3"}


def page(run: Run, sections: Sequence[tuple[str, Section]]) -> str:
    """HTML of a whole report.

    Parameters
    ----------
    run : Run
    sections : sequence of (str, Section)
        With the name by which the address of each ends.
    """
    kind = ", simulated data" if run.simulated else ""
    title = f"{run.dataset}: backtest report{kind}"
    warning = '<p class="simulated">Simulated data: no real fund is in these results.</p>'
    parts = [
        f"<header><h1>{escape(title)}</h1>",
        f'<p class="facts">{escape(run.span)}, net of costs, run {escape(run.run_id)}</p>',
        warning if run.simulated else "",
        "</header>",
        _contents(sections),
        "<main>",
        *(_section(slug, section, run) for slug, section in sections),
        "</main>",
        "<footer>Every chart and table shows the answer of the SQL that lies folded under it; "
        "<code>finembed query</code> asks it again. What each section means and what to distrust: "
        "docs/report.md of finembed.</footer>",
        *scripts(),
    ]
    return document(f"{title}, run {run.run_id}", parts, "report")


def _contents(sections: Sequence[tuple[str, Section]]) -> str:
    items = "".join(
        f'<li{_if_absent(section)}><a href="#{slug}">{escape(section.title)}</a></li>'
        for slug, section in sections
    )
    return f"<nav><details open><summary>Contents</summary><ol>{items}</ol></details></nav>"


def _if_absent(section: Section) -> str:
    return "" if section.blocks else ' class="absent"'


def _section(slug: str, section: Section, run: Run) -> str:
    facts = "".join(f"<li>{escape(fact)}</li>" for fact in section.facts)
    warnings = notes(run.warnings) if slug == "verdict" else ""
    blocks = "".join(block(f"{slug}-{k}", own) for k, own in enumerate(section.blocks, start=1))
    said = f'<ul class="said">{facts}</ul>' if facts else ""
    return (
        f'<section id="{slug}"{_if_absent(section)}><h2>{escape(section.title)}</h2>'
        f'<p class="lead">{escape(section.lead)}</p>{said}{warnings}{blocks}</section>'
    )


def block(name: str, shown: Chart | Table) -> str:
    """A chart or table under its caption, its SQL folded away below; `name` is unique on a page."""
    inside = "".join(_chart(name, shown)) if isinstance(shown, Chart) else table(shown)
    return (
        f"<h3>{escape(shown.caption)}</h3>{inside}"
        f'<details class="sql"><summary>SQL</summary><pre>{escape(shown.sql)}</pre></details>'
    )


def _chart(name: str, chart: Chart) -> Iterator[str]:
    yield "<figure>"
    yield _legend(chart.figures)
    yield '<div class="side">' if len(chart.figures) > 1 else ""
    for k, (heading, figure) in enumerate(chart.figures):
        data = f"{name}-{k}-data"
        # The height stands beforehand, so that the page does not jump while it is drawn.
        size = f'style="height:{figure.layout.height}px;min-width:{chart.least}px"'
        spoken = escape(f"{chart.caption} {heading}".strip())
        yield f'<div class="scroll">{f"<h4>{escape(heading)}</h4>" if heading else ""}'
        yield (
            f'<div class="plot" id="{name}-{k}" data-from="{data}" role="img" '
            f'aria-label="{spoken}" {size}></div></div>'
            f'<script type="application/json" id="{data}">{_json(figure)}</script>'
        )
    yield "</div>" if len(chart.figures) > 1 else ""
    yield "</figure>"


def _json(figure: go.Figure) -> str:
    """A figure that stands inside a script element: no text of it can end that element."""
    text = str(figure.to_json())
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _legend(figures: Sequence[tuple[str, go.Figure]]) -> str:
    """A button per named line; names stand escaped in the figures."""
    entries: dict[str, str] = {}
    for _, figure in figures:
        traces: Any = figure.data  # plotly's own types do not tell the traces apart
        for trace in traces:
            if trace.name and trace.showlegend is not False:
                entries.setdefault(trace.name, _swatch(trace))
    if len(entries) < 2:
        return ""
    items = "".join(  # escaped once more in the attribute: the script reads the figure's name back
        f'<li><button type="button" aria-pressed="true" data-trace="{escape(name)}">'
        f"{swatch}{name}</button></li>"
        for name, swatch in reversed(entries.items())
    )
    return f'<ul class="legend">{items}</ul>'


def _swatch(trace: Any) -> str:
    if trace.type == "bar" or trace.mode == "markers":
        symbol = "circle" if trace.type == "bar" else trace.marker.symbol or "circle"
        shape = SHAPES[symbol]
        return f'<svg width="12" height="12" {PAINT.format(trace.marker.color)}>{shape}</svg>'
    dash = DASHES.get(trace.line.dash or "", "")
    width = min(trace.line.width or 2, 4)
    return (
        '<svg width="26" height="8"><path d="M0 4h26" '
        f'stroke="{trace.line.color}" stroke-width="{width}" stroke-dasharray="{dash}"/></svg>'
    )


def table(block: Table) -> str:
    """A table that sorts by its heads and scrolls within itself."""
    numeric = {
        name: block.frame.schema[name].is_numeric() and not column.names
        for name, column in block.columns.items()
    }
    head = "".join(
        f'<th scope="col"{" class=n" if numeric[name] else ""}>'
        f'<button type="button">{escape(column.title)}</button></th>'
        for name, column in block.columns.items()
    )
    body = "".join(
        f"<tr>{''.join(_cell(row[n], c, numeric[n]) for n, c in block.columns.items())}</tr>"
        for row in block.frame.select(list(block.columns)).iter_rows(named=True)
    )
    if block.frame.is_empty():
        return '<p class="none">None.</p>'
    tall = " tall" if block.frame.height > TALL else ""
    return (
        f'<div class="scroll{tall}" tabindex="0" role="region" '
        f'aria-label="{escape(block.caption)}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(value: object, column: Column, numeric: bool) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return '<td class="n"></td>' if numeric else "<td></td>"
    text = escape(written(value, column))
    if isinstance(value, (int, float)) and numeric:
        return f'<td class="n" data-v="{value!r}">{text}</td>'
    if isinstance(value, dt.date):
        return f'<td class="date">{text}</td>'
    return f'<td class="long">{text}</td>' if len(text) > LONG else f"<td>{text}</td>"


def written(value: object, column: Column) -> str:
    """A value as the column writes it."""
    if isinstance(value, str):
        return column.names.get(value, value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dt.date):
        return format(value, column.style or "%Y-%m-%d")
    if isinstance(value, int):
        return format(value, column.style or ",")
    if isinstance(value, float):
        return _nonnegative_zero(value, column.style or ".4g")
    return str(value)


def _nonnegative_zero(value: float, style: str) -> str:
    """What rounds to 0 has no sign of its own."""
    sign = style[:1] if style.startswith("+") else ""
    return format(value, f"{sign}z{style.removeprefix(sign)}")
