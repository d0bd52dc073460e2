"""Small daily worlds for the evaluations: a panel, predictions of models, a store that holds both.

Predictions follow the contract of the table `fund_predictions`; `skill` blends what funds earn next
with noise.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from finembed_core.daily_panel import DailyPanel
from finembed_core.embeddings.evaluation.predictions import PREDICTED
from finembed_core.embeddings.tables import PREDICTED as COLUMNS
from finembed_core.settings import Settings
from finembed_core.sources.tables import FUNDS, SERIES
from finembed_core.store import PartStore
from tests.daily_worlds import panel, write_panel

EVERY = 16


def own_settings(**changes: object) -> Settings:
    """Settings of a small study: a decision every 16 sessions."""
    embeddings = {
        "every_sessions": EVERY,
        "lookback": 32,
        "horizon": EVERY,
        "market": "market",
        **changes,
    }
    return Settings.model_validate(
        {"embeddings": embeddings, "backtest": {"inference": {"draws": 200}}}
    )


@dataclass(frozen=True)
class DailyWorld:
    """A panel and predictions, made from one seed."""

    seed: int = 0
    sessions: int = 200
    funds: int = 12
    first: int = 40  # session of the first decision
    skill: float = 0.0
    encoders: tuple[str, ...] = ("linear",)
    modes: tuple[str, ...] = ("supervised",)
    seeds: tuple[int, ...] = (1,)
    categories: tuple[str | None, ...] = ("bonds", "stocks")
    attributes: dict[str, list] = field(default_factory=dict)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(f"F{k:03d}" for k in range(self.funds))

    def panel(self) -> DailyPanel:
        rng = np.random.default_rng(self.seed)
        days = np.busday_offset("2001-01-01", np.arange(self.sessions), roll="forward")
        market = rng.normal(0.0003, 0.01, self.sessions)
        drift = np.repeat(
            rng.normal(0.0, 0.002, (self.sessions // EVERY + 1, self.funds)), EVERY, axis=0
        )
        own = rng.normal(0.0, 0.01, (self.sessions, self.funds))
        returns = market[:, None] + own + np.roll(drift, self.first + 1, axis=0)[: self.sessions]
        return panel(returns, days=days, market=market, ids=self.ids, series_ids=("market",))

    def decisions(self) -> list[int]:
        return list(range(self.first, self.sessions - 3, EVERY))

    def predictions(self, panel: DailyPanel) -> pl.DataFrame:
        rng = np.random.default_rng(self.seed + 1)
        rows = []
        for session in self.decisions():
            ahead = panel.returns[session + 2 : session + 2 + EVERY].astype(np.float64)
            total = np.nan_to_num(ahead).sum(axis=0)
            truth = (total - total.mean()) / max(total.std(), 1e-9)
            models = itertools.product(self.encoders, self.modes, self.seeds)
            rows += [self._rows(panel, session, model, truth, rng) for model in models]
        return pl.concat(rows)

    def _rows(self, panel, session: int, model: tuple, truth, rng) -> pl.DataFrame:
        def score() -> np.ndarray:
            return self.skill * truth + rng.normal(0.0, 1.0, self.funds)

        values = {name: score() for name in ("volatility", "sharpe", "drawdown", *PREDICTED)}
        for name in ("weight", "gmv"):
            shares = np.exp(values[name])
            values[name] = shares / shares.sum()
        encoder, mode, seed = model
        day = panel.days[session].item()
        frame = pl.DataFrame({"fund_id": list(self.ids), **values}).with_columns(
            date=pl.lit(day), encoder=pl.lit(encoder), mode=pl.lit(mode), seed=pl.lit(seed)
        )
        return frame.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items())

    def fund_table(self) -> pl.DataFrame:
        kinds = [self.categories[k % len(self.categories)] for k in range(self.funds)]
        known = {"fund_id": list(self.ids), "category": kinds, **self.attributes}
        nothing = [None] * self.funds
        return pl.DataFrame(
            {name: pl.Series(known.get(name, nothing), dtype=kind) for name, kind in FUNDS.items()}
        )


def write_world(store: PartStore, world: DailyWorld, predictions: pl.DataFrame | None = None):
    """Write the parts that the study reads."""
    made = world.panel()
    write_panel(store, made)
    store.write("daily_funds", "all", world.fund_table())
    store.write("series", "all", pl.DataFrame(schema=SERIES))
    table = world.predictions(made) if predictions is None else predictions
    for (month,), part in table.group_by(
        pl.col("date").dt.strftime("%Y-%m").alias("month"), maintain_order=True
    ):
        store.write("fund_predictions", str(month), part)
    return store
