"""The command that writes the report of a run as one HTML file."""

from __future__ import annotations

import argparse

from rich.console import Console

from finembed_core.report.write import write_report
from finembed_core.warehouse.runs import find_run, list_runs
from finembed_dagster.cli.pages import require_html
from finembed_dagster.cli.texts import seen
from finembed_dagster.study import Study

GUIDE = """\
examples
  finembed report
  finembed report --run c43e --output study.html

One file of 5 MB that loads nothing: mail it, open it on a phone, print it. It begins with the
verdict in words; then come the newest orders, wealth, drawdowns, calendar, rolling figures,
sensitivities, turnover, reliability of the models, tests against luck, attribution, and what went
wrong. Folded under each chart and table lies the SQL that gives its numbers: `finembed query` asks
it again. docs/report.md says what to distrust.
"""


def report(options: argparse.Namespace) -> int:
    """Write the page and say where it lies."""
    require_html(options.output, "report")
    study = Study.find(options.home, options.settings).existing()
    home, size = study.home, study.settings.report.portfolio_size
    run_id = options.run and find_run(list_runs(home.warehouse), options.run)
    file = write_report(home.warehouse, home.reports, run_id, options.output, size)
    Console().print(f"report    {seen(str(file))}", highlight=False, soft_wrap=True)
    return 0
