"""A small store with the tables that learning reads, and a signal planted in it on request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl

from finembed_core.calendar import Month, month_range, retraining_months
from finembed_core.learning.samples import SampleReader
from finembed_core.learning.stage import prediction_stage, training_stage
from finembed_core.settings import LearningSettings, Settings
from finembed_core.stage import build
from finembed_core.store import PartStore

FIRST = Month.parse("2000-01")
FACTORS = ("MKT", "SMB", "OIL")
MACRO = ("F1", "F2", "F3")
LONG_BEFORE = 24  # months of returns in the opening part
RANDOM_FEATURES = ("sharpe", "mrar", "svar", "lta", "ltr", "lts")

QUICK = LearningSettings.model_validate(
    {
        "lookback": 6,
        "min_train_months": 12,
        "valid_months": 6,
        "seeds": [1, 2],
        "itransformer": {
            "d_model": 16,
            "d_ff": 16,
            "heads": 2,
            "learning_rate": 5e-3,
            "batch_size": 64,
            "epoch_samples": 512,
            "max_epochs": 6,
        },
        "lightgbm": {"min_leaf_samples": 20, "max_rounds": 40},
    }
)


def quick_settings(**learning: object) -> Settings:
    """Default settings with small, fast models."""
    tree = QUICK.model_dump() | learning
    return Settings(learning=LearningSettings.model_validate(tree))


@dataclass(frozen=True)
class World:
    """Everything that happens, month by month, before it is cut into parts.

    ``signal`` is the share of next month's return that this month's ``lta`` gives away.
    ``change_after`` replaces everything later by other random numbers.
    """

    funds: int = 12
    months: int = 60
    signal: float = 0.0
    seed: int = 1
    aum: bool = False
    dies: dict[str, int] | None = None
    change_after: Month | None = None

    def write(self, root: Path) -> PartStore:
        """The store of this world; tests do not wait for the disk."""
        with patch("os.fsync"):
            return self._write(PartStore(root))

    def _write(self, store: PartStore) -> PartStore:
        names = [f"fund{k:02d}" for k in range(self.funds)]
        months = month_range(FIRST, FIRST + (self.months - 1))
        before = month_range(FIRST - LONG_BEFORE, FIRST - 1)
        lta = np.zeros(self.funds)
        opening_funds, opening_series = [], []
        for month in before + months:
            rng = self._generator(month)
            returns = self.signal * lta + np.sqrt(1 - self.signal**2) * rng.normal(size=self.funds)
            alive = [self._alive(name, month) for name in names]
            funds = fund_rows(month, names, 0.02 * returns, alive, self._aum(rng))
            series = series_rows(month, rng.normal(scale=0.04, size=len(FACTORS)))
            lta = rng.normal(size=self.funds)
            if month < FIRST:
                opening_funds.append(funds)
                opening_series.append(series)
                continue
            if month == FIRST:
                store.write("fund_observations", str(month - 1), pl.concat(opening_funds))
                store.write("series_observations", str(month - 1), pl.concat(opening_series))
            store.write("fund_observations", str(month), funds)
            store.write("series_observations", str(month), series)
            store.write("polymodel_features", str(month), self._features(rng, names, lta, alive))
            store.write("macro_factors", str(month), self._macro(rng, month))
        store.write("series", "all", series_table())
        return store

    def _generator(self, month: Month) -> np.random.Generator:
        changed = self.change_after is not None and month > self.change_after
        return np.random.default_rng([self.seed, month.ordinal, int(changed)])

    def _alive(self, name: str, month: Month) -> bool:
        last = (self.dies or {}).get(name)
        return last is None or month - FIRST <= last

    def _aum(self, rng: np.random.Generator) -> np.ndarray | None:
        return np.exp(rng.normal(18, 1, self.funds)) if self.aum else None

    def _features(self, rng, names, lta, alive) -> pl.DataFrame:
        n = self.funds
        columns = {name: rng.standard_t(3, n) for name in RANDOM_FEATURES} | {"lta": lta}
        columns["best_score"] = rng.exponential(2.0, n)
        none_selected = rng.random(n) < 0.1
        frame = pl.DataFrame(
            {"fund_id": names, **columns, "n_selected": np.where(none_selected, 0, 2)}
        )
        stress = ["svar", "ltr", "lts"] if self.signal else ["svar", "lta", "ltr", "lts"]
        lived = pl.Series(alive)
        return frame.with_columns(
            *(
                pl.when(lived & ~(pl.lit(name in stress) & pl.Series(none_selected)))
                .then(name)
                .alias(name)
                for name in (*RANDOM_FEATURES, "best_score")
            )
        )

    def _macro(self, rng, month: Month) -> pl.DataFrame:
        history = month_range(month - 11, month)
        return pl.DataFrame(
            {
                "as_of": [month.end] * len(history) * len(MACRO),
                "date": [m.end for m in history for _ in MACRO],
                "factor": list(MACRO) * len(history),
                "value": rng.normal(size=len(history) * len(MACRO)),
            }
        )


def fund_rows(month: Month, names, returns, alive, aum=None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "fund_id": names,
            "date": [month.end] * len(names),
            "ret": returns,
            "aum": pl.Series([None] * len(names) if aum is None else aum, dtype=pl.Float64),
            "available_at": [month.end] * len(names),
            "assumed": [True] * len(names),
            "source": ["synthetic"] * len(names),
        }
    ).filter(pl.Series(alive))


def series_rows(month: Month, values) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "series_id": FACTORS,
            "date": [month.end] * len(FACTORS),
            "vintage": pl.Series([None] * len(FACTORS), dtype=pl.Date),
            "value": values,
            "available_at": [month.end] * len(FACTORS),
            "assumed": [True] * len(FACTORS),
        }
    )


def series_table() -> pl.DataFrame:
    n = len(FACTORS)
    return pl.DataFrame(
        {
            "series_id": FACTORS,
            "name": FACTORS,
            "roles": [["risk_factor"]] * n,
            "kind": ["return"] * n,
            "transform": pl.Series([None] * n, dtype=pl.String),
            "frequency": ["monthly"] * n,
            "aliases": pl.Series([[]] * n, dtype=pl.List(pl.String)),
        }
    )


def run_learning(store: PartStore, settings: Settings, months: int) -> None:
    """Train and predict for the first `months` months."""
    last = FIRST + (months - 1)
    reader = SampleReader(store, settings)
    retrainings = retraining_months(FIRST, last, settings.learning.retrain_every)
    with patch("os.fsync"):
        for kind in settings.learning.models:
            list(build(training_stage(store, settings, kind, reader), map(str, retrainings), store))
        keys = map(str, month_range(FIRST, last))
        list(build(prediction_stage(store, settings, reader), keys, store))
