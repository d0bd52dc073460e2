"""The report of a run: sections from the warehouse, one HTML file."""

from __future__ import annotations

import re
from pathlib import Path

from finembed_core.errors import InputError
from finembed_core.files import WRITING, written_whole
from finembed_core.report.render import page
from finembed_core.report.run import PORTFOLIO_SIZE, read_run
from finembed_core.report.section import Section
from finembed_core.report.sections import SECTIONS
from finembed_core.warehouse.query import reading

EVERY_RUN = """SELECT key FROM parts WHERE "table" = 'runs'"""
"""Also those that an older version made and the table `runs` leaves out."""
LATEST = "latest.html"
OF_A_RUN = re.compile(r"report-[0-9a-f]{16}\.html")


def report_file(folder: Path, run_id: str) -> Path:
    """Where the report of a run lies unless another place was named."""
    return folder / f"report-{run_id}.html"


def write_report(
    warehouse: Path,
    folder: Path,
    run_id: str | None = None,
    output: Path | None = None,
    portfolio_size: float = PORTFOLIO_SIZE,
) -> Path:
    """Write the report of one run, whole or not at all.

    A report lives as long as its run: those in the folder whose run the store no longer holds are
    deleted. ``latest.html`` there leads to the report of the latest run.

    Parameters
    ----------
    warehouse : Path
        The DuckDB file; it is only read.
    folder : Path
        Where ``report-<run id>.html`` goes unless an output is named; made if it is not there.
    run_id : str, optional
        The latest run by default.
    output : Path, optional
        The HTML file; the folder is left alone then.
    portfolio_size : float
        Money whose share of fund assets is shown, in the funds' currency.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    WarehouseError
        There is no warehouse.
    InputError
        There is no such run, or the file cannot be written.
    MissingPartError
        The warehouse holds no run.
    """
    with reading(warehouse, threads=1) as connection:
        run = read_run(connection, run_id, portfolio_size)
        latest = connection.execute("SELECT run_id FROM latest_run").fetchone()
        standing = {
            report_file(folder, key).name for (key,) in connection.execute(EVERY_RUN).fetchall()
        }
        sections: list[tuple[str, Section]] = [
            (make.__name__, make(connection, run)) for make in SECTIONS
        ]
    file = output or report_file(folder, run.run_id)
    try:
        if output is None:
            folder.mkdir(parents=True, exist_ok=True)
        with written_whole(file) as temporary:
            temporary.write_text(page(run, sections), encoding="utf-8")
        if output is None:
            _tidy(folder, standing)
            if latest == (run.run_id,):
                _link(folder / LATEST, file.name)
    except OSError as error:
        raise InputError(
            f"the report cannot be written: {error.strerror}",
            where=str(file),
            remedy="choose a folder that exists and can be written",
        ) from None
    return file


def _tidy(folder: Path, standing: set[str]) -> None:
    """Delete the reports of runs that are no more."""
    for old in folder.glob("report-*.html"):
        if OF_A_RUN.fullmatch(old.name) and old.name not in standing:
            old.unlink(missing_ok=True)


def _link(place: Path, target: str) -> None:
    """Let a name lead to another file of its folder; at no time does it lead nowhere."""
    fresh = place.with_name(f"{WRITING}{place.name}")
    while True:
        try:
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(target)
            fresh.replace(place)
        except (FileExistsError, FileNotFoundError):  # a link has no lock: another writer or sweep
            if not place.parent.is_dir():
                raise
        else:
            return
