"""One self-contained page per run: wealth, drawdowns, statistics. No network, no other file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import polars as pl

from finembed_core.files import written_whole
from finembed_core.report import figures
from finembed_core.report.statistics import STATISTICS
from finembed_core.store import PartStore

RETURNS_SQL = (
    "SELECT strategy, date, net, benchmark FROM returns WHERE run_id = '{run_id}'"
    " ORDER BY strategy, date"
)
METRICS_SQL = "SELECT strategy, metric, value FROM metrics WHERE run_id = '{run_id}'"
# Without the button that uploads the chart to a cloud.
CONFIG = {"displaylogo": False, "modeBarButtonsToRemove": ["sendChartToCloud"]}
STYLE = f"""
body {{ font-family: {figures.FONT}; color: {figures.INK}; max-width: 1080px; margin: 2rem auto;
       padding: 0 1rem; line-height: 1.45 }}
h1 {{ font-size: 1.5rem; margin-bottom: .2rem }}
p.facts, pre {{ color: {figures.GRAY} }}
ul.notes {{ background: #fff3cd; padding: .5rem .8rem .5rem 2rem; border-radius: 4px }}
pre {{ font-size: .75rem; white-space: pre-wrap; margin: 0 0 2rem }}
table {{ border-collapse: collapse; font-size: .9rem; margin-bottom: .5rem }}
th, td {{ text-align: right; padding: .3rem .7rem; border-bottom: 1px solid {figures.GRID} }}
th:first-child, td:first-child {{ text-align: left }}
"""


def wealth(store: PartStore, run_id: str, path: Path) -> Path:
    """Write the page of one run, whole or not at all.

    Parameters
    ----------
    store : PartStore
        Holds the run's parts ``runs``, ``strategies``, ``returns`` and ``metrics``.
    run_id : str
    path : Path
        The HTML file; its folder is made.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    MissingPartError
        The run is not in the store.
    """
    run, strategies, returns, metrics = (
        store.read(table, run_id) for table in ("runs", "strategies", "returns", "metrics")
    )
    text = page(run, strategies, returns, metrics)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def page(
    run: pl.DataFrame, strategies: pl.DataFrame, returns: pl.DataFrame, metrics: pl.DataFrame
) -> str:
    """HTML of one run's results (frames as in the run tables of the store)."""
    facts = run.row(0, named=True)
    run_id = str(facts["run_id"])
    kind = " (simulated data)" if facts["simulated"] else ""
    absent = strategies.filter(pl.col("status") == "absent").sort("strategy")
    parts = [
        f"<h1>Wealth of every strategy, net of costs{kind}</h1>",
        f'<p class="facts">{_facts(facts)}</p>',
        notes(json.loads(facts["warnings"])),
        *_charts(returns, RETURNS_SQL.format(run_id=run_id)),
        _table(strategies, metrics),
        f"<pre>{escape(METRICS_SQL.format(run_id=run_id))}</pre>",
        _absent(absent.select("strategy", "reason").rows()),
    ]
    return document(f"finembed {run_id}{kind}", parts)


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page in the house style around these parts of a body."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>"
    )


def _facts(run: dict) -> str:
    last = f"{run['last_month']:%Y-%m}"
    first = run["first_month"]
    known = [
        f"dataset {run['dataset']}",
        f"nothing earned by {last}" if first is None else f"{first:%Y-%m} to {last}",
        f"run {run['run_id']}",
        f"code {run['code_version']}",
    ]
    return escape(" · ".join(known))


def notes(warnings: Sequence[str]) -> str:
    """What to know before believing the numbers, as a list that is seen."""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    return f'<ul class="notes">{items}</ul>' if warnings else ""


def _charts(returns: pl.DataFrame, sql: str) -> Iterable[str]:
    """The charts; plotly's code travels with the first of them."""
    for k, figure in enumerate((figures.wealth(returns), figures.underwater(returns))):
        figure.update_layout(height=430 if k == 0 else 300)
        yield figure.to_html(
            full_html=False,
            include_plotlyjs=k == 0,
            div_id=f"chart-{k}",
            config=CONFIG,
        )
        yield f"<pre>{escape(sql)}</pre>"


def _table(strategies: pl.DataFrame, metrics: pl.DataFrame) -> str:
    wide: dict[str, dict[str, float | None]] = {}
    for strategy, metric, value in metrics.select("strategy", "metric", "value").iter_rows():
        wide.setdefault(strategy, {})[metric] = value
    shown = [name for name in STATISTICS if any(name in row for row in wide.values())]
    names = strategies.filter(pl.col("status") == "run")["strategy"].to_list()
    order = sorted(names, key=lambda name: (-_sortable(wide.get(name, {}).get("sharpe")), name))
    head = "".join(f"<th>{STATISTICS[name][0]}</th>" for name in shown)
    rows = "".join(
        f"<tr><td>{escape(name)}</td>"
        + "".join(f"<td>{_number(wide.get(name, {}).get(m), STATISTICS[m][1])}</td>" for m in shown)
        + "</tr>"
        for name in order
    )
    return f"<table><thead><tr><th>strategy</th>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _sortable(value: float | None) -> float:
    return -math.inf if value is None or math.isnan(value) else value


def _number(value: float | None, style: str) -> str:
    return "" if value is None or math.isnan(value) else format(value, style)


def _absent(rows: Sequence[tuple[str, str]]) -> str:
    items = "".join(f"<li>{escape(name)}: {escape(reason or '')}</li>" for name, reason in rows)
    return f"<h2>Absent strategies</h2><ul>{items}</ul>" if rows else ""
