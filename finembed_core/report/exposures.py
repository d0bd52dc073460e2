"""The page that explains one fund: a panel per factor, then the numbers behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from finembed_core.polymodel.explain import Explanation
from finembed_core.report.explained import Label, Table, moves, threats
from finembed_core.report.figures import COLORS, FONT, GRAY, GRID, INK
from finembed_core.report.page import CONFIG, document
from finembed_core.report.page import notes as noted

ACROSS = 2
PANEL_HEIGHT = 330
SEEN, WORST = COLORS[0], COLORS[1]
HOW_TO_READ = (
    "Each point is a month of the window, its last month filled dark: what the factor did, and "
    "what the fund did. The curve is the fit. It is solid where the window has seen the factor, "
    "dashed on gray where only the factor's longer history has been. Dotted lines mark the 1% and "
    "99% quantiles of that history, with the return that the fit predicts there; a red mark is the "
    "worst predicted loss, which StressVaR starts from."
)


def page(
    explanation: Explanation,
    title: str,
    labels: Mapping[str, Label],
    facts: Sequence[str],
    notes: Sequence[str],
) -> str:
    """HTML of one explanation, which loads nothing.

    Parameters
    ----------
    explanation : Explanation
    title : str
    labels : mapping of str to Label
        Of its factors.
    facts, notes : sequence of str
        What to say about the fund, and what to know before believing it.
    """
    said = "<br>".join(escape(fact) for fact in facts)
    parts = [f"<h1>{escape(title)}</h1>", f'<p class="facts">{said}</p>', noted(notes)]
    if explanation.factors.height:
        figure = exposures(explanation, labels)
        parts += [
            figure.to_html(full_html=False, include_plotlyjs=True, div_id="factors", config=CONFIG),
            f"<p>{HOW_TO_READ}</p>",
            _table(moves(explanation, labels)),
            _table(threats(explanation, labels)),
        ]
    return document(title, parts)


def exposures(explanation: Explanation, labels: Mapping[str, Label]) -> go.Figure:
    """A panel per factor: the window's months, the curve, what it has not seen, and the tails."""
    factors = explanation.factors
    down = -(-factors.height // ACROSS)
    height = PANEL_HEIGHT * down + 80
    figure = make_subplots(
        rows=down,
        cols=ACROSS,
        horizontal_spacing=0.08,
        vertical_spacing=110 / height if down > 1 else 0.0,
        subplot_titles=[_heading(row, labels) for row in factors.iter_rows(named=True)],
    )
    figure.update_annotations(font_size=13)
    middle = explanation.curves.select(pl.col("fund").min() + pl.col("fund").max()).item() / 2
    for k, factor in enumerate(factors.iter_rows(named=True)):
        place: dict[str, Any] = {"row": k // ACROSS + 1, "col": k % ACROSS + 1}
        mine = pl.col("factor_id") == factor["factor_id"]
        label = labels[factor["factor_id"]]
        curve = explanation.curves.filter(mine)
        _draw_curve(figure, factor, curve, place)
        _draw_points(figure, factor, explanation.points.filter(mine), label, place)
        _draw_tails(figure, factor, middle, place)
        _draw_worst(figure, factor, place)
        _shade_unseen(figure, factor, curve["factor"], place)
        figure.update_xaxes(tickformat=_tickformat(label.style(factor)), **place)
    figure.update_xaxes(gridcolor=GRID, zeroline=False)
    figure.update_yaxes(gridcolor=GRID, zerolinecolor=GRAY, tickformat=".0%", matches="y")
    figure.update_yaxes(title_text=f"{escape(explanation.fund_id)}, monthly return", col=1)
    return figure.update_layout(
        template="plotly_white",
        font={"family": FONT, "color": INK, "size": 12},
        height=height,
        showlegend=False,
        margin={"l": 60, "r": 20, "t": 80, "b": 40},
    )


def _heading(factor: Mapping[str, Any], labels: Mapping[str, Label]) -> str:
    name, factor_id = labels[factor["factor_id"]].name, factor["factor_id"]
    called = "" if name == factor_id else f" {escape(name)}"
    verdict = "" if factor["selected"] else "not selected, "
    return (
        f"<b>{escape(factor_id)}</b>{called}: {factor['shape']}<br>"
        f"<span style='color:{GRAY}'>{verdict}score {factor['score']:.1f}, "
        f"p {factor['p_value']:.2g}, R² {factor['r2']:.0%}</span>"
    )


def _draw_curve(
    figure: go.Figure, factor: Mapping[str, Any], curve: pl.DataFrame, place: Mapping[str, Any]
) -> None:
    color = SEEN if factor["selected"] else GRAY
    seen = curve.filter(pl.col("factor").is_between(factor["seen_low"], factor["seen_high"]))
    for part, width, dash in ((curve, 1.5, "dash"), (seen, 2.5, "solid")):
        figure.add_scatter(
            x=part["factor"].to_numpy(),
            y=part["fund"].to_numpy(),
            mode="lines",
            line={"color": color, "width": width, "dash": dash},
            hoverinfo="skip",
            **place,
        )


def _draw_points(
    figure: go.Figure,
    factor: Mapping[str, Any],
    points: pl.DataFrame,
    label: Label,
    place: Mapping[str, Any],
) -> None:
    style = label.style(factor)
    last = points["month"] == points["month"].max()
    figure.add_scatter(
        x=points["factor"].to_numpy(),
        y=points["fund"].to_numpy(),
        mode="markers",
        marker={
            "size": 7,
            "color": [INK if is_last else "rgba(31,111,178,0.25)" for is_last in last],
            "line": {"color": INK, "width": 0.7},
        },
        text=[
            f"{month:%Y-%m}<br>factor {x:{style}}, fund {y:+z.1%}"
            for month, x, y in points.select("month", "factor", "fund").iter_rows()
        ],
        hoverinfo="text",
        **place,
    )


def _draw_tails(
    figure: go.Figure, factor: Mapping[str, Any], middle: float, place: Mapping[str, Any]
) -> None:
    """Both quantiles, and what the fund does there, where the curve leaves room for it."""
    for name, side in (("01", "left"), ("99", "right")):
        x, y = factor[f"factor_{name}"], factor[f"fund_{name}"]
        end = "top" if y < middle else "bottom"
        figure.add_vline(
            x,
            line={"color": INK, "width": 1, "dash": "dot"},
            annotation={"text": f"{int(name)}%: {y:+z.1%}"},
            annotation_position=f"{end} {'right' if side == 'left' else 'left'}",
            **place,
        )
        figure.add_scatter(
            x=[x],
            y=[y],
            mode="markers",
            marker={"color": INK, "size": 7, "symbol": "square"},
            hoverinfo="skip",
            **place,
        )


def _draw_worst(figure: go.Figure, factor: Mapping[str, Any], place: Mapping[str, Any]) -> None:
    if factor["y_max_at"] is not None:
        figure.add_scatter(
            x=[factor["y_max_at"]],
            y=[-factor["y_max"]],
            mode="markers",
            marker={"color": WORST, "size": 13, "symbol": "circle-open", "line": {"width": 2.5}},
            hovertext=f"worst loss {factor['y_max']:.1%}",
            hoverinfo="text",
            **place,
        )


def _shade_unseen(
    figure: go.Figure, factor: Mapping[str, Any], x: pl.Series, place: Mapping[str, Any]
) -> None:
    """Gray where the window has not been; last, for plotly shades no panel that is empty."""
    for low, high in ((x[0], factor["seen_low"]), (factor["seen_high"], x[-1])):
        if high > low:
            figure.add_vrect(
                low, high, fillcolor=GRAY, opacity=0.15, line_width=0, layer="below", **place
            )


def _tickformat(style: str) -> str:
    """D3's format of an axis whose values are written in this style."""
    return {"+z.1%": ".0%", "+z.2%": ".1%"}.get(style, "")


def _table(table: Table) -> str:
    header, rows = table
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    return f'<table class="numbers"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cells(row: Iterable[str]) -> str:
    return "".join(f"<td>{escape(cell)}</td>" for cell in row)
