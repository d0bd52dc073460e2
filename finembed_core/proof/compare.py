"""Compare what two stores say up to a month, bit for bit, in the order of the chain."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from finembed_core.backtest.run import RUN_TABLES
from finembed_core.calendar import Month
from finembed_core.chain import chain, study_stages
from finembed_core.daily_panel import TABLE as DAILY
from finembed_core.daily_panel import DailyPanel, read_daily
from finembed_core.embeddings.tables import DAILY_FUNDS
from finembed_core.embeddings.text import TABLE as TEXTS
from finembed_core.ingest.parts import ALL, MONTHLY, WHOLE
from finembed_core.settings import Settings
from finembed_core.store import Manifest, PartStore
from finembed_core.warehouse.sources import TREND_MODEL

QUARANTINE = "quarantine"
ABSENT, CONTENT = "is there in one future only", "its content"
SAID = (ABSENT, CONTENT)  # beyond what it was made of


@dataclass(frozen=True)
class Difference:
    """A leak: an asset that is not the same in both futures.

    Attributes
    ----------
    asset : str
        Table of the store, or of a run, or ``warehouse.`` and a table or view.
    first : str
        First month, or day, at which it differs.
    what : str
        What differs there.
    count : int
        Parts, rows or days that differ.
    """

    asset: str
    first: str
    what: str
    count: int = 1


@dataclass(frozen=True)
class Comparison:
    """What was compared up to a month, and what differs.

    Attributes
    ----------
    month : Month
    compared : dict of str to (int, int)
        By asset, in the order of the chain: parts and rows.
    differences : tuple of Difference
        One for each asset that differs, in that order: the first is where the leak is, the others
        may only pass it on.
    """

    month: Month
    compared: dict[str, tuple[int, int]]
    differences: tuple[Difference, ...]

    def and_also(self, other: Comparison) -> Comparison:
        """Both of them, about the same month: this one first."""
        return Comparison(
            self.month,
            self.compared | other.compared,
            self.differences + other.differences,
        )


def compare_parts(
    true: PartStore, other: PartStore, settings: Settings, month: Month
) -> Comparison:
    """Every part up to a month by its manifest, and of the whole tables what was known by then.

    Manifests hold hashes of the bytes, of the inputs, the settings and the code, and notes. A model
    of the month after is one of them: it learns from what was known in `month`.
    """
    compared: dict[str, tuple[int, int]] = {}
    differences: list[Difference] = []
    for table in _in_order(true, other, settings):
        if table in WHOLE_TABLES:
            rows, found = WHOLE_TABLES[table](true, other, settings, month)
            parts = 1
        else:
            parts, rows, found = _monthly(true, other, table, _end(table, settings, month))
        if parts:
            compared[table] = (parts, rows)
        differences += [found] if found else []
    return Comparison(month, compared, tuple(differences))


def compare_runs(
    true: PartStore, other: PartStore, month: Month, runs: tuple[str, str]
) -> Comparison:
    """All tables of two runs through a month, row for row in their order.

    Of the record of the run all but its id and the hash of the data, attributes among them.
    """
    compared: dict[str, tuple[int, int]] = {}
    differences: list[Difference] = []
    for table in sorted(RUN_TABLES, key="runs".__eq__):  # the record tells of what went wrong
        one, two = (
            store.read(table, run).drop("run_id", "data_hash", strict=False)
            for store, run in zip((true, other), runs, strict=True)
        )
        compared[table] = (1, one.height)
        if not one.equals(two):
            differences.append(_first_row(table, one, two, month))
    return Comparison(month, compared, tuple(differences))


def whole_study(store: PartStore, settings: Settings) -> list[str]:
    """Tables that speak of all decisions together, and runs: they have no part up to a month."""
    made = [table for stage, _ in study_stages(store, settings) for table in stage.tables]
    return [*made, *RUN_TABLES]


def _in_order(true: PartStore, other: PartStore, settings: Settings) -> list[str]:
    """Tables of the stores: what was ingested, then link by link, then all that nobody named."""
    links = chain(true, settings).values()
    named = [*MONTHLY, QUARANTINE, DAILY, *(table for link in links for table in link.stage.tables)]
    there = {*true.tables(), *other.tables()}
    left_out = {*WHOLE, DAILY_FUNDS, TEXTS, *whole_study(true, settings)} - {QUARANTINE}
    left_out |= {table for table in there if table.startswith(TREND_MODEL)}  # of other settings
    rest = sorted(there - set(named) - left_out)
    return [table for table in dict.fromkeys([*named, *rest]) if table in there]


def _end(table: str, settings: Settings, month: Month) -> Month:
    """Last key of a table that may not differ."""
    return month + table.startswith(TREND_MODEL)


def _monthly(
    true: PartStore, other: PartStore, table: str, end: Month
) -> tuple[int, int, Difference | None]:
    """Parts, rows and the first difference of a table keyed by months, in what it says if any."""
    keys = {k for s in (true, other) for k in s.keys(table) if Month.parse(k) <= end}
    pairs = {key: (true.manifest(table, key), other.manifest(table, key)) for key in sorted(keys)}
    rows = sum(one.rows for one, _ in pairs.values() if one is not None)
    unequal = [key for key, (one, two) in pairs.items() if one != two]
    if not unequal:
        return len(pairs), rows, None
    what = {key: _what(*pairs[key]) for key in unequal}
    first = next((key for key in unequal if what[key] in SAID), unequal[0])
    return len(pairs), rows, Difference(table, first, what[first], len(unequal))


def _what(one: Manifest | None, two: Manifest | None) -> str:
    """In what two manifests differ, the weightiest first."""
    if one is None or two is None:
        return ABSENT
    if one.files != two.files:
        return CONTENT
    names = ("inputs", "notes", "settings", "code")
    return ", ".join(name for name in names if getattr(one, name) != getattr(two, name))


def _quarantine(
    true: PartStore, other: PartStore, settings: Settings, month: Month
) -> tuple[int, Difference | None]:
    """Verdicts that were known by the decision; of daily reports those known by the month's end."""
    day = settings.dataset.calendar.decision_day(month)
    daily = pl.col("table") == "daily_observations"
    known = pl.col("known_at") <= pl.when(daily).then(pl.lit(month.end)).otherwise(pl.lit(day))
    one, two = (store.read(QUARANTINE, ALL).filter(known) for store in (true, other))
    if one.equals(two):
        return one.height, None
    return one.height, _first_row(QUARANTINE, one, two, month, by="known_at")


