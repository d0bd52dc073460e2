"""The map of funds of one date: a point per fund, colored by category."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from html import escape

import duckdb
import plotly.graph_objects as go
import polars as pl

from finembed_core.report.charts import figure
from finembed_core.report.figures import GRAY, INK
from finembed_core.report.section import Chart
from finembed_core.warehouse.query import answer
from finembed_core.warehouse.quoting import literal

OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito (2008): told apart by everyone. Without black and a yellow too pale for white."""
SYMBOLS = ("circle", "diamond", "square")
MOST_CATEGORIES = len(OKABE_ITO) * len(SYMBOLS)
NO_CATEGORY = "no category"
HEIGHT = 520
CROWDED = 150  # points from which they are drawn smaller


def fund_map(
    connection: duckdb.DuckDBPyConnection,
    date: dt.date | None = None,
    fund: str | None = None,
    nearest: Sequence[str] = (),
) -> Chart:
    """The map of a date.

    Parameters
    ----------
    connection : DuckDBPyConnection
        On a warehouse whose table `embedding_map` has rows of the date.
    date : date, optional
        The last one by default.
    fund : str, optional
        The fund to mark with a star.
    nearest : sequence of str
        Funds to mark with a ring.
    """
    day = "(SELECT max(date) FROM embedding_map)" if date is None else f"DATE {literal(str(date))}"
    sql = f"""\
SELECT fund_id, name, coalesce(category, {literal(NO_CATEGORY)}) AS category, x, y,
    explained_x, explained_y, n_seeds, encoder, mode, date
FROM embedding_map LEFT JOIN daily_funds USING (fund_id)
WHERE date = {day}
    AND (encoder, mode) = (SELECT min((encoder, mode)) FROM embedding_map WHERE date = {day})
ORDER BY category, fund_id"""
    frame = answer(connection, sql)
    caption = f"Funds by their embeddings, {frame['date'][0]}" if frame.height else "Funds"
    return Chart(caption, sql, frame, (("", _figure(frame, fund, nearest)),))


def _figure(frame: pl.DataFrame, fund: str | None, nearest: Sequence[str]) -> go.Figure:
    chart = figure(height=HEIGHT)
    size = 6 if frame.height > CROWDED else 9
    for name, color, symbol, own in _by_category(frame):
        _points(chart, own, name, {"color": color, "symbol": symbol, "size": size, "opacity": 0.8})
    ring = {"color": INK, "symbol": "circle-open", "size": size + 6, "line": {"width": 2}}
    star = {"color": INK, "symbol": "star", "size": 16}
    _points(chart, frame.filter(pl.col("fund_id").is_in(nearest)), "nearest", ring)
    _points(chart, frame.filter(pl.col("fund_id") == (fund or "")), "the fund", star)
    chart.update_xaxes(title={"text": _axis("first", frame["explained_x"])}, zeroline=False)
    # One length on both axes: distances are what a map shows.
    chart.update_yaxes(
        title={"text": _axis("second", frame["explained_y"])},
        zeroline=False,
        scaleanchor="x",
    )
    return chart.update_layout(hovermode="closest", margin={"l": 46, "r": 12, "t": 12, "b": 46})


def _axis(which: str, explained: pl.Series) -> str:
    return f"{which} component, {explained[0]:.0%} of variance" if explained.len() else which


def _by_category(frame: pl.DataFrame) -> Iterator[tuple[str, str, str, pl.DataFrame]]:
    """(name, color, symbol, own rows), the largest last: a legend names the last one first."""
    counts = frame.group_by("category").len().sort("len", "category", descending=[True, False])
    names = counts["category"].to_list()
    own = names[:MOST_CATEGORIES]
    rest = frame.filter(~pl.col("category").is_in(own))
    if rest.height:
        yield f"{len(names) - len(own)} other categories", GRAY, "x", rest
    for k, name in reversed(list(enumerate(own))):
        color = OKABE_ITO[k % len(OKABE_ITO)]
        symbol = SYMBOLS[k // len(OKABE_ITO)]
        yield escape(name), color, symbol, frame.filter(pl.col("category") == name)


def _points(chart: go.Figure, own: pl.DataFrame, name: str, marker: dict) -> None:
    if own.is_empty():
        return
    chart.add_scatter(
        x=own["x"].to_numpy(),
        y=own["y"].to_numpy(),
        name=name,
        mode="markers",
        marker=marker,
        text=[
            f"{escape(called or fund)} ({escape(fund)})<br>{escape(category)}"
            for fund, called, category in own.select("fund_id", "name", "category").iter_rows()
        ],
        hovertemplate="%{text}<extra></extra>",
    )
