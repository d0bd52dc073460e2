"""The command that proves, on one's own data, that nothing depends on anything later."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import polars as pl
from rich.console import Console

from finembed_core.proof.compare import Comparison
from finembed_core.proof.prove import default_months, prove
from finembed_dagster.cli.interruption import interruptible
from finembed_dagster.cli.tables import show, show_notes
from finembed_dagster.cli.texts import seen
from finembed_dagster.progress import TerminalProgress
from finembed_dagster.study import Study

LEAKS = 3
PREFIX = ".finembed-proof-"
WAREHOUSE = "warehouse, tables and views"

GUIDE = """\
examples
  finembed prove-point-in-time
  finembed prove-point-in-time --month 2012-06 --month 2015-11 --seed 7

For each month T all that nobody could know when T was decided is replaced in your data: returns and
values are noise or absurd, a part is deleted, funds and series fall silent or are born, funds die
and close at other times. The study is computed anew from that, in a folder of its own that is
deleted in the end, and everything up to T is compared with the finished study bit for bit: stored
parts, models, predictions, a backtest through T, and every table and view of its warehouse.

Every month costs about as much as a `finembed run` from nothing up to T; the default is three
months, spread over the study. Nothing in the home is written. The home must be current: run
`finembed run` first.

Exit code 0: nothing up to T depends on anything later. 3: something does; it is named, with the
first month at which it differs, in the order of computation, so that the first line is the cause.
2: the proof could not be made. docs/point_in_time.md says what is compared and what to distrust.
"""


def prove_point_in_time(options: argparse.Namespace) -> int:
    """Compare the finished study with ones that have another future; 3 where they differ."""
    study = Study.find(options.home, options.settings).existing()
    months = sorted(set(options.month or default_months(study.store)))
    console, progress = Console(), TerminalProgress()
    found: list[Comparison] = []
    try:
        with interruptible(), tempfile.TemporaryDirectory(dir=_beside(study), prefix=PREFIX) as at:
            for one in prove(study.store, study.settings, months, Path(at), options.seed, progress):
                found.append(one)
                console.print(_told(one), highlight=False, soft_wrap=True)
    finally:
        progress.finish()
    show(console, _compared(found), title="compared, by asset")
    simulated = study.settings.dataset.source == "simulated"
    notes = ["simulated data: no real fund is in this study"] if simulated else []
    show_notes(console, [*notes, *_empty(found)])
    leaks = [(one, leak) for one in found for leak in one.differences]
    if not leaks:
        text = ", ".join(str(month) for month in months)
        console.print(f"[bold green]nothing up to {text} depends on anything later[/]")
        return 0
    rows = [(str(one.month), d.asset, d.first, d.count, d.what) for one, d in leaks]
    columns = ("up to", "asset", "first at", "differ", "what")
    show(console, pl.DataFrame(rows, schema=columns, orient="row"), title="leaks")
    first = leaks[0][1]
    console.print(f"[bold red]leak:[/] {seen(first.asset)} of {first.first} knows the future")
    return LEAKS


def _beside(study: Study) -> str | None:
    """The folder that holds the home, where files can be linked; the system's where it is closed.

    Whether it can be written is found out by writing.
    """
    parent = study.home.root.parent
    try:
        with tempfile.TemporaryDirectory(dir=parent, prefix=PREFIX):
            return str(parent)
    except OSError:
        return None


def _told(one: Comparison) -> str:
    parts = sum(parts for parts, _ in one.compared.values())
    rows = sum(rows for _, rows in one.compared.values())
    said = f"{len(one.differences)} assets differ" if one.differences else "no difference"
    return f"up to {one.month}: {parts} parts and tables, {rows} rows compared, {said}"


def _compared(found: list[Comparison]) -> pl.DataFrame:
    """Parts and rows of each asset by month, the warehouse as one; those with a row in any."""
    columns: dict[str, list[int]] = {}
    assets = dict.fromkeys(_group(asset) for one in found for asset in one.compared)
    for one in found:
        sums: dict[str, tuple[int, int]] = dict.fromkeys(assets, (0, 0))
        for asset, (parts, rows) in one.compared.items():
            before = sums[_group(asset)]
            sums[_group(asset)] = before[0] + parts, before[1] + rows
        columns[f"parts to {one.month}"] = [parts for parts, _ in sums.values()]
        columns[f"rows to {one.month}"] = [rows for _, rows in sums.values()]
    frame = pl.DataFrame({"asset": list(assets)} | columns)
    return frame.filter(pl.any_horizontal(pl.col("^rows .*$") > 0))


def _group(asset: str) -> str:
    return WAREHOUSE if asset.startswith("warehouse.") else asset


def _empty(found: list[Comparison]) -> list[str]:
    """Assets without a row up to any of the months: about these nothing is proved."""
    rows: dict[str, int] = {}
    for one in found:
        for asset, (_, count) in one.compared.items():
            rows[asset] = rows.get(asset, 0) + count
    names = [n for n, count in rows.items() if not count and not n.startswith("warehouse.")]
    return [f"without a row up to these months: {', '.join(names)}"] if names else []
