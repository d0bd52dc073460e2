"""How much the result depends on what nobody knows: dead funds, costs, lag, seeds."""

from __future__ import annotations

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
    literal,
    literals,
    rows_of,
)
from finembed_core.warehouse.query import answer

TITLE = "Sensitivity"
DIMENSIONS = {
    "dead_fund": "what a dead fund pays",
    "dead_fund_policy": "what a dead fund pays",
    "terminal_return": "what a dead fund pays",
    "cost_bps": "costs, basis points",
    "costs": "costs, basis points",
    "lag": "decision lag",
    "decision_lag_days": "decision lag, days",
    "seed": "seed of the model",
}
METRICS = {
    "annual_return": ("net return p.a.", ".1%"),
    "sharpe": ("Sharpe", ".2f"),
    "max_drawdown": ("max drawdown", ".1%"),
}


def sensitivity(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """One picture per assumption: the net return as it varies; all results as a table."""
    reason = rows_of(connection, "sensitivities", run)
    if reason:
        return absent(TITLE, f"{reason}, so nothing says how much costs, lag or dead funds matter")
    chosen = ",\n    ".join(
        f"max(result) FILTER (metric = {literal(name)}) AS {name}" for name in METRICS
    )
    sql = f"""\
SELECT dimension, value, strategy,
    {chosen}
FROM sensitivities
WHERE run_id = {literal(run.run_id)} AND strategy IN ({literals(run.drawn)})
GROUP BY dimension, value, strategy
ORDER BY dimension, try_cast(value AS DOUBLE) NULLS LAST, value, strategy"""
    frame = answer(connection, sql)
    names = [name for name in METRICS if frame[name].drop_nulls().len()]
    charts = ()
    if names:
        shown, style = METRICS[names[0]]
        charts = (
            Chart(
                f"{shown} by what is assumed",
                sql,
                frame,
                tuple(
                    (DIMENSIONS.get(str(key), str(key)), _picture(own, run, names[0], style))
                    for (key,), own in frame.group_by("dimension", maintain_order=True)
                ),
            ),
        )
    columns = {
        "dimension": Column("assumption", names=DIMENSIONS),
        "value": Column("value"),
        "strategy": Column("strategy", names=run.names),
    } | {name: Column(*METRICS[name]) for name in names}
    lead = (
        "The same strategies under other assumptions, one changed at a time; a result that stands "
        f"on one of them alone is not a result, and assumptions that fail together are not "
        f"shown.{run.some}"
    )
    return Section(TITLE, lead, (*charts, Table("All results", sql, frame, columns)))


def _picture(own: pl.DataFrame, run: Run, metric: str, style: str) -> go.Figure:
    tickformat = ".1~%" if style.endswith("%") else None
    chart = figure(METRICS[metric][0], tickformat=tickformat, height=300)
    order = own["value"].unique(maintain_order=True).to_list()
    for name, rows, line in by_strategy(own, run):
        chart.add_scatter(
            x=rows["value"].to_list(),
            y=rows[metric].to_numpy(),
            name=name,
            mode="lines+markers",
            line=line,
            hovertemplate=f"%{{y:{style}}}",
        )
    chart.update_xaxes(type="category", categoryorder="array", categoryarray=order)
    return chart
