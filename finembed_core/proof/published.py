"""Compare what two warehouses, published through a month, say: every table and every view."""

from __future__ import annotations

from pathlib import Path

import duckdb

from finembed_core.calendar import Month
from finembed_core.proof.compare import Comparison, Difference
from finembed_core.settings import Settings
from finembed_core.warehouse.quoting import identifier, literal
from finembed_core.warehouse.schema import Table, warehouse_schema

HINDSIGHT = ("fund_returns", "series_values")
"""Views of what is known last, as their comments say."""

NOT_DATED = {
    *("funds", "series", "daily_funds"),  # attributes: part of what is replaced
    *("publication", "parts"),  # hashes and places of files
    *("data_quality", *HINDSIGHT),  # counts over all there is
}
"""Tables and views of which no row belongs to a month."""

UNEQUAL = {"run_id", "other_run", "created_at", "data_hash"}
"""Columns that tell two runs apart."""


def compare_warehouses(one: Path, two: Path, settings: Settings, month: Month) -> Comparison:
    """Rows of all tables and views that were known by a month's decision, as sets.

    Both were published through that month, so that of what is computed all rows count; of
    observations and verdicts those known by then.
    """
    compared: dict[str, tuple[int, int]] = {}
    differences: list[Difference] = []
    with duckdb.connect() as connection:
        for name, path in (("one", one), ("two", two)):
            connection.execute(f"ATTACH {literal(path)} AS {name} (READ_ONLY)")
        for table in warehouse_schema(settings.embeddings.size).values():
            if table.name in NOT_DATED:
                continue
            rows, found = _compared(connection, table, _known(table.name, settings, month), month)
            compared[f"warehouse.{table.name}"] = (1, rows)
            differences += [found] if found else []
    return Comparison(month, compared, tuple(differences))


def _known(table: str, settings: Settings, month: Month) -> str:
    """Condition of the rows that were known by the decision."""
    if table in ("fund_observations", "series_observations"):
        return f"known <= DATE '{month.end}'"
    if table == "quarantine":
        day = settings.dataset.calendar.decision_day(month)
        daily = "\"table\" = 'daily_observations'"
        return f"known_at <= CASE WHEN {daily} THEN DATE '{month.end}' ELSE DATE '{day}' END"
    if table == "reason_counts":
        return "\"table\" NOT IN ('quarantine', 'parts')"
    return "true"


def _compared(
    connection: duckdb.DuckDBPyConnection, table: Table, known: str, month: Month
) -> tuple[int, Difference | None]:
    """Rows of a table, and the first that stand in one warehouse only."""
    columns = [column for column in table.columns if column.name not in UNEQUAL]
    listed = ", ".join(identifier(column.name) for column in columns)
    rows = [f'SELECT {listed} FROM {side}."{table.name}" WHERE {known}' for side in ("one", "two")]
    day = next((f'min("{c.name}")' for c in columns if c.type == "DATE"), "NULL")
    only = f"(({rows[0]}) EXCEPT ALL ({rows[1]})) UNION ALL (({rows[1]}) EXCEPT ALL ({rows[0]}))"
    count, first = connection.sql(f"SELECT count(*), {day} FROM ({only})").fetchall()[0]
    height = connection.sql(f"SELECT count(*) FROM ({rows[0]})").fetchall()[0][0]
    if not count:
        return height, None
    what = "rows in one future only"
    return height, Difference(f"warehouse.{table.name}", str(first or month), what, count)
