"""The command that explains one fund: which factors move it, and what they could do to it."""

from __future__ import annotations

import argparse

import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from finembed_core.calendar import Month
from finembed_core.errors import MissingPartError
from finembed_core.polymodel.explain import Explanation
from finembed_core.polymodel.explain import explain as explanation_of
from finembed_core.polymodel.stage import FEATURES, polymodel_stage
from finembed_core.report import explained
from finembed_core.report.exposures import page
from finembed_core.store import PartStore
from finembed_dagster.cli.funds import find_fund
from finembed_dagster.cli.pages import require_html, write_picture
from finembed_dagster.cli.tables import print_whole, show_notes
from finembed_dagster.cli.texts import seen
from finembed_dagster.study import Study

GUIDE = """\
example
  finembed explain Utils --month 1994-03 --output utils.html

The first table has two lines per factor: quantiles of the factor's whole history, and what the
fitted curve says the fund does there. -8.9% in the column 1% above -1.5% reads: in the worst month
of a hundred the factor falls by 8.9%, and the fund is expected to lose 1.5%. The second table says
what StressVaR is made of: the worst predicted loss, the factor's value there, and what the curve
leaves unexplained. The picture shows both, with the months that were fitted. docs/explain.md says
what to distrust.
"""


def explain(options: argparse.Namespace) -> int:
    """Print what moves a fund in a month, and write the picture where one is asked for."""
    require_html(options.output, "picture")
    study = Study.find(options.home, options.settings).existing()
    store, settings = study.store, study.settings
    fund_id, name = _find_fund(store, options.fund)
    month = options.month or _last_month(store, fund_id)
    explanation, current = _explained(study, fund_id, month, options.factors)
    title = ", ".join(dict.fromkeys([fund_id, name or fund_id, str(month)]))
    labels = explained.factor_labels(store, explanation.factors["factor_id"])
    facts = explained.facts(explanation, settings.polymodel)
    notes = explained.notes(explanation)
    if not current:
        notes.append(
            "stored features are from other data, settings or formulas: `finembed run` renews them"
        )
    if settings.dataset.source == "simulated":
        notes.append("simulated data: this is no real fund")
    if options.output is not None:
        write_picture(options.output, page(explanation, title, labels, facts, notes))
    console = Console()
    console.print(f"[bold]{seen(title)}[/]", highlight=False, soft_wrap=True)
    console.print(seen("\n".join(facts)), highlight=False, soft_wrap=True)
    if explanation.factors.height:
        _show(console, explained.moves(explanation, labels))
        _show(console, explained.threats(explanation, labels))
    show_notes(console, notes)
    where = "add --output FILE.html" if options.output is None else seen(str(options.output))
    console.print(f"picture   {where}", highlight=False, soft_wrap=True)
    return 0


def _find_fund(store: PartStore, text: str) -> tuple[str, str | None]:
    if not store.keys(FEATURES):
        raise MissingPartError(
            "no month has features yet",
            where=str(store.root),
            remedy="`finembed run` computes every month that the data cover",
        )
    return find_fund(store.read("funds", "all").select("fund_id", "name"), text, "funds")


def _last_month(store: PartStore, fund_id: str) -> Month:
    """Last month in which the fund was fitted; if it never was, in which it has a row."""
    last: str | None = None
    for key in reversed(store.keys(FEATURES)):
        row = store.read(FEATURES, key).filter(pl.col("fund_id") == fund_id)
        if row.height and row["n_factors"][0]:
            return Month.parse(key)
        last = last or (key if row.height else None)
    if last is None:
        raise MissingPartError(
            f"{fund_id} has no features in any month",
            where=f"table {FEATURES}",
            remedy="its returns may have been quarantined: see the tables quarantine and universe",
        )
    return Month.parse(last)


def _explained(study: Study, fund_id: str, month: Month, most: int) -> tuple[Explanation, bool]:
    """The explanation, and whether the features that stand in the store are those explained."""
    store, settings, key = study.store, study.settings, str(month)
    done = store.keys(FEATURES)
    if key not in done:
        raise MissingPartError(
            f"{month} has no features",
            where=f"table {FEATURES}: {done[0]} to {done[-1]}",
            remedy="ask for one of these months, or bring the data and `finembed run`",
        )
    stage = polymodel_stage(store, settings)
    inputs = stage.gather(key)
    current = stage.state(store, key, inputs.digest()) == "current"
    return explanation_of(inputs, settings.polymodel, fund_id, most), current


def _show(console: Console, shown: explained.Table) -> None:
    header, rows = shown
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for k, name in enumerate(header):
        table.add_column(name, justify="right" if k else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(seen, row))
    print_whole(console, table)
