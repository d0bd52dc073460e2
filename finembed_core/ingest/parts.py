"""The parts that an ingest writes: by the month in which rows became known, or whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import polars as pl

from finembed_core.calendar import Month, month_range
from finembed_core.daily_panel import DailyPanel, daily_files
from finembed_core.fingerprint import digest
from finembed_core.ingest.daily import Daily
from finembed_core.progress import Progress
from finembed_core.store import PartStore

MONTHLY = ("fund_observations", "series_observations")
WHOLE = ("funds", "series", "quarantine", "data_quality")
DAILY = ("daily_panel", "daily_funds")  # where the source has daily observations
ALL = "all"
WRITERS = 4  # a commit waits for the disk most of its time


@dataclass(frozen=True)
class Ingested:
    """Everything that will be written: frames by knowledge month, whole tables, daily panel."""

    first: Month
    last: Month
    monthly: Mapping[str, pl.DataFrame]  # with column `known`, the part's month ordinal
    whole: Mapping[str, pl.DataFrame]
    daily: Daily | None
    warnings: list[str]
    simulated: bool


def write(store: PartStore, result: Ingested, progress: Progress) -> tuple[int, int, int]:
    """Commit parts that differ, delete those that should be gone: written, skipped, deleted."""
    parts = list(parts_of(result))

    def commit(part: tuple[str, str, pl.DataFrame | DailyPanel]) -> bool:
        table, key, content = part
        inputs = digest(content)
        if store.is_current(table, key, inputs=inputs, settings="", code=""):
            return False
        if isinstance(content, DailyPanel):
            store.write(table, key, files=daily_files(content), inputs=inputs)
        else:
            store.write(table, key, content, inputs=inputs)
        return True

    progress.start("ingest", len(parts))
    written = 0
    try:
        with ThreadPoolExecutor(WRITERS) as pool:
            for part, is_new in zip(parts, pool.map(commit, parts), strict=True):
                written += is_new
                progress.advance(f"{part[0]} {part[1]}")
    finally:
        progress.finish()
    deleted = 0
    for table in (*MONTHLY, *DAILY):
        wanted = {key for name, key, _ in parts if name == table}
        for key in store.keys(table):
            if key not in wanted:
                store.delete(table, key)
                deleted += 1
    return written, len(parts) - written, deleted


def parts_of(result: Ingested) -> Iterable[tuple[str, str, pl.DataFrame | DailyPanel]]:
    """Every part of every table: whole tables first, then month by month, empty ones too."""
    for table in WHOLE:
        yield table, ALL, result.whole[table]
    if result.daily:
        yield from zip(DAILY, (ALL, ALL), (result.daily.panel, result.daily.funds), strict=True)
    months = month_range(result.first - 1, result.last)
    for table in MONTHLY:
        frame = result.monthly[table]
        starts = [month.ordinal for month in [*months, result.last + 1]]
        edges = np.searchsorted(frame["known"].to_numpy(), starts).tolist()
        plain = frame.drop("known")
        for month, start, stop in zip(months, edges[:-1], edges[1:], strict=True):
            yield table, str(month), plain.slice(start, stop - start)
