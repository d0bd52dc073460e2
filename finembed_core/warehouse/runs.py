"""Runs side by side: which there are, and in what two of them differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from finembed_core.errors import InputError
from finembed_core.warehouse.query import query, reading

LISTED = """
SELECT
    parts.key AS run_id,
    runs.created_at,
    runs.dataset,
    strftime(first_month, '%Y-%m') || ' to ' || strftime(last_month, '%Y-%m') AS months,
    (
        SELECT count(*) FROM strategies AS s WHERE s.run_id = parts.key AND s.status = 'run'
    ) AS strategies,
    runs.config_hash,
    CASE WHEN parts.left_out = '' THEN runs.status ELSE parts.left_out END AS status,
    parts.key IS NOT DISTINCT FROM latest_run AS latest
FROM parts CROSS JOIN publication LEFT JOIN runs ON runs.run_id = parts.key
WHERE parts."table" = 'strategies'  -- the first part that a run commits
ORDER BY created_at DESC NULLS LAST, run_id
"""
MOST_NAMED = 5


def list_runs(path: Path) -> pl.DataFrame:
    """All runs of a store as they were published, the newest first.

    Parameters
    ----------
    path : Path
        The DuckDB file.

    Returns
    -------
    DataFrame
        run_id, created_at (UTC), dataset, months, strategies (that ran), config_hash, status (or
        why the run is left out of the warehouse), latest.
    """
    return query(path, LISTED)


def find_run(listed: pl.DataFrame, prefix: str) -> str:
    """The one run whose id begins so.

    Raises
    ------
    InputError
        No run's id does, or those of several do.
    """
    found = [run_id for run_id in listed["run_id"] if run_id.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(
            f"there is no run {prefix!r}",
            where=f"the warehouse knows {listed.height}",
            remedy="`finembed runs` lists them",
        )
    shown = ", ".join(found[:MOST_NAMED]) + (", ..." if len(found) > MOST_NAMED else "")
    raise InputError(
        f"{len(found)} runs begin with {prefix!r}", where=shown, remedy="give more of the id"
    )


def record_differences(path: Path, run_id: str, other_run: str) -> pl.DataFrame:
    """What differs in how two runs were made: data, months, code, then settings.

    Returns
    -------
    DataFrame
        setting (dotted), value, other_value: as JSON, null where a run does not know the setting.
    """
    one, two = (_record(path, run) for run in (run_id, other_run))
    names = [name for name in dict.fromkeys([*one, *two]) if one.get(name) != two.get(name)]
    rows = [(name, one.get(name), two.get(name)) for name in names]
    columns = ("setting", "value", "other_value")
    return pl.DataFrame(rows, schema=[(name, pl.String) for name in columns], orient="row")


def metric_differences(path: Path, run_id: str, other_run: str) -> pl.DataFrame:
    """Rows of the view `run_diff` whose values differ, by strategy and metric."""
    sql = (
        "SELECT strategy, metric, value, other_value, difference FROM run_diff"
        " WHERE run_id = ? AND other_run = ? AND value IS DISTINCT FROM other_value"
        " ORDER BY strategy, metric"
    )
    with reading(path) as connection:
        found = connection.sql(sql, params=[run_id, other_run])
        return pl.DataFrame(found.to_arrow_table())


def _record(path: Path, run_id: str) -> dict[str, str]:
    with reading(path) as connection:
        cursor = connection.execute(
            "SELECT data_hash, first_month, last_month, code_version, code, config"
            " FROM runs JOIN parts ON parts.key = run_id AND parts.\"table\" = 'runs'"
            " WHERE run_id = ?",
            [run_id],
        )
        found = cursor.fetchone()
        names = [column[0] for column in cursor.description or []]
    if found is None:
        raise InputError(
            f"run {run_id} is not in the warehouse: it was left out",
            remedy="`finembed runs` says why",
        )
    record = dict(zip(names, found, strict=True))
    settings = json.loads(record.pop("config"))
    return {name: str(value) for name, value in record.items()} | dict(_flat(settings))


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", json.dumps(value)
