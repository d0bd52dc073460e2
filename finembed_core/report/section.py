"""What the report is made of: a section holds charts and tables, each with the SQL it shows.

Nothing on the page is computed after the SQL: a chart draws, and a table writes, the columns of the
answer. Whoever runs the SQL that lies folded under it finds the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import duckdb
import plotly.graph_objects as go
import polars as pl

from finembed_core.report.run import Run
from finembed_core.warehouse.quoting import identifier, literal

NO_NAMES: Mapping[str, str] = {}


@dataclass(frozen=True)
class Column:
    """How a column of an answer is written.

    Attributes
    ----------
    title : str
    style : str
        Format of a number or a date; text and whole numbers need none.
    names : mapping of str to str
        Readable text for codes; a code that is not in it stands as it is.
    """

    title: str
    style: str = ""
    names: Mapping[str, str] = field(default_factory=lambda: NO_NAMES)


@dataclass(frozen=True)
class Table:
    """An answer as rows and columns.

    Attributes
    ----------
    caption : str
    sql : str
    frame : DataFrame
        Answer of the SQL.
    columns : mapping of str to Column
        Those that are shown, in their order.
    """

    caption: str
    sql: str
    frame: pl.DataFrame
    columns: Mapping[str, Column]


@dataclass(frozen=True)
class Chart:
    """An answer as one picture, or as several alike that stand side by side.

    Attributes
    ----------
    caption : str
        Also what a reader who does not see the picture is told.
    sql : str
    frame : DataFrame
        Answer of the SQL; every number that is drawn stands in it.
    figures : tuple of (str, Figure)
        With the heading of each, empty where there is one.
    least : int
        Pixels below which a narrow screen scrolls the picture instead of squeezing it.
    """

    caption: str
    sql: str
    frame: pl.DataFrame
    figures: tuple[tuple[str, go.Figure], ...]
    least: int = 0


@dataclass(frozen=True)
class Section:
    """One question that an allocator asks.

    Attributes
    ----------
    title : str
    lead : str
        One sentence: what one sees and what to distrust; or why there is nothing to see.
    blocks : sequence of Table or Chart
    facts : sequence of str
        Sentences with the numbers that matter most, said before the charts.
    """

    title: str
    lead: str
    blocks: Sequence[Table | Chart] = ()
    facts: Sequence[str] = ()


MakeSection: TypeAlias = "Callable[[duckdb.DuckDBPyConnection, Run], Section]"
"""In quotes: evaluated, it would outlive DuckDB, which complains at every exit."""


def rows_of(connection: duckdb.DuckDBPyConnection, table: str, run: Run) -> str:
    """Why a table has nothing about a run, or an empty string where it has.

    Tables differ between versions of the warehouse, so the first question is whether it is there.
    """
    if not _is_there(connection, table):
        return f"this warehouse has no table {table}"
    found = connection.execute(
        f"SELECT 1 FROM {identifier(table)} WHERE run_id = ? LIMIT 1", [run.run_id]
    ).fetchall()
    return "" if found else f"table {table} holds nothing about this run"


def rows_in(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """Why a table that is of no run has nothing to show, or an empty string where it has."""
    if not _is_there(connection, table):
        return f"this warehouse has no table {table}"
    found = connection.execute(f"SELECT 1 FROM {identifier(table)} LIMIT 1").fetchall()
    return "" if found else f"table {table} is empty"


def _is_there(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    named = "SELECT 1 FROM duckdb_tables() WHERE table_name = ?"
    return bool(connection.execute(named, [table]).fetchall())


def absent(title: str, reason: str) -> Section:
    """A section that can only say why it is empty."""
    return Section(title, f"Absent: {reason}.")


def literals(texts: Iterable[str]) -> str:
    """Texts as they stand between the parentheses of ``IN (...)``."""
    return ", ".join(map(literal, texts))
