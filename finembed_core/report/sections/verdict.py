"""The verdict in words, then every strategy with its numbers, then the stamp."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import polars as pl

from finembed_core.report.run import Run
from finembed_core.report.section import Column, Section, Table, rows_of
from finembed_core.warehouse.query import answer
from finembed_core.warehouse.quoting import literal
from finembed_core.warehouse.trials import TRIED

TITLE = "Verdict"
DEFLATED = "deflated_sharpe"


def verdict(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """What the first strategy of the settings earned, and whether that differs from doing less."""
    scores = score_table(connection, run)
    missing = absent_table(connection, run)
    differences = difference_table(connection, run)
    trials = trial_table(connection, run)
    lead = {row["strategy"]: row for row in scores.frame.iter_rows(named=True)}
    known = [] if differences is None else differences.frame.iter_rows(named=True)
    against = {(row["strategy"], row["against"]): row for row in known}
    unknown = rows_of(connection, "differences", run)
    facts = [
        *_earned(run, lead),
        *(
            _compared(run, run.lead, other, against[run.lead, other])
            for other in run.benchmarks
            if (run.lead, other) in against
        ),
        *([f"Whether it differs from equal weight is not known: {unknown}."] if unknown else []),
        *_sharpe(run, lead),
        *_luck(connection, run, trials.frame),
        *_best(run, scores.frame, against),
    ]
    opening = (
        f"{run.name(run.lead)} is judged because the settings name it first, before any result was "
        "seen; distrust whatever rests on the best of many, and any difference whose interval "
        "contains 0."
        if run.lead
        else "No strategy ran: there is nothing to judge."
    )
    blocks = [scores, *([] if differences is None else [differences])]
    blocks += [missing] if missing.frame.height else []
    return Section(TITLE, opening, [*blocks, trials, stamp_table(connection, run)], facts)


def score_table(connection: duckdb.DuckDBPyConnection, run: Run) -> Table:
    """Headline statistics of every strategy that ran."""
    sql = f"""\
SELECT
    s.strategy,
    max(value) FILTER (metric = 'annual_return') AS annual_return,
    max(value) FILTER (metric = 'volatility') AS volatility,
    max(value) FILTER (metric = 'sharpe') AS sharpe,
    max(ci_low) FILTER (metric = 'sharpe') AS sharpe_low,
    max(ci_high) FILTER (metric = 'sharpe') AS sharpe_high,
    max(value) FILTER (metric = 'max_drawdown') AS max_drawdown,
    max(value) FILTER (metric = 'beta') AS beta,
    max(value) FILTER (metric = 'turnover') AS turnover,
    max(n) FILTER (metric = 'annual_return') AS months
FROM strategies s LEFT JOIN metrics m USING (run_id, strategy)
WHERE run_id = {literal(run.run_id)} AND s.status = 'run'
GROUP BY s.strategy ORDER BY sharpe DESC NULLS LAST, s.strategy"""
    columns = {
        "strategy": Column("strategy", names=run.names),
        "annual_return": Column("net return p.a.", ".1%"),
        "volatility": Column("volatility", ".1%"),
        "sharpe": Column("Sharpe", ".2f"),
        "sharpe_low": Column("95% from", ".2f"),
        "sharpe_high": Column("to", ".2f"),
        "max_drawdown": Column("max drawdown", ".1%"),
        "beta": Column("beta", ".2f"),
        "turnover": Column("turnover p.a.", ".0%"),
        "months": Column("months"),
    }
    frame = answer(connection, sql)
    for name in ("sharpe_low", "sharpe_high", "beta"):
        if frame[name].is_null().all():
            del columns[name]  # a column without a value only takes room
    return Table("Every strategy of the run, net of costs", sql, frame, columns)


def absent_table(connection: duckdb.DuckDBPyConnection, run: Run) -> Table:
    """Strategies that could not be computed, and why."""
    sql = f"""\
SELECT strategy, reason FROM strategies
WHERE run_id = {literal(run.run_id)} AND status = 'absent' ORDER BY strategy"""
    columns = {"strategy": Column("strategy", names=run.names), "reason": Column("why")}
    return Table("Strategies that are absent", sql, answer(connection, sql), columns)


def difference_table(connection: duckdb.DuckDBPyConnection, run: Run) -> Table | None:
    """Difference of the annual return from each benchmark with its interval; None without."""
    if rows_of(connection, "differences", run):
        return None
    sql = f"""\
SELECT strategy, against, value AS difference, ci_low AS low, ci_high AS high,
    CASE WHEN ci_low > 0 THEN 'better' WHEN ci_high < 0 THEN 'worse'
        WHEN ci_low <= 0 AND ci_high >= 0 THEN 'indistinguishable' ELSE 'unknown'
    END AS verdict,
    n
FROM differences WHERE run_id = {literal(run.run_id)} AND metric = 'annual_return'
ORDER BY against <> {literal(run.equal_weight or "")}, against, difference DESC, strategy"""
    return Table(
        "Net return per year less that of a benchmark, 95% interval (paired bootstrap)",
        sql,
        answer(connection, sql),
        {
            "strategy": Column("strategy", names=run.names),
            "against": Column("less", names=run.names),
            "difference": Column("difference", "+.2%"),
            "low": Column("95% from", "+.2%"),
            "high": Column("to", "+.2%"),
            "verdict": Column("verdict"),
            "n": Column("months"),
        },
    )


def trial_table(connection: duckdb.DuckDBPyConnection, run: Run) -> Table:
    """How often luck had a chance."""
    sql = f"""\
