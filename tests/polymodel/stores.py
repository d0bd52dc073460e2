"""A small store as ingest leaves it: funds, factors and cash, one part per month of knowledge."""

import numpy as np
import polars as pl

from finembed_core.calendar import Month

FIRST, LAST = Month.parse("1994-01"), Month.parse("1999-12")
DECIDED = Month.parse("1999-06")
OPENING = DECIDED - 9  # everything known until here lies in one opening part
SERIES = ["cash", "x0", "x1", "x2"]


def write_store(store, noise_after=None, seed=0):
    """Six years, six funds, three factors; with `noise_after` all later months are other."""
    rng = np.random.default_rng(1)
    months = LAST - FIRST + 1
    x = rng.standard_normal((months, 3)) * 0.04
    y = rng.standard_normal((months, 6)) * 0.01 + 0.5 * x[:, [0]]
    y[:, 1] = y[:, 5] - 8 * x[:, 1] ** 2
    y[:70, 4] = np.nan  # born late
    y[50:, 5] = np.nan  # died
    values = np.column_stack([np.full(months, 0.002), x])
    if noise_after is not None:
        later = slice(noise_after - FIRST + 1, None)
        other = np.random.default_rng(seed)
        values[later] = other.standard_normal(values[later].shape)
        y[later] = other.standard_normal(y[later].shape)
    _write_attributes(store)
    funds, series = {}, {}
    for k in range(months):
        month = FIRST + k
        key = str(max(month, OPENING))
        common = {"date": month.end, "available_at": month.end, "assumed": False}
        funds.setdefault(key, []).extend(
            {"fund_id": f"f{i}", "ret": y[k, i], "aum": None, "source": "test", **common}
            for i in range(6)
            if np.isfinite(y[k, i])
        )
        series.setdefault(key, []).extend(
            {"series_id": name, "vintage": None, "value": values[k, j], **common}
            for j, name in enumerate(SERIES)
        )
    kinds = {"vintage": pl.Date, "aum": pl.Float64}
    for table, parts in (("fund_observations", funds), ("series_observations", series)):
        for key, rows in parts.items():
            overrides = {name: kinds[name] for name in rows[0].keys() & kinds.keys()}
            store.write(table, key, pl.DataFrame(rows, schema_overrides=overrides))
    macro = pl.DataFrame(
        {
            "as_of": [DECIDED.end] * 90,
            "date": [(DECIDED - k).end for k in range(90)],
            "factor": ["F1"] * 90,
            "value": rng.standard_normal(90),
        }
    )
    store.write("macro_factors", str(DECIDED), macro)


def _write_attributes(store):
    roles = [["risk_free"], ["risk_factor"], ["risk_factor", "benchmark"], ["risk_factor"]]
    frame = pl.DataFrame(
        {
            "series_id": SERIES,
            "name": SERIES,
            "roles": roles,
            "kind": ["return"] * 4,
            "transform": [None] * 4,
            "frequency": ["monthly"] * 4,
            "aliases": [[]] * 4,
        },
        schema_overrides={"transform": pl.String, "aliases": pl.List(pl.String)},
    )
    store.write("series", "all", frame)
