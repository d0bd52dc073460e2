"""The proof for one's own study: another future, everything built anew, everything compared."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from finembed_core.backtest.run import RUN_TABLES, backtest
from finembed_core.calendar import Month
from finembed_core.chain import chain_state, decision_months, first_open_month
from finembed_core.errors import MissingPartError
from finembed_core.ingest.stage import ingest
from finembed_core.progress import Progress, Silent
from finembed_core.proof.compare import Comparison, compare_parts, compare_runs, whole_study
from finembed_core.proof.future import another_future
from finembed_core.proof.published import compare_warehouses
from finembed_core.proof.rebuild import linked_copy, rebuild
from finembed_core.settings import Settings
from finembed_core.sources import InputTables, load
from finembed_core.store import PartStore
from finembed_core.warehouse.publish import publish

BEYOND = 3
"""Months after the one proved that are built with the other future, for stages that look ahead."""


def prove(
    store: PartStore,
    settings: Settings,
    months: Sequence[Month],
    scratch: Path,
    seed: int = 1,
    progress: Progress | None = None,
) -> Iterator[Comparison]:
    """For each month, build the study with another future after it, and compare up to it.

    Parameters
    ----------
    store : PartStore
        Of a finished study; it is read, never written.
    settings : Settings
    months : sequence of Month
    scratch : Path
        Empty folder for all that is built; not removed.
    seed : int
        Of the other futures.
    progress : Progress, optional

    Yields
    ------
    Comparison
        Of one month, in the order asked for.

    Raises
    ------
    MissingPartError
        The study is not current, or a month has no later one.
    """
    tables = load(settings.dataset)
    true = linked_copy(store, scratch / "true", without=whole_study(store, settings))
    _require_current(true, store.root, tables, settings, months, progress)
    for month in months:
        folder = scratch / "other"
        other = PartStore(folder)
        future = another_future(tables, settings, month, seed)
        rebuild(other, future, settings, month + BEYOND, progress)
        yield compare(true, other, settings, month, scratch, progress)
        shutil.rmtree(folder)


def compare(
    true: PartStore,
    other: PartStore,
    settings: Settings,
    month: Month,
    scratch: Path,
    progress: Progress | None = None,
) -> Comparison:
    """Parts up to a month, a backtest through it, and the warehouse published through it.

    Parameters
    ----------
    true, other : PartStore
        Backtests are written into both, and those of `true` deleted again.
    settings : Settings
    month : Month
    scratch : Path
        Folder for two warehouses.
    progress : Progress, optional
    """
    found = compare_parts(true, other, settings, month)
    if not true.keys("predictions"):
        return found
    runs: list[str] = []
    files: list[Path] = []
    for name, store in (("true", true), ("other", other)):
        run = backtest(store, settings, month, progress).run_id
        path = scratch / f"{name}.duckdb"
        publish(store, path, settings, month, run)
        runs.append(run)
        files.append(path)
    found = found.and_also(compare_runs(true, other, month, (runs[0], runs[1])))
    found = found.and_also(compare_warehouses(files[0], files[1], settings, month))
    for table in RUN_TABLES:
        true.delete(table, runs[0])
    return found


def default_months(store: PartStore, count: int = 3) -> list[Month]:
    """Months spread evenly between the first prediction and the last month but one.

    Raises
    ------
    MissingPartError
        The study has no two months.
    """
    months = decision_months(store)[:-1]
    predicted = [m for m in months if (p := store.manifest("predictions", str(m))) and p.rows]
    among = predicted or months
    if not among:
        raise MissingPartError(
            "there is nothing to prove: no month has a later one",
            where=str(store.root),
            remedy="run `finembed run` on two months of data at least",
        )
    places = [round((len(among) - 1) * (k + 1) / (count + 1)) for k in range(count)]
    return [among[place] for place in sorted(set(places))]


def _require_current(
    true: PartStore,
    named: Path,
    tables: InputTables,
    settings: Settings,
    months: Sequence[Month],
    progress: Progress | None,
) -> None:
    """Refuse a study whose parts are not those of the data, settings and formulas in force.

    It is looked at in its linked copy, and `named` by the folder of its own store.
    """
    every = decision_months(true)
    for month in months:
        if not every or not every[0] <= month < every[-1]:
            span = f"{every[0]} to {every[-1] - 1}" if len(every) > 1 else "none"
            raise MissingPartError(
                f"{month} cannot be proved: it is not in the study, or nothing comes after it",
                where=f"months that can: {span}",
                remedy="name one of them with --month, or leave it out",
            )
    report = ingest(true, settings, tables=tables)
    opened = None
    if report.written + report.deleted == 0:
        states = chain_state(true, settings, every, progress or Silent())
        opened = first_open_month(states)
        if opened is None or opened > max(months) + 1:
            return
    raise MissingPartError(
        "the study is not current: "
        + ("the data have changed" if opened is None else f"{opened} is missing or stale"),
        where=str(named),
        remedy="run `finembed run`, then ask again (`finembed status` shows what is open)",
    )
