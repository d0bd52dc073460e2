"""Frames as tables in a terminal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import polars as pl
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

LEADERBOARD = {
    "strategy": "strategy",
    "annual_return": "return p.a.",
    "volatility": "volatility",
    "sharpe": "Sharpe",
    "max_drawdown": "max drawdown",
    "turnover": "turnover",
}
ORDERS = {
    "p_up": ("P(up)", ".1%"),
    "rank": ("rank", "d"),
    "sharpe_annual": ("Sharpe", ".2f"),
    "svar": ("StressVaR", ".1%"),
    "lta": ("LTA", ".2%"),
    "lts": ("LTS", ".2%"),
    "best_score": ("score", ".1f"),
}
UNLIMITED = 10_000
PERCENT = {"return p.a.", "volatility", "max drawdown", "turnover", "weight"}


def show(console: Console, frame: pl.DataFrame, title: str | None = None) -> None:
    """Print a frame: numbers to the right, shares in percent where the column is one."""
    table = Table(title=title, header_style="bold", box=box.SIMPLE_HEAD)
    for name, kind in frame.schema.items():
        table.add_column(name, justify="right" if kind.is_numeric() else "left")
    for row in frame.iter_rows(named=True):
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    _print_whole(console, table)


def show_leaderboard(console: Console, leaderboard: pl.DataFrame) -> None:
    """Print the strategies that ran, and in a line each reason why others did not."""
    ran = leaderboard.filter(pl.col("status") == "run")
    months = "" if ran.is_empty() else f"{ran['first_month'].min()} to {ran['last_month'].max()}"
    show(
        console,
        ran.select(LEADERBOARD.keys()).rename(LEADERBOARD),
        title=f"net of costs, {months}",
    )
    absent = leaderboard.filter(pl.col("status") == "absent").group_by("reason").agg("strategy")
    for reason, strategies in absent.sort("reason").rows():
        console.print(f"absent, {escape(reason)}: {', '.join(sorted(strategies))}", soft_wrap=True)


def show_orders(console: Console, orders: pl.DataFrame) -> None:
    """Print orders, each with the features of now and, in brackets, of the month before."""
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("side", "fund", "weight", *(label for label, _ in ORDERS.values())):
        text = name in {"side", "fund"}
        table.add_column(name, justify="left" if text else "right")
    for row in orders.iter_rows(named=True):
        pairs = (_pair(row, name, style) for name, (_, style) in ORDERS.items())
        table.add_row(row["side"], escape(row["fund_id"]), f"{row['weight']:.2%}", *pairs)
    _print_whole(console, table)
    console.print("in brackets: the month before; score: best P-value score; weight: of the whole")


def _print_whole(console: Console, table: Table) -> None:
    """Print no column narrower than its cells: a wide table runs over the edge."""
    free = console.options.update(max_width=UNLIMITED)
    width = Measurement.get(console, free, table).maximum
    Console(file=console.file, width=max(width, console.width)).print(table)


def _pair(row: Mapping[str, object], name: str, style: str) -> str:
    now, before = row[name], row[f"{name}_before"]
    shown = "-" if now is None else format(now, style)
    return shown if before is None else f"{shown}\n({format(before, style)})"


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2%}" if name in PERCENT else f"{value:.4g}"
    if isinstance(value, dt.date):
        return value.isoformat()
    return escape(str(value))
