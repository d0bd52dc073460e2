"""Build a study anew from tables at hand, by the functions that every run uses."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from finembed_core.calendar import Month
from finembed_core.chain import chain, decision_months
from finembed_core.daily_panel import TABLE as DAILY
from finembed_core.embeddings.text import text_stage
from finembed_core.ingest.stage import ingest
from finembed_core.progress import Progress
from finembed_core.settings import Settings
from finembed_core.sources import InputTables
from finembed_core.stage import build
from finembed_core.store import PartStore

FEATURES = ("universe", "macro_factors", "polymodel_features")
"""Links before those that share a reader of features (`chain`)."""


def rebuild(
    store: PartStore,
    tables: InputTables,
    settings: Settings,
    through: Month,
    progress: Progress | None = None,
) -> PartStore:
    """Ingest the tables whole, and build the chain up to a month, predictions and embeddings.

    Parameters
    ----------
    store : PartStore
        Empty, or holding what may be kept where it is current.
    tables : InputTables
    settings : Settings
    through : Month
        Brought back to the last month of the data where it lies beyond.
    progress : Progress, optional

    Raises
    ------
    InputError
        The tables break their contract.
    """
    months = ingest(store, settings, progress, tables).months
    own = settings.embeddings
    if own.enabled and own.fusion.text and store.manifest(DAILY, "all") is not None:
        list(build(text_stage(store), ["all"], store))
    _build_chain(store, settings, decision_months(store, min(through, months[-1])), progress)
    return store


def _build_chain(
    store: PartStore,
    settings: Settings,
    months: Sequence[Month],
    progress: Progress | None = None,
) -> None:
    """Build all links of the chain in order."""
    features, learning = chain(store, settings), chain(store, settings)
    for name in learning:
        link = (features if name in FEATURES else learning)[name]
        list(build(link.stage, link.keys(months, settings), store, settings.execution, progress))


def linked_copy(store: PartStore, folder: Path, without: Collection[str] = ()) -> PartStore:
    """A store of the same parts whose files take no room, but for some tables.

    Parts are never written into, only replaced, so that whatever is built in the copy leaves the
    original as it is. Where files cannot be linked, as on another disk, they are copied.
    """
    for table in store.tables():
        if table in without:
            continue
        (folder / table).mkdir(parents=True)
        for file in filter(Path.is_file, (store.root / table).iterdir()):
            target = folder / table / file.name
            try:
                os.link(file, target)
            except OSError:
                shutil.copy2(file, target)
    return PartStore(folder)
