"""Which stage of the chain a file of the home belongs to."""

from __future__ import annotations

TABLES = {
    "ingest": (
        *("fund_observations", "series_observations", "funds", "series", "quarantine"),
        *("data_quality", "daily_panel", "daily_funds", "text_vectors"),
    ),
    "universe": ("universe",),
    "macro": ("macro_factors", "macro_loadings", "macro_explained", "macro_excluded"),
    "polymodel": ("polymodel_features", "polymodel_selected", "polymodel_excluded"),
    "predictions": ("predictions", "seed_predictions"),
    "embeddings": (
        *("fund_predictions", "embeddings", "embedding_exclusions", "embedding_information"),
        *("embedding_checks", "embedding_portfolios", "embedding_evaluations"),
    ),
}
OF_TABLE = {table: stage for stage, tables in TABLES.items() for table in tables}
CHAIN = ("ingest", "macro", "universe", "polymodel", "training", "predictions", "backtest")
STAGES = ("dagster", *CHAIN, "publish", "report")
"""Of a study without embeddings, in the order of computation; Dagster's logs come first."""


def stage_of(path: str) -> str:
    """Stage by the path below the home."""
    first, _, rest = path.partition("/")
    if first == "store":
        table = rest.partition("/")[0]
        trained = {"trend_model": "training", "fund_model_": "embeddings"}.get(table[:11])
        return trained or OF_TABLE.get(table, "backtest" if table else "home")
    if first.startswith("warehouse.duckdb"):
        return "publish"
    return {"reports": "report", "dagster": "dagster"}.get(first, "home")
