"""The tables of a backtest run, written by hand."""

from __future__ import annotations

import datetime as dt
import json
import os

import numpy as np
import polars as pl

from finembed_core.backtest import periods
from finembed_core.backtest.run import RUN_TABLES
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
            "run_id": [run_id] * 4,
            "strategy": ["sa_logistic"] * 4,
            "decision": [(LAST - 1).end, LAST.end, LAST.end, (LAST - 1).end],
            "dealing": [(LAST - 1).end, LAST.end, LAST.end, (LAST + 2).end],
            "settle": pl.Series([(LAST - 1).end, None, None, None], dtype=pl.Date),
            "fund_id": ["F0", "F1", "F2", "F3"],
            "side": ["buy", "buy", "sell", "sell"],
            "amount": [0.4, None, None, None],
            "weight": [0.4, 0.2, 0.2, 0.1],
            "cost": [0.0004, None, None, None],
            "reason": ["enter", "enter", "exit", "exit"],
            "blocked_by": ["", "", "notice", "gate"],
            "status": ["executed", "pending", "pending", "waiting"],
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
        "solver_log": pl.DataFrame(
            {
                "run_id": [run_id] * 2,
                "strategy": ["gmv_sample"] * 2,
                "decision": [FIRST.end, (FIRST + 1).end],
                "solver": ["piqp", None],
                "status": ["solved", "failed"],
                "iterations": [9, None],
                "kkt_residual": [1e-12, None],
                "budget_error": [1e-16, None],
                "excess": [1e-10, None],
                "note": ["", "no portfolio reaches the floor"],
            }
        ),
        **evidence_tables(run_id),
        "sensitivities": pl.DataFrame(
            {
                "run_id": [run_id] * 3,
                "strategy": ["sa_logistic"] * 3,
                "dimension": ["cost_bps", "cost_bps", "breakeven_cost_bps"],
                "value": ["0", "50", "risk_free"],
                "metric": ["annual_return", "annual_return", "cost_bps"],
                "result": [0.07, 0.05, None],
                "note": ["", "", "earns more at every cost up to 1,000 bp"],
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
                "decision_lag_days": [0],
                "status": ["finished"],
                "warnings": ["[]"],
            }
        ),
    }


def evidence_tables(run_id: str) -> dict[str, pl.DataFrame]:
    """Intervals, tests and attribution: a strategy better than equal weight, an index worse."""
    lead, equal, index = STRATEGIES
    differences = [
        (lead, equal, 0.02, 0.01, 0.03),
        (index, equal, -0.02, -0.03, -0.01),
        (lead, index, 0.04, -0.01, 0.09),
        (equal, index, 0.02, None, None),
    ]
    months = dict.fromkeys(periods.MONTHS, 0.0)
    tables = {
        "significance": [
            {"strategy": "", "test": "spa", "statistic": 1.0, "p_value": 0.3, "note": "n"},
            {"strategy": lead, "test": "stepm", "statistic": 1.0, "p_value": 0.3, "note": "n"},
        ],
        "differences": [
            {"strategy": s, "against": a, "metric": m, "value": v, "ci_low": low, "ci_high": high}
            for s, a, v, low, high in differences
            for m in ("annual_return", "sharpe")
        ],
        "exposures": [{"strategy": lead, "factor": ":alpha", "beta": 0.01, "note": "f"}],
        "contributions": [{"strategy": lead, "fund_id": "F0", "contribution": 0.1}],
        "calendar_returns": [
            {"strategy": s, "year": 2000, **months, "total": 0.0, "months": 12, "partial": False}
            for s in STRATEGIES
        ],
        "rolling": [{"strategy": lead, "date": LAST.end, "window": 12, "annual_return": 0.05}],
    }
    counts = {"n": len(MONTHS), "n_trials": 2}
    return {
        table: pl.DataFrame(
            [{**dict.fromkeys(RUN_TABLES[table]), **counts, **row} for row in rows],
            schema=RUN_TABLES[table],
        ).select(pl.lit(run_id).alias("run_id"), pl.all())
        for table, rows in tables.items()
    }
