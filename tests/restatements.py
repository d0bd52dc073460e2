"""A finished study whose source says something else than before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from finembed_core.chain import chain, decision_months, discard_foreign_parts
from finembed_core.ingest import stage
from finembed_core.ingest.stage import ingest
from finembed_core.settings import Settings
from finembed_core.sources.tables import InputTables
from finembed_core.stage import build
from finembed_core.store import PartStore

Edit = Callable[[InputTables], InputTables]


def let_the_source_say(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, edit: Edit
) -> InputTables:
    """From now on whatever reads the source finds it edited; returns what it was."""
    original = stage.load(settings.dataset)
    monkeypatch.setattr(stage, "load", lambda dataset: edit(original))
    return original


def catch_up(store: PartStore, settings: Settings) -> dict[str, set[str]]:
    """Read the source and build what is stale, by the core alone; keys that were computed."""
    ingest(store, settings)
    discard_foreign_parts(store, settings)
    months = decision_months(store)
    computed: dict[str, set[str]] = {}
    for name in chain(store, settings):
        link = chain(store, settings)[name]
        parts = build(link.stage, link.keys(months, settings), store)
        computed[name] = {part.key for part in parts if not part.skipped}
    return computed


def stamps(store: PartStore) -> dict[Path, tuple[int, bytes]]:
    """File time and bytes of every manifest."""
    files = sorted(store.root.rglob("*.json"))
    return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def value_of(frame: pl.DataFrame, where: pl.Expr, column: str, value: object) -> pl.DataFrame:
    """The frame with another value in some rows."""
    return frame.with_columns(pl.when(where).then(pl.lit(value)).otherwise(column).alias(column))


def at(name: str, date: dt.date, id: str = "fund_id") -> pl.Expr:
    """The rows of a fund or series on a day."""
    return (pl.col(id) == name) & (pl.col("date") == date)
