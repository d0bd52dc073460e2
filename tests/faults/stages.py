"""Which stage of the chain a file of the home belongs to."""

from __future__ import annotations

from finembed_core.embeddings.tables import model_table
from finembed_core.warehouse.sources import TREND_MODEL

FUND_MODEL = model_table("")

TABLES = {
    "ingest": (
        *("fund_observations", "series_observations", "funds", "series"),
        *("quarantine", "data_quality"),
    ),
    "universe": ("universe",),
    "macro": ("macro_factors", "macro_loadings", "macro_explained", "macro_excluded"),
    "polymodel": ("polymodel_features", "polymodel_selected", "polymodel_excluded"),
    "predictions": ("predictions", "seed_predictions"),
    "daily": ("daily_panel", "daily_funds", "text_vectors"),
    "embeddings": ("embeddings", "embedding_exclusions", "embedding_information"),
    "fund_predictions": ("fund_predictions",),
    "embedding_study": ("embedding_checks", "embedding_portfolios", "embedding_evaluations"),
}
OF_TABLE = {table: stage for stage, tables in TABLES.items() for table in tables}
MONTHLY = (
    *("ingest", "macro", "universe", "polymodel", "training", "predictions", "backtest"),
    *("publish", "report", "dagster"),
)
"""In the order of computation; Dagster comes last: it writes in runs that find nothing to do."""
DAILY = ("daily", "encoders", "embeddings", "fund_predictions", "embedding_study")


def stage_of(path: str) -> str:
    """Stage by the path below the home."""
    first, _, rest = path.partition("/")
    if first == "store":
        table = rest.partition("/")[0]
        if table.startswith(TREND_MODEL):
            return "training"
        if table.startswith(FUND_MODEL):
            return "encoders"
        return OF_TABLE.get(table, "backtest" if table else "home")
    if first.startswith("warehouse.duckdb"):
        return "publish"
    return {"reports": "report", "dagster": "dagster"}.get(first, "home")
