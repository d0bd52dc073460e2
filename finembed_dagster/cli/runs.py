"""Commands about runs: which there are, in what two differ, and forgetting some on request."""

from __future__ import annotations

import argparse
from pathlib import Path

import polars as pl
from rich.console import Console

from finembed_core.backtest.run import delete_run
from finembed_core.calendar import Month
from finembed_core.errors import InputError
from finembed_core.warehouse.publish import publish
from finembed_core.warehouse.query import query
from finembed_core.warehouse.runs import (
    find_run,
    list_runs,
    metric_differences,
    record_differences,
)
from finembed_core.warehouse.trials import count_trials
from finembed_dagster.cli.tables import show, show_notes
from finembed_dagster.study import Study

GUIDE = """\
examples
  finembed runs
  finembed runs diff c43e 91ab
  finembed runs prune c43e2d7ca93b0e78 --yes
  finembed runs prune --keep 10 --yes

Every run counts as so many trials as it has strategies, the losing ones too: deflated Sharpe ratios
rest on all of them. To prune is to forget trials, and what stays looks better than it is.
"""
SHOWN = 8  # characters of a hash


def list_all(options: argparse.Namespace) -> int:
    """Every run, the newest first."""
    study = Study.find(options.home, options.settings).existing()
    listed = list_runs(study.home.warehouse)
    console = Console()
    if listed.is_empty():
        console.print("no run yet: finembed run")
        return 0
    show(console, _shortened(listed))
    console.print(f"{count_trials(study.home.warehouse)} trials in all; the latest is marked *")
    return 0


def diff(options: argparse.Namespace) -> int:
    """Settings, then metrics in which two runs differ."""
    warehouse = Study.find(options.home, options.settings).existing().home.warehouse
    listed = list_runs(warehouse)
    run_id, other = (find_run(listed, prefix) for prefix in (options.run, options.other))
    if run_id == other:
        raise InputError(f"{run_id} is one run", remedy="name two: `finembed runs` lists them")
    labels = {"value": run_id, "other_value": other}
    console = Console()
    made = record_differences(warehouse, run_id, other)
    show(console, made.rename(labels), title="how they were made")
    metrics = metric_differences(warehouse, run_id, other)
    if metrics.is_empty():
        console.print("no metric differs")
    else:
        show(console, metrics.rename(labels), title="metrics")
    return 0


def prune(options: argparse.Namespace) -> int:
    """Delete runs from the store and publish what stays."""
    study = Study.find(options.home, options.settings).existing()
    warehouse, console = study.home.warehouse, Console()
    listed = list_runs(warehouse)
    gone = _chosen(listed, options)
    if gone.is_empty():
        console.print(f"nothing to prune: there are {listed.height} runs")
        return 0
    show(console, _shortened(gone), title="to be deleted")
    before, after = (count_trials(warehouse, without) for without in ([], gone["run_id"].to_list()))
    note = f"{before} trials become {after}: what was tried is forgotten"
    show_notes(console, [f"{note}, and deflated Sharpe ratios of what stays will flatter"])
    if not options.yes:
        raise InputError(
            f"nothing was deleted: {gone.height} of {listed.height} runs would be",
            remedy="the same command with --yes",
        )
    with study.lock.held():
        through = query(warehouse, "SELECT last_month FROM latest_run")["last_month"].to_list()
        for run_id in gone["run_id"]:
            delete_run(study.store, run_id)
        stays = listed.filter("latest")["run_id"].to_list()
        latest = next((run_id for run_id in stays if run_id not in gone["run_id"]), None)
        last = Month.of(through[0]) if through else None
        publish(study.store, warehouse, study.settings, last, latest)
    console.print(f"deleted {gone.height} of {listed.height} runs")
    return 0


def add_commands(parser: argparse.ArgumentParser) -> None:
    """The commands below `finembed runs`, which lists where none of them is given."""
    parser.epilog = GUIDE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(metavar="COMMAND")
    compared = commands.add_parser("diff", help="settings, then metrics in which two runs differ")
    compared.add_argument("run", metavar="RUN", help="id, or the beginning of one")
    compared.add_argument("other", metavar="OTHER")
    compared.set_defaults(command=diff)
    pruned = commands.add_parser("prune", help="delete runs: fewer trials, flattering statistics")
    which = pruned.add_mutually_exclusive_group(required=True)
    which.add_argument("runs", nargs="*", default=[], metavar="RUN", help="ids, or beginnings")
    which.add_argument("--keep", type=_count, metavar="N", help="all but the newest N")
    pruned.add_argument("--yes", action="store_true", help="do it")
    pruned.set_defaults(command=prune)
    for sub in (compared, pruned):  # after the command too; absent there, what came before counts
        for name in ("--home", "--settings"):
            sub.add_argument(name, type=Path, default=argparse.SUPPRESS)


def _chosen(listed: pl.DataFrame, options: argparse.Namespace) -> pl.DataFrame:
    if options.keep is not None:
        return listed.slice(options.keep)
    chosen = {find_run(listed, prefix) for prefix in options.runs}
    return listed.filter(pl.col("run_id").is_in(sorted(chosen)))


def _shortened(listed: pl.DataFrame) -> pl.DataFrame:
    """For a terminal: minutes, the beginning of the settings' hash, a mark at the latest."""
    return listed.select(
        pl.when("latest").then(pl.lit("*")).otherwise(pl.lit("")).alias(""),
        "run_id",
        pl.col("created_at").dt.strftime("%Y-%m-%d %H:%M").alias("made (UTC)"),
        "dataset",
        "months",
        "strategies",
        pl.col("config_hash").str.head(SHOWN).alias("settings"),
        "status",
    )


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of runs")
    return int(text)
