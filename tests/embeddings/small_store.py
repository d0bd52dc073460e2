"""A store small enough to train on in a test: funds that follow two factors, one of them unseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from finembed_core.calendar import Month, month_ordinals
from finembed_core.embeddings.information_set import InformationReader
from finembed_core.embeddings.sheets import Information
from finembed_core.embeddings.text import text_stage
from finembed_core.ingest.stage import OBSERVATIONS
from finembed_core.settings import Settings
from finembed_core.sources.tables import conform
from finembed_core.stage import build
from finembed_core.store import PartStore
from tests.daily_worlds import panel, sessions, write_factors, write_months, write_panel

SESSIONS = 190
FUNDS = 8

SMALL: dict[str, Any] = {
    "lookback": 16,
    "horizon": 5,
    "every_sessions": 40,
    "size": 6,
    "seeds": [1, 2],
    "encoders": ["rlinear"],
    "modes": ["supervised", "probe", "finetune", "multi_objective", "multi_modal"],
    "published_encoder": "rlinear",
    "encoder": {
        "width": 8,
        "feed_forward": 8,
        "layers": 1,
        "heads": 2,
        "patch": 8,
        "stride": 4,
        "trend_window": 5,
    },
    "objectives": {"hidden_steps": 4},
    "training": {
        "train_sessions": 64,
        "valid_sessions": 16,
        "every_sessions": 4,
        "epoch_windows": 64,
        "max_epochs": 2,
        "batch_windows": 32,
    },
}


def small_settings(**changes: Any) -> Settings:
    """Settings of the small store; a section may be given in part."""
    tree = dict(SMALL)
    for name, value in changes.items():
        tree[name] = tree.get(name, {}) | value if isinstance(value, dict) else value
    files = {"daily_observations": [{"path": "daily.csv"}]}  # never read: ingest is not run here
    dataset = {"source": "files", "files": files}
    return Settings.model_validate({"dataset": dataset, "embeddings": tree})


def information(store: PartStore, settings: Settings) -> Information:
    """What may be known at the last decision."""
    reader = InformationReader(store, settings)
    return reader.information(reader.decision(reader.decision_months[-1]))


def returns(seed: int = 3) -> np.ndarray:
    """Two clusters with own factors, some missing days, one fund that is born late."""
    draw = np.random.default_rng(seed)
    factors = draw.normal(0.0, 0.01, (SESSIONS, 2))
    own = draw.normal(0.0, 0.004, (SESSIONS, FUNDS))
    made = factors[:, np.arange(FUNDS) % 2] + own
    made[draw.random(made.shape) < 0.02] = np.nan
    made[:100, -1] = np.nan
    return made.astype(np.float32)


def small_store(root: Path, made: np.ndarray | None = None) -> PartStore:
    """The store, everything known at once."""
    store = PartStore(root)
    days = sessions(SESSIONS)
    made = returns() if made is None else made
    market = np.nanmean(made, axis=1)
    write_panel(store, panel(made, market=np.nan_to_num(market), days=days))
    months = np.unique(month_ordinals(days))
    for month in write_months(store, Month(int(months[0])), len(months)):
        write_factors(store, month, {"F1": [0.1, -0.2, 0.3], "F2": [1.0, 2.0, 0.5]})
    for key in store.keys("fund_observations"):
        store.write("fund_observations", key, pl.DataFrame(schema=OBSERVATIONS))
    ids = [f"F{k:02d}" for k in range(made.shape[1])]
    kinds = ["stocks" if k % 2 else "bonds" for k in range(len(ids))]
    funds = pl.DataFrame({"fund_id": ids, "name": ids, "category": kinds})
    store.write("daily_funds", "all", conform("daily_funds", funds))
    list(build(text_stage(store), ["all"], store))
    return store