def _daily(
    true: PartStore, other: PartStore, settings: Settings, month: Month
) -> tuple[int, Difference | None]:
    """Cells of the daily panel by the session that knows them, up to the month's end."""
    one, two = (_Seen.of(read_daily(store), month.end) for store in (true, other))
    cells = sum(int(np.isfinite(values).sum()) for values in one.columns.values())
    if not np.array_equal(one.days, two.days):
        odd = np.setxor1d(one.days, two.days)
        return cells, Difference(DAILY, str(odd[0]), "its sessions", len(odd))
    days: set[int] = set()
    for name in {*one.columns, *two.columns}:
        days.update(np.flatnonzero(one.bits(name) != two.bits(name)) % len(one.days))
    if not days:
        return cells, None
    return cells, Difference(DAILY, str(one.days[min(days)]), "returns known by then", len(days))


@dataclass(frozen=True)
class _Seen:
    """Sessions up to a day, and by fund or series what was known of it then; NaN elsewhere."""

    days: np.ndarray
    columns: dict[tuple[str, str], np.ndarray]

    @classmethod
    def of(cls, panel: DailyPanel, end: dt.date) -> _Seen:
        count = int(np.searchsorted(panel.days, np.datetime64(end), side="right"))
        columns: dict[tuple[str, str], np.ndarray] = {}
        for kind, ids, values, known in (
            ("fund", panel.ids, panel.returns, panel.known),
            ("series", panel.series_ids, panel.series, panel.series_known),
        ):
            seen = (known[:count] < count) & ~np.isnan(values[:count])
            shown = np.where(seen, values[:count], np.float32(np.nan))
            since = np.where(seen, known[:count], -1).astype(np.float32)
            for k in np.flatnonzero(seen.any(axis=0)):
                columns[kind, ids[k]] = np.stack([shown[:, k], since[:, k]])
        return cls(panel.days[:count], columns)

    def bits(self, name: tuple[str, str]) -> np.ndarray:
        """Values and sessions of knowledge of a column, one after the other, as integers."""
        nothing = np.stack([np.full(len(self.days), np.nan), np.full(len(self.days), -1.0)])
        return self.columns.get(name, nothing).astype(np.float32).view(np.int32).ravel()


def _first_row(
    table: str, one: pl.DataFrame, two: pl.DataFrame, month: Month, by: str | None = None
) -> Difference:
    """The earliest day at which rows are in one frame only; the month itself where they have none.

    Rows that stand in another order differ too.
    """
    days = [name for name, kind in one.schema.items() if kind == pl.Date]
    day = by or next(iter(days), None)
    only = [_only(one, two), _only(two, one)]
    count = sum(frame.height for frame in only)
    if not count:
        return Difference(table, str(month), "the order of its rows")
    first = None if day is None else pl.concat([f.select(day) for f in only])[day].min()
    return Difference(table, str(first or month), "rows in one future only", count)


def _only(one: pl.DataFrame, two: pl.DataFrame) -> pl.DataFrame:
    return one.join(two, on=one.columns, how="anti", nulls_equal=True)


WHOLE_TABLES: dict[
    str,
    Callable[[PartStore, PartStore, Settings, Month], tuple[int, Difference | None]],
] = {QUARANTINE: _quarantine, DAILY: _daily}
"""Tables of one part, of which a share is known by a month."""
