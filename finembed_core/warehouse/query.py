"""Ask the warehouse: read-only SQL that can reach nothing but the warehouse, and exports."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import cast

import duckdb
import polars as pl
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType
from polars import selectors as cs

from finembed_core.errors import WarehouseError
from finembed_core.files import written_whole
from finembed_core.warehouse.quoting import identifier, literal
from finembed_core.warehouse.sources import PAIRS

LIST_SEPARATOR = "|"
INTEGERS = {f"{sign}{size}int" for sign in ("", "u") for size in ("tiny", "small", "big", "huge")}
STAMPS = {"date", "time", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"}
PLAIN = {"boolean", "integer", "uinteger", "float", "double", "decimal", "varchar", "uuid", "enum"}
PLAIN |= INTEGERS | STAMPS | {"timestamp with time zone"}
"""Types that a frame and a CSV file can hold; a value of any other is shown as DuckDB writes it."""
MOST_BYTES = 4 * 2**30
"""Size from which an answer is refused: it lies in memory before it is written or shown."""
EXPLAIN = re.compile(r"^\s*explain\s+(analyze\s+)?(\((format|analyze)[^()]*\)\s*)?", re.IGNORECASE)
COMMENT = duckdb.token_type.comment
SQL_IN_JSON = "JSON_EXECUTE_SERIALIZED_SQL"  # as a plan names it
SQL_IN_TEXT = """
    SELECT name FROM (
        SELECT view_name AS name, sql FROM duckdb_views() WHERE NOT internal
        UNION ALL
        SELECT function_name, macro_definition FROM duckdb_functions() WHERE NOT internal
    ) WHERE regexp_matches(sql, '(json_execute_serialized_sql|query)"?\\s*\\(', 'i') ORDER BY name
"""
"""Views and macros that run a text as SQL, which could write where files may be read."""
HARMLESS = {
    "temp_directory": "",  # or what does not fit into memory would go to the current folder
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
    "lock_configuration": True,
}
"""Set once the warehouse is attached; nothing of it can be undone."""


@contextmanager
def reading(path: Path, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can only read this warehouse: no other file, no setting, no variable.

    The files of pair statistics, which a view of it reads, belong to it.

    The file is attached to an instance of its own, so that every call sees the file that stands
    under `path` now, also while another connection of this process holds a replaced one.

    Parameters
    ----------
    path : Path
        The DuckDB file.
    threads : int, optional
        With one, sums are taken in one order: the same answer to the last digit every time.

    Raises
    ------
    WarehouseError
        There is no warehouse at `path`, or it cannot be read.
    """
    if not path.exists():
        raise WarehouseError(
            "there is no warehouse yet",
            where=str(path),
            remedy="make one with `finembed run`, or `finembed demo`",
        )
    with duckdb.connect() as connection:
        try:
            connection.execute("SET enable_progress_bar = false")
            if threads is not None:
                connection.execute("SET threads = $1", [threads])
            connection.execute(f"ATTACH {literal(path)} AS warehouse (READ_ONLY)")
            connection.execute("USE warehouse")
            folders = connection.execute(
                "SELECT pairs_folder FROM publication WHERE pairs_folder IS NOT NULL"
            ).fetchall()
            hidden = connection.execute(SQL_IN_TEXT).fetchall()
        except duckdb.Error as error:
            raise _refused(path, f"the warehouse cannot be opened: {_first_line(error)}") from None
        if any(Path(folder).name != PAIRS for (folder,) in folders):
            raise _refused(
                path, f"the warehouse names another folder than {PAIRS}: finembed did not make it"
            )
        if hidden:
            raise _refused(
                path, f"{hidden[0][0]!r} of the warehouse hides SQL: finembed did not make it"
            )
        connection.execute("SET allowed_directories = $1", [[folder for (folder,) in folders]])
        for name, value in HARMLESS.items():
            connection.execute(f"SET {name} = $1", [value])
        yield connection


def _refused(path: Path, what: str) -> WarehouseError:
    return WarehouseError(
        what,
        where=str(path),
        remedy="delete the file and publish again: everything in it is in the store",
    )


def query(path: Path, sql: str) -> pl.DataFrame:
    """Answer of one SELECT (or EXPLAIN, DESCRIBE, SHOW, SUMMARIZE) statement.

    Raises
    ------
    WarehouseError
        No warehouse, a statement that writes, or an error in the SQL.
    """
    sql = _without_end(sql)
    with reading(path) as connection:
        try:
            if not _only_reads(connection, sql):
                raise WarehouseError(
                    "one SELECT at a time: the warehouse is read-only",
                    where=sql.strip(),
                    remedy="results change by running the chain, never by SQL",
                )
            return answer(connection, sql)
        except duckdb.IOException as error:  # a file that a view reads
            raise WarehouseError(
                f"the query failed: {_first_line(error)}",
                where=sql.strip(),
                remedy="`finembed run` publishes pair statistics that were computed again since",
            ) from None
        except duckdb.Error as error:
            raise WarehouseError(
                f"the query failed: {_first_line(error)}",
                where=sql.strip(),
                remedy=f"tables and views: {', '.join(_names(connection))}",
            ) from None


