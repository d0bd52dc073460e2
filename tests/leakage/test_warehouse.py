"""What the warehouse says about a month does not depend on anything that came after it."""

from pathlib import Path

import numpy as np
import polars as pl

from finembed_core.settings import Settings
from finembed_core.warehouse.publish import publish
from finembed_core.warehouse.query import query
from tests.warehouse.fake_run import MONTHS
from tests.warehouse.fake_store import fake_store, write_month

CUT = MONTHS[7]
BY_MONTH = {
    "fund_observations": "known",
    "series_observations": "known",
    "universe": "month",
    "macro_factors": "as_of",
    "macro_loadings": "as_of",
    "macro_explained": "as_of",
    "macro_excluded": "as_of",
    "polymodel_features": "month",
    "polymodel_selected": "month",
    "polymodel_excluded": "month",
    "predictions": "month",
    "ranked_predictions": "month",
}


def test_noise_after_a_month_changes_no_row_of_it(tmp_path: Path):
    store, path = fake_store(tmp_path / "store"), tmp_path / "warehouse.duckdb"
    publish(store, path, Settings())
    before = {table: up_to_cut(path, table) for table in BY_MONTH}
    noise = np.random.default_rng(99)
    for month in MONTHS:
        if month > CUT:
            write_month(store, month, noise)
            store.delete("fund_observations", str(month))
            store.delete("series_observations", str(month))
    assert not publish(store, path, Settings()).skipped
    for table, frame in before.items():
        assert frame.height > 0
        assert up_to_cut(path, table).equals(frame), table


def up_to_cut(path: Path, table: str) -> pl.DataFrame:
    sql = f"SELECT * FROM {table} WHERE {BY_MONTH[table]} <= DATE '{CUT.end}'"
    return query(path, f"{sql} ORDER BY ALL")
