"""A store with just what a backtest reads, made from arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from finembed_core.calendar import DecisionCalendar, Month, month_range
from finembed_core.store import PartStore

FIRST = Month.parse("2001-01")
MODELS = ("logistic", "persistence")


@dataclass(frozen=True)
class Story:
    """What happens, month by month from 2001-01; arrays of shape (T, N)."""

    returns: np.ndarray
    p_up: dict[str, np.ndarray]
    aum: np.ndarray | None = None
    benchmark: np.ndarray | None = None  # (T,)
    yields: np.ndarray | None = None  # (T,), percent per year
    currencies: tuple[str, ...] | None = None
    lag: int = 0

    @cached_property
    def ids(self) -> list[str]:
        return [f"F{k:02d}" for k in range(self.returns.shape[1])]

    @cached_property
    def months(self) -> list[Month]:
        return month_range(FIRST, FIRST + (len(self.returns) - 1))

    @property
    def last(self) -> Month:
        return self.months[-1]


def story(seed: int = 1, months: int = 18, funds: int = 8, lag: int = 0) -> Story:
    """Predictions from the seventh month on; one fund falls silent, one starts late."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.01, 0.04, (months, funds)).round(6)
    returns[10:, 1] = np.nan
    returns[:4, 2] = np.nan
    p_up = {}
    for model in MODELS:
        chances = rng.uniform(0.2, 0.6, (months, funds))
        chances[:6] = np.nan
        chances[np.isnan(returns)] = np.nan
        p_up[model] = chances
    return Story(
        returns,
        p_up,
        rng.uniform(1e6, 9e6, (months, funds)).round(),
        rng.normal(0.008, 0.04, months),
        rng.uniform(1, 5, months),
        lag=lag,
    )


def write_story(store: PartStore, told: Story) -> PartStore:
    """Write all parts that `backtest` reads."""
    calendar = DecisionCalendar(told.lag)
    for t, month in enumerate(told.months):
        available = calendar.decision_day(month)
        store.write("fund_observations", str(month), _observations(told, t, available))
        store.write("series_observations", str(month), _series(told, t, month.end))
        store.write("universe", str(month), _universe(told, t))
        store.write("predictions", str(month), _predictions(told, t, calendar))
    currencies = told.currencies or ("USD",) * len(told.ids)
    funds = {"fund_id": told.ids, "name": [f"Fund {i}" for i in told.ids], "currency": currencies}
    store.write(
        "funds",
        "all",
        pl.DataFrame(funds).with_columns(
            category=pl.lit(None, dtype=pl.String),
            death_date=pl.lit(None, dtype=pl.Date),
            death_reason=pl.lit(None, dtype=pl.String),
            notice_days=pl.lit(None, dtype=pl.Int64),
        ),
    )
    store.write("series", "all", _series_table(told))
    return store


def _observations(told: Story, t: int, available) -> pl.DataFrame:
    seen = np.flatnonzero(~np.isnan(told.returns[t]))
    aum = [None] * len(seen) if told.aum is None else told.aum[t][seen].tolist()
    return pl.DataFrame(
        {
            "fund_id": [told.ids[k] for k in seen],
            "date": [told.months[t].end] * len(seen),
            "ret": told.returns[t][seen],
            "aum": aum,
            "available_at": [available] * len(seen),
            "assumed": [True] * len(seen),
            "source": ["story"] * len(seen),
        },
        schema_overrides={"fund_id": pl.String, "aum": pl.Float64, "date": pl.Date},
    )


def _series(told: Story, t: int, day) -> pl.DataFrame:
    rows = []
    if told.benchmark is not None and not np.isnan(told.benchmark[t]):
        rows.append(("MKT", told.benchmark[t]))
    if told.yields is not None:
        rows.append(("BILL", told.yields[t]))
    return pl.DataFrame(
        [(name, day, None, float(value), day, True) for name, value in rows],
        schema={
            "series_id": pl.String,
            "date": pl.Date,
            "vintage": pl.Date,
            "value": pl.Float64,
            "available_at": pl.Date,
            "assumed": pl.Boolean,
        },
        orient="row",
    )


def _series_table(told: Story) -> pl.DataFrame:
    rows = []
    if told.benchmark is not None:
        rows.append(("MKT", ["benchmark"], "return"))
    if told.yields is not None:
        rows.append(("BILL", ["risk_free"], "yield"))
    return pl.DataFrame(
        [(name, name, roles, kind, None, "monthly", []) for name, roles, kind in rows],
        schema={
            "series_id": pl.String,
            "name": pl.String,
            "roles": pl.List(pl.String),
            "kind": pl.String,
            "transform": pl.String,
            "frequency": pl.String,
            "aliases": pl.List(pl.String),
        },
        orient="row",
    )


def _universe(told: Story, t: int) -> pl.DataFrame:
    eligible = ~np.isnan(told.returns[t])
    last = None
    if told.aum is not None:
        last = [float(a) if ok else None for a, ok in zip(told.aum[t], eligible, strict=True)]
    return pl.DataFrame(
        {
            "month": [told.months[t].end] * len(told.ids),
            "fund_id": told.ids,
            "eligible": eligible,
            "reason": ["" if ok else "no_report" for ok in eligible],
            "n_history": [t] * len(told.ids),
            "last_aum": last or [None] * len(told.ids),
        },
        schema_overrides={"last_aum": pl.Float64, "n_history": pl.Int64},
    )


def _predictions(told: Story, t: int, calendar: DecisionCalendar) -> pl.DataFrame:
    month = told.months[t]
    rows = []
    for model, chances in told.p_up.items():
        for k in np.flatnonzero(~np.isnan(chances[t])):
            up = float(chances[t, k])
            label = calendar.label_month(month).end
            row = (month.end, told.ids[k], model, 0.8 - up, 0.2, up, label, 0.01, month.end)
            rows.append(row)
    return pl.DataFrame(
        rows,
        schema={
            "month": pl.Date,
            "fund_id": pl.String,
            "model": pl.String,
            "p_down": pl.Float64,
            "p_unchanged": pl.Float64,
            "p_up": pl.Float64,
            "label_month": pl.Date,
            "band": pl.Float64,
            "retraining": pl.Date,
        },
        orient="row",
    )


def without_aum(told: Story) -> Story:
    """The same story where nobody reports assets."""
    return replace(told, aum=None)
