"""Commands that only look: status, query, export."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

import polars as pl
from rich.console import Console

from finembed_core.backtest.run import has_run, identify
from finembed_core.calendar import Month
from finembed_core.chain import (
    LinkState,
    State,
    chain_state,
    decision_months,
    first_open_month,
    part_state,
    study_stages,
)
from finembed_core.daily_panel import TABLE as DAILY
from finembed_core.embeddings.tables import EXCLUSIONS, model_table
from finembed_core.settings import ENCODERS
from finembed_core.store import PartStore
from finembed_core.warehouse.publish import is_published
from finembed_core.warehouse.query import csv_text
from finembed_core.warehouse.query import export as write_table
from finembed_core.warehouse.query import query as ask
from finembed_dagster.cli.outlook import show_source
from finembed_dagster.cli.tables import show
from finembed_dagster.cli.texts import seen
from finembed_dagster.progress import TerminalProgress
from finembed_dagster.study import Study


def status(options: argparse.Namespace) -> int:
    """Per asset what stands; how the source differs and what that would change; reason codes."""
    study = Study.find(options.home, options.settings).existing()
    console = Console()
    months = decision_months(study.store)
    if not months:
        console.print("nothing has been ingested yet: finembed run")
        return 0
    states = chain_state(study.store, study.settings, months, TerminalProgress())
    console.print(f"home {seen(str(study.home.root))}, months {months[0]} to {months[-1]}")
    opened = first_open_month([state for state in states if not state.dead_end])
    states += _results(study, months[-1], opened)
    show(console, pl.DataFrame([_status_row(state) for state in states]))
    show_source(console, study)
    show(console, study.store.read("data_quality", "all"), title="data quality")
    show(console, _reasons(study.store), title="reason codes, by fund, series or model and month")
    return 0


def query(options: argparse.Namespace) -> int:
    """One SELECT against the warehouse."""
    study = Study.find(options.home, options.settings).existing()
    frame = ask(study.home.warehouse, options.sql)
    if options.format == "csv":
        sys.stdout.write(csv_text(frame))
    elif options.format == "json":
        sys.stdout.write(frame.write_json() + "\n")
    else:
        show(Console(), frame)
    return 0


def export(options: argparse.Namespace) -> int:
    """One table or view into a file."""
    study = Study.find(options.home, options.settings).existing()
    rows = write_table(study.home.warehouse, options.table, options.file)
    Console().print(f"wrote {rows} rows to {seen(str(options.file))}")
    return 0


def _status_row(state: LinkState) -> dict[str, str | int]:
    counts = Counter(state.keys.values())
    return {
        "asset": state.name,
        "of": state.keyed_by,
        "current": counts["current"],
        "stale": counts["stale"],
        "missing": counts["missing"],
        "first open": state.first_open or "",
    }


def _results(study: Study, last: Month, opened: Month | None) -> list[LinkState]:
    """Where backtests and warehouse stand, which have no months."""
    store, settings, warehouse = study.store, study.settings, study.home.warehouse
    run_id = identify(store, settings, last).run_id
    tested = opened is None and has_run(store, run_id)
    published = is_published(store, warehouse, settings, last, run_id)
    return [
        *_embedding_study(study),
        LinkState("backtests", {"": _state(bool(store.keys("runs")), tested)}, "whole"),
        LinkState("warehouse", {"": _state(warehouse.exists(), tested and published)}, "whole"),
    ]


def _embedding_study(study: Study) -> list[LinkState]:
    """Where descriptions and evaluations of embeddings stand, if there can be any."""
    store, settings = study.store, study.settings
    if not settings.embeds or store.manifest(DAILY, "all") is None:
        return []
    found: dict[str, State] = {
        key: part_state(stage, store, key)
        for stage, keys in study_stages(store, settings)
        for key in keys
    }
    return [LinkState("embedding_study", found, "whole")]


def _state(exists: bool, current: bool) -> State:
    if current:
        return "current"
    return "stale" if exists else "missing"


def _reasons(store: PartStore) -> pl.DataFrame:
    counts: Counter[tuple[str, str]] = Counter()
    for table in ("universe", "polymodel_features"):
        for manifest in store.manifests(table):
            for reason, count in manifest.notes.get("reasons", {}).items():
                counts[table, reason] += count
    for table in ("polymodel_excluded", "macro_excluded", EXCLUSIONS):
        for key in store.keys(table):
            counts.update((table, reason) for reason in store.read(table, key)["reason"])
    for table in map(model_table, ENCODERS):
        short = [m for m in store.manifests(table) if "reason" in m.notes]
        counts.update((table, manifest.notes["reason"]) for manifest in short)
    rows = [(table, reason, count) for (table, reason), count in counts.most_common()]
    schema = {"table": pl.String, "reason": pl.String, "rows": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")
