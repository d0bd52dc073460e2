"""The command that finds the funds nearest to one by their embeddings."""

from __future__ import annotations

import argparse

import polars as pl
from rich.console import Console

from finembed_core.report.similar import find_date, page, require_embeddings, similar
from finembed_core.warehouse.query import answer, reading
from finembed_dagster.cli.funds import find_fund
from finembed_dagster.cli.pages import require_html, write_picture
from finembed_dagster.cli.tables import show, show_notes
from finembed_dagster.cli.texts import seen
from finembed_dagster.study import Study

GUIDE = """\
examples
  finembed similar AAPL --date 2015-06-30 --output map.html
  finembed similar "Exxon Mobil" --count 5
  finembed query "$(finembed similar AAPL --sql)" --format csv

Cosine similarity of the embeddings of the last date at or before the one asked: +1 is the same
direction, 0 none in common, -1 the opposite. Each seed of the training has a space of its own, so
vectors of two seeds do not compare, but their similarities do: the table shows the mean and the
range over seeds, and where the range is as wide as the gap to the next fund the order is luck. The
picture is the map of that date with the fund marked. docs/similar.md says what to distrust.
"""
FUNDS = """
SELECT fund_id, name FROM daily_funds
UNION ALL SELECT DISTINCT fund_id, NULL FROM embeddings ANTI JOIN daily_funds USING (fund_id)
"""


def similar_funds(options: argparse.Namespace) -> int:
    """Print the nearest funds, or the SQL for them; write the map where one is asked for."""
    require_html(options.output, "picture")
    study = Study.find(options.home, options.settings).existing()
    with reading(study.home.warehouse) as connection:
        require_embeddings(connection)
        fund_id, name = find_fund(answer(connection, FUNDS), options.fund, "daily_funds")
        date = find_date(connection, fund_id, options.date)
        found = similar(connection, fund_id, date, options.count)
        title = ", ".join(dict.fromkeys([fund_id, name or fund_id, str(date)]))
        notes = list(found.notes)
        if study.settings.dataset.source == "simulated":
            notes.append("simulated data: this is no real fund")
        if options.output is not None:
            write_picture(options.output, page(connection, title, found, notes))
    console = Console()
    if options.sql:
        print(found.table.sql)
        return 0
    console.print(f"[bold]{seen(title)}[/]", highlight=False, soft_wrap=True)
    console.print(seen("\n".join(found.facts)), highlight=False, soft_wrap=True)
    columns = found.table.columns
    styles = {column.title: column.style for column in columns.values() if column.style}
    shown = found.table.frame.select(pl.col(n).alias(c.title) for n, c in columns.items())
    show(console, shown, styles=styles)
    show_notes(console, notes)
    where = "add --output FILE.html" if options.output is None else seen(str(options.output))
    console.print(f"picture   {where}", highlight=False, soft_wrap=True)
    return 0
