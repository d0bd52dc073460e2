"""Tests over all strategies of the study at once."""

from __future__ import annotations

import duckdb

from finembed_core.report.run import Run
from finembed_core.report.section import Column, Section, Table, absent, rows_of
from finembed_core.warehouse.query import answer
from finembed_core.warehouse.quoting import literal

TITLE = "Is it luck? All strategies at once"
LEVEL = 0.05
TESTS = {
    "stepm": "StepM",
    "spa": "SPA",
    "spa_lower": "SPA, lower bound",
    "spa_upper": "SPA, upper bound",
    "pbo": "probability of backtest overfitting",
    "deflated_sharpe": "deflated Sharpe ratio",
}
BOUNDS = ("spa_lower", "spa_upper")  # of the p-value of SPA: no tests of their own
SCOPE = {"deflated_sharpe": ", over cash: the premium of the market alone can pass it"}


def significance(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """Every test with its p-value, and which strategies survive."""
    reason = rows_of(connection, "significance", run)
    if reason:
        return absent(
            TITLE, f"{reason}, so no test has asked whether the order of strategies is luck"
        )
    sql = f"""\
SELECT test, strategy, statistic, p_value, n, n_trials, note
FROM significance WHERE run_id = {literal(run.run_id)}
ORDER BY coalesce(strategy, '') <> '', test, p_value NULLS LAST, strategy"""
    frame = answer(connection, sql)
    columns = {
        "test": Column("test", names=TESTS),
        "strategy": Column("strategy", names=run.names),
        "statistic": Column("statistic", ".3f"),
        "p_value": Column("p", ".3f"),
        "n": Column("months"),
        "n_trials": Column("trials"),
        "note": Column("note"),
    }
    sure = frame.filter(frame["p_value"] < LEVEL, ~frame["test"].is_in(BOUNDS))
    facts = [
        f"{TESTS.get(str(test), str(test))}, p below {LEVEL:g}: "
        + ", ".join(
            f"{run.name(row['strategy']) or 'the study'} ({row['p_value']:.3f})"
            for row in own.iter_rows(named=True)
        )
        + f"{SCOPE.get(str(test), '')}."
        for (test,), own in sure.group_by("test", maintain_order=True)
    ]
    if frame["p_value"].is_null().all():
        facts = ["No test could be made: its note says why."]
    elif not facts:
        facts = [f"No test is below p = {LEVEL:g}: nothing here is told apart from luck."]
    lead = (
        "Whether the best would stand out if all were worthless, counting how many were tried; "
        "distrust them too where strategies were tried elsewhere and never recorded."
    )
    return Section(TITLE, lead, (Table("Tests", sql, frame, columns),), facts)
