"""House style of the report's charts, which draw the columns of an answer as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
import polars as pl

from finembed_core.report.figures import COLORS, FONT, GRAY, GRID, INK
from finembed_core.report.run import Run

HEIGHT = 400
ROW = 24  # pixels of a row of points
LEAD_WIDTH, WIDTH = 3, 1.6
FALL, RISE = "#b2521c", "#1f6fb2"  # orange and blue: told apart by everyone
DIVERGING = [(0.0, "#b35806"), (0.25, "#f1a340"), (0.5, "#f7f7f7"), (0.75, "#92c5de"), (1.0, RISE)]


def figure(
    y_title: str = "",
    *,
    tickformat: str | None = None,
    log: bool = False,
    height: int = HEIGHT,
) -> go.Figure:
    """An empty chart; its caption and legend stand outside, where they can wrap."""
    axis = {"gridcolor": GRID, "zerolinecolor": GRAY, "linecolor": GRAY}
    return go.Figure(
        layout={
            "template": "none",
            "font": {"family": FONT, "color": INK, "size": 12},
            "xaxis": axis,
            "yaxis": {
                **axis,
                "automargin": True,
                "title": {"text": y_title, "standoff": 6},
                "type": "log" if log else "linear",
                "tickformat": tickformat,
            },
            "height": height,
            "margin": {"l": 46, "r": 12, "t": 12, "b": 34},
            "hovermode": "x unified",
            "dragmode": False,  # or a finger could not scroll past
            "showlegend": False,
            "paper_bgcolor": "#ffffff",
            "plot_bgcolor": "#ffffff",
        }
    )


def by_strategy(frame: pl.DataFrame, run: Run) -> Iterator[tuple[str, pl.DataFrame, dict]]:
    """(readable name, own rows, line style) of the strategies that are drawn, the lead last."""
    styles = line_styles(run)
    for strategy in (*run.drawn[1:], *run.drawn[:1]):
        own = frame.filter(pl.col("strategy") == strategy)
        if own.height:
            yield escape(run.name(strategy)), own, styles[strategy]


def line_styles(run: Run) -> dict[str, dict[str, Any]]:
    """Line of each drawn strategy, the same on every chart: benchmarks are gray and broken."""
    benchmarks = {run.equal_weight: "dash", run.index: "dot"}
    own = [name for name in run.drawn if name not in benchmarks or name == run.lead]
    colors = {name: COLORS[k % len(COLORS)] for k, name in enumerate(own)}
    return {
        name: {"color": colors[name], "width": LEAD_WIDTH if name == run.lead else WIDTH}
        if name in colors
        else {"color": INK if name == run.equal_weight else GRAY, "width": 2}
        | {"dash": benchmarks[name]}
        for name in run.drawn
    }


def lines(chart: go.Figure, frame: pl.DataFrame, run: Run, x: str, y: str, hover: str) -> go.Figure:
    """One line per strategy; `hover` is the format of a value."""
    for name, own, style in by_strategy(frame, run):
        chart.add_scatter(
            x=own[x].to_list(),
            y=own[y].to_numpy(),
            name=name,
            mode="lines",
            line=style,
            hovertemplate=f"%{{y:{hover}}}",
        )
    return chart


def bars(chart: go.Figure, frame: pl.DataFrame, label: str, value: str, hover: str) -> go.Figure:
    """Lying bars, the first row on top, by sign in two colors."""
    values = frame[value].to_list()
    chart.add_bar(
        y=[escape(str(text)) for text in frame[label]],
        x=frame[value].to_numpy(),
        orientation="h",
        marker={"color": [RISE if (v or 0.0) >= 0 else FALL for v in values]},
        hovertemplate=f"%{{x:{hover}}}<extra></extra>",
    )
    chart.update_yaxes(autorange="reversed", type="category", automargin=True)
    return chart.update_layout(hovermode="closest", bargap=0.3)


def forest(
    frame: pl.DataFrame,
    labels: Sequence[str],
    series: Mapping[str, tuple[str, str, str, str]],
    *,
    tickformat: str | None = None,
    zero: bool = True,
) -> go.Figure:
    """Lying points with their intervals, the first row on top.

    Parameters
    ----------
    frame : DataFrame
    labels : sequence of str
        What each row is called.
    series : mapping of str to (str, str, str, str)
        By name of the points: the columns of their values and of what their interval reaches below
        and above (empty without one), and their color.
    tickformat : str, optional
    zero : bool
        Whether 0 is marked.
    """
    chart = figure(height=90 + ROW * max(frame.height, 2))
    for name, (value, below, above, color) in series.items():
        chart.add_scatter(
            x=frame[value].to_numpy(),
            y=[escape(label) for label in labels],
            name=escape(name),
            mode="markers",
            marker={"color": color, "size": 8},
            error_x=reach(frame, below, above, color) if below else None,
            hovertemplate=f"%{{y}}, {escape(name)}: %{{x:.3~g}}<extra></extra>",
        )
    chart.update_yaxes(
        autorange="reversed", type="category", automargin=True, tickfont={"size": 11}
    )
    chart.update_xaxes(tickformat=tickformat, zeroline=zero, zerolinewidth=1.5, nticks=5)
    return chart.update_layout(hovermode="closest")


def reach(frame: pl.DataFrame, below: str, above: str, color: str) -> dict[str, Any]:
    """Bars of the intervals whose reach two columns hold; none where they are null."""
    return {
        "type": "data",
        "symmetric": False,
        "array": frame[above].fill_null(0).to_numpy(),
        "arrayminus": frame[below].fill_null(0).to_numpy(),
        "color": color,
        "thickness": 1.5,
        "width": 3,
    }
