"""Frames as tables in a terminal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import polars as pl
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from finembed_core.report.statistics import HEADLINE, STATISTICS
from finembed_dagster.cli.texts import seen

FLOAT = ".4g"
UNLIMITED = 10_000
NO_STYLES: Mapping[str, str] = {}


def show(
    console: Console,
    frame: pl.DataFrame,
    title: str | None = None,
    styles: Mapping[str, str] = NO_STYLES,
) -> None:
    """Print a frame: numbers to the right, by the formats in `styles` or to four digits."""
    table = Table(title=title and seen(title), header_style="bold", box=box.SIMPLE_HEAD)
    for name, kind in frame.schema.items():
        table.add_column(seen(name), justify="right" if kind.is_numeric() else "left")
    for row in frame.iter_rows(named=True):
        table.add_row(*(_cell(value, styles.get(name, FLOAT)) for name, value in row.items()))
    print_whole(console, table)


def show_leaderboard(console: Console, leaderboard: pl.DataFrame) -> None:
    """Print the strategies that ran."""
    ran = leaderboard.filter(pl.col("status") == "run")
    months = "" if ran.is_empty() else f", {ran['first_month'].min()} to {ran['last_month'].max()}"
    kind = "simulated data, " if leaderboard["simulated"].any() else ""
    labels = {name: STATISTICS[name][0] for name in HEADLINE}
    show(
        console,
        ran.select("strategy", *HEADLINE, "verdict").rename(labels),
        title=f"{kind}net of costs{months}",
        styles={labels[name]: STATISTICS[name][1] for name in HEADLINE},
    )


def show_notes(console: Console, notes: Iterable[str]) -> None:
    """Print what to know before believing the numbers, each once."""
    for note in dict.fromkeys(notes):
        console.print(f"[yellow]note:[/] {seen(note)}", soft_wrap=True)


def unbounded(console: Console, table: Table) -> Measurement:
    """Least and greatest width that a table would take if there were room without end."""
    return Measurement.get(console, console.options.update(max_width=UNLIMITED), table)


def print_whole(console: Console, table: Table) -> None:
    """Print no column narrower than its cells: a wide table runs over the edge."""
    width = unbounded(console, table).maximum
    Console(file=console.file, width=max(width, console.width)).print(table)


def _cell(value: object, style: str) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return format(value, style)
    if isinstance(value, dt.date):
        return value.isoformat()
    return seen(str(value))
