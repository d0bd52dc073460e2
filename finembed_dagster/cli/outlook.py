"""What `finembed status` says of a source that has changed since the last run."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from rich.console import Console

from finembed_core.calendar import Month
from finembed_core.chain import LinkState
from finembed_core.errors import FinembedError
from finembed_core.ingest.changes import Changes
from finembed_core.outlook import Outlook, outlook
from finembed_dagster.cli.tables import show, show_notes
from finembed_dagster.progress import TerminalProgress
from finembed_dagster.study import Study

MOST = 10  # changed values that are printed
KINDS = ("restated", "added", "removed")


def show_source(console: Console, study: Study) -> None:
    """Print how the source differs from the store, and what a run would compute for it."""
    try:
        found = outlook(study.store, study.settings, TerminalProgress())
    except FinembedError as error:
        show_notes(console, [f"the source cannot be compared with the store: {error}"])
        return
    if not found.changes.parts:
        console.print("the source says what the store holds")
        return
    _show_changes(console, found.changes)
    _show_states(console, found)


def _show_changes(console: Console, changes: Changes) -> None:
    values = changes.values
    if values.height:
        of_kind = (pl.col("change").eq(kind).sum().alias(kind) for kind in KINDS)
        counts = values.group_by("table", "column", maintain_order=True).agg(
            pl.col("id").n_unique().alias("ids"), *of_kind, pl.col("counts_from").min()
        )
        show(console, counts, title="the source differs from the store: values by column")
        first = values.head(MOST)
        empty = [name for name in ("date", "vintage") if first[name].is_null().all()]
        shown = f"the first {MOST} of {values.height}" if values.height > MOST else "all of them"
        show(console, first.drop(empty), title=f"values that differ, {shown}")
    for what, months in (("new", changes.new), ("no longer there", changes.gone)):
        if months:
            console.print(f"months {what}: {_ranges(months)}", soft_wrap=True)
    if not values.height and not changes.new and not changes.gone:
        console.print("the source differs from the store, but in no value of a month that stands")


def _show_states(console: Console, found: Outlook) -> None:
    rows = [_row(state) for state in found.states if state.first_open is not None]
    if rows:
        show(console, pl.DataFrame(rows), title="`finembed run` would compute, at most")
    first = found.decided_anew
    before = "those before go" if found.changes.gone else "those before stand"
    console.print(
        "no decision would change: backtests and warehouse alone are computed again"
        if first is None
        else f"decisions from {first} on may change, {before}; backtests and warehouse "
        "are computed again as a whole",
        soft_wrap=True,
        highlight=False,
    )


def _row(state: LinkState) -> dict[str, str | int]:
    keys = {kind: [k for k, s in state.keys.items() if s == kind] for kind in ("stale", "missing")}
    opened = sorted(Month.parse(key) for key in [*keys["stale"], *keys["missing"]])
    return {
        "asset": state.name,
        "of": state.keyed_by,
        "again": len(keys["stale"]),
        "for the first time": len(keys["missing"]),
        "stand": len(state.keys) - len(opened),
        "which": _ranges(opened, state.keyed_by == "month"),
    }


def _ranges(months: Sequence[Month], joined: bool = True) -> str:
    """Months as ranges, such as ``1993-04 to 1993-08, 1994-01``."""
    runs: list[list[Month]] = []
    for month in months:
        if joined and runs and month - runs[-1][-1] == 1:
            runs[-1].append(month)
        else:
            runs.append([month])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in runs)
