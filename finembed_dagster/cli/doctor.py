"""The command doctor: versions, data, every byte of the home; what is wrong, and mending it."""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from rich.console import Console

from finembed_core import __version__
from finembed_core.embeddings.sentences import MODEL, installed
from finembed_core.embeddings.text import ABSENT
from finembed_core.errors import FinembedError
from finembed_core.files import lock
from finembed_core.ingest.daily import Daily
from finembed_core.ingest.stage import brought
from finembed_core.repair import Finding, examine
from finembed_dagster.cli.tables import show_notes
from finembed_dagster.cli.texts import seen
from finembed_dagster.lock import LOCK_FILE, WriteLock
from finembed_dagster.progress import TerminalProgress
from finembed_dagster.study import Study

LIBRARIES = ("dagster", "duckdb", "numpy", "pandas", "polars", "scikit-learn", "torch")
GUIDE = """\
Without --repair nothing is changed, and the exit code is 2 where something is wrong. With it,
damaged parts are dropped, which the next `finembed run` computes again to the same bytes; what
killed runs left is deleted; Dagster's runs without a process are ended. What cannot be computed
again is never deleted. Locks need no mending: they go with the process that held them.
"""


def doctor(options: argparse.Namespace) -> int:
    """Versions, home and data; exit code 2 where something is wrong and stays so."""
    console = Console()
    console.print(f"finembed {__version__}, Python {platform.python_version()}")
    console.print(", ".join(f"{name} {version(name)}" for name in LIBRARIES))
    study = Study.find(options.home, options.settings)
    console.print(f"settings  {seen(str(study.settings_path or 'defaults'))}", soft_wrap=True)
    dataset = study.settings.dataset
    console.print(f"dataset   {dataset.source}: {seen(dataset.label)}", soft_wrap=True)
    console.print(f"texts     {MODEL if installed() else ABSENT}", markup=False, soft_wrap=True)
    stays = _mended(study, console) if options.repair else _looked_at(study, console)
    faults = [check(study, console) for check in (_home_fault, _data_fault)]
    for fault in filter(None, faults):
        console.print(f"[bold red]wrong:[/] {seen(str(fault))}")
    if any(faults) or any(finding.wrong for finding in stays):
        return 2
    well = "nothing is wrong beside these notes" if stays else "all is well"
    console.print(f"[bold green]{well}[/]: finembed run")
    return 0


def _looked_at(study: Study, console: Console) -> list[Finding]:
    """Tell what is wrong in the home."""
    if not _is_home(study):
        return []
    with _while_nobody_writes(study, console) as alone:
        findings = _findings(study, console) if alone else [_not_examined(study)]
    for finding in findings:
        remedy = f"would be {finding.done}" if finding.mend else finding.done
        _tell(console, "wrong:" if finding.wrong else "note:", finding, remedy)
    if any(finding.wrong and finding.mend for finding in findings):
        console.print("to mend this: finembed doctor --repair")
    return findings


def _mended(study: Study, console: Console) -> list[Finding]:
    """Mend what can be mended; what stays."""
    if not _is_home(study):
        return []
    with WriteLock(study.home.root).held():
        findings = _findings(study, console)
        for finding in findings:
            if finding.mend:
                finding.mend()
            label = "mended:" if finding.mend else "wrong:" if finding.wrong else "note:"
            _tell(console, label, finding, finding.done)
    if not findings:
        console.print("repair    there was nothing to mend")
    return [finding for finding in findings if not finding.mend]


def _not_examined(study: Study) -> Finding:
    what = "another run is writing this home, which was not examined"
    return Finding(what, str(study.home.root), "ask again when it has ended", wrong=False)


def _is_home(study: Study) -> bool:
    try:
        return study.home.check()
    except FinembedError:
        return study.home.lost_its_stamp()


@contextmanager
def _while_nobody_writes(study: Study, console: Console) -> Iterator[bool]:
    """Keep writers away meanwhile; False where one is at work already."""
    try:
        held = lock(study.home.root / LOCK_FILE, wait=False)
    except BlockingIOError:
        yield False
        return
    except OSError as error:
        show_notes(console, [f"the home can only be read: {error.strerror}"])
        yield True
        return
    with held:
        yield True


def _findings(study: Study, console: Console) -> list[Finding]:
    from finembed_dagster.repair import examine_dagster

    progress, begin = TerminalProgress(), time.monotonic()
    try:
        found = examine(study.home, study.settings, progress)
    finally:
        progress.finish()
    size = found.size / 1e6
    speed = size / (time.monotonic() - begin)
    console.print(f"store     {found.parts} parts, {size:.1f} MB compared, {speed:.0f} MB/s")
    return [*found.findings, *examine_dagster(study.home)]


def _tell(console: Console, label: str, finding: Finding, remedy: str) -> None:
    """One line per thing."""
    color = {"wrong:": "bold red", "mended:": "bold green"}.get(label, "yellow")
    line = seen(f"{finding.what} ({finding.where}): {remedy}")
    console.print(f"[{color}]{label}[/] {line}", soft_wrap=True, highlight=False)


def _home_fault(study: Study, console: Console) -> FinembedError | None:
    try:
        made = study.home.check()
    except FinembedError as error:
        return error
    console.print(f"home      {seen(str(study.home.root))}", soft_wrap=True)
    if not made:
        show_notes(console, ["no home yet: finembed run makes it"])
    return None


def _data_fault(study: Study, console: Console) -> FinembedError | None:
    try:
        found = brought(study.settings)
    except FinembedError as error:
        return error
    funds, series = found.whole["funds"].height, found.whole["series"].height
    quarantined = found.whole["quarantine"].height
    console.print(
        f"data      {funds} funds, {series} series, months {found.first} to {found.last}, "
        f"{quarantined} rows would be quarantined",
        soft_wrap=True,
    )
    console.print(f"daily     {_daily(found.daily)}", soft_wrap=True)
    show_notes(console, found.warnings)
    return None


def _daily(found: Daily | None) -> str:
    """The daily panel in a line."""
    if found is None:
        return "no panel, hence no embeddings (docs/data.md, The daily panel)"
    panel = found.panel
    sessions = f"{len(panel.days)} sessions, {panel.days[0]} to {panel.days[-1]}"
    return f"{len(panel.ids)} funds beside {panel.market}, {sessions}"
