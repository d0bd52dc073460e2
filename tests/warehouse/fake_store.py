"""A small store with every table of the contract, written by hand."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

import numpy as np
import polars as pl

from finembed_core.calendar import Month, month_range
from finembed_core.fingerprint import digest
from finembed_core.settings import Settings
from finembed_core.store import PartStore

FIRST, LAST = Month.parse("2000-01"), Month.parse("2000-12")
MONTHS = month_range(FIRST, LAST)
FUNDS = [f"F{k}" for k in range(6)]
MODELS = ("logistic", "persistence")
STRATEGIES = ("sa_logistic", "equal_weight_universe", "index_MKT")
NOON = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)


def fake_store(root: Path, settings: Settings | None = None) -> PartStore:
    """Six funds, one year, two models, one run of two strategies and an index."""
    store = PartStore(root)
    rng = np.random.default_rng(7)
    write_inputs(store, rng)
    for month in MONTHS:
        write_month(store, month, rng)
    write_curves(store, rng)
    write_run(store, "a" * 16, rng, settings or Settings())
    return store


def write_inputs(store: PartStore, rng: np.random.Generator) -> None:
    opening = FIRST - 1
    for known, months in [(opening, month_range(opening - 5, opening))] + [
        (month, [month]) for month in MONTHS
    ]:
        cells = [(m, fund) for m in months for fund in FUNDS]
        store.write(
            "fund_observations",
            str(known),
            pl.DataFrame(
                {
                    "fund_id": [fund for _, fund in cells],
                    "date": [m.end for m, _ in cells],
                    "ret": rng.normal(0.005, 0.03, len(cells)),
                    "aum": [None] * len(cells),
                    "available_at": [m.end for m, _ in cells],
                    "assumed": [True] * len(cells),
                    "source": ["fake"] * len(cells),
                }
            ),
        )
        store.write(
            "series_observations",
            str(known),
            pl.DataFrame(
                {
                    "series_id": ["MKT"] * len(months),
                    "date": [m.end for m in months],
                    "vintage": pl.Series([None] * len(months), dtype=pl.Date),
                    "value": rng.normal(0.006, 0.04, len(months)),
                    "available_at": [m.end for m in months],
                    "assumed": [True] * len(months),
                }
            ),
        )
    store.write(
        "funds",
        "all",
        pl.DataFrame({"fund_id": FUNDS, "name": [f"Fund {f}" for f in FUNDS]}),
    )
    store.write(
        "series",
        "all",
        pl.DataFrame(
            {
                "series_id": ["MKT"],
                "name": ["Market"],
                "roles": [["benchmark", "risk_factor"]],
                "kind": ["return"],
                "transform": ["none"],
                "frequency": ["monthly"],
                "aliases": [[]],
            },
            schema_overrides={"aliases": pl.List(pl.String)},
        ),
    )
    store.write(
        "quarantine",
        "all",
        pl.DataFrame(
            {
                "table": ["fund_observations"],
                "id": ["F5"],
                "date": [FIRST.end],
                "column": ["ret"],
                "rule": ["below_minus_100_percent"],
                "value": [-1.5],
                "reason": ["a fund cannot lose more than everything"],
                "known_at": [FIRST.end],
            }
        ),
    )
    store.write(
        "data_quality",
        "all",
        pl.DataFrame(
            {
                "table": ["fund_observations"],
                "rule": ["below_minus_100_percent"],
                "kind": ["quarantine"],
                "rows": [1],
                "ids": [1],
            }
        ),
    )


def write_month(store: PartStore, month: Month, rng: np.random.Generator) -> None:
    n, key, end = len(FUNDS), str(month), month.end
    eligible = [fund != "F5" for fund in FUNDS]
    store.write(
        "universe",
        key,
        pl.DataFrame(
            {
                "month": [end] * n,
                "fund_id": FUNDS,
                "eligible": eligible,
                "reason": ["" if e else "short_history" for e in eligible],
                "n_history": [month - FIRST + 6] * n,
                "last_aum": pl.Series([None] * n, dtype=pl.Float64),
            }
        ),
    )
    known = month_range(FIRST, month)
    store.write(
        "macro_factors",
        key,
        pl.DataFrame(
            {
                "as_of": [end] * (2 * len(known)),
                "date": [m.end for m in known] * 2,
                "factor": ["F1"] * len(known) + ["F2"] * len(known),
                "value": rng.normal(size=2 * len(known)),
            }
        ),
    )
    store.write(
        "macro_loadings",
        key,
        pl.DataFrame(
            {
                "as_of": [end] * 2,
                "factor": ["F1", "F2"],
                "series_id": ["CPI"] * 2,
                "loading": [1.0, 0.5],
            }
        ),
    )
    first = 0.4 + 0.05 * np.sin(month.ordinal / 4)
    store.write(
        "macro_explained",
        key,
        pl.DataFrame(
            {
                "as_of": [end] * 2,
                "factor": ["F1", "F2"],
                "explained": [first, 0.2],
                "n_series": [3, 3],
                "n_months": [len(known)] * 2,
            }
        ),
    )
    store.write(
        "macro_excluded",
        key,
        pl.DataFrame({"as_of": [end], "series_id": ["VIX"], "reason": ["short_history"]}),
    )
    full = np.array(eligible)
    sharpe = rng.normal(0.2, 0.3, n)
    svar = np.where(full, rng.uniform(0.05, 0.3, n), np.nan)
    lta = rng.normal(0.004, 0.003, n)
    store.write(
        "polymodel_features",
        key,
        pl.DataFrame(
            {
                "month": [end] * n,
                "fund_id": FUNDS,
                "sharpe": sharpe,
                "sharpe_annual": sharpe * 12**0.5,
                "mrar": rng.normal(0.05, 0.05, n),
                "svar": svar,
                "svar_clamped": svar * 0.8,
                "svar_factor": ["MKT" if e else None for e in eligible],
                "extrapolated": [False] * n,
                "lta": np.where(full, lta, np.nan),
                "ltr": np.where(full, lta / svar, np.nan),
                "lts": np.where(full, lta - 0.05 * svar, np.nan),
                "best_score": rng.uniform(3, 7, n),
                "n_selected": [1] * n,
                "n_factors": [4] * n,
                "n_obs": [36] * n,
                "expected_false": [0.04] * n,
                "reason": ["" if e else "no_selected_factor" for e in eligible],
            }
        ),
    )
    store.write(
        "polymodel_selected",
        key,
        pl.DataFrame(
            {
                "month": [end] * 5,
                "fund_id": FUNDS[:5],
                "factor_id": ["MKT"] * 5,
                "r2": [0.5] * 5,
                "p_value": [0.001] * 5,
                "score": [6.9] * 5,
                "y_max": [0.1] * 5,
                "svar": svar[:5],
                "lta": lta[:5],
            }
        ),
    )
    chances = rng.dirichlet([3, 3, 4], size=n * len(MODELS))
    store.write(
        "predictions",
        key,
        pl.DataFrame(
            {
                "month": [end] * (n * len(MODELS)),
                "fund_id": FUNDS * len(MODELS),
                "model": [model for model in MODELS for _ in FUNDS],
                "p_down": chances[:, 0],
                "p_unchanged": chances[:, 1],
                "p_up": chances[:, 2],
                "label_month": [(month + 1).end] * (n * len(MODELS)),
                "band": [0.01] * (n * len(MODELS)),
                "retraining": [Month.parse(f"{month.year}-01").end] * (n * len(MODELS)),
            }
        ),
    )


def write_curves(store: PartStore, rng: np.random.Generator) -> None:
    rows = [
        {
            "seed": seed,
            "epoch": epoch,
            "split": split,
            "loss": 1.1 - 0.05 * epoch * (1 if split == "train" else 0.6) + rng.normal(0, 0.01),
            "balanced_accuracy": 0.33 + 0.01 * epoch,
        }
        for seed in (1, 2, 3)
        for epoch in range(1, 9)
        for split in ("train", "valid")
    ]
    frame = pl.DataFrame(rows)
    store.write("trend_model_itransformer", "2000-01", frame, files={"model.json": b"{}"})
    store.write("trend_model_majority", "2000-01", None, files={"model.json": b"{}"})


def write_run(
    store: PartStore,
    run_id: str,
    rng: np.random.Generator,
    settings: Settings,
    *,
    age_hours: int = 0,
    skip: tuple[str, ...] = (),
) -> None:
    tables = run_tables(run_id, rng, settings)
    for table, frame in tables.items():
        if table not in skip:
            store.write(table, run_id, frame)
    manifest = store.root / "runs" / f"{run_id}.json"
    if manifest.exists():
        stamp = (NOON - dt.timedelta(hours=age_hours)).timestamp()
        os.utime(manifest, (stamp, stamp))


def run_tables(
    run_id: str, rng: np.random.Generator, settings: Settings
) -> dict[str, pl.DataFrame]:
    """Frames of one run; `runs` last, as the backtest commits it."""
    returns = []
    for k, strategy in enumerate(STRATEGIES):
        gross = rng.normal(0.006 - 0.001 * k, 0.03, len(MONTHS))
        cost = np.full(len(MONTHS), 0.0 if strategy.startswith("index") else 0.0005)
        nav = np.cumprod(1 + gross - cost)
        returns.append(
            pl.DataFrame(
                {
                    "run_id": run_id,
                    "strategy": strategy,
                    "date": [m.end for m in MONTHS],
                    "gross": gross,
                    "cost": cost,
                    "net": gross - cost,
                    "rf": np.full(len(MONTHS), 0.002),
                    "benchmark": rng.normal(0.006, 0.04, len(MONTHS)),
                    "nav": nav,
                    "cash": [0.2] * len(MONTHS),
                    "receivables": [0.0] * len(MONTHS),
                    "turnover": [0.1] * len(MONTHS),
                    "n_funds": [2] * len(MONTHS),
                }
            )
        )
    held = [
        (strategy, month, fund) for strategy in STRATEGIES for month in MONTHS for fund in FUNDS[:2]
    ]
    holdings = pl.DataFrame(
        {
            "run_id": [run_id] * len(held),
            "strategy": [s for s, _, _ in held],
            "date": [m.end for _, m, _ in held],
            "fund_id": [f for _, _, f in held],
            "value": [0.4] * len(held),
            "weight": [0.4] * len(held),
        }
    )
    targets = holdings.select(
        "run_id",
        "strategy",
        pl.col("date").alias("decision"),
        pl.col("date").alias("as_of"),
        "fund_id",
        "weight",
    )
    trades = pl.DataFrame(
        {
            "run_id": [run_id] * 3,
            "strategy": ["sa_logistic"] * 3,
            "decision": [(LAST - 1).end, LAST.end, LAST.end],
            "dealing": [(LAST - 1).end, LAST.end, LAST.end],
            "settle": pl.Series([(LAST - 1).end, None, None], dtype=pl.Date),
            "fund_id": ["F0", "F1", "F2"],
            "side": ["buy", "buy", "sell"],
            "amount": [0.4, None, None],
            "weight": [0.4, 0.2, 0.2],
            "cost": [0.0004, None, None],
            "reason": ["enter", "enter", "exit"],
            "blocked_by": ["", "", "notice"],
            "status": ["executed", "pending", "pending"],
        }
    )
    metrics = [
        (strategy, metric, value + 0.01 * k)
        for k, strategy in enumerate(reversed(STRATEGIES))
        for metric, value in {
            "annual_return": 0.06,
            "volatility": 0.1,
            "sharpe": 0.5,
            "max_drawdown": -0.2,
            "calmar": 0.3,
            "turnover": 1.2,
        }.items()
    ]
    outcomes = [(m, fund, model) for m in MONTHS[:-1] for fund in FUNDS for model in MODELS]
    return {
        "strategies": pl.DataFrame(
            {
                "run_id": [run_id] * 4,
                "strategy": [*STRATEGIES, "wa_logistic"],
                "rule": ["SA", "equal weight", "index", "WA"],
                "model": ["logistic", None, None, "logistic"],
                "status": ["run", "run", "run", "absent"],
                "reason": ["", "", "", "no fund has AUM"],
            }
        ),
        "returns": pl.concat(returns),
        "holdings": holdings,
        "target_weights": targets,
        "trades": trades,
        "metrics": pl.DataFrame(
            {
                "run_id": [run_id] * len(metrics),
                "strategy": [s for s, _, _ in metrics],
                "metric": [m for _, m, _ in metrics],
                "value": [v for _, _, v in metrics],
                "ci_low": [None] * len(metrics),
                "ci_high": [None] * len(metrics),
                "n": [len(MONTHS)] * len(metrics),
                "convention": ["see docs/backtest.md"] * len(metrics),
            }
        ),
        "drawdowns": pl.DataFrame(
            {
                "run_id": [run_id],
                "strategy": ["sa_logistic"],
                "rank": [1],
                "peak": [FIRST.end],
                "trough": [(FIRST + 5).end],
                "recovery": pl.Series([None], dtype=pl.Date),
                "depth": [-0.2],
                "months_down": [5],
                "months_recovering": pl.Series([None], dtype=pl.Int64),
            }
        ),
        "prediction_outcomes": pl.DataFrame(
            {
                "run_id": [run_id] * len(outcomes),
                "month": [m.end for m, _, _ in outcomes],
                "fund_id": [f for _, f, _ in outcomes],
                "model": [k for _, _, k in outcomes],
                "label_month": [(m + 1).end for m, _, _ in outcomes],
                "realized": rng.normal(0, 0.03, len(outcomes)),
                "realized_class": rng.integers(-1, 2, len(outcomes)),
                "predicted_class": rng.integers(-1, 2, len(outcomes)),
            }
        ),
        "model_scores": pl.DataFrame(
            {
                "run_id": [run_id] * 4,
                "model": ["logistic", "logistic", "persistence", "persistence"],
                "metric": ["balanced_accuracy", "rank_ic"] * 2,
                "value": [0.36, 0.02, 0.34, float("nan")],
                "ci_low": [0.33, -0.01, 0.31, None],
                "ci_high": [0.39, 0.05, 0.37, None],
                "n": [138] * 4,
            }
        ),
        "runs": pl.DataFrame(
            {
                "run_id": [run_id],
                "code_version": ["0.1.0"],
                "config": [json.dumps(settings.study)],
                "config_hash": [digest(settings.study)],
                "data_hash": ["d" * 32],
                "seed": [1],
                "dataset": ["fake"],
                "simulated": [True],
                "first_month": [FIRST.end],
                "last_month": [LAST.end],
                "status": ["finished"],
                "warnings": ["[]"],
            }
        ),
    }
