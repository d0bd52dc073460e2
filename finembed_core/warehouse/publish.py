"""Publish the part store as one DuckDB file, built beside the old one and swapped in.

A reader that has the old file open keeps reading it; a crash leaves the old file. Nothing here
reads a clock: `runs.created_at` is the file time of the run's manifest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import duckdb
import polars as pl

from finembed_core.calendar import Month
from finembed_core.errors import WarehouseError
from finembed_core.files import lock, lock_file, put_in_place, remove
from finembed_core.fingerprint import code_fingerprint, digest
from finembed_core.settings import Settings
from finembed_core.store import PartStore
from finembed_core.warehouse.checks import first_fault, row_fault
from finembed_core.warehouse.maps import MODULES as MAP_MODULES
from finembed_core.warehouse.maps import embedding_map_rows
from finembed_core.warehouse.pairs import create_pairs_view
from finembed_core.warehouse.query import reading
from finembed_core.warehouse.quoting import identifier, literal
from finembed_core.warehouse.schema import Table, schema_sql, warehouse_schema
from finembed_core.warehouse.sources import (
    DERIVED,
    OWN,
    PAIRS,
    Part,
    committed_parts,
    with_verdicts,
)
from finembed_core.warehouse.trials import MODULES, deflated_sharpe_rows

NO_PAIRS = f"""
    SELECT pairs_folder FROM publication WHERE pairs_folder IS NOT NULL
    AND NOT EXISTS (FROM parts WHERE "table" = '{PAIRS}' AND left_out = '' AND rows > 0)
"""
NO_ROOM = (
    duckdb.IOException,
    duckdb.TransactionException,  # what a write that fails becomes when it is committed
    duckdb.FatalException,
    duckdb.OutOfMemoryException,
)
MAKERS: Mapping[str, Callable[[duckdb.DuckDBPyConnection], pl.DataFrame]] = {
    "significance": deflated_sharpe_rows,
    "embedding_map": embedding_map_rows,
}
"""Rows that are computed here, of what the tables before hold already."""
REMEDY = (
    "the old warehouse still stands; run `finembed run` to rebuild the part that holds this row"
)


@dataclass(frozen=True)
class PublishReport:
    """What `publish` did.

    Attributes
    ----------
    path : Path
        The DuckDB file.
    tables : mapping of str to int
        Rows by table.
    latest_run : str or None
        The run that the views show.
    warnings : tuple of str
        Parts that had to be left out, in words.
    skipped : bool
        Nothing had changed since the file was made.
    """

    path: Path
    tables: Mapping[str, int]
    latest_run: str | None
    warnings: tuple[str, ...]
    skipped: bool


def publish(
    store: PartStore,
    path: Path,
    settings: Settings,
    through: Month | None = None,
    latest: str | None = None,
) -> PublishReport:
    """Build the warehouse from all committed parts, unless it already holds exactly these.

    Parameters
    ----------
    store : PartStore
    path : Path
        The DuckDB file; a lock file and, while building, a ``.building`` file lie beside it.
    settings : Settings
        Settings in force: facts must have been available by their decision day.
    through : Month, optional
        Last month that is current: what was computed for later ones is left out.
    latest : str, optional
        Run that the views show; the newest made with these settings by default.

    Raises
    ------
    WarehouseError
        A fact breaks a rule of the schema or of `checks`, or files cannot be read or written; the
        old file still stands.
    IntegrityError
        A part's file is damaged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(lock_file(path), wait=True):
        parts = committed_parts(store, settings, through)
        folder = _pairs_folder(store, settings)
        content = _content(parts, settings, latest, folder)
        standing = _standing(path, content)
        if standing is not None:
            return standing
        building = path.with_name(path.name + ".building")
        _discard(building)  # left by a publisher that was killed
        try:
            with duckdb.connect() as connection:
                connection.execute("SET enable_progress_bar = false")  # finembed has its own
                connection.execute("SET temp_directory = $1", [f"{building}.spill"])
                _attach_new(connection, building)
                _build(
                    connection,
                    with_verdicts(parts, settings.embeddings.size),
                    content,
                    settings,
                    latest,
                    folder,
                )
            put_in_place(building, path)
        except NO_ROOM as error:
            raise WarehouseError(
                f"the warehouse could not be built: {str(error).splitlines()[0]}",
                where=str(building),
                remedy="free disk space, or wait until nothing writes to the store; publish again",
            ) from None
        finally:
            _discard(building)
    return _report(path, skipped=False)


