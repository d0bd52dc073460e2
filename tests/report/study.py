"""A warehouse in memory with every table that a section of the report may read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl

from finembed_core.backtest.metrics import Series
from finembed_core.backtest.periods import rolling
from finembed_core.calendar import Month, month_range
from finembed_core.report.run import read_run
from finembed_core.report.section import Section
from finembed_core.report.sections import SECTIONS
from finembed_core.settings import Settings
from finembed_core.store import PartStore
from finembed_core.warehouse.publish import publish
from finembed_core.warehouse.query import reading
from tests.warehouse.fake_run import write_run
from tests.warehouse.fake_store import fake_store

RUN = "a" * 16
OTHER = "b" * 16
LEAD = "sa_logistic"
NASTY = "<b>R&D</b> \"quoted\" 'single' </script>"
MONTHS = month_range(Month.parse("1995-01"), Month.parse("2000-12"))
EQUAL = "equal_weight_universe"
STRATEGIES = (LEAD, "sa_persistence", EQUAL, "index_MKT")
NEVER = "earns more at every cost up to 1,000 bp"

LATER = {
    "significance": "run_id VARCHAR, strategy VARCHAR, test VARCHAR, statistic DOUBLE,"
    " p_value DOUBLE, n BIGINT, n_trials BIGINT, note VARCHAR",
    "exposures": "run_id VARCHAR, strategy VARCHAR, factor VARCHAR, beta DOUBLE, std_error DOUBLE,"
    " t DOUBLE, contribution DOUBLE, risk_share DOUBLE, n BIGINT, note VARCHAR",
    "contributions": "run_id VARCHAR, strategy VARCHAR, fund_id VARCHAR, contribution DOUBLE,"
    " average_weight DOUBLE, months_held BIGINT",
    "solver_log": "run_id VARCHAR, strategy VARCHAR, decision DATE, solver VARCHAR,"
    " status VARCHAR, iterations BIGINT, kkt_residual DOUBLE, budget_error DOUBLE, excess DOUBLE,"
    " note VARCHAR",
    "sensitivities": "run_id VARCHAR, strategy VARCHAR, dimension VARCHAR, value VARCHAR,"
    " metric VARCHAR, result DOUBLE, note VARCHAR",
    "differences": "run_id VARCHAR, strategy VARCHAR, against VARCHAR, metric VARCHAR,"
    " value DOUBLE, ci_low DOUBLE, ci_high DOUBLE, n BIGINT",
}
"""Tables that not every version of the warehouse has."""


def settings() -> Settings:
    return Settings.model_validate({"portfolio": {"models": ["logistic", "persistence"]}})


def warehouse(folder: Path) -> Path:
    """A warehouse file with two runs; the first is the latest."""
    store = fake_store(folder / "store", settings())
    write_run(store, OTHER, np.random.default_rng(3), settings(), age_hours=5)
    path = folder / "warehouse.duckdb"
    publish(PartStore(folder / "store"), path, settings(), latest=RUN)
    with duckdb.connect(str(path)) as connection:
        for table in LATER:
            connection.execute(f"DROP TABLE IF EXISTS {table}")
    return path


def complete(folder: Path) -> Path:
    """The same, with longer returns, nasty names, dealing terms and all later tables."""
    path = warehouse(folder)
    with duckdb.connect(str(path)) as connection:
        _returns(connection)
        _dealing(connection)
        _predictions(connection)
        for table, columns in LATER.items():
            connection.execute(f"CREATE OR REPLACE TABLE {table} ({columns})")
        _attribution(connection)
        _tests(connection)
    return path


def section(path: Path, name: str, **chosen: Any) -> Section:
    """A section of the report about a run of a warehouse; `chosen` are options of `read_run`."""
    make = next(make for make in SECTIONS if make.__name__ == name)
    with reading(path) as connection:
        return make(connection, read_run(connection, **chosen))


def _insert(connection: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame) -> None:
    connection.register("frame", frame.to_arrow())
    names = ", ".join(f'"{name}"' for name in frame.columns)
    connection.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM frame")
    connection.unregister("frame")


def _rolling(returns: list[pl.DataFrame]) -> pl.DataFrame:
    tables = []
    for own in returns:
        columns = (own[name].to_numpy() for name in ("date", "net", "rf", "benchmark"))
        tables.append(rolling(own["strategy"][0], Series.of(*columns)))
    return pl.concat(tables).with_columns(run_id=pl.lit(RUN))


def _returns(connection: duckdb.DuckDBPyConnection) -> None:
    rng = np.random.default_rng(11)
    market = rng.normal(0.006, 0.04, len(MONTHS))
    frames = []
    for k, strategy in enumerate(STRATEGIES):
        noise = rng.normal(0.001, 0.01, len(MONTHS))
        net = market if strategy.startswith("index") else 0.8 * market + noise
        cost = np.full(len(MONTHS), 0.0004 * (k < 2))
        frames.append(
            pl.DataFrame(
                {
                    "run_id": RUN,
                    "strategy": strategy,
                    "date": [month.end for month in MONTHS],
                    "gross": net + cost,
                    "cost": cost,
                    "net": net,
                    "rf": 0.002,
                    "benchmark": market,
                    "nav": np.cumprod(1 + net),
                    "cash": 0.1,
                    "receivables": 0.0,
                    "turnover": 0.2 * (k < 2),
                    "n_funds": 3,
                }
            )
        )
    for table, made in (("returns", pl.concat(frames)), ("rolling", _rolling(frames))):
        connection.execute(f"DELETE FROM {table} WHERE run_id = ?", [RUN])
        _insert(connection, table, made)
    connection.execute(
        "UPDATE runs SET first_month = ?, last_month = ?, dataset = ?, warnings = ?"
        " WHERE run_id = ?",
        [MONTHS[0].end, MONTHS[-1].end, NASTY, '["a < b"]', RUN],
    )
    connection.execute(
        "INSERT INTO strategies VALUES (?, 'sa_persistence', 'SA', 'persistence', 'run', '')", [RUN]
    )
    connection.execute(
        "INSERT INTO metrics SELECT run_id, 'sa_persistence', metric, value - 0.3, ci_low,"
        " ci_high, n, convention FROM metrics WHERE strategy = ? AND run_id = ?",
        [LEAD, RUN],
    )
    connection.execute(
        "UPDATE metrics SET ci_low = value - 0.4, ci_high = value + 0.4 WHERE metric = 'sharpe'"
    )


def _dealing(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("UPDATE funds SET name = ?, notice_days = 45", [NASTY])
    connection.execute(
        "UPDATE daily_funds SET name = $nasty, category = $nasty WHERE fund_id = 'D1'",
        {"nasty": NASTY},
    )
    connection.execute("UPDATE universe SET last_aum = 5e7 + 1e6 * month(month)")
    connection.execute(
        "UPDATE trades SET dealing = DATE '2001-03-31', settle = DATE '2001-04-30'"
        " WHERE run_id = ? AND status = 'pending'",
        [RUN],
    )


def _predictions(connection: duckdb.DuckDBPyConnection) -> None:
    """Sixty months of forty funds; P(up) is honest for one model and empty for the other."""
    rng = np.random.default_rng(5)
    months, funds = MONTHS[:60], [f"P{k}" for k in range(40)]
    for table in ("predictions", "prediction_outcomes"):
        connection.execute(f"DELETE FROM {table}")
    for model in ("logistic", "persistence"):
        cells = [(month, fund) for month in months for fund in funds]
        p_up = rng.uniform(0.1, 0.8, len(cells))
        truth = p_up if model == "logistic" else np.full(len(cells), 0.4)
        up = rng.uniform(size=len(cells)) < truth
        key = {
            "month": [month.end for month, _ in cells],
            "fund_id": [fund for _, fund in cells],
            "model": [model] * len(cells),
            "label_month": [(month + 1).end for month, _ in cells],
        }
        made = {
            "p_up": p_up,
            "p_down": 1 - p_up,
            "p_unchanged": 0.0,
            "retraining": [month.end.replace(month=1, day=1) for month, _ in cells],
        }
        came = {
            "run_id": [RUN] * len(cells),
            "realized": np.where(up, 0.02, -0.02) + rng.normal(0, 0.001, len(cells)),
            "realized_class": np.where(up, 1, -1),
            "predicted_class": 1,
        }
        _insert(connection, "predictions", pl.DataFrame(key | made))
        _insert(connection, "prediction_outcomes", pl.DataFrame(key | came))


def _attribution(connection: duckdb.DuckDBPyConnection) -> None:
    rows = [
        (RUN, strategy, factor, beta, 0.1, beta / 0.1, 0.02, 0.5, 72, "")
        for strategy in STRATEGIES[:2]
        for factor, beta in (("MKT", 0.8), ("smb", -0.3), (":alpha", 0.01))
    ]
    connection.executemany("INSERT INTO exposures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    funds = [(RUN, LEAD, f"F{k}", 0.05 - 0.003 * k, 0.04, 30) for k in range(30)]
    funds.append((RUN, LEAD, ":costs", -0.0251, None, None))
    connection.executemany("INSERT INTO contributions VALUES (?, ?, ?, ?, ?, ?)", funds)


def _tests(connection: duckdb.DuckDBPyConnection) -> None:
    tests = [
        (RUN, LEAD, "deflated_sharpe", 0.83, 0.17, 72, 40, ""),
        (RUN, LEAD, "stepm", 1.2, 0.04, 72, 40, "<i>note</i>"),
        (RUN, None, "pbo", 0.61, None, 72, 40, "CSCV, 16 blocks"),
    ]
    connection.executemany("INSERT INTO significance VALUES (?, ?, ?, ?, ?, ?, ?, ?)", tests)
    solves = [
        (RUN, "gmv", MONTHS[k].end, "piqp", status, 9, residual, 1e-12, 1e-9, note)
        for k, (status, residual, note) in enumerate(
            [("optimal", 1e-9, ""), ("solved", 2e-9, ""), ("failed", None, "kept last weights")]
        )
    ]
    connection.executemany("INSERT INTO solver_log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", solves)
    results = [
        (RUN, strategy, dimension, value, metric, 0.05 + 0.001 * k, "")
        for strategy in STRATEGIES[:3]
        for dimension, values in (
            ("cost_bps", ("0", "5", "10", "100")),
            ("delay_months", ("0", "1", "2")),
            ("terminal_return", ("-1", "-0.5", "-0.2", "0")),
        )
        for k, value in enumerate(values)
        for metric in ("annual_return", "sharpe", "max_drawdown")
    ]
    results += [
        (RUN, LEAD, "seed", seed, "annual_return", 0.04 + 0.01 * k, "")
        for k, seed in enumerate(("1", "2", "all"))
    ]
    results += [
        (RUN, LEAD, "breakeven_cost_bps", EQUAL, "cost_bps", 62.8, "earns more below it"),
        (RUN, LEAD, "breakeven_cost_bps", "risk_free", "cost_bps", None, NEVER),
    ]
    connection.executemany("INSERT INTO sensitivities VALUES (?, ?, ?, ?, ?, ?, ?)", results)
    apart = [
        (RUN, strategy, against, metric, value, value - 0.02, value + 0.02, 72)
        for against in (EQUAL, "index_MKT")
        for k, strategy in enumerate(STRATEGIES)
        if strategy != against
        for metric, value in (("annual_return", 0.004 * k), ("sharpe", 0.1))
    ]
    connection.executemany("INSERT INTO differences VALUES (?, ?, ?, ?, ?, ?, ?, ?)", apart)
