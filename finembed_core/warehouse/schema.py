"""The warehouse's schema, read back from the SQL that makes it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb

HERE = Path(__file__).parent


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


def schema_sql() -> str:
    """Statements that make the tables, then the views."""
    return "\n".join((HERE / name).read_text() for name in ("schema.sql", "views.sql"))


@cache
def warehouse_schema() -> dict[str, Table]:
    """Tables and views by name, in the order of the SQL files."""
    with duckdb.connect() as connection:
        connection.execute(schema_sql())
        return _catalog(connection)


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
