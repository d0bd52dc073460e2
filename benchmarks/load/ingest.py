"""Ingest of 10,000 funds x 350 months x 300 factors, against plain polars reading the same files.

Every ingest and every reading is a process of its own. The bound on memory is stated in columns:
one float64 matrix of months x funds (28 MB at this size). Whatever the shape of the files, the
order of their rows or their number, `ingest` takes at most `MOST_COLUMNS` of them and `FIXED`, the
room of its threads, beside what the interpreter and its packages weigh.
"""

from __future__ import annotations

import json
import tempfile
import time
from functools import wraps
from pathlib import Path
from unittest import mock

from benchmarks.load.measure import in_process, memory_of
from benchmarks.load.worlds import SHAPES, World, read_plainly, write_world
from finembed_core.fingerprint import digest
from finembed_core.ingest import stage
from finembed_core.ingest.parts import MONTHLY
from finembed_core.store import PartStore

FUNDS, MONTHS, FACTORS = 10_000, 350, 300
MB = 2**20
MOST_COLUMNS, FIXED = 52, 130 * MB
STEPS = {
    "month_bounds": "first month",
    "load": "read",
    "check": "contracts",
    "fund_months": "matrix",
    "judge": "gates",
    "_observations": "by month",
    "write": "parts",
}


def ingest(funds=FUNDS, months=MONTHS, factors=FACTORS, shapes=tuple(SHAPES)):
    """Print a table per claim; return the figures by shape.

    Raises
    ------
    SystemExit
        Memory beyond the bound, or shapes of one content that give different parts.
    """
    with tempfile.TemporaryDirectory() as folder:
        world = write_world(Path(folder), funds, months, factors)
        print(f"{world.rows:,} rows, a column is {world.column / MB:.1f} MB")
        found = {shape: _of_shape(world, shape) for shape in shapes if shape != ON_TOP}
        _show(world, found)
        again = _again(world) if "parquet" in shapes else {}
    bound = FIXED + MOST_COLUMNS * world.column
    over = {shape: own["grown"] // MB for shape, own in found.items() if own["grown"] > bound}
    if over:
        raise SystemExit(f"more memory than {bound // MB} MB: {over}")
    alike = {shape: own["content"] for shape, own in found.items() if shape in SAME_CONTENT}
    if len(set(alike.values())) > 1:
        raise SystemExit(f"the same rows in other files gave other parts: {alike}")
    return found | again


ON_TOP = "parquet, but the last month"
SAME_CONTENT = ("parquet", "parquet, rows shuffled", "csv", "csv, a file per fund")


def _of_shape(world: World, shape: str) -> dict:
    with tempfile.TemporaryDirectory() as store:
        own = in_process("benchmarks.load.ingest:ingest_once", *_plain(world), shape, store)
    peer = in_process("benchmarks.load.ingest:read_once", *_plain(world), shape)
    own["columns"] = round(own["grown"] / world.column, 1)
    return own | {"peer_seconds": peer["seconds"], "peer_grown": peer["grown"]}


def _again(world: World) -> dict:
    """One more month on top of what is there, then nothing new."""
    with tempfile.TemporaryDirectory() as store:
        call = ("benchmarks.load.ingest:ingest_once", *_plain(world))
        in_process(*call, ON_TOP, store)
        more = in_process(*call, "parquet", store)
        nothing = in_process(*call, "parquet", store)
    print(
        "\n| on top | seconds | of it parts | parts written | left alone |\n|---|---|---|---|---|"
    )
    for name, own in (("one more month", more), ("nothing new", nothing)):
        counts = f"{own['written']} | {own['skipped']}"
        print(f"| {name} | {own['seconds']:.1f} | {own['steps']['parts']:.1f} | {counts} |")
    if nothing["written"]:
        raise SystemExit("an ingest with nothing new wrote parts")
    return {"one more month": more, "nothing new": nothing}


def _show(world: World, found: dict) -> None:
    print("\n| files | seconds | rows a second | against polars | peak MB | columns | against it |")
    print("|---|---|---|---|---|---|---|")
    for shape, own in found.items():
        time_ratio = own["seconds"] / own["peer_seconds"]
        memory_ratio = own["peak"] / (own["peak"] - own["grown"] + own["peer_grown"])
        print(
            f"| {shape} | {own['seconds']:.1f} | {world.rows / own['seconds']:,.0f} | "
            f"{time_ratio:.1f} x {own['peer_seconds']:.1f} s | {own['peak'] / MB:,.0f} | "
            f"{own['columns']:.0f} | {memory_ratio:.1f} |",
            flush=True,
        )
    print(f"\n| seconds | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
    for step in (*STEPS.values(), "the rest"):
        took = [f"{own['steps'][step]:.1f}" for own in found.values()]
        print(f"| {step} | {' | '.join(took)} |")


def _plain(world: World) -> tuple[str, int, int, int]:
    return str(world.folder), world.funds, world.months, world.rows


def ingest_once(folder, funds, months, rows, shape, into):
    """Ingest in this process; print seconds by step, memory, parts and a hash of them."""
    settings, store = World(Path(folder), funds, months, rows).settings(shape), PartStore(into)
    steps = dict.fromkeys(STEPS.values(), 0.0)
    before = memory_of()
    with mock.patch.multiple(stage, **{name: _timed(name, steps) for name in STEPS}):
        start = time.perf_counter()
        report = stage.ingest(store, settings)
        seconds = time.perf_counter() - start
    steps["the rest"] = seconds - sum(steps.values())
    peak = memory_of()
    tables = (*MONTHLY, "funds", "series")
    manifests = [m for table in tables for m in store.manifests(table)]
    figures = {
        "seconds": seconds,
        "steps": steps,
        "peak": peak,
        "grown": peak - before,
        "written": report.written,
        "skipped": report.skipped,
        "rows": report.rows,
        "content": digest([manifest.content for manifest in manifests]),
    }
    print(json.dumps(figures))


def read_once(folder, funds, months, rows, shape):
    """Read with polars in this process; print seconds and memory."""
    before, start = memory_of(), time.perf_counter()
    read_plainly(World(Path(folder), funds, months, rows), shape)
    print(json.dumps({"seconds": time.perf_counter() - start, "grown": memory_of() - before}))


def _timed(name: str, steps: dict[str, float]):
    step = getattr(stage, name)

    @wraps(step)
    def timed(*arguments, **named):
        start = time.perf_counter()
        try:
            return step(*arguments, **named)
        finally:
            steps[STEPS[name]] += time.perf_counter() - start

    return timed
