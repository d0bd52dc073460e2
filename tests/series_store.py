"""Series tables as ingest writes them, small."""

import numpy as np
import polars as pl

from finembed_core.calendar import Month
from finembed_core.store import PartStore

SERIES = {
    "series_id": pl.String,
    "name": pl.String,
    "roles": pl.List(pl.String),
    "kind": pl.String,
    "transform": pl.String,
    "frequency": pl.String,
    "aliases": pl.List(pl.String),
}
OBSERVATIONS = {
    "known": pl.String,
    "series_id": pl.String,
    "date": pl.Date,
    "vintage": pl.Date,
    "value": pl.Float64,
    "available_at": pl.Date,
    "assumed": pl.Boolean,
}


def write_series(store: PartStore, *rows: dict) -> None:
    """The `series` table; each row gives what differs from a monthly macro index X."""
    default = {
        "series_id": "X",
        "name": "x",
        "roles": ["macro"],
        "kind": "index",
        "transform": None,
        "frequency": "monthly",
        "aliases": [],
    }
    store.write("series", "all", pl.DataFrame([default | row for row in rows], schema=SERIES))


def write_observations(store: PartStore, rows: list[tuple]) -> None:
    """Rows (known month, series_id, date month, vintage day or None, value)."""
    full = [(str(k), s, d.end, v, x, k.end, False) for k, s, d, v, x in rows]
    frame = pl.DataFrame(full, schema=OBSERVATIONS, orient="row")
    for (key,), part in frame.group_by("known", maintain_order=True):
        store.write("series_observations", str(key), part.drop("known"))


def write_matrix(store: PartStore, values: np.ndarray, start: Month, first: Month) -> list[str]:
    """Macro series in stationary form, known at their month's end; returns the keys from `first`.

    What lies before `first` goes into the opening part.
    """
    names = [f"S{k:02d}" for k in range(values.shape[1])]
    write_series(store, *[{"series_id": name, "kind": "return"} for name in names])
    opening = first - 1
    rows = []
    for k, line in enumerate(values):
        month = start + k
        known = max(month, opening)
        rows += [
            (known, name, month, None, float(x))
            for name, x in zip(names, line, strict=True)
            if not np.isnan(x)
        ]
    write_observations(store, rows)
    return [str(first + k) for k in range(len(values) - (first - start))]
