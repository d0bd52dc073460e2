"""The report of a run: sections from the warehouse, one HTML file."""

from __future__ import annotations

from pathlib import Path

from finembed_core.errors import InputError
from finembed_core.files import written_whole
from finembed_core.report.render import page
from finembed_core.report.run import read_run
from finembed_core.report.section import Section
from finembed_core.report.sections import SECTIONS
from finembed_core.warehouse.query import reading


def report_file(folder: Path, run_id: str) -> Path:
    """Where the report of a run lies unless another place was named."""
    return folder / f"report-{run_id}.html"


def write_report(
    warehouse: Path, folder: Path, run_id: str | None = None, output: Path | None = None
) -> Path:
    """Write the report of one run, whole or not at all.

    Parameters
    ----------
    warehouse : Path
        The DuckDB file; it is only read.
    folder : Path
        Where ``report-<run id>.html`` goes unless an output is named; made if it is not there.
    run_id : str, optional
        The latest run by default.
    output : Path, optional
        The HTML file.

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
        run = read_run(connection, run_id)
        sections: list[tuple[str, Section]] = [
            (make.__name__, make(connection, run)) for make in SECTIONS
        ]
    file = output or report_file(folder, run.run_id)
    try:
        if output is None:
            folder.mkdir(parents=True, exist_ok=True)
        with written_whole(file) as temporary:
            temporary.write_text(page(run, sections), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the report cannot be written: {error.strerror}",
            where=str(file),
            remedy="choose a folder that exists and can be written",
        ) from None
    return file
