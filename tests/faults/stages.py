"""Which stage a file of the home belongs to, of a study without embeddings."""

from __future__ import annotations

from finembed_core.warehouse.sources import TREND_MODEL

TABLES = {
    "ingest": (
        *("fund_observations", "series_observations", "funds", "series"),
        *("quarantine", "data_quality"),
    ),
    "universe": ("universe",),
    "macro": ("macro_factors", "macro_loadings", "macro_explained", "macro_excluded"),
    "polymodel": ("polymodel_features", "polymodel_selected", "polymodel_excluded"),
    "predictions": ("predictions", "seed_predictions"),
}
OF_TABLE = {table: stage for stage, tables in TABLES.items() for table in tables}
CHAIN = ("ingest", "macro", "universe", "polymodel", "training", "predictions", "backtest")
STAGES = ("dagster", *CHAIN, "publish", "report")
"""In the order of computation; Dagster's logs come first."""


def stage_of(path: str) -> str:
    """Stage by the path below the home."""
    first, _, rest = path.partition("/")
    if first == "store":
        table = rest.partition("/")[0]
        if table.startswith(TREND_MODEL):
            return "training"
        return OF_TABLE.get(table, "backtest" if table else "home")
    if first.startswith("warehouse.duckdb"):
        return "publish"
    return {"reports": "report", "dagster": "dagster"}.get(first, "home")
