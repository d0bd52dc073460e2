"""The whole chain, from files to orders: what lies after t changes no byte of any part up to t.

The other leakage tests take one stage each, with inputs that are clean up to t. Here nothing but
the files differs, so whatever one stage lets through shows in all that follow.
"""

import datetime as dt
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from finembed_core.backtest.run import RUN_TABLES, backtest
from finembed_core.calendar import Month
from finembed_core.chain import chain
from finembed_core.ingest.stage import ingest
from finembed_core.settings import Settings
from finembed_core.stage import build
from finembed_core.store import PartStore

FIRST, CUT, LAST = (Month.parse(text) for text in ("1998-01", "2001-12", "2002-04"))
FUNDS = 10
SETTINGS = {
    "ingest": {"duplicate_months": 12, "stale_months": 4},
    "universe": {"min_history_months": 12},
    "polymodel": {
        "shuffles": 39,
        "window": 18,
        "min_obs": 12,
        "min_factor_history": 24,
        "alpha": 0.1,
        "macro_factors_as_risk_factors": True,
    },
    "pairs": {"first_month": "2001-06"},
    "macro": {"min_months": 24, "n_components": 2},
    "learning": {
        "models": ["majority", "persistence", "logistic", "lightgbm"],
        "lookback": 4,
        "max_factor_channels": 2,
        "min_train_months": 12,
        "valid_months": 6,
        "retrain_every": 3,
        "seeds": [1],
        "lightgbm": {"max_rounds": 5, "min_leaf_samples": 10},
    },
    "portfolio": {"models": ["logistic", "lightgbm"]},
    "execution": {"mode": "serial", "workers": 1},
}
MONTHLY = {"fund_observations", "series_observations", "universe", "predictions"}
FEATURES = ("universe", "macro_factors", "polymodel_features")


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def month_ends() -> list[dt.date]:
    return [Month(k).end for k in range(FIRST.ordinal, LAST.ordinal + 1)]


def one_world() -> dict[str, pl.DataFrame]:
    """Four tables with every way to be late: lags, vintages, late verdicts, deaths, gaps."""
    draw = np.random.default_rng(4)
    days = month_ends()
    n = len(days)
    factors = 0.04 * draw.standard_normal((n, 3))
    returns = factors @ draw.normal(0.4, 0.4, (3, FUNDS)) + 0.01 * draw.standard_normal((n, FUNDS))
    returns[CUT - FIRST - 2 : CUT - FIRST + 4, 0] = 0.0  # stale: seen in the month after the cut
    returns[CUT - FIRST - 11 :, 1] = returns[CUT - FIRST - 11 :, 2]  # a twin: seen in the cut's
    returns[:20, 3] = np.nan  # born late
    returns[CUT - FIRST - 1 :, 4] = np.nan  # falls silent
    returns[30:32, 5] = np.nan  # a gap
    macro = 100.0 + draw.standard_normal((n, 4)).cumsum(axis=0)
    funds = [
        {
            "fund_id": f"F{i}",
            "date": day,
            "ret": returns[t, i],
            "aum": 1e6 * (i + 1) * np.exp(0.2 * draw.standard_normal()),
            "available_at": day + dt.timedelta(days=40 if i == 6 else 10) if i > 5 else None,
        }
        for t, day in enumerate(days)
        for i in range(FUNDS)
        if not np.isnan(returns[t, i])
    ]
    series = [("X0", day, None, factors[t, 0]) for t, day in enumerate(days)]
    series += [("X1", day, None, factors[t, 1]) for t, day in enumerate(days)]
    series += [("M", day, None, factors[t].mean()) for t, day in enumerate(days)]
    series += [("C", day, None, 2.0 + 0.01 * t) for t, day in enumerate(days)]
    series += [(f"S{k}", day, None, macro[t, k]) for t, day in enumerate(days) for k in range(3)]
    series += [  # revised every half year, with another base each time
        ("S3", day, vintage.end, macro[t, 3] * (1.0 + 0.1 * j) + draw.normal(0.0, 0.1))
        for j, vintage in enumerate(FIRST + k for k in range(24, n, 6))
        for t, day in enumerate(days)
        if day < vintage.start
    ]
    roles = {"X0": "risk_factor", "X1": "risk_factor", "M": "benchmark", "C": "risk_free"}
    kinds = {"X0": "return", "X1": "return", "M": "return", "C": "yield"}
    names = [*roles, "S0", "S1", "S2", "S3"]
    return {
        "fund_observations": pl.DataFrame(funds, infer_schema_length=None),
        "funds": pl.DataFrame(
            {
                "fund_id": ["F7", "F8", "F9"],
                "death_date": [(CUT - 6).end, (CUT + 2).end, None],
                "death_reason": ["liquidated", "merged", None],
                "closed_date": [None, None, (CUT + 1).end],
                "open_to_new_money": [None, None, False],
            }
        ),
        "series_observations": pl.DataFrame(
            series,
            ["series_id", "date", "vintage", "value"],
            orient="row",
            infer_schema_length=None,
        ),
        "series": pl.DataFrame(
            {
                "series_id": names,
                "roles": [roles.get(name, "macro") for name in names],
                "kind": [kinds.get(name, "level") for name in names],
            }
        ),
    }


