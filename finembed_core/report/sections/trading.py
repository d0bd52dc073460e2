"""What trading costs and how much of each fund would be owned."""

from __future__ import annotations

import duckdb
import polars as pl

from finembed_core.report.charts import figure, lines
from finembed_core.report.figures import COLORS, GRAY
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

YEAR = 12


def turnover(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """Turnover and cost of the last twelve months, and how fully invested each strategy was."""
    title = "Turnover and costs"
    reason = rows_of(connection, "returns", run)
    if reason:
        return absent(title, reason)
    own = f"run_id = {literal(run.run_id)} AND strategy IN ({literals(run.drawn)})"
    first = "min(date) FILTER (turnover > 0) OVER (PARTITION BY strategy)"
    begun = f"coalesce({first}, min(date) OVER (PARTITION BY strategy))"
    later = f"CASE WHEN date > {begun} THEN turnover END AS traded"
    sql = f"""\
SELECT strategy, date, traded FROM (
    SELECT strategy, date, count(traded) OVER past_year AS n, sum(traded) OVER past_year AS traded
    FROM (SELECT strategy, date, {later} FROM returns WHERE {own})
    WINDOW past_year AS (PARTITION BY strategy ORDER BY date ROWS {YEAR - 1} PRECEDING)
) WHERE n = {YEAR} ORDER BY strategy, date"""
    frame = answer(connection, sql)
    means = f"""\
SELECT strategy, 12 * avg(traded) AS turnover, 12 * avg(cost) AS cost,
    CASE WHEN sum(turnover) > 0 THEN 1e4 * sum(cost) / sum(2 * turnover) END AS bps,
    avg(n_funds) AS funds, avg(cash) AS cash, avg(receivables) AS receivables
FROM (SELECT *, {later} FROM returns WHERE {own})
GROUP BY strategy ORDER BY turnover DESC, strategy"""
    columns = {
        "strategy": Column("strategy", names=run.names),
        "turnover": Column("turnover p.a.", ".0%"),
        "cost": Column("cost p.a.", ".2%"),
        "bps": Column("bp per trade", ".1f"),
        "funds": Column("funds held", ".0f"),
        "cash": Column("in cash", ".1%"),
        "receivables": Column("owed by funds", ".1%"),
    }
    lead = (
        "Half of what was bought and sold in the past twelve months as a share of NAV, the first "
        "purchase left out; distrust low costs at high turnover: only proportional costs are "
        f"charged, not the price that a large order moves.{run.some}"
    )
    blocks: list[Chart | Table] = []
    if frame.height:
        chart = figure("past 12 months", tickformat=".0%", height=320)
        chart.update_yaxes(rangemode="tozero")
        drawn = lines(chart, frame, run, "date", "traded", ".0%")
        blocks.append(Chart("Turnover, past twelve months", sql, frame, (("", drawn),)))
    blocks.append(Table("Averages over all months", means, answer(connection, means), columns))
    return Section(title, lead, blocks)


def ownership(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """Share of each fund's assets that a portfolio of a given size would hold."""
    title = "Share of fund assets held"
    reason = rows_of(connection, "holdings", run)
    if reason or run.lead is None:
        return absent(title, reason or "no strategy ran")
    money = run.portfolio_size
    sql = f"""\
SELECT h.date,
    median({money:.0f} * h.weight / u.last_aum) AS median_share,
    max({money:.0f} * h.weight / u.last_aum) AS largest_share,
    min(0.1 * u.last_aum / h.weight) AS capacity,
    count(u.last_aum) AS with_assets, count(*) AS held
FROM holdings h LEFT JOIN universe u
    ON u.month = h.date AND u.fund_id = h.fund_id AND u.last_aum > 0
WHERE h.run_id = {literal(run.run_id)} AND h.strategy = {literal(run.lead)} AND h.weight > 0
GROUP BY h.date HAVING count(u.last_aum) > 0 ORDER BY h.date"""
    frame = answer(connection, sql)
    if frame.is_empty():
        return absent(title, "no fund that was held reports its assets (AUM)")
    last = frame.row(-1, named=True)
    facts = [
        f"Assumed: a portfolio of {money / 1e6:,.6g} million in the funds' currency "
        "(report.portfolio_size of the settings); nothing else on this page depends on it.",
        f"In {last['date']:%Y-%m} it would own "
        f"{last['largest_share']:.1%} of the fund of which it owns most and "
        f"{last['median_share']:.2%} of the median fund; to own no more than 10% of any fund it "
        f"may hold at most "
        f"{last['capacity'] / 1e6:,.0f} million. {last['with_assets']} of {last['held']} funds "
        "held report assets.",
    ]
    chart = figure("share of the fund", tickformat=".2~%", log=True, height=320)
    for name, column, color in (
        ("largest", "largest_share", COLORS[1]),
        ("median", "median_share", GRAY),
    ):
        chart.add_scatter(
            x=frame["date"].to_list(),
            y=frame[column].to_numpy(),
            name=name,
            mode="lines",
            line={"color": color, "width": 2},
            hovertemplate="%{y:.2%}",
        )
    lead = (
        f"What {run.name(run.lead)} with {money / 1e6:,.6g} million in the funds' currency would "
        "own of each fund, by the assets known then; distrust it where funds do not report assets, "
        "or report them for one share class only."
    )
    table = Table(
        "The past twelve months",
        f"SELECT * FROM (\n{sql}\n) ORDER BY date DESC LIMIT {YEAR}",
        frame.sort("date", descending=True).head(YEAR),
        {
            "date": Column("month", "%Y-%m"),
            "largest_share": Column("largest share", ".2%"),
            "median_share": Column("median share", ".2%"),
            "capacity": Column("most to hold, 10% rule", ",.0f"),
            "with_assets": Column("with assets"),
            "held": Column("funds held"),
        },
    )
    shares = frame.select(pl.exclude("capacity"))
    chart_block = Chart("Share of fund assets, log axis", sql, shares, (("", chart),))
    return Section(title, lead, (chart_block, table), facts)
