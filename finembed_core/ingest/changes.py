"""What the source says now against what the store holds: restated, added and removed values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from finembed_core.calendar import Month, month_range
from finembed_core.daily_panel import TABLE as DAILY_PANEL
from finembed_core.daily_panel import DailyPanel, read_daily
from finembed_core.errors import MissingPartError
from finembed_core.fingerprint import digest
from finembed_core.ingest.daily_changes import NO_PANEL, daily_differences
from finembed_core.ingest.parts import ALL, DAILY, MONTHLY, WHOLE, Ingested, parts_of
from finembed_core.store import PartStore

KEYS: Mapping[str, Sequence[str]] = {
    "fund_observations": ("fund_id", "date"),
    "series_observations": ("series_id", "date", "vintage"),
    "funds": ("fund_id",),
    "series": ("series_id",),
    "daily_funds": ("fund_id",),
    DAILY_PANEL: ("id", "date"),
}
"""What tells the rows of a table apart; `quarantine` and `data_quality` follow from the others."""

CHANGES: dict[str, pl.DataType] = {
    "table": pl.String(),
    "id": pl.String(),
    "date": pl.Date(),
    "vintage": pl.Date(),
    "column": pl.String(),
    "change": pl.String(),
    "was": pl.String(),
    "is": pl.String(),
    "counts_from": pl.String(),
}
NOW = " now"  # ends the names of columns as the source has them


@dataclass(frozen=True)
class Changes:
    """How the source differs from the store.

    Attributes
    ----------
    parts : tuple of (str, str)
        Table and key of each part that an ingest would write or delete.
    values : polars.DataFrame
        One row per value of the months that stand: ``table``; ``id`` of fund or series; ``date``
        and ``vintage`` of an observation; ``column``; ``change`` (``restated``, ``added``,
        ``removed``: with its row); ``was``, ``is`` (as text, null where there is none);
        ``counts_from`` (first month whose information differs; null for an attribute, which counts
        from its own date).
    new, gone : tuple of Month
        Months that the source decides and the store does not, and the other way round.
    """

    parts: tuple[tuple[str, str], ...]
    values: pl.DataFrame
    new: tuple[Month, ...]
    gone: tuple[Month, ...]


def changes(store: PartStore, found: Ingested) -> Changes:
    """Compare what an ingest would write with what stands; writes nothing.

    Parameters
    ----------
    store : PartStore
        Of an earlier ingest.
    found : Ingested
        What the source brings now (`finembed_core.ingest.stage.brought`).

    Raises
    ------
    MissingPartError
        Nothing has been ingested.
    """
    keys = store.keys("fund_observations")
    if not keys:
        raise MissingPartError(
            "nothing has been ingested",
            where=str(store.root),
            remedy="run `finembed run`, or materialize the asset in the Dagster page",
        )
    held = set(month_range(Month.parse(keys[0]) + 1, Month.parse(keys[-1])))
    now = set(month_range(found.first, found.last))
    contents = {(table, key): content for table, key, content in parts_of(found)}
    differing = [
        part
        for part, content in contents.items()
        if not store.is_current(*part, inputs=digest(content), settings="", code="")
    ]
    stands = ((t, key) for t in (*WHOLE, *MONTHLY, *DAILY) for key in store.keys(t))
    differing += [part for part in stands if part not in contents]
    past = [(table, key) for table, key in differing if key <= keys[-1] or key == ALL]
    frames = [_compared(store, table, past, contents) for table in KEYS]
    rows = pl.concat([frame for frame in frames if frame is not None] or [_none()])
    return Changes(
        tuple(sorted(differing)),
        rows.sort("counts_from", "table", "id", "date", "vintage", "column", nulls_last=True),
        tuple(sorted(now - held)),
        tuple(sorted(held - now)),
    )


def _compared(
    store: PartStore,
    table: str,
    differing: Iterable[tuple[str, str]],
    contents: Mapping[tuple[str, str], pl.DataFrame | DailyPanel],
) -> pl.DataFrame | None:
    """Changes of one table; a row that moved from part to part has changed in both."""
    keys = [key for name, key in differing if name == table]
    if not keys:
        return None
    stands = [key for key in keys if store.manifest(table, key) is not None]
    if table == DAILY_PANEL:
        panels = [p for key in keys if isinstance(p := contents.get((table, key)), DailyPanel)]
        sides = daily_differences(
            read_daily(store) if stands else NO_PANEL, panels[0] if panels else NO_PANEL
        )
    else:
        frames = {k: f for k in keys if isinstance(f := contents.get((table, k)), pl.DataFrame)}
        before = [_rows(store.read(table, key), key) for key in stands]
        after = [_rows(frame, key) for key, frame in frames.items()]
        empty = [frame.clear() for frame in (before or after)[:1]]
        sides = pl.concat(before or empty), pl.concat(after or empty)
    return _differences(table, *(_numbered(side, KEYS[table]) for side in sides))


def _rows(content: pl.DataFrame, key: str) -> pl.DataFrame:
    """Rows with ``counts_from``."""
    return content.with_columns(counts_from=pl.lit(None if key == ALL else key, dtype=pl.String))


def _numbered(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Rows with their number among those of the same key, in the order in which they counted."""
    return rows.with_columns(nth=pl.int_range(pl.len()).over(key))


def _differences(table: str, before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    key = [*KEYS[table], "nth"]
    both = before.with_columns(held=True).join(
        after.with_columns(said=True),
        on=key,
        how="full",
        nulls_equal=True,
        coalesce=True,
        suffix=NOW,
    )
    change = pl.when(pl.col("held").is_null()).then(pl.lit("added"))
    change = change.when(pl.col("said").is_null()).then(pl.lit("removed"))
    both = both.with_columns(
        change=change.otherwise(pl.lit("restated")),
        counts_from=pl.min_horizontal("counts_from", f"counts_from{NOW}"),
    )
    facts = [name for name in before.columns if name not in (*key, "counts_from")]
    return pl.concat([_of_column(table, both, name) for name in facts])


def _of_column(table: str, both: pl.DataFrame, column: str) -> pl.DataFrame:
    """Rows of which one column differs."""
    differing = both.filter(pl.col(column).ne_missing(pl.col(column + NOW)))
    given = {"table": pl.lit(table), "column": pl.lit(column), "id": pl.col(KEYS[table][0])}
    given |= {"was": _text(both, column), "is": _text(both, column + NOW)}
    absent = {name: pl.lit(None) for name in ("date", "vintage") if name not in KEYS[table]}
    return differing.with_columns(**given, **absent).select(
        pl.col(name).cast(kind) for name, kind in CHANGES.items()
    )


def _text(frame: pl.DataFrame, column: str) -> pl.Expr:
    value = pl.col(column)
    listed = isinstance(frame.schema[column], pl.List)
    return value.cast(pl.List(pl.String)).list.join("|") if listed else value.cast(pl.String)


def _none() -> pl.DataFrame:
    return pl.DataFrame(schema=CHANGES)
