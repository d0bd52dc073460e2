"""Pictures: a figure as a small self-contained SVG, and as markdown that shows it in Dagster.

Static export of plotly needs a browser; this draws what `figures` uses - lines, bands, stacked
areas and bars - from the figure itself, so that a chart is described once.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from finembed_core.report.figures import FONT, GRAY, GRID, INK
from finembed_core.report.scales import Scale, scale_for

DASHES = {"dash": "7 4", "dot": "2 3", "dashdot": "8 3 2 3"}
MOST_POINTS = 500  # a picture is at most about 700 pixels wide
LABEL_HEIGHT = 14.0
LABEL_WIDTH = 6.4  # pixels per character at 11 px, on the wide side
LONGEST_LABEL = 28


@dataclass(frozen=True)
class _Shape:
    """One trace in values: its line, the line that its fill reaches down to, its style."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    base: NDArray[np.float64] | None
    name: str
    color: str
    fill: str | None
    width: float
    dash: str
    bars: NDArray[np.float64] | None = None


def markdown(figure: go.Figure, *, width: int = 760, height: int = 360) -> str:
    """Markdown with the picture inside it: for Dagster's metadata, which shows data URIs."""
    encoded = base64.b64encode(svg(figure, width=width, height=height).encode()).decode()
    return f"![{_title(figure)}](data:image/svg+xml;base64,{encoded})"


def svg(figure: go.Figure, *, width: int = 760, height: int = 360) -> str:
    """The figure as SVG text; only traces and options that `figures` uses are drawn."""
    shapes, dates = _shapes(figure)
    parts = [*_frame(figure, width, height)]
    if not any(np.isfinite(shape.y).any() for shape in shapes):
        parts.append(_text(width / 2, height / 2, "no data", anchor="middle", color=GRAY))
        return _document(figure, parts, width, height)
    labels = [shape.name[:LONGEST_LABEL] for shape in shapes if shape.name]
    right = width - 14 - max((LABEL_WIDTH * len(label) + 8 for label in labels), default=10)
    across, up = _scales(figure, shapes, dates, right, height)
    parts += _grid(across, up)
    for shape in shapes:
        parts += _draw(shape, across, up)
    parts += _labels(shapes, across, up)
    return _document(figure, parts, width, height)


def _shapes(figure: go.Figure) -> tuple[list[_Shape], bool]:
    """Traces as shapes in drawing order, and whether the x axis holds dates."""
    shapes: list[_Shape] = []
    stacked: NDArray[np.float64] | None = None
    dates = False
    traces: Any = figure.data  # plotly's own types do not tell the traces apart
    for trace in traces:
        x, is_date = _numbers(trace.x)
        y, _ = _numbers(trace.y)
        dates = dates or is_date
        x, y = _thinned(x), _thinned(y)
        base = None
        name = trace.name or "" if trace.showlegend is not False else ""
        if trace.type == "bar":
            widths = np.broadcast_to(np.asarray(trace.width, dtype=np.float64), x.shape)
            zero = np.zeros_like(y)
            shapes.append(_Shape(x, y, zero, "", "none", trace.marker.color, 0, "", widths))
            continue
        if trace.stackgroup:
            base = np.zeros_like(y) if stacked is None else stacked
            y = base + np.nan_to_num(y)
            stacked = y
        elif trace.fill == "tonexty":
            base = shapes[-1].y
        line = trace.line
        width = 2.0 if line.width is None else line.width
        dash = DASHES.get(line.dash or "", "")
        color = line.color or INK
        fill = trace.fillcolor if base is not None else None
        shapes.append(_Shape(x, y, base, name, color, fill, width, dash))
    return shapes, dates


def _numbers(values: Sequence | NDArray | None) -> tuple[NDArray[np.float64], bool]:
    array = np.asarray([] if values is None else values)
    if array.dtype.kind == "M":
        return array.astype("datetime64[D]").astype(np.float64), True
    return array.astype(np.float64), False


