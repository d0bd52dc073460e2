"""Frames as tables in a terminal."""

from __future__ import annotations

import datetime as dt

import polars as pl
from rich.console import Console
from rich.table import Table

LEADERBOARD = {
    "strategy": "strategy",
    "annual_return": "return p.a.",
    "volatility": "volatility",
    "sharpe": "Sharpe",
    "max_drawdown": "max drawdown",
    "turnover": "turnover",
    "status": "status",
    "reason": "reason",
}
PERCENT = {"return p.a.", "volatility", "max drawdown", "turnover"}


def leaderboard_table(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of the leaderboard that a terminal has room for."""
    present = {name: label for name, label in LEADERBOARD.items() if name in frame.columns}
    return frame.select(present.keys()).rename(present)


def show(console: Console, frame: pl.DataFrame, title: str | None = None) -> None:
    """Print a frame: numbers to the right, shares in percent where the column is one."""
    table = Table(title=title, header_style="bold")
    for name, kind in frame.schema.items():
        table.add_column(name, justify="right" if kind.is_numeric() else "left")
    for row in frame.iter_rows(named=True):
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    console.print(table)


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2%}" if name in PERCENT else f"{value:.4g}"
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value).replace("[", r"\[")