def _discard(building: Path) -> None:
    """Delete an unfinished file, and the log and spilled rows that DuckDB leaves beside it."""
    for path in building.parent.glob(building.name + "*"):
        remove(path)


def is_published(
    store: PartStore,
    path: Path,
    settings: Settings,
    through: Month | None = None,
    latest: str | None = None,
) -> bool:
    """Whether `publish` would find the warehouse as it should be."""
    parts = committed_parts(store, settings, through)
    content = _content(parts, settings, latest, _pairs_folder(store, settings))
    return _standing(path, content) is not None


def _pairs_folder(store: PartStore, settings: Settings) -> str | None:
    """Where the view of pair statistics reads; in the hash, since a home can be moved."""
    return str((store.root / PAIRS).resolve()) if settings.pairs else None


def _content(
    parts: list[Part], settings: Settings, latest: str | None, pairs_folder: str | None
) -> str:
    """Hash of what the file will hold."""
    each = [f"{part.manifest!r}{part.created_at}{part.left_out}" for part in parts]
    columns = settings.pairs and settings.pairs.columns
    code = code_fingerprint(*MODULES, *MAP_MODULES)
    return digest(
        schema_sql(settings.embeddings.size),
        settings.study,
        each,
        latest,
        pairs_folder,
        columns,
        code,
    )


def _standing(path: Path, content: str) -> PublishReport | None:
    if not path.exists():
        return None
    try:
        with reading(path) as connection:
            found = connection.execute("SELECT content FROM publication").fetchone()
    except (WarehouseError, duckdb.Error):  # damaged, or made by another version: build anew
        return None
    return _report(path, skipped=True) if found == (content,) else None


def _attach_new(connection: duckdb.DuckDBPyConnection, building: Path) -> None:
    """A new database file without a log: until it is swapped in, it may be lost."""
    attach = f"ATTACH {literal(building)} AS warehouse (RECOVERY_MODE 'no_wal_writes')"
    connection.execute(attach)
    connection.execute("USE warehouse")


def _build(
    connection: duckdb.DuckDBPyConnection,
    parts: list[Part],
    content: str,
    settings: Settings,
    latest: str | None,
    pairs_folder: str | None,
) -> None:
    size = settings.embeddings.size
    connection.execute(schema_sql(size))
    _write_parts(connection, parts)
    for table in warehouse_schema(size).values():
        if table.name not in OWN and not table.is_view:
            own = [p for p in parts if p.target == table.name and p.path and not p.left_out]
            make = MAKERS.get(table.name)
            _load(connection, table, own, make and make(connection))
    create_pairs_view(connection, parts, settings)
    lag = settings.dataset.calendar.decision_lag_days
    connection.execute(
        "INSERT INTO publication SELECT ?, (SELECT run_id FROM runs"
        " ORDER BY run_id IS NOT DISTINCT FROM ? DESC, config_hash IS NOT DISTINCT FROM ? DESC,"
        " created_at DESC, run_id LIMIT 1), ?, ?",
        [content, latest, digest(settings.study), lag, pairs_folder],
    )
    fault = first_fault(connection)
    if fault is not None:
        check, row = fault
        raise WarehouseError(
            f"{check.table} breaks the rule: {check.rule}", where=row, remedy=REMEDY
        )
    connection.execute("CHECKPOINT warehouse")


