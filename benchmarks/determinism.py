"""The same study in other circumstances: hashes of everything it holds, and where they differ.

    python -m benchmarks.determinism              # what must be equal, on the machine's own kernels
    python -m benchmarks.determinism --machines   # other kinds of CPU, as far as one can play them

Rows: a variant, parts compared, whether all hashes are equal, and of the numbers in tables that
differ the largest relative difference. `--machines` tells numerical libraries to use the kernels of
older CPUs, which is what another machine would do; there numbers may differ by `TOLERANCE`.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import zip_longest
from pathlib import Path

import numpy as np
import polars as pl
from polars import selectors as cs

from finembed_core.store import FRAME, PartStore
from tests.determinism.variants import MACHINES, VARIANTS, Variant, compute, differing, parts
from tests.study_runs import SETTINGS

MONTH = "1994-11"
LEARNED = SETTINGS.replace("models: [majority, persistence]", "models: [logistic, lightgbm]")
LEARNED = LEARNED.replace("models: [persistence]", "models: [lightgbm]")
TINY = 1e-9
"""Below it a number counts as 0 beside one of its own table."""
MARKS = ("run_id", "data_hash")
TOLERANCE = 1e-6
"""Largest relative difference that another kind of CPU may make; nothing but numbers may differ."""


def apart(one: Path, other: Path) -> tuple[float, int]:
    """Largest relative difference of numbers in tables of the same rows, and tables of other rows.

    A number that is there in one of them only makes another row.

    A run is keyed by a hash of what went into it: the runs of both are taken for the same.
    """
    first, second = PartStore(one / "store"), PartStore(other / "store")
    largest, others = 0.0, 0
    for table in first.tables():
        for key, its in zip_longest(first.keys(table), second.keys(table)):
            a, b = (s.manifest(table, k) if k else None for s, k in ((first, key), (second, its)))
            if a is None or b is None:
                others += 1
            elif a.files != b.files and FRAME in a.files:
                found = _apart(first.read(table, a.key), second.read(table, b.key))
                largest, others = max(largest, found or 0.0), others + (found is None)
    return largest, others


def _apart(one: pl.DataFrame, other: pl.DataFrame) -> float | None:
    one, other = (frame.drop(MARKS, strict=False) for frame in (one, other))
    words = ~cs.float()
    if one.shape != other.shape or not one.select(words).equals(other.select(words)):
        return None
    a, b = (f.select(cs.float().cast(pl.Float64)).to_numpy() for f in (one, other))
    if (np.isnan(a) != np.isnan(b)).any():
        return None
    size = np.maximum(np.abs(a), np.abs(b))
    return float(np.nanmax(np.abs(a - b) / np.maximum(size, TINY), initial=0.0))


def main() -> None:
    """Compute every variant and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--machines", action="store_true", help="play other kinds of CPU")
    machines = parser.parse_args().machines
    variants, text = (MACHINES, LEARNED) if machines else (VARIANTS, SETTINGS)
    print(f"{'variant':<36}{'parts':>7}  {'equal':<7}{'largest difference':>19}  other rows")
    with tempfile.TemporaryDirectory() as folder:
        first = compute(_made(folder, "first"), text, Variant(), MONTH)
        expected = parts(first)
        for name, variant in variants.items():
            home = compute(_made(folder, name.replace(" ", "-")), text, variant, MONTH)
            found = parts(home)
            differ = differing(expected, found)
            largest, others = apart(first, home)
            equal = "no" if differ else "yes"
            print(f"{name:<36}{len(found):>7}  {equal:<7}{largest:>19.2g}  {others}", flush=True)


def _made(folder: str, name: str) -> Path:
    made = Path(folder) / name
    made.mkdir()
    return made


if __name__ == "__main__":
    main()