def export(path: Path, table: str, file: Path) -> int:
    """Write one table or view to a file, whole or not at all; the suffix is the format.

    Lists become ``a|b`` in CSV; JSON is an array of records with ISO dates.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    WarehouseError
        No warehouse, no such table, an unknown suffix, or a folder that cannot be written.
    """
    write = WRITERS.get(file.suffix.lower())
    if write is None:
        raise WarehouseError(
            f"{file.suffix or 'no suffix'} is not a format for export",
            where=str(file),
            remedy=f"end the name with one of {', '.join(sorted(WRITERS))}",
        )
    with reading(path) as connection:
        if table not in _names(connection):
            raise WarehouseError(
                f"the warehouse has no table {table!r}",
                where=str(path),
                remedy=f"tables and views: {', '.join(_names(connection))}",
            )
        frame = answer(connection, f"SELECT * FROM {identifier(table)}")
    try:
        with written_whole(file) as temporary:
            write(frame, temporary)
    except OSError as error:
        raise WarehouseError(
            f"the file cannot be written: {error.strerror}",
            where=str(file),
            remedy="choose a folder that exists and can be written",
        ) from None
    return frame.height


def csv_text(frame: pl.DataFrame) -> str:
    """A frame as CSV, a list as ``a|b``."""
    flat = [
        pl.col(name).list.eval(pl.element().cast(pl.String)).list.join(LIST_SEPARATOR)
        for name, kind in frame.schema.items()
        if isinstance(kind, pl.List)
    ] + [
        pl.col(name).arr.to_list().list.eval(pl.element().cast(pl.String)).list.join(LIST_SEPARATOR)
        for name, kind in frame.schema.items()
        if isinstance(kind, pl.Array)
    ]
    return frame.with_columns(flat).write_csv()


def _only_reads(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    """Whether this is one SELECT, or one explained.

    A WITH clause may write, even a file where files may be read, and what EXPLAIN ANALYZE explains
    is done; DuckDB lets neither stand below the top of a statement. SQL that is text in JSON would
    be a statement of its own again.
    """
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        return False
    text = statements[0].query
    if statements[0].type == duckdb.StatementType.EXPLAIN:
        explained = EXPLAIN.sub("", text, count=1)
        with suppress(duckdb.ParserException):  # a comment in its head
            return explained != text and _only_reads(connection, explained)
    if statements[0].type != duckdb.StatementType.SELECT:
        return False
    below = f"EXPLAIN (FORMAT json) FROM (\n{text}\n)"
    ((_, plan),) = connection.execute(below).fetchall()
    return SQL_IN_JSON not in plan


def _without_end(sql: str) -> str:
    """A statement without the semicolons that end it, and the comments behind them."""
    raw = sql.encode()  # the places of tokens count bytes
    tokens = [(raw[start : start + 1], start, kind) for start, kind in duckdb.tokenize(sql)]
    said = [start for first, start, kind in tokens if first != b";" and kind != COMMENT]
    ends = [start for first, start, _ in tokens if first == b";" and start > max(said, default=-1)]
    return raw[: ends[0]].decode() if ends else sql


def answer(connection: duckdb.DuckDBPyConnection, sql: str) -> pl.DataFrame:
    """Answer of one SELECT over an open connection, with plain types and distinct names."""
    relation = connection.sql(sql)
    names = _distinct(relation.columns)
    table = _bounded(relation, sql).rename_columns(names)
    if not all(map(_is_plain, relation.types)):
        kinds = zip(map(identifier, names), relation.types, strict=True)
        shown = (name if _is_plain(kind) else f"{name}::VARCHAR AS {name}" for name, kind in kinds)
        table = connection.from_arrow(table).project(", ".join(shown)).to_arrow_table()
    # Sums of integers come back as 38-digit decimals, which few readers of CSV or JSON know.
    return pl.DataFrame(table).with_columns(cs.decimal().cast(pl.Float64))


def _bounded(relation: duckdb.DuckDBPyRelation, sql: str) -> pa.Table:
    """The rows of an answer, as long as there is room for them."""
    reader = relation.to_arrow_reader()
    batches, size = [], 0
    for batch in reader:
        size += batch.nbytes
        if size > MOST_BYTES:
            raise WarehouseError(
                f"the answer is larger than {MOST_BYTES / 2**30:.3g} GB",
                where=sql.strip(),
                remedy="aggregate, select fewer columns, or add a LIMIT",
            )
        batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)


def _distinct(names: Sequence[str]) -> list[str]:
    """Names, of which those that came before get a number: x, x_1."""
    taken: list[str] = []
    for name in names:
        others = (f"{name}_{k}" for k in count(1))
        taken.append(name if name not in taken else next(n for n in others if n not in taken))
    return taken


def _is_plain(kind: DuckDBPyType) -> bool:
    if kind.id in ("list", "array"):
        return cast(DuckDBPyType, kind.children[0][1]).id in PLAIN
    return kind.id in PLAIN


def _names(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [name for (name,) in connection.execute("SHOW TABLES").fetchall()]


def _first_line(error: duckdb.Error) -> str:
    return str(error).splitlines()[0]


WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    ".csv": lambda frame, file: file.write_text(csv_text(frame)),
    ".json": lambda frame, file: frame.write_json(file),
    ".parquet": lambda frame, file: frame.write_parquet(file),
}
