"""NAV and drawdowns, calendar years, and what 36 months at a time looked like."""

from __future__ import annotations

import calendar

import duckdb
import plotly.graph_objects as go
import polars as pl

from finembed_core.report.charts import DIVERGING, figure, lines
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

WINDOW = 36
WORST = 5
MONTHS = [calendar.month_abbr[k] for k in range(1, 13)]
ROW = 21  # pixels of a year
SATURATED = 0.95  # share of the months whose colors differ
LEAST = 620  # pixels of a calendar whose numbers can be read


def wealth(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """Growth of 1 on a log axis, and how far below its peak."""
    title = "Net asset value"
    reason = rows_of(connection, "returns", run)
    if reason:
        return absent(title, reason)
    paths = f"""\
WITH paths AS (
    SELECT strategy, date, product(1 + net) OVER (PARTITION BY strategy ORDER BY date) AS nav
    FROM returns WHERE run_id = {literal(run.run_id)} AND strategy IN ({literals(run.drawn)})
    UNION ALL
    SELECT strategy, last_day(min(date) - INTERVAL 1 MONTH), 1.0
    FROM returns WHERE run_id = {literal(run.run_id)} AND strategy IN ({literals(run.drawn)})
    GROUP BY strategy
)
"""
    nav = f"{paths}SELECT strategy, date, nav FROM paths ORDER BY strategy, date"
    under = f"""{paths}\
SELECT strategy, date,
    nav / max(nav) OVER (PARTITION BY strategy ORDER BY date) - 1 AS drawdown
FROM paths ORDER BY strategy, date"""
    grown, fallen = answer(connection, nav), answer(connection, under)
    growth = lines(figure("growth of 1", log=True), grown, run, "date", "nav", ".3f")
    growth.update_yaxes(dtick=_ticks(grown["nav"]))
    water = figure("below the peak", tickformat=".0%", height=300)
    lead = (
        "Growth of 1 net of costs on a log axis, where equal slopes are equal returns, and the "
        "fall from the highest point so far; distrust the last months of funds that died, whose "
        f"last reported value stands until the death is known.{run.some}"
    )
    charts = (
        Chart("Growth of 1, net of costs, log axis", nav, grown, (("", growth),)),
        Chart(
            "Under water: loss since the highest point",
            under,
            fallen,
            (("", lines(water, fallen, run, "date", "drawdown", ".1%")),),
        ),
    )
    return Section(title, lead, charts)


def _ticks(nav: pl.Series) -> str:
    """Ticks of a log axis: 1, 2, 5 over a wide range, equal steps over a narrow one."""
    low, high = nav.min(), nav.max()
    if not isinstance(low, float) or not isinstance(high, float) or high > 4 * low > 0:
        return "D2"
    return next(
        f"L{step}"
        for step in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
        if high - low < 10 * step or step == 1.0
    )


def drawdowns(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """The worst falls of the lead strategy and of the benchmarks."""
    title = "Worst drawdowns"
    reason = rows_of(connection, "drawdowns", run)
    if reason:
        return absent(title, reason)
    shown = [name for name in (run.lead, *run.benchmarks) if name is not None]
    sql = f"""\
SELECT strategy, rank, depth, peak, trough, recovery, months_down, months_recovering
FROM drawdowns
WHERE run_id = {literal(run.run_id)} AND rank <= {WORST} AND strategy IN ({literals(shown)})
ORDER BY strategy <> {literal(run.lead or "")}, strategy, rank"""
    columns = {
        "strategy": Column("strategy", names=run.names),
        "rank": Column("rank"),
        "depth": Column("depth", ".1%"),
        "peak": Column("peak", "%Y-%m"),
        "trough": Column("trough", "%Y-%m"),
        "recovery": Column("recovered", "%Y-%m"),
        "months_down": Column("months down"),
        "months_recovering": Column("months to recover"),
    }
    frame = answer(connection, sql)
    lead = (
        "How deep, how long down and how long back; an empty recovery means that it is still under "
        "water, and month-end values hide what happened in between."
    )
    table = Table(f"The {WORST} deepest falls of each", sql, frame, columns)
    return Section(title, lead, (table,))


def years(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """Every month of the lead strategy as a color, and every strategy's years."""
    title = "Calendar"
    reason = rows_of(connection, "returns", run)
    if reason or run.lead is None:
        return absent(title, reason or "no strategy ran")
    own = f"run_id = {literal(run.run_id)} AND strategy = {literal(run.lead)}"
    sql = f"""\
SELECT year(date) AS year, month(date) AS month, net FROM returns WHERE {own}
UNION ALL
SELECT year(date), 13, product(1 + net) - 1 FROM returns WHERE {own} GROUP BY year(date)
ORDER BY year, month"""
    frame = answer(connection, sql)
    totals = f"""\
SELECT strategy, year(date) AS year, product(1 + net) - 1 AS net, count(*) AS months
FROM returns WHERE run_id = {literal(run.run_id)} AND strategy IN ({literals(run.drawn)})
GROUP BY ALL"""
    names = ",\n    ".join(
        f"max(net) FILTER (strategy = {literal(name)}) AS {_column(k)}"
        for k, name in enumerate(run.drawn)
    )
    by_year = f"""\
SELECT year, max(months) AS months,
    {names}
FROM (
{totals}
) GROUP BY year ORDER BY year DESC"""
    columns = {"year": Column("year", "d"), "months": Column("months")} | {
        _column(k): Column(run.name(name), "+.1%") for k, name in enumerate(run.drawn)
    }
    lead = (
        "Net return of each month and, on the left, of each year, blue above 0 and orange below; "
        "distrust years that are not whole, and colors alone, which saturate beyond the 95th "
        "percentile of months."
    )
    table = Table(
        "Years of every strategy that is drawn", by_year, answer(connection, by_year), columns
    )
    chart = Chart(
        f"{run.name(run.lead)}: months and years", sql, frame, (("", _heat(frame)),), LEAST
    )
    return Section(title, lead, (chart, table))


def _column(k: int) -> str:
    return f"strategy_{k}"


def _heat(frame: pl.DataFrame) -> go.Figure:
    """Years x months, the year's total in a column of its own with a scale of its own."""
    wide = frame.pivot(on="month", index="year", values="net").sort("year")
    cells = [[row.get(str(k)) for k in range(1, 14)] for row in wide.iter_rows(named=True)]
    chart = figure(height=70 + ROW * wide.height)
    labels = wide["year"].cast(pl.String).to_list()
    for columns, names, axis in (
        (slice(0, 12), MONTHS, "x"),
        (slice(12, 13), ["year"], "x2"),
    ):
        values = [row[columns] for row in cells]
        known = pl.Series([abs(v) for row in values for v in row if v is not None])
        limit = known.quantile(SATURATED, "linear") or 0.01
        chart.add_heatmap(
            x=names,
            y=labels,
            z=values,
            text=[["" if v is None else f"{100 * v:z.1f}" for v in row] for row in values],
            texttemplate="%{text}",
            textfont={"size": 10},
            zmin=-limit,
            zmax=limit,
            colorscale=DIVERGING,
            showscale=False,
            xgap=1,
            ygap=1,
            xaxis=axis,
            hovertemplate="%{y} %{x}: %{text}%<extra></extra>",
        )
    chart.update_yaxes(autorange="reversed", type="category", showgrid=False, dtick=1, anchor="x2")
    chart.update_layout(
        xaxis={"domain": [0.095, 1], "side": "top", "showgrid": False, "fixedrange": True},
        xaxis2={"domain": [0, 0.08], "side": "top", "showgrid": False, "fixedrange": True},
        hovermode="closest",
        margin={"l": 40, "r": 6, "t": 28, "b": 8},
    )
    return chart


def rolling(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """Sharpe ratio and beta of the last 36 months, month by month."""
    title = f"Rolling {WINDOW} months"
    reason = rows_of(connection, "returns", run)
    if reason:
        return absent(title, reason)
    sql = f"""\
SELECT strategy, date, sharpe, beta FROM rolling
WHERE run_id = {literal(run.run_id)} AND "window" = {WINDOW}
    AND strategy IN ({literals(run.drawn)})
ORDER BY strategy, date"""
    frame = answer(connection, sql)
    if frame.is_empty():
        return absent(title, f"fewer than {WINDOW} months have been earned")
    sharpe = lines(figure("Sharpe per year", height=340), frame, run, "date", "sharpe", ".2f")
    charts = [Chart("Sharpe ratio over the risk-free return", sql, frame, (("", sharpe),))]
    if frame["beta"].drop_nulls().len():
        own = frame.filter(pl.col("strategy") != (run.index or ""))
        beta = lines(figure("beta", height=300), own, run, "date", "beta", ".2f")
        charts.append(Chart("Beta to the benchmark", sql, frame, (("", beta),)))
    lead = (
        f"Each point looks back {WINDOW} months; neighbors share all but one of them, so a long "
        "stretch is one observation, not many, and the standard error of a single point is near "
        f"{(12 / WINDOW) ** 0.5:.1f}.{run.some}"
    )
    return Section(title, lead, charts)