SELECT count(DISTINCT run_id) AS runs, count(*) AS trials,
    count(*) FILTER (run_id = {literal(run.run_id)}) AS here
FROM strategies WHERE {TRIED}"""
    columns = {
        "runs": Column("runs recorded"),
        "trials": Column("strategies tried in all of them"),
        "here": Column("in this run"),
    }
    return Table(
        "Trials that this warehouse knows of, holdings of an index not counted",
        sql,
        answer(connection, sql),
        columns,
    )


def stamp_table(connection: duckdb.DuckDBPyConnection, run: Run) -> Table:
    """What the run can be identified by."""
    items = {
        "run": "run_id",
        "dataset": "dataset",
        "simulated data": "CASE WHEN simulated THEN 'yes' ELSE 'no' END",
        "first month earned": "strftime(first_month, '%Y-%m')",
        "newest decision": "strftime(last_month, '%Y-%m')",
        "data hash": "data_hash",
        "settings hash": "config_hash",
        "code version": "code_version",
        "seed": "seed::VARCHAR",
        "made (UTC)": "strftime(created_at, '%Y-%m-%d %H:%M')",
    }
    chosen = ",\n    ".join(
        f"{{'item': {literal(item)}, 'value': {value}}}" for item, value in items.items()
    )
    sql = f"""\
SELECT stamp.item, stamp.value FROM (
    SELECT unnest([
    {chosen}
    ]) AS stamp FROM runs WHERE run_id = {literal(run.run_id)}
)"""
    columns = {"item": Column("stamp"), "value": Column("value")}
    return Table("Stamp", sql, answer(connection, sql), columns)


def _earned(run: Run, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    own = rows.get(run.lead or "", {}).get("annual_return")
    if own is None:
        yield f"{run.name(run.lead) or 'Nothing'}: {run.span}."
        return
    others = [
        f"{run.name(name)} {rows[name]['annual_return']:.1%}"
        for name in run.benchmarks
        if name != run.lead and rows[name]["annual_return"] is not None
    ]
    yield f"{run.name(run.lead)} earned {own:.1%} a year net of costs, {run.span}" + (
        f"; {', '.join(others)}." if others else "; no benchmark ran."
    )


def _compared(run: Run, own: str | None, other: str, row: Mapping[str, Any]) -> str:
    """The difference in words: it is called one only where its interval leaves 0 out."""
    if row["low"] is None:
        return f"Too few months to compare {run.name(own)} with {run.name(other)}."
    said = {
        "better": "Better than {}: the interval leaves 0 out.",
        "worse": "Worse than {}: the interval leaves 0 out.",
        "indistinguishable": "Indistinguishable from {}: the interval contains 0.",
    }[row["verdict"]].format(_lowered(run.name(other)))
    return (
        f"{said} Net return {row['difference']:+.2%} a year apart, "
        f"95% interval {row['low']:+.2%} to {row['high']:+.2%}."
    )


def _lowered(name: str) -> str:
    """A name inside a sentence."""
    return name[0].lower() + name[1:] if name[1:2].islower() else name


def _sharpe(run: Run, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    row = rows.get(run.lead or "", {})
    if row.get("sharpe") is None:
        return
    if row["sharpe_low"] is None:
        interval = (
            "no interval is stored; over this many months its standard error is near "
            f"{(12 / row['months']) ** 0.5:.2f}"
        )
    else:
        interval = f"95% interval {row['sharpe_low']:.2f} to {row['sharpe_high']:.2f}"
    yield f"Sharpe ratio {row['sharpe']:.2f} a year, {interval}."


def _luck(connection: duckdb.DuckDBPyConnection, run: Run, trials: pl.DataFrame) -> Iterator[str]:
    tried = trials.row(0, named=True)
    counted = (
        f"{tried['trials']} strategies have been tried in {tried['runs']} recorded "
        f"run{'s' if tried['runs'] != 1 else ''}"
    )
    if rows_of(connection, "significance", run):
        yield f"Deflated Sharpe ratio: not computed for this run; {counted}."
        return
    found = connection.execute(
        "SELECT statistic, n_trials FROM significance"
        " WHERE run_id = ? AND strategy = ? AND test = ? AND statistic IS NOT NULL",
        [run.run_id, run.lead, DEFLATED],
    ).fetchall()
    if not found:
        yield f"Deflated Sharpe ratio: not known for this strategy; {counted}."
        return
    yield (
        f"Deflated Sharpe ratio {found[0][0]:.2f} over {found[0][1]:,} trials: the probability "
        "that the true Sharpe ratio is above what the best of so many without skill would show by "
        "luck. It is a ratio over cash, so the premium of the market alone can pass it."
    )


def _best(
    run: Run, scores: pl.DataFrame, against: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Iterator[str]:
    """The strategy on top of the table, which hindsight has chosen."""
    others = scores.filter(~pl.col("strategy").is_in([*run.benchmarks, run.lead or ""]))
    others = others.drop_nulls("sharpe")
    lead = scores.filter(strategy=run.lead or "")["sharpe"].to_list()
    if others.is_empty() or (lead and (lead[0] or 0.0) >= others["sharpe"][0]):
        return
    best = others.row(0, named=True)
    row = against.get((best["strategy"], run.equal_weight or ""))
    said = f" {_compared(run, best['strategy'], run.equal_weight or '', row)}" if row else ""
    yield (
        f"With hindsight the best by Sharpe ratio was {run.name(best['strategy'])} "
        f"({best['sharpe']:.2f}).{said}"
    )
