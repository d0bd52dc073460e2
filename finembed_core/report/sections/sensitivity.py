"""How much the result depends on what nobody knows: dead funds, costs, delay, seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import plotly.graph_objects as go
import polars as pl

from finembed_core.report.charts import by_strategy, figure
from finembed_core.report.run import Run
from finembed_core.report.section import (
    Chart,
    Column,
    Section,
    Table,
    absent,
    literals,
    rows_of,
)
from finembed_core.warehouse.query import answer
from finembed_core.warehouse.quoting import literal

TITLE = "Sensitivity"
DIMENSIONS = {
    "terminal_return": "loss on funds that fell silent (-1: all)",
    "cost_bps": "costs, basis points",
    "delay_months": "months between decision and dealing",
    "seed": "seed of the model",
}
METRICS = {
    "annual_return": ("net return p.a.", ".1%"),
    "sharpe": ("Sharpe", ".2f"),
    "max_drawdown": ("max drawdown", ".1%"),
}
SIDES = {
    "earns more below it": "better below",
    "earns more above it": "better above",
    "earns more at every cost up to 1,000 bp": "always better",
    "earns less at every cost up to 1,000 bp": "never better",
}
AGAINST = {"equal_weight_universe": "the equal-weight universe", "risk_free": "cash"}


def sensitivity(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """One picture per assumption; break-even costs in words; every strategy as a table."""
    reason = rows_of(connection, "sensitivities", run)
    if reason:
        return absent(TITLE, f"{reason}, so nothing says how much costs, lag or dead funds matter")
    every = _every(connection, run)
    own = {row["strategy"]: row for row in every.frame.iter_rows(named=True)}.get(run.lead)
    facts = [] if own is None else [*_costs(run, own), *_others(own)]
    lead = (
        "The same strategies under other assumptions, one changed at a time; a result that stands "
        f"on one of them alone is not a result, and assumptions that fail together are not "
        f"shown.{run.some}"
    )
    return Section(TITLE, lead, (*_charts(connection, run), every, _own(connection, run)), facts)


def _charts(connection: duckdb.DuckDBPyConnection, run: Run) -> Iterator[Chart]:
    sql = f"""\
SELECT dimension, value, strategy, max(result) AS annual_return
FROM sensitivities
WHERE run_id = {literal(run.run_id)} AND strategy IN ({literals(run.drawn)})
    AND metric = 'annual_return' AND result IS NOT NULL
GROUP BY dimension, value, strategy
ORDER BY dimension, try_cast(value AS DOUBLE) NULLS LAST, value, strategy"""
    frame = answer(connection, sql)
    figures = tuple(
        (heading, _picture(frame.filter(dimension=dimension), run))
        for dimension, heading in DIMENSIONS.items()
        if frame.filter(dimension=dimension).height
    )
    if figures:
        yield Chart("Net return per year by what is assumed", sql, frame, figures)


def _every(connection: duckdb.DuckDBPyConnection, run: Run) -> Table:
    """What the assumptions do to each strategy, a row each."""

    def one(column: str, dimension: str, value: str, metric: str = "annual_return") -> str:
        chosen = f"dimension = {literal(dimension)} AND value = {literal(value)}"
        return f"any_value({column}) FILTER ({chosen} AND metric = {literal(metric)})"

    single = "dimension = 'seed' AND value <> 'all' AND metric = 'annual_return'"
    sql = f"""\
SELECT strategy,
    (SELECT (config->>'$.backtest.cost_bps')::DOUBLE FROM runs
        WHERE run_id = {literal(run.run_id)}) AS charged,
    {one("result", "breakeven_cost_bps", "equal_weight_universe", "cost_bps")} AS against_equal,
    split_part({one("note", "breakeven_cost_bps", "equal_weight_universe", "cost_bps")}, ';', 1)
        AS equal_note,
    {one("result", "breakeven_cost_bps", "risk_free", "cost_bps")} AS against_cash,
    split_part({one("note", "breakeven_cost_bps", "risk_free", "cost_bps")}, ';', 1) AS cash_note,
    {one("result", "terminal_return", "0")} AS dead_most,
    {one("result", "terminal_return", "-1")} AS dead_least,
    {one("result", "delay_months", "0")} AS at_once,
    {one("result", "delay_months", "1")} AS late_1,
    {one("result", "delay_months", "2")} AS late_2,
    min(result) FILTER ({single}) AS seed_least,
    max(result) FILTER ({single}) AS seed_most
