"""Rules over more than one row, asked of a new warehouse before it replaces the old one."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from finembed_core.warehouse.quoting import identifier
from finembed_core.warehouse.schema import Table

TOLERANCE = 1e-9
KEYS_WITH_NULLS = {
    "embedding_portfolios": (
        *("evaluation", "portfolio", "encoder", "mode", "loss", "fund_group", "k", "seed", "date"),
    ),
    "embedding_evaluations": (
        *("evaluation", "encoder", "mode", "loss", "fund_group", "k", "seed", "metric"),
        "benchmark",
    ),
}
"""Columns that tell rows apart in tables where some of them do not apply to every row."""


@dataclass(frozen=True)
class Check:
    """A query that must find nothing.

    Attributes
    ----------
    table : str
        Where the fault lies.
    rule : str
        What must hold.
    faults : str
        SQL: rows that break it.
    """

    table: str
    rule: str
    faults: str


CHECKS = (
    Check(
        "holdings",
        "weights + cash + receivables = 1",
        f"""
        SELECT r.run_id, r.strategy, r.date, coalesce(h.weight, 0) AS weights, r.cash,
            r.receivables
        FROM returns AS r
        LEFT JOIN (
            SELECT run_id, strategy, date, sum(weight) AS weight FROM holdings GROUP BY ALL
        ) AS h USING (run_id, strategy, date)
        WHERE r.nav > 0 AND abs(coalesce(h.weight, 0) + r.cash + r.receivables - 1) > {TOLERANCE}
        """,
    ),
    Check(
        "target_weights",
        "weights of a decision sum to at most 1",
        f"""
        SELECT run_id, strategy, decision, sum(weight) AS weights
        FROM target_weights GROUP BY ALL HAVING sum(weight) > 1 + {TOLERANCE}
        """,
    ),
    Check(
        "target_weights",
        "as_of is no later than the decision day of the run",
        """
        SELECT run_id, strategy, decision, as_of, decision_lag_days
        FROM target_weights JOIN runs USING (run_id)
        WHERE as_of > decision + to_days(decision_lag_days::INTEGER)
        """,
    ),
    Check(
        "trades",
        "no order deals before the decision day of the run",
        """
        SELECT run_id, strategy, decision, dealing, fund_id, decision_lag_days
        FROM trades JOIN runs USING (run_id)
        WHERE dealing < decision + to_days(decision_lag_days::INTEGER)
            AND reason IN ('enter', 'increase', 'reduce', 'exit')  -- the rest was paid out
        """,
    ),
    Check(
        "contributions",
        "contributions sum to the cumulative return",
        f"""
        SELECT run_id, strategy, any_value(value) AS cumulative_return, sum(contribution) AS parts
        FROM contributions JOIN metrics USING (run_id, strategy)
        WHERE metric = 'cumulative_return' GROUP BY run_id, strategy
        HAVING abs(parts - cumulative_return) > {TOLERANCE} * greatest(1, abs(cumulative_return))
        """,
    ),
    Check(
        "fund_observations",
        "available by the decision day of the month from which it is known",
        """
        SELECT known, fund_id, date, available_at FROM fund_observations, publication
        WHERE available_at > known + to_days(decision_lag_days) OR last_day(date) > known
        """,
    ),
    Check(
        "series_observations",
        "available by the decision day of the month from which it is known",
        """
        SELECT known, series_id, date, available_at FROM series_observations, publication
        WHERE available_at > known + to_days(decision_lag_days) OR last_day(date) > known
        """,
    ),
    Check(
        "prediction_outcomes",
        "nothing is realized after the run's last month",
        """
        SELECT run_id, o.month, fund_id, model, label_month, last_month
        FROM prediction_outcomes AS o JOIN runs USING (run_id)
        WHERE realized IS NOT NULL AND label_month > last_month
        """,
    ),
    Check(
        "fund_predictions",
        "weights of a model sum to 1, and so do those of its minimum variance portfolio",
        f"""
        SELECT date, encoder, mode, seed, sum(weight) AS weights, sum(gmv) AS gmv
        FROM fund_predictions GROUP BY date, encoder, mode, seed
        HAVING abs(sum(weight) - 1) > {TOLERANCE} OR abs(sum(gmv) - 1) > {TOLERANCE}
        """,
    ),
    *(
        Check(
            table,
            f"one row per ({', '.join(columns)})",
            f"SELECT {', '.join(columns)}, count(*) AS times FROM {table}"
            f" GROUP BY {', '.join(columns)} HAVING count(*) > 1",
        )
        for table, columns in KEYS_WITH_NULLS.items()
    ),
)


def first_fault(connection: duckdb.DuckDBPyConnection) -> tuple[Check, str] | None:
    """The first broken rule and the row that breaks it, in words."""
    for check in CHECKS:
        row = described_row(connection, check.faults)
        if row is not None:
            return check, row
    return None


def row_fault(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: str, parameters: list
) -> tuple[str, str]:
    """Why rows were refused by a table: the rule and the first row that breaks it.

    Parameters
    ----------
    rows : str
        The SELECT that was to be inserted, with its `parameters`.
    """
    for column in table.columns:
        if not column.nullable:
            faults = f"SELECT * FROM ({rows}) WHERE {identifier(column.name)} IS NULL"
            row = described_row(connection, faults, parameters)
            if row is not None:
                return f"{column.name} must not be missing", row
    rules = connection.execute(
        "SELECT expression FROM duckdb_constraints()"
        " WHERE table_name = ? AND constraint_type = 'CHECK'",
        [table.name],
    ).fetchall()
    for (rule,) in rules:
        row = described_row(connection, f"SELECT * FROM ({rows}) WHERE NOT {rule}", parameters)
        if row is not None:
            return rule, row
    key = ", ".join(map(identifier, table.key))
    twice = f"SELECT {key}, count(*) AS times FROM ({rows}) GROUP BY {key} HAVING count(*) > 1"
    row = described_row(connection, twice, parameters)
    return f"one row per ({', '.join(table.key)})", row or "(row not found)"


def described_row(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: list | None = None
) -> str | None:
    """First row of a query as ``name=value, ...``; None when it finds nothing."""
    cursor = connection.execute(f"SELECT * FROM ({sql}) LIMIT 1", parameters or [])
    row = cursor.fetchone()
    if row is None:
        return None
    names = [column[0] for column in cursor.description or []]
    return ", ".join(f"{n}={v}" for n, v in zip(names, row, strict=True) if v is not None)