def other_future(world: dict[str, pl.DataFrame], settings: Settings) -> dict[str, pl.DataFrame]:
    """All that nobody could know when `CUT` was decided is noise; funds and series come and go."""
    draw = np.random.default_rng(8)
    day = settings.dataset.calendar.decision_day(CUT)
    dataset = settings.dataset

    def late(lag: pl.Expr, given: str) -> pl.Expr:
        known = pl.coalesce(given, pl.col("date") + pl.duration(days=lag))
        return (known > pl.lit(day)) | (pl.col("date") > pl.lit(CUT.end))

    funds = world["fund_observations"]
    unknown = late(pl.lit(dataset.fund_lag), "available_at")
    gone = unknown & pl.col("fund_id").is_in(["F2", "F8"])
    funds = funds.filter(~gone).with_columns(
        pl.when(unknown)
        .then(pl.Series(draw.normal(0.0, scale, funds.height - funds.filter(gone).height)).abs())
        .otherwise(name)
        .alias(name)
        for name, scale in (("ret", 0.2), ("aum", 1e9))
    )
    born = funds.filter((pl.col("fund_id") == "F5") & unknown)
    born = born.with_columns(fund_id=pl.lit("A0"))  # first of all ids
    series = world["series_observations"]
    published = pl.col("series_id").str.starts_with("S")
    lag = pl.when(published).then(dataset.macro_lag_days).otherwise(dataset.price_lag_days)
    hidden = late(lag, "vintage")
    noise = pl.Series(draw.normal(0.0, 0.3, series.height)).abs()
    series = series.with_columns(value=pl.when(hidden).then(noise).otherwise("value"))
    fresh = series.filter((pl.col("series_id") == "X0") & hidden).with_columns(
        series_id=pl.lit("A1")
    )
    described = {"series_id": "A1", "roles": "risk_factor", "kind": "return"}
    attributes = world["funds"].with_columns(
        death_date=pl.when(pl.col("death_date") <= CUT.end).then("death_date"),
        closed_date=pl.lit(None, dtype=pl.Date),
        open_to_new_money=pl.lit(None, dtype=pl.Boolean),
    )
    return {
        "fund_observations": pl.concat([funds, born]),
        "funds": attributes.with_columns(
            death_reason=pl.when(pl.col("death_date").is_not_null()).then("death_reason")
        ),
        "series_observations": pl.concat([series, fresh]),
        "series": pl.concat([world["series"], pl.DataFrame([described])]),
    }


def settings_of(folder: Path, profile: str) -> Settings:
    files = {
        "fund_observations": [{"path": str(folder / "fund_observations.parquet")}],
        "funds": {"path": str(folder / "funds.parquet")},
        "series_observations": [{"path": str(folder / "series_observations.parquet")}],
        "series": {"path": str(folder / "series.parquet")},
    }
    dataset = {"source": "files", "profile": profile, "files": files}
    return Settings.model_validate({"dataset": dataset, **SETTINGS})


def run(folder: Path, world: dict[str, pl.DataFrame], profile: str, last: Month) -> PartStore:
    """Ingest and all stages up to `last`, from files that hold `world`."""
    folder.mkdir()
    for table, frame in world.items():
        frame.write_parquet(folder / f"{table}.parquet")
    settings = settings_of(folder, profile)
    store = PartStore(folder / "store")
    months = [month for month in ingest(store, settings).months if month <= last]
    features, learning = chain(store, settings), chain(store, settings)
    for name in learning:
        link = (features if name in FEATURES else learning)[name]
        list(build(link.stage, link.keys(months, settings), store))
    return store


def parts(store: PartStore) -> dict[tuple[str, str], object]:
    """Manifests, inputs and all, of every part made by the cut's decision.

    The model of the month after is one of them: it learns from what was known in the cut's month.
    """
    ends = {table: CUT + table.startswith("trend_model") for table in store.tables()}
    return {
        (table, key): store.manifest(table, key)
        for table, end in ends.items()
        for key in store.keys(table)
        if key != "all" and key <= str(end)
    }


@pytest.mark.parametrize("profile", ["liquid", "hedge_funds"])
def test_what_comes_after_t_changes_no_byte_up_to_t(tmp_path: Path, profile: str) -> None:
    world = one_world()
    settings = settings_of(tmp_path, profile)
    true = run(tmp_path / "true", world, profile, LAST)
    noisy = run(tmp_path / "noise", other_future(world, settings), profile, LAST)
    one, two = parts(true), parts(noisy)
    kinds = {"polymodel_selected", "polymodel_pairs", "macro_loadings"}
    assert {table for table, _ in one} >= {*MONTHLY, *kinds}
    assert ("trend_model_logistic", str(CUT + 1)) in one
    assert true.read("predictions", str(CUT)).height == noisy.read("predictions", str(CUT)).height
    assert true.read("polymodel_selected", str(CUT)).height > 0
    assert [key for key in one | two if one.get(key) != two.get(key)] == []
    for table in MONTHLY:
        assert true.manifest(table, str(CUT + 3)) != noisy.manifest(table, str(CUT + 3)), table
    runs = [backtest(store, settings, CUT).run_id for store in (true, noisy)]
    _a_longer_run_keeps_the_past(true, runs[0], backtest(true, settings, LAST).run_id)
    for table in set(RUN_TABLES) - {"runs"}:  # which tells the data apart
        told, same = (
            s.read(table, r).drop("run_id") for s, r in zip((true, noisy), runs, strict=True)
        )
        assert told.height > 0 or table == "rolling", table  # 36 months have not passed
        assert told.equals(same), table


def _a_longer_run_keeps_the_past(store: PartStore, short: str, long: str) -> None:
    """Also where a later verdict withdraws returns that were dealt on.

    Two months back, because fund F6 reports late: its reports count in their own months.
    """
    withdrawn = store.read("quarantine", "all").filter(pl.col("known_at") > CUT.end)
    assert {"stale_nav", "duplicate_fund"} <= set(withdrawn["rule"])
    for table, day in (("returns", "date"), ("holdings", "date"), ("trades", "dealing")):
        settled = pl.col(day) <= (CUT - 2).end
        past, again = (
            store.read(table, run).drop("run_id").filter(settled) for run in (short, long)
        )
        assert past.height > 0, table
        assert past.equals(again), table