def _thinned(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every k-th value, counted from the last, where there are more than can be seen."""
    step = -(-len(values) // MOST_POINTS) if len(values) else 1
    return values[::-1][::step][::-1]


def _scales(
    figure: go.Figure, shapes: Sequence[_Shape], dates: bool, right: float, height: int
) -> tuple[Scale, Scale]:
    x = np.concatenate([_ends(shape) for shape in shapes])
    y = np.concatenate([shape.y for shape in shapes])
    bars = any(shape.bars is not None for shape in shapes)
    axis = figure.layout.yaxis
    kind = "log" if axis.type == "log" else "linear"
    up = scale_for(
        kind,
        y,
        height - 34.0,
        58.0,
        tickformat=axis.tickformat,
        margin=0.04,
        from_zero=bars or axis.rangemode == "tozero",
    )
    left = 20 + LABEL_WIDTH * max(len(label) for _, label in up.ticks(6))
    tickformat = figure.layout.xaxis.tickformat
    across = scale_for("date" if dates else "linear", x, left, right, tickformat=tickformat)
    return across, up


def _ends(shape: _Shape) -> NDArray[np.float64]:
    if shape.bars is None:
        return shape.x
    return np.concatenate([shape.x - shape.bars / 2, shape.x + shape.bars / 2])


def _frame(figure: go.Figure, width: int, height: int) -> Iterator[str]:
    yield f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    yield _text(14, 24, _title(figure), size=15, weight=600)
    yield _text(14, 42, figure.layout.yaxis.title.text or "", color=GRAY)


def _grid(across: Scale, up: Scale) -> Iterator[str]:
    for value, label in up.ticks(6):
        y = float(up(value))
        yield f'<path d="M{across.start:.1f} {y:.1f}H{across.end:.1f}" stroke="{GRID}"/>'
        yield _text(across.start - 6, y + 4, label, anchor="end", color=GRAY)
    for value, label in across.ticks(max(2, int((across.end - across.start) / 75))):
        x = float(across(value))
        yield f'<path d="M{x:.1f} {up.start:.1f}v4" stroke="{GRAY}"/>'
        yield _text(x, up.start + 17, label, anchor="middle", color=GRAY)
    yield (f'<path d="M{across.start:.1f} {up.start:.1f}H{across.end:.1f}" stroke="{GRAY}"/>')


def _draw(shape: _Shape, across: Scale, up: Scale) -> Iterator[str]:
    x, y = across(shape.x), up(shape.y)
    if shape.bars is not None:
        edges = across(shape.x - shape.bars / 2), across(shape.x + shape.bars / 2)
        floor = float(up(0.0))
        for left, right, top in zip(*edges, y, strict=True):
            size = f'width="{max(right - left - 1, 0.5):.1f}" height="{floor - top:.1f}"'
            yield f'<rect x="{left:.1f}" y="{top:.1f}" {size} fill="{shape.fill}"/>'
        return
    if shape.base is not None and shape.fill:
        floor = up(shape.base)
        seen = np.isfinite(y) & np.isfinite(floor)
        around = np.concatenate([x[seen], x[seen][::-1]])
        edge = np.concatenate([y[seen], floor[seen][::-1]])
        yield f'<path d="{_path(around, edge)}z" fill="{shape.fill}"/>'
    if shape.width > 0:
        dash = f' stroke-dasharray="{shape.dash}"' if shape.dash else ""
        for run in _runs(y):
            yield (
                f'<path d="{_path(x[run], y[run])}" fill="none" '
                f'stroke="{shape.color}" stroke-width="{shape.width}" '
                f'stroke-linejoin="round"{dash}/>'
            )


def _path(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Path through points: the first absolute, then steps, which are short to write."""
    places = np.round(np.column_stack([x, y]) * 10).astype(np.int64)
    start, steps = places[0] / 10, np.diff(places, axis=0) / 10
    return f"M{start[0]:g} {start[1]:g}l" + (" ".join(f"{a:g} {b:g}" for a, b in steps) or "0 0")


def _runs(y: NDArray[np.float64]) -> list[slice]:
    """Stretches without a gap."""
    seen = np.concatenate([[False], np.isfinite(y), [False]]).astype(int)
    change = np.flatnonzero(np.diff(seen))
    return [slice(a, b) for a, b in zip(change[::2], change[1::2], strict=True)]


def _labels(shapes: Sequence[_Shape], across: Scale, up: Scale) -> Iterator[str]:
    """Names beside the lines' ends, moved apart where they would overlap."""
    wanted = []
    for shape in shapes:
        seen = np.flatnonzero(np.isfinite(shape.y))
        if not shape.name or not len(seen):
            continue
        level = shape.y[seen[-1]]
        if shape.base is not None:
            level = (level + shape.base[seen[-1]]) / 2
        color = shape.color if shape.width > 0 else (shape.fill or INK)
        wanted.append((float(up(level)), shape.name, color))
    wanted.sort(key=lambda label: label[0])
    for place, (_, name, color) in zip(_apart([w[0] for w in wanted], up), wanted, strict=True):
        short = name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"
        yield _text(across.end + 8, place + 4, short, color=_opaque(color))


def _apart(places: list[float], up: Scale) -> list[float]:
    """Sorted positions at least a label's height apart, as near as may be, inside the picture."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + LABEL_HEIGHT) if moved else place)
    floor = up.start
    for k in reversed(range(len(moved))):
        moved[k] = min(moved[k], floor)
        floor = moved[k] - LABEL_HEIGHT
    return moved


def _opaque(color: str) -> str:
    if not color.startswith("rgba("):
        return color
    return f"rgb({','.join(color[5:-1].split(',')[:3])})"


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    color: str = INK,
    size: int = 11,
    weight: int = 400,
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" '
        f'fill="{color}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _title(figure: go.Figure) -> str:
    return figure.layout.title.text or ""


def _document(figure: go.Figure, parts: Sequence[str], width: int, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="{escape(FONT)}" role="img">'
        f"<title>{escape(_title(figure))}</title>{''.join(parts)}</svg>"
    )
