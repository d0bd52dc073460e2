"""Skeleton of a page that loads nothing: style, plotly's code and the page's own lines inside.

A content security policy forbids every request, so that not even a text from the data could make
the page call anyone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from pathlib import Path

from plotly.offline import get_plotlyjs

HERE = Path(__file__).parent
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)
# Without the button that uploads the chart to a cloud.
CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["sendChartToCloud"]}


def document(title: str, parts: Iterable[str], kind: str = "") -> str:
    """A whole page in the house style around these parts of a body.

    Parameters
    ----------
    title : str
    parts : iterable of str
        HTML; texts in it are escaped already.
    kind : str
        Class of the body, which the style sheet knows.
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(title)}</title><style>{_own('page.css')}</style></head>"
        f'<body class="{kind}">{"".join(parts)}</body></html>'
    )


def scripts() -> Iterable[str]:
    """Plotly's code and the page's own, which draws, sorts and prints; last in the body."""
    yield f"<script>{get_plotlyjs()}</script>"
    yield f"<script>{_own('page.js')}</script>"


def notes(warnings: Sequence[str]) -> str:
    """What to know before believing the numbers, as a list that is seen."""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    return f'<ul class="notes">{items}</ul>' if warnings else ""


@cache
def _own(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
