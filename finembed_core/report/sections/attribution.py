"""Where the return came from: risk factors, and funds."""

from __future__ import annotations

import duckdb
import plotly.graph_objects as go
import polars as pl

from finembed_core.report.charts import bars, figure
from finembed_core.report.figures import COLORS
from finembed_core.report.run import Run
from finembed_core.report.section import Chart, Column, Section, Table, absent, rows_of
from finembed_core.warehouse.query import answer
from finembed_core.warehouse.quoting import literal

QUANTILE = 1.96
MOST = 10  # funds at each end
ROWS = {
    ":alpha": "alpha: what no factor explains",
    ":benchmark": "benchmark",
    ":cash": "cash",
    ":costs": "costs",
    ":write_offs": "write-offs of dead funds",
    ":receivables": "receivables",
}
"""Rows that are no factor of the data and no fund."""
BAR = 24  # pixels


def exposures(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """Betas of the lead strategy with their intervals; all strategies as a table."""
    title = "Exposures to risk factors"
    reason = rows_of(connection, "exposures", run)
    if reason or run.lead is None:
        return absent(title, reason or "no strategy ran")
    key = literal(run.run_id)
    own = f"""\
SELECT e.factor, coalesce(s.name, e.factor) AS name, e.beta,
    {QUANTILE} * e.std_error AS half_width
FROM exposures e LEFT JOIN series s ON s.series_id = e.factor
WHERE e.run_id = {key} AND e.strategy = {literal(run.lead)} AND e.beta IS NOT NULL
    AND e.factor <> ':alpha'
ORDER BY abs(coalesce(e.t, 0)) DESC, e.factor"""
    every = f"""\
SELECT strategy, factor, beta, std_error, t, contribution, risk_share, n, note
FROM exposures WHERE run_id = {key}
ORDER BY strategy <> {literal(run.lead)}, strategy, abs(coalesce(t, 0)) DESC, factor"""
    frame = answer(connection, own)
    table = Table(
        "All strategies",
        every,
        answer(connection, every),
        {
            "strategy": Column("strategy", names=run.names),
            "factor": Column("factor", names=ROWS),
            "beta": Column("beta", ".2f"),
            "std_error": Column("error", ".2f"),
            "t": Column("t", ".1f"),
            "contribution": Column("return p.a.", "+.1%"),
            "risk_share": Column("share of risk", ".0%"),
            "n": Column("months"),
            "note": Column("note"),
        },
    )
    picture = Chart(
        f"{run.name(run.lead)}: betas with their 95% interval", own, frame, (("", _betas(frame)),)
    )
    lead = (
        "What the strategy moves with, from one regression on all factors at once; distrust "
        "single betas of factors that move together, and any beta taken as constant over the "
        "whole history."
    )
    return Section(title, lead, (picture, table) if frame.height else (table,))


def _betas(frame: pl.DataFrame) -> go.Figure:
    chart = figure(height=60 + BAR * frame.height)
    chart.add_scatter(
        x=frame["beta"].to_numpy(),
        y=frame["name"].str.replace_all("&", "&amp;").str.replace_all("<", "&lt;").to_list(),
        error_x={
            "type": "data",
            "array": frame["half_width"].fill_null(0).to_numpy(),
            "color": COLORS[0],
            "thickness": 1.5,
            "width": 4,
        },
        mode="markers",
        marker={"color": COLORS[0], "size": 9},
        hovertemplate="%{y}: %{x:.2f}<extra></extra>",
    )
    chart.update_yaxes(autorange="reversed", type="category")
    chart.update_xaxes(zeroline=True)
    return chart.update_layout(hovermode="closest")


def contributions(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """The funds that brought and cost the lead strategy most."""
    title = "Return contribution by fund"
    reason = rows_of(connection, "contributions", run)
    if reason or run.lead is None:
        return absent(title, reason or "no strategy ran")
    sql = f"""\
SELECT fund_id, name, contribution, average_weight, months_held FROM (
    SELECT c.*, coalesce(f.name, c.fund_id) AS name,
        row_number() OVER (
            PARTITION BY starts_with(fund_id, ':') ORDER BY contribution DESC, fund_id
        ) AS best,
        row_number() OVER (
            PARTITION BY starts_with(fund_id, ':') ORDER BY contribution, fund_id
        ) AS worst
    FROM contributions c LEFT JOIN funds f USING (fund_id)
    WHERE run_id = {literal(run.run_id)} AND strategy = {literal(run.lead)}
) WHERE best <= {MOST} OR worst <= {MOST} OR starts_with(fund_id, ':')
ORDER BY contribution DESC, fund_id"""
    frame = answer(connection, sql)
    if frame.is_empty():
        return absent(title, f"table contributions holds nothing about {run.name(run.lead)}")
    columns = {
        "fund_id": Column("fund", names=ROWS),
        "name": Column("name"),
        "contribution": Column("contribution", "+.2%"),
        "average_weight": Column("average weight", ".2%"),
        "months_held": Column("months held"),
    }
    chart = bars(figure(height=60 + BAR * frame.height), frame, "fund_id", "contribution", "+.2%")
    chart.update_xaxes(tickformat=".1%")
    caption = f"{run.name(run.lead)}: the {MOST} funds that brought most and least"
    lead = (
        "What each fund added to the strategy's return over all months; a result that rests on a "
        "few names is a bet on those names, and only with the rows of cash, costs and write-offs "
        "do all funds sum to that return."
    )
    blocks = (
        Chart(caption, sql, frame, (("", chart),)),
        Table("The same as numbers", sql, frame, columns),
    )
    return Section(title, lead, blocks)
