"""What went wrong on the way: data, dealing, solvers."""

from __future__ import annotations

import duckdb

from finembed_core.report.run import Run
from finembed_core.report.section import Column, Section, Table, absent, rows_of
from finembed_core.warehouse.query import answer
from finembed_core.warehouse.quoting import literal

MOST = 100
SOLVED = ("optimal", "solved")
OFF = 1e-6  # excess of the objective, or residual where no bound is known, that is too much
KINDS = {
    "quarantine": "kept aside",
    "reason": "marked",
    "assumed": "assumed",
    "info": "for information",
}


def quality(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """Counts of the quality gates, of ineligible funds and of orders that could not be dealt."""
    title = "Data quality"
    rules = """\
SELECT "table", kind, rule, rows, ids FROM data_quality
ORDER BY kind <> 'quarantine', kind <> 'reason', "table", rows DESC, rule"""
    reasons = """\
SELECT reason, count(DISTINCT fund_id) AS funds, count(*) AS fund_months,
    min(month) AS first_month, max(month) AS last_month
FROM universe WHERE NOT eligible GROUP BY reason ORDER BY fund_months DESC, reason"""
    blocked = f"""\
SELECT blocked_by, count(*) AS orders, count(DISTINCT fund_id) AS funds,
    min(decision) AS first_month, max(decision) AS last_month
FROM trades WHERE run_id = {literal(run.run_id)} AND blocked_by <> ''
    AND status <> 'waiting'
GROUP BY blocked_by ORDER BY orders DESC, blocked_by"""
    months = {"first_month": Column("first", "%Y-%m"), "last_month": Column("last", "%Y-%m")}
    lead = (
        "What the gates found, why funds could not be bought, and what held orders up; distrust "
        "the rows that are assumed: there the day of publication was not in the data."
    )
    tables = (
        Table(
            "Quality gates",
            rules,
            answer(connection, rules),
            {
                "table": Column("table"),
                "kind": Column("what was done", names=KINDS),
                "rule": Column("rule"),
                "rows": Column("rows"),
                "ids": Column("funds or series"),
            },
        ),
        Table(
            "Why funds were not eligible",
            reasons,
            answer(connection, reasons),
            {
                "reason": Column("reason"),
                "funds": Column("funds"),
                "fund_months": Column("fund-months"),
                **months,
            },
        ),
        Table(
            "Orders of all strategies that were held up",
            blocked,
            answer(connection, blocked),
            {
                "blocked_by": Column("held up by"),
                "orders": Column("orders"),
                "funds": Column("funds"),
                **months,
            },
        ),
    )
    return Section(title, lead, tables)


def solver(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """How the optimizations ended, and each that did not end well."""
    title = "Solver exceptions"
    reason = rows_of(connection, "solver_log", run)
    if reason:
        return absent(title, f"{reason}, so either nothing was optimized or nothing was recorded")
    solved = ", ".join(map(literal, SOLVED))
    summary = f"""\
SELECT strategy, solver, status, count(*) AS solves, max(iterations) AS iterations,
    max(kkt_residual) AS kkt_residual, max(abs(budget_error)) AS budget_error,
    max(excess) AS excess
FROM solver_log WHERE run_id = {literal(run.run_id)}
GROUP BY ALL ORDER BY strategy, solver, status"""
    odd = f"""\
SELECT strategy, decision, solver, status, iterations, kkt_residual, budget_error, excess, note
FROM solver_log
WHERE run_id = {literal(run.run_id)}
    AND (lower(status) NOT IN ({solved}) OR coalesce(excess, kkt_residual) > {OFF} OR note <> '')
ORDER BY strategy, decision LIMIT {MOST}"""
    numbers = {
        "iterations": Column("iterations"),
        "kkt_residual": Column("KKT residual", ".1e"),
        "budget_error": Column("budget error", ".1e"),
        "excess": Column("excess", ".1e"),
    }
    exceptions = answer(connection, odd)
    facts = [] if exceptions.height else ["Every optimization ended within its tolerances."]
    lead = (
        "Each optimization behind a decision, how it was solved and how far from optimal it ended; "
        "a status alone proves nothing, the residual and the certified excess do."
    )
    tables = [
        Table(
            "All solves; the worst value of each kind",
            summary,
            answer(connection, summary),
            {
                "strategy": Column("strategy", names=run.names),
                "solver": Column("solver"),
                "status": Column("status"),
                "solves": Column("solves"),
                **numbers,
            },
        )
    ]
    if exceptions.height:
        columns = {
            "strategy": Column("strategy", names=run.names),
            "decision": Column("decided", "%Y-%m"),
            "solver": Column("solver"),
            "status": Column("status"),
            **numbers,
            "note": Column("note"),
        }
        tables.append(Table("Exceptions", odd, exceptions, columns))
    return Section(title, lead, tables, facts)
