"""The same study computed in other circumstances, and what it then holds."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from finembed_core.fingerprint import digest
from finembed_core.warehouse.query import answer, query, reading
from finembed_core.warehouse.quoting import identifier
from tests.study_runs import store_bytes

ROOT = Path(__file__).resolve().parents[2]
SERIAL = "mode: serial, workers: 1"
MADE = re.compile(r"<td>\d{4}-\d\d-\d\d \d\d:\d\d</td>")
"""When a run was made, the one text of a report that is no result; to the minute."""
TIMES = {"runs": ["created_at"], "latest_run": ["created_at"]}
TIMES |= {"publication": ["content", "pairs_folder"]}
"""Columns of the warehouse that tell when and where it was made, and the hash of all that."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


@dataclass(frozen=True)
class Variant:
    """Circumstances of a run: what must not show in any result.

    Attributes
    ----------
    execution : str
        The section `execution` of the settings, in one line.
    environment : mapping of str to str
        Variables beside those of this process.
    cores : int, optional
        Of the machine's cores, those that the run may use.
    home : str
        Name of the home folder.
    """

    execution: str = SERIAL
    environment: Mapping[str, str] = field(default_factory=dict)
    cores: int | None = None
    home: str = "home"


def threads(count: int) -> dict[str, str]:
    """What sets the threads of every library from outside."""
    return dict.fromkeys(THREADS, str(count))


ELSEWHERE = {
    "PYTHONHASHSEED": "12345",
    "TZ": "Asia/Kathmandu",
    "LC_ALL": "C",
}
VARIANTS = {
    "again": Variant(),
    "other hashes, zone, locale, path": Variant(environment=ELSEWHERE, home="an other/home"),
    "1 core": Variant(cores=1),
    "1 thread": Variant(environment=threads(1)),
    "2 threads": Variant(environment=threads(2)),
    "4 threads": Variant(environment=threads(4)),
    "2 processes": Variant("mode: processes, workers: 2"),
    "3 processes": Variant("mode: processes, workers: 3"),
    "Ray, 2 workers": Variant("mode: ray, workers: 2"),
}
MACHINES = {
    "OpenBLAS without AVX": Variant(environment={"OPENBLAS_CORETYPE": "Nehalem"}),
    "OpenBLAS with AVX512": Variant(environment={"OPENBLAS_CORETYPE": "SkylakeX"}),
    "NumPy without AVX512": Variant(environment={"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL"}),
    "Torch without vectors": Variant(environment={"ATEN_CPU_CAPABILITY": "default"}),
}
"""Kernels of other kinds of CPU: the nearest thing to another machine that one machine can do."""
EVERYTHING_ELSE = Variant(
    "mode: processes, workers: 2", ELSEWHERE | threads(4), home="an other/home"
)


def compute(folder: Path, settings: str, variant: Variant, months: str | None = None) -> Path:
    """Run the study of these settings in a fresh process; returns its home.

    Parameters
    ----------
    folder : Path
        Becomes the current folder; data that the settings name lie in it.
    settings : str
        With a section `execution` that reads `SERIAL`.
    variant : Variant
    months : str, optional
        Month of the orders that are written too.
    """
    home, file = folder / variant.home, folder / "variant.yaml"
    home.parent.mkdir(parents=True, exist_ok=True)
    assert SERIAL in settings
    file.write_text(settings.replace(SERIAL, variant.execution))
    place = ["--home", str(home), "--settings", str(file)]
    _finembed(folder, variant, "run", *place)
    if months:
        _finembed(folder, variant, "rebalance", "--month", months, *place)
    return home


def _finembed(folder: Path, variant: Variant, *arguments: str) -> None:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    before = os.sched_getaffinity(0)
    if variant.cores:
        os.sched_setaffinity(0, set(sorted(before)[: variant.cores]))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "finembed_dagster.cli", *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": path} | variant.environment,
            capture_output=True,
            text=True,
        )
    finally:
        os.sched_setaffinity(0, before)
    assert done.returncode == 0, done.stderr


def parts(home: Path) -> dict[str, str]:
    """Hash of everything that a home holds of results: store, warehouse by rows, report, orders."""
    found = {f"store/{name}": mark for name, mark in store_bytes(home).items()}
    for table in query(home / "warehouse.duckdb", "SHOW TABLES")["name"]:
        frame = rows(home, table)
        found[f"warehouse/{table}"] = digest(frame)
    for file in sorted((home / "reports").glob("*")):
        text = MADE.sub("", file.read_text(encoding="utf-8"))
        found[f"reports/{file.name}"] = hashlib.sha256(text.encode()).hexdigest()
    return found


def rows(home: Path, table: str) -> pl.DataFrame:
    """A table as it lies in the warehouse, in its order, without when and where it was made."""
    with reading(home / "warehouse.duckdb", threads=1) as connection:  # or views have no order
        frame = answer(connection, f"FROM {identifier(table)}")
    return frame.drop(TIMES.get(table, []), strict=False)


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Names of parts that are not the same."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
