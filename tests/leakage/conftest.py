"""One small history with two futures, built once: for proofs, and for leaks that are planted."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from finembed_core.calendar import Month
from finembed_core.chain import chain, decision_months
from finembed_core.ingest import stage
from finembed_core.ingest.stage import ingest
from finembed_core.proof.future import another_future
from finembed_core.proof.rebuild import rebuild
from finembed_core.settings import Settings
from finembed_core.sources import load
from finembed_core.sources.tables import InputTables
from finembed_core.stage import build
from finembed_core.store import PartStore
from tests.embeddings.small_store import SMALL
from tests.leakage.futures import FIRST
from tests.leakage.futures import world as daily_world
from tests.leakage.whole_world import CUT, LAST, written

DAILY_SETTINGS = Settings.model_validate(
    {
        "dataset": {"source": "files", "files": {"daily_observations": [{"path": "unread.csv"}]}},
        "execution": {"mode": "serial"},  # workers would not have the leaks
        "macro": {"min_months": 24, "n_components": 2},
        "embeddings": {
            **SMALL,
            "every_sessions": 24,
            "max_abs_return": 0.3,
            "min_visible": 0.6,
            "modes": ["supervised"],
            "published_mode": "supervised",
            "seeds": [1],
            "fusion": {"text": False},
            "training": SMALL["training"] | {"every_sessions": 2},
        },
    }
)


@dataclass(frozen=True)
class Futures:
    """Tables with the true future after a month and with another, and a study of each."""

    settings: Settings
    cut: Month
    tables: tuple[InputTables, InputTables]
    stores: tuple[PartStore, PartStore]


def build_link(store: PartStore, settings: Settings, months: Sequence[Month], name: str) -> None:
    """One link of the chain, for these months."""
    link = chain(store, settings)[name]
    list(build(link.stage, link.keys(months, settings), store, settings.execution))


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def futures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Futures]]:
    """The futures of the whole world by profile."""

    @cache
    def of(profile: str) -> Futures:
        folder: Path = tmp_path_factory.mktemp(profile)
        settings = written(folder, profile)
        known = load(settings.dataset)
        tables = (known, another_future(known, settings, CUT, seed=1))
        true, other = (
            rebuild(PartStore(folder / name), each, settings, LAST)
            for name, each in zip(("true", "other"), tables, strict=True)
        )
        return Futures(settings, CUT, tables, (true, other))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield of


@pytest.fixture(scope="session")
def daily_futures(tmp_path_factory: pytest.TempPathFactory) -> Futures:
    """The futures of a world with daily funds, ingested and with macro factors."""
    known = daily_world()
    cut, last = FIRST + 5, FIRST + 10
    tables = (known, another_future(known, DAILY_SETTINGS, cut, seed=1))
    stores = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(stage, "month_bounds", lambda dataset: (FIRST, last))
        for name, each in zip(("true", "other"), tables, strict=True):
            store = PartStore(tmp_path_factory.mktemp(name))
            ingest(store, DAILY_SETTINGS, tables=each)
            build_link(store, DAILY_SETTINGS, decision_months(store), "macro_factors")
            stores.append(store)
    return Futures(DAILY_SETTINGS, cut, tables, (stores[0], stores[1]))
