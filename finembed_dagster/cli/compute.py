"""Commands that compute: init, demo, run, rebalance, ui."""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket
import sys
from contextlib import suppress

from rich.console import Console

from finembed_core.backtest.rebalance import rebalance as orders_of
from finembed_core.calendar import Month
from finembed_core.chain import chain
from finembed_core.errors import InputError, MissingPartError, SettingsError
from finembed_core.files import written_whole
from finembed_core.report.write import report_file
from finembed_core.sources.holdings import read_holdings
from finembed_core.warehouse.query import query as ask
from finembed_dagster.cli.init import write_settings
from finembed_dagster.cli.interruption import interruptible
from finembed_dagster.cli.orders import counted, followed, show_orders, what_stays
from finembed_dagster.cli.tables import show_leaderboard, show_notes
from finembed_dagster.cli.texts import seen
from finembed_dagster.progress import TerminalProgress
from finembed_dagster.study import Study, shipped_file

LOCALHOST = "127.0.0.1"
OPEN = "the page has no login: whoever reaches {} can start runs and read what they say"
UI_WARNING = "ignore:Function `dev_command`"  # Dagster's hint to another command of its own


def init(options: argparse.Namespace) -> int:
    """Write a commented settings file and the headers of the input tables."""
    console = Console()
    for path in write_settings(options.folder):
        console.print(f"wrote {seen(str(path))}")
    console.print("fill the tables or point the paths at your own, then: finembed doctor")
    return 0


def demo(options: argparse.Namespace) -> int:
    """The chain on the packaged data, then where the results lie."""
    study = Study.find(options.home, options.settings)
    if study.settings.dataset.source != "packaged":
        raise SettingsError(
            f"the settings name a dataset of their own: {study.settings.dataset.label}",
            where=str(study.settings_path),
            remedy="compute it with `finembed run`, or ask for the demo in another folder",
        )
    return _run(study, None)


def run(options: argparse.Namespace) -> int:
    """Compute what is missing or stale."""
    return _run(Study.find(options.home, options.settings), options.through)


def _run(study: Study, through: Month | None) -> int:
    from finembed_dagster.launch import Launcher

    console = Console()
    study.enter()
    progress = TerminalProgress()
    try:
        with interruptible(), study.lock.held():
            outcome = Launcher(study, lambda _: progress).bring_up_to_date(through)
    finally:
        progress.finish()
    if outcome.computed is None:
        console.print(f"everything is current through {outcome.through}")
    else:
        console.print(f"computed {outcome.computed[0]} to {outcome.computed[1]}")
    show_leaderboard(console, ask(study.home.warehouse, "select * from leaderboard"))
    show_notes(console, outcome.warnings)
    latest = ask(study.home.warehouse, "select run_id from latest_run").item()
    for what, where in (
        ("results", study.home.warehouse),
        ("report", report_file(study.home.reports, latest)),
        ("query", 'finembed query "select * from latest_rebalance"'),
        ("web page", "finembed ui"),
    ):
        console.print(f"{what:<10}{seen(str(where))}", soft_wrap=True)
    return 0


def rebalance(options: argparse.Namespace) -> int:
    """Orders of one month, and each fund's probability, rank and features now and before."""
    study = Study.find(options.home, options.settings).existing()
    _require_in_force(study, options.month)
    holdings = None if options.holdings is None else read_holdings(options.holdings)
    report = orders_of(study.store, study.settings, options.month, holdings, options.strategy)
    console = Console()
    if study.settings.dataset.source == "simulated":
        console.print("simulated data: no real fund is in these orders")
    console.print(
        f"{report.strategy}: decided {report.decision_day}, dealt {report.dealing_date}; "
        + seen(followed(report)),
        soft_wrap=True,
        highlight=False,
    )
    if report.assumed:
        console.print(seen(report.assumed), soft_wrap=True, highlight=False)
    if not report.orders.is_empty():
        file = study.home.reports / f"rebalance-{report.month}-{report.strategy}.csv"
        file.parent.mkdir(exist_ok=True)
        with written_whole(file) as temporary:
            report.orders.write_csv(temporary)
        console.print(counted(report), soft_wrap=True, highlight=False)
        show_orders(console, report, str(file))
    remark = what_stays(report)
    if remark:
        console.print(seen(remark), soft_wrap=True, highlight=False)
    return 0


def ui(options: argparse.Namespace) -> int:
    """Become Dagster's web page and daemon on this study, until interrupted."""
    _require_free(options.host, options.port)
    if not _is_loopback(options.host):
        show_notes(Console(stderr=True), [OPEN.format(options.host)])
    from dagster import DagsterInstance

    from finembed_dagster.processes import end_dead_runs

    Study.find(options.home, options.settings).enter()
    with DagsterInstance.get() as instance:
        end_dead_runs(instance)
    command = [sys.executable, "-W", UI_WARNING, "-m", "dagster", "dev"]
    command += ["-w", str(shipped_file("workspace.yaml")), "--host", options.host]
    command += ["--port", str(options.port)]
    os.execv(sys.executable, command)  # so that every signal reaches the process that has children


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _require_free(host: str, port: int) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, *_, address = min(found)  # IPv4 before IPv6
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        what = f"port {port} cannot be used: {error.strerror}"
        remedy = "name another with --port or --host, or end the program that has it"
        raise InputError(what, where=f"{host}:{port}", remedy=remedy) from None


def _require_in_force(study: Study, month: Month) -> None:
    """Refuse a month that was decided with other settings or formulas than those in force."""
    for name, link in chain(study.store, study.settings).items():
        if link.dead_end:
            continue
        stage, keys = link.stage, link.keys([month], study.settings)
        for manifest in (study.store.manifest(t, key) for t in stage.tables for key in keys):
            if manifest is None or (manifest.settings, manifest.code) == (
                stage.settings,
                stage.code,
            ):
                continue
            cause = "settings" if manifest.settings != stage.settings else "formulas"
            raise MissingPartError(
                f"{name} of {manifest.key} was made with other {cause} than those in force",
                where=f"table {manifest.table}, part {manifest.key}",
                remedy=f"`finembed run` or `finembed run --through {month}`, then ask again",
            )
