"""Tables that embeddings leave in the store, by month."""

from __future__ import annotations

import polars as pl

Schema = dict[str, pl.DataType | type[pl.DataType]]

DAILY_FUNDS = "daily_funds"
INFORMATION, CHECKS = "embedding_information", "embedding_checks"
EMBEDDINGS, PREDICTIONS, EXCLUSIONS = "embeddings", "fund_predictions", "embedding_exclusions"

CURVES: Schema = {
    "mode": pl.String,
    "task": pl.String,
    "seed": pl.Int64,
    "epoch": pl.Int64,
    "split": pl.String,
    "objective": pl.String,
    "loss": pl.Float64,
}
PREDICTED: Schema = {
    "date": pl.Date,
    "fund_id": pl.String,
    "encoder": pl.String,
    "mode": pl.String,
    "seed": pl.Int64,
    "forecast": pl.Float64,
    "volatility": pl.Float64,
    "sharpe": pl.Float64,
    "drawdown": pl.Float64,
    "listnet": pl.Float64,
    "neuralndcg": pl.Float64,
    "weight": pl.Float64,
    "gmv": pl.Float64,
}
EXCLUDED: Schema = {"date": pl.Date, "fund_id": pl.String, "reason": pl.String}


def embedding_schema(size: int) -> Schema:
    """Columns of the table of embeddings of this size."""
    return {
        "date": pl.Date,
        "fund_id": pl.String,
        "encoder": pl.String,
        "mode": pl.String,
        "seed": pl.Int64,
        "retrained": pl.Date,
        "vector": pl.Array(pl.Float32, size),
    }


def model_table(encoder: str) -> str:
    """Table of the trained models around one encoder."""
    return f"fund_model_{encoder}"