FROM sensitivities WHERE run_id = {literal(run.run_id)}
GROUP BY strategy
ORDER BY strategy <> {literal(run.lead or "")}, against_equal DESC NULLS LAST, strategy"""
    frame = answer(connection, sql)
    columns = {
        "strategy": Column("strategy", names=run.names),
        "against_equal": Column("equal weight, bp", ".0f"),
        "equal_note": Column("against it", names=SIDES),
        "against_cash": Column("cash, bp", ".0f"),
        "cash_note": Column("against cash", names=SIDES),
        "dead_most": Column("silent funds pay all", ".1%"),
        "dead_least": Column("pay nothing", ".1%"),
        "at_once": Column("dealt at once", ".1%"),
        "late_1": Column("1 month later", ".1%"),
        "late_2": Column("2 months later", ".1%"),
        "seed_least": Column("worst seed", ".1%"),
        "seed_most": Column("best seed", ".1%"),
    }
    shown = {name: c for name, c in columns.items() if frame[name].drop_nulls().len()}
    caption = "Every strategy: break-even cost against equal weight and cash; net return per year"
    return Table(caption, sql, frame, shown)


def _own(connection: duckdb.DuckDBPyConnection, run: Run) -> Table:
    chosen = ",\n    ".join(
        f"max(result) FILTER (metric = {literal(name)}) AS {name}" for name in METRICS
    )
    sql = f"""\
SELECT dimension, value,
    {chosen},
    any_value(note) AS note
FROM sensitivities
WHERE run_id = {literal(run.run_id)} AND strategy = {literal(run.lead or "")}
    AND dimension <> 'breakeven_cost_bps'
GROUP BY dimension, value
ORDER BY dimension, try_cast(value AS DOUBLE) NULLS LAST, value"""
    columns = {
        "dimension": Column("assumption", names=DIMENSIONS),
        "value": Column("value"),
        **{name: Column(*style) for name, style in METRICS.items()},
        "note": Column("note"),
    }
    return Table(f"{run.name(run.lead)}: all results", sql, answer(connection, sql), columns)


def _costs(run: Run, own: Mapping[str, Any]) -> Iterator[str]:
    """The break-even costs in words."""
    for column, note, benchmark in (
        ("against_equal", "equal_note", AGAINST["equal_weight_universe"]),
        ("against_cash", "cash_note", AGAINST["risk_free"]),
    ):
        bps, said = own[column], own[note] or ""
        if bps is not None:
            where = "below" if said.endswith("below it") else "above"
            yield (
                f"{run.name(run.lead)} earns more than {benchmark} {where} a cost of {bps:,.0f} "
                f"basis points per trade; this run charges {own['charged'] or 0.0:,.0f}."
            )
        elif said.startswith("earns"):
            yield f"{run.name(run.lead)} {said.replace('at', f'than {benchmark} at', 1)}."
        elif said:
            yield f"No break-even cost against {benchmark}: {said}."


def _others(own: Mapping[str, Any]) -> Iterator[str]:
    lost, paid = own["dead_least"], own["dead_most"]
    if lost is not None and paid is not None and lost != paid:
        yield (
            f"Were the money in funds that fell silent lost, it would earn {lost:.1%} "
            f"a year, and {paid:.1%} were it paid back in full."
        )
    if own["at_once"] is not None and own["late_1"] is not None:
        yield (
            f"Dealt a month later it earns {own['late_1']:.1%} instead of {own['at_once']:.1%} a "
            "year over the same months."
        )
    if own["seed_least"] is not None and own["seed_least"] < own["seed_most"]:
        yield (
            f"Single seeds of the model earn {own['seed_least']:.1%} to {own['seed_most']:.1%}: "
            "what lies between is luck of the training."
        )


def _picture(own: pl.DataFrame, run: Run) -> go.Figure:
    chart = figure(METRICS["annual_return"][0], tickformat=".1~%", height=300)
    order = own["value"].unique(maintain_order=True).to_list()
    for name, rows, line in by_strategy(own, run):
        chart.add_scatter(
            x=rows["value"].to_list(),
            y=rows["annual_return"].to_numpy(),
            name=name,
            mode="lines+markers",
            line=line,
            hovertemplate="%{y:.1%}",
        )
    return chart.update_xaxes(type="category", categoryorder="array", categoryarray=order)