def _write_parts(connection: duckdb.DuckDBPyConnection, parts: list[Part]) -> None:
    """Fill `parts`, and the temporary table that derived columns are taken from."""
    frame = pl.DataFrame(
        [
            {
                "table": p.manifest.table,
                "key": p.manifest.key,
                "rows": p.manifest.rows,
                "inputs": p.manifest.inputs,
                "settings": p.manifest.settings,
                "code": p.manifest.code,
                "content": p.manifest.content,
                "notes": json.dumps(dict(p.manifest.notes), sort_keys=True),
                "left_out": p.left_out,
                "filename": str(p.path),
                "created_at": p.created_at,
            }
            for p in parts
        ],
        schema_overrides={"created_at": pl.Datetime("us")},
    )
    if frame.is_empty():
        connection.execute("CREATE TEMP TABLE part (filename VARCHAR)")
        return
    connection.register("committed", frame.to_arrow())
    columns = ", ".join(identifier(c.name) for c in warehouse_schema()["parts"].columns)
    connection.execute(f'INSERT INTO parts SELECT {columns} FROM committed ORDER BY "table", key')
    connection.execute(
        'CREATE TEMP TABLE part AS SELECT filename, "table", key, created_at FROM committed'
    )
    connection.unregister("committed")


def _load(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    parts: list[Part],
    made: pl.DataFrame | None,
) -> None:
    """Insert rows in key order, straight from the parts' parquet files, and those made here."""
    if not parts and made is None:
        return
    alike = sorted(parts, key=_signature)
    selects, files = [], []
    for _, group in groupby(alike, key=_signature):
        members = list(group)
        files.append([str(part.path) for part in members])
        selects.append(_select(table, members[0].columns, len(files)))
    if made is not None:
        connection.register("made", made.to_arrow())
        selects.append(f"SELECT {', '.join(column.name for column in table.columns)} FROM made")
    rows = " UNION ALL ".join(selects)
    order = ", ".join(map(identifier, table.key)) or "ALL"
    try:
        connection.execute(f"INSERT INTO {identifier(table.name)} {rows} ORDER BY {order}", files)
    except (duckdb.ConstraintException, duckdb.ConversionException) as error:
        raise _refused(connection, table, rows, files, error) from None


def _signature(part: Part) -> str:
    return repr(list(part.columns.items()))


def _select(table: Table, columns: Mapping[str, pl.DataType], number: int) -> str:
    """SELECT of a table's columns from files of one schema; the files are parameter `number`."""
    derived = DERIVED.get(table.name, {})
    items = []
    for column in table.columns:
        name = identifier(column.name)
        if column.name in derived:
            value = derived[column.name]
        elif column.name not in columns:
            value = f"NULL::{column.type}"
        elif column.type == "DOUBLE":
            given = f"rows.{name}::DOUBLE"
            value = f"CASE WHEN isfinite({given}) THEN {given} END"
        else:
            value = f"rows.{name}::{column.type}"
        items.append(f"{value} AS {name}")
    source = f"read_parquet(${number}, filename = true) AS rows"
    if derived:
        source += " JOIN temp.part AS part ON part.filename = rows.filename"
    return f"SELECT {', '.join(items)} FROM {source}"


def _refused(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    rows: str,
    files: list[list[str]],
    error: duckdb.Error,
) -> WarehouseError:
    if isinstance(error, duckdb.ConversionException):
        what, where = f"{table.name} holds a value of a wrong type", str(error).splitlines()[0]
    else:
        rule, where = row_fault(connection, table, rows, files)
        what = f"{table.name} breaks the rule: {rule}"
    return WarehouseError(what, where=where, remedy=REMEDY)


def _report(path: Path, *, skipped: bool) -> PublishReport:
    with reading(path) as connection:
        counts = {}
        for table in warehouse_schema().values():
            if not table.is_view:
                found = connection.execute(
                    f"SELECT count(*) FROM {identifier(table.name)}"
                ).fetchone()
                counts[table.name] = int(found[0]) if found else 0
        latest = connection.execute("SELECT latest_run FROM publication").fetchone()
        out = connection.execute(
            "SELECT left_out, count(*), min(\"table\" || ' ' || key) FROM parts"
            " WHERE left_out <> '' GROUP BY left_out ORDER BY ALL"
        ).fetchall()
        hollow = connection.execute(NO_PAIRS).fetchone()
    warnings = [_told(why, int(count), first) for why, count, first in out]
    if hollow:
        warnings.append(f"{PAIRS} is empty: no month that the settings keep has tested pairs")
    return PublishReport(path, counts, latest[0] if latest else None, tuple(warnings), skipped)


def _told(why: str, count: int, first: str) -> str:
    parts = first if count == 1 else f"{count} parts, the first {first},"
    return f"not in the warehouse: {parts} ({why})"
