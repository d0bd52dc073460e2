"""The warehouse's schema, read back from the SQL that makes it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb

from finembed_core.settings import EmbeddingsSettings

HERE = Path(__file__).parent
SIZE = EmbeddingsSettings().size


@dataclass(frozen=True)
class Column:
    """One column: name, DuckDB type, whether it may be NULL, what it means."""

    name: str
    type: str
    nullable: bool
    comment: str


@dataclass(frozen=True)
class Table:
    """One table or view: columns, key (also the order of its rows; views have none), rules."""

    name: str
    comment: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    is_view: bool
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Macro:
    """A query with parameters, asked as ``FROM name(parameters)``."""

    name: str
    parameters: tuple[str, ...]
    comment: str


def schema_sql(size: int = SIZE) -> str:
    """Statements that make the tables, then the views, for embeddings of so many numbers."""
    text = {
        name: (HERE / name).read_text() for name in ("schema.sql", "embeddings.sql", "views.sql")
    }
    text["embeddings.sql"] = text["embeddings.sql"].replace("{size}", str(size))
    return "\n".join(text.values())


@cache
def warehouse_schema(size: int = SIZE) -> dict[str, Table]:
    """Tables and views by name, in the order of the SQL files."""
    with duckdb.connect() as connection:
        connection.execute(schema_sql(size))
        return _catalog(connection)


@cache
def warehouse_macros() -> tuple[Macro, ...]:
    """Queries with parameters, by name."""
    with duckdb.connect() as connection:
        connection.execute(schema_sql())
        found = connection.execute(
            "SELECT function_name, parameters, comment FROM duckdb_functions()"
            " WHERE NOT internal ORDER BY function_name"
        ).fetchall()
    return tuple(Macro(name, tuple(given), comment or "") for name, given, comment in found)


def _catalog(connection: duckdb.DuckDBPyConnection) -> dict[str, Table]:
    columns: dict[str, list[Column]] = {}
    for table, name, kind, nullable, comment in connection.execute(
        "SELECT table_name, column_name, data_type, is_nullable, comment FROM duckdb_columns()"
        " WHERE NOT internal ORDER BY table_oid, column_index"
    ).fetchall():
        columns.setdefault(table, []).append(Column(name, kind, nullable, comment or ""))
    keys = dict(
        connection.execute(
            "SELECT table_name, constraint_column_names FROM duckdb_constraints()"
            " WHERE constraint_type IN ('PRIMARY KEY', 'UNIQUE')"
        ).fetchall()
    )
    described = connection.execute(
        "SELECT table_name, comment, false FROM duckdb_tables()"
        " UNION ALL SELECT view_name, comment, true FROM duckdb_views() WHERE NOT internal"
    ).fetchall()
    details = {name: (comment or "", is_view) for name, comment, is_view in described}
    rules: dict[str, list[str]] = {}
    for table, rule in connection.execute(
        "SELECT table_name, expression FROM duckdb_constraints()"
        " WHERE constraint_type = 'CHECK' ORDER BY table_oid, constraint_index"
    ).fetchall():
        rules.setdefault(table, []).append(rule[1:-1])  # without the parentheses around it
    return {
        name: Table(
            name,
            details[name][0],
            tuple(own),
            tuple(keys.get(name, ())),
            details[name][1],
            tuple(rules.get(name, ())),
        )
        for name, own in columns.items()
    }
