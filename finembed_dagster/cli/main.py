"""Parse, dispatch, and turn every foreseen mistake into one message and exit code 2."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from finembed_core import __version__
from finembed_core.calendar import Month
from finembed_core.errors import FinembedError
from finembed_core.polymodel.explain import MOST
from finembed_core.report.similar import MOST as MOST_SIMILAR
from finembed_dagster.cli import compute, doctor, explain, inspect, prove, report, runs, similar
from finembed_dagster.cli.texts import seen
from finembed_dagster.mishaps import in_words
from finembed_dagster.study import DEFAULT_HOME, DEFAULT_SETTINGS, HOME_VARIABLE, SETTINGS_VARIABLE

USER_MISTAKE = 2
INTERRUPTED = 130

Command = Callable[[argparse.Namespace], int]

GUIDE = f"""\
a first look     finembed demo
your own funds   finembed init my-study; edit my-study/finembed.yaml; cd my-study; finembed run
every month      finembed run; finembed rebalance --month 2024-05
look             finembed query "select * from leaderboard";  finembed ui
one fund         finembed explain FUND;  finembed similar FUND
to show others   finembed report

Everything lies under one home folder: --home, else ${HOME_VARIABLE}, else {DEFAULT_HOME}/.
Settings come from --settings, else ${SETTINGS_VARIABLE}, else {DEFAULT_SETTINGS}, else defaults.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    0 done, 1 something unforeseen, 2 a mistake that the message explains, 3 a leak was proved,
    130 interrupted.
    """
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        with in_words():
            return command(options)
    except FinembedError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {seen(str(error))}", soft_wrap=True)
        return USER_MISTAKE
    except KeyboardInterrupt:
        Console(stderr=True).print(
            "interrupted: every month that was finished is kept, the next run goes on from there"
        )
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="finembed",
        description="From raw fund, index and macro data to a portfolio that can be defended.",
        epilog=GUIDE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"finembed {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, text: str, study: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        if study:
            sub.add_argument("--home", type=Path, help="home folder of the study")
            sub.add_argument("--settings", type=Path, help="settings file (YAML)")
        return sub

    init = add("init", compute.init, "Write a commented settings file.", study=False)
    init.add_argument("folder", type=Path, metavar="DIR", help="made if it is not there")

    add("demo", compute.demo, "The whole chain on the packaged real data, with a leaderboard.")

    run = add("run", compute.run, "Ingest, compute what is missing or stale, backtest, publish.")
    run.add_argument("--through", type=_month, metavar="YYYY-MM", help="last month to compute")

    rebalance = add("rebalance", compute.rebalance, "This month's orders, and why.")
    rebalance.add_argument("--month", type=_month, required=True, metavar="YYYY-MM")
    rebalance.add_argument(
        "--holdings",
        type=Path,
        metavar="FILE",
        help="what you hold: CSV with fund_id and value; the row cash is cash",
    )
    rebalance.add_argument("--strategy", help="such as sa_itransformer (see `finembed query`)")

    text = "Which risk factors move a fund, and what they could do to it."
    explained = add("explain", explain.explain, text)
    explained.epilog = explain.GUIDE
    explained.formatter_class = argparse.RawDescriptionHelpFormatter
    explained.add_argument("fund", metavar="FUND", help="its id, or its name where no other has it")
    explained.add_argument(
        "--month", type=_month, metavar="YYYY-MM", help="default: the last that the fund has"
    )
    explained.add_argument(
        "--factors", type=_positive, default=MOST, metavar="N", help="how many to show: %(default)s"
    )
    explained.add_argument("--output", type=Path, metavar="FILE.html", help="write the picture")

    alike = add("similar", similar.similar_funds, "The funds nearest to a fund, by embeddings.")
    alike.epilog = similar.GUIDE
    alike.formatter_class = argparse.RawDescriptionHelpFormatter
    alike.add_argument("fund", metavar="FUND", help="its id, or its name where no other has it")
    alike.add_argument(
        "--date", type=_day, metavar="YYYY-MM-DD", help="default: the last that the fund has"
    )
    alike.add_argument(
        "--count", type=_positive, default=MOST_SIMILAR, metavar="N", help="default: %(default)s"
    )
    alike.add_argument("--output", type=Path, metavar="FILE.html", help="write the map")
    alike.add_argument("--sql", action="store_true", help="print the SQL instead of its answer")

    written = add("report", report.report, "One HTML file per run that an allocator can check.")
    written.epilog = report.GUIDE
    written.formatter_class = argparse.RawDescriptionHelpFormatter
    written.add_argument("--run", metavar="ID", help="or the beginning of one; default: the latest")
    written.add_argument(
        "--output",
        type=Path,
        metavar="FILE.html",
        help="default: report-ID.html in the folder reports/ of the home",
    )

    runs.add_commands(add("runs", runs.list_all, "Every run; compare two, or prune some."))

    add("status", inspect.status, "What stands, what the source would change, reason codes.")

    query = add("query", inspect.query, "Ask the warehouse one SELECT (read-only).")
    query.add_argument("sql", metavar="SQL")
    query.add_argument("--format", choices=["table", "csv", "json"], default="table")

    export = add("export", inspect.export, "Write a table or view of the warehouse to a file.")
    export.add_argument("table", metavar="TABLE")
    export.add_argument("file", type=Path, metavar="FILE", help="ends with .csv, .parquet or .json")

    checked = add("doctor", doctor.doctor, "Versions, home, data found, and what is wrong.")
    checked.epilog = doctor.GUIDE
    checked.formatter_class = argparse.RawDescriptionHelpFormatter
    checked.add_argument("--repair", action="store_true", help="mend what can be mended")

    text = "Whether anything up to a month depends on what came later, on your own data."
    proof = add("prove-point-in-time", prove.prove_point_in_time, text)
    proof.epilog = prove.GUIDE
    proof.formatter_class = argparse.RawDescriptionHelpFormatter
    proof.add_argument(
        "--month",
        type=_month,
        action="append",
        metavar="YYYY-MM",
        help="may be given several times; default: three, spread over the study",
    )
    proof.add_argument(
        "--seed",
        type=_positive,
        default=1,
        metavar="N",
        help="another future for each: %(default)s",
    )

    ui = add("ui", compute.ui, "The Dagster page of this study, with its schedule and sensor.")
    ui.add_argument("--port", type=_port, default=3000)
    ui.add_argument(
        "--host", default=compute.LOCALHOST, help="address to listen on: %(default)s, this machine"
    )
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(f"{text!r} is no port number (1 to 65535)")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day YYYY-MM-DD") from None


def _month(text: str) -> Month:
    try:
        return Month.parse(text)
    except FinembedError as error:
        raise argparse.ArgumentTypeError(str(error).replace("\n", " ")) from None
