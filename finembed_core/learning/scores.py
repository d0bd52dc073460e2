"""How good predictions were: pure functions of predictions and outcomes.

Funds of one month move together, so a month is the unit of chance: intervals come from the
stationary bootstrap of Politis and Romano (1994) over months.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import polars as pl
from arch.bootstrap import StationaryBootstrap
from numpy.typing import NDArray
from scipy.stats import rankdata

from finembed_core import histories
from finembed_core.calendar import Month, month_ordinals
from finembed_core.learning.labels import CLASSES, classify, read_labels
from finembed_core.panel import FloatArray
from finembed_core.settings import Settings
from finembed_core.store import PartStore

DRAWS = 1000
BLOCK_MONTHS = 6  # expected length of a bootstrap block
CONFIDENCE = 0.95
MIN_FUNDS = 5  # a rank correlation over fewer funds says nothing

OUTCOME_SCHEMA = {
    "month": pl.Date,
    "fund_id": pl.String,
    "model": pl.String,
    "label_month": pl.Date,
    "realized": pl.Float64,
    "realized_class": pl.Int64,
    "predicted_class": pl.Int64,
}
SCORE_SCHEMA = {
    "model": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "n": pl.Int64,
}


def read_predictions(store: PartStore, through: Month) -> pl.DataFrame:
    """All predictions of months up to `through`."""
    keys = [key for key in store.keys("predictions") if Month.parse(key) <= through]
    return store.read_many("predictions", keys)


def prediction_outcomes(store: PartStore, settings: Settings, through: Month) -> pl.DataFrame:
    """Every prediction whose label month is not after `through`, with what was realized.

    Returns
    -------
    DataFrame
        month, fund_id, model, label_month, realized (decimal return as known in `through`, null
        where the fund did not report it), realized_class, predicted_class (the most probable).
    """
    calendar = settings.dataset.calendar
    frame = read_predictions(store, through).filter(pl.col("label_month") <= through.end)
    if frame.is_empty():
        return pl.DataFrame(schema=OUTCOME_SCHEMA)
    labels = read_labels(
        histories.fund_returns(store, calendar),
        calendar,
        through,
        month_ordinals(frame["month"].to_numpy()),
        frame["fund_id"].to_numpy().astype(np.str_),
    )
    band = frame["band"].to_numpy()
    realized_class = classify(labels.returns, band)
    predicted = frame.select("p_down", "p_unchanged", "p_up").to_numpy().argmax(axis=1)
    return (
        frame.with_columns(
            realized=pl.Series(labels.returns).fill_nan(None),
            realized_class=pl.Series(realized_class),
            predicted_class=pl.Series(np.array(CLASSES)[predicted]),
        )
        .with_columns(
            realized_class=pl.when(pl.col("realized").is_not_null()).then("realized_class")
        )
        .select(pl.col(name).cast(kind) for name, kind in OUTCOME_SCHEMA.items())
    )


def model_scores(outcomes: pl.DataFrame, predictions: pl.DataFrame, seed: int = 1) -> pl.DataFrame:
    """Scores of each model over all its months, with bootstrap intervals.

    Parameters
    ----------
    outcomes : DataFrame
        As from `prediction_outcomes`; rows without outcome are left out.
    predictions : DataFrame
        With p_down and p_up per (month, fund_id, model).
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        model, metric, value, ci_low, ci_high, n. Metrics: ``balanced_accuracy`` (mean recall over
        the classes that occurred), ``mcc`` (Gorodkin's multi-class correlation), ``accuracy``
        (n samples each), ``rank_ic`` (mean over months of Spearman's correlation of
        P(up) - P(down) with the realized return across funds) and ``rank_ic_t`` (n months).
    """
    keys = ["month", "fund_id", "model"]
    score = (pl.col("p_up") - pl.col("p_down")).alias("score")
    joined = (
        outcomes.drop_nulls("realized")
        .join(predictions.select(*keys, score), on=keys, how="inner")
        .sort(keys)
    )
    rows: list[tuple] = []
    for (model,), frame in joined.group_by("model", maintain_order=True):
        rows += [(model, *row) for row in _scores(frame, seed)]
    return pl.DataFrame(rows, schema=SCORE_SCHEMA, orient="row").sort("model", maintain_order=True)


def _scores(frame: pl.DataFrame, seed: int) -> list[tuple]:
    _, month = np.unique(frame["month"].to_numpy(), return_inverse=True)
    confusion = monthly_confusion(
        month, frame["realized_class"].to_numpy(), frame["predicted_class"].to_numpy()
    )
    draws = _bootstrap_counts(len(confusion), seed)  # (draws, months)
    total = confusion.sum(axis=0)
    drawn = np.tensordot(draws, confusion, axes=1)  # (draws, 3, 3)
    rows: list[tuple] = []
    metrics: dict[str, Callable[[FloatArray], FloatArray]] = {
        "balanced_accuracy": balanced_accuracy,
        "mcc": matthews_correlation,
        "accuracy": accuracy,
    }
    for name, metric in metrics.items():
        rows.append((name, float(metric(total)), *_interval(metric(drawn)), frame.height))
    ics = monthly_rank_ic(month, frame["score"].to_numpy(), frame["realized"].to_numpy())
    ics = ics[~np.isnan(ics)]
    if len(ics) == 0:
        return rows
    draws = _bootstrap_counts(len(ics), seed)
    mean = float(ics.mean())
    rows.append(("rank_ic", mean, *_interval(draws @ ics / draws.sum(axis=1)), len(ics)))
    if len(ics) > 1 and ics.std() > 0:
        t = mean / (ics.std(ddof=1) / np.sqrt(len(ics)))
        rows.append(("rank_ic_t", float(t), None, None, len(ics)))
    return rows


def monthly_confusion(
    month: NDArray[np.int64], realized: NDArray[np.int64], predicted: NDArray[np.int64]
) -> FloatArray:
    """Counts by month, realized class and predicted class, shape (months, 3, 3)."""
    counts = np.zeros((int(month.max()) + 1, len(CLASSES), len(CLASSES)))
    np.add.at(counts, (month, realized - CLASSES[0], predicted - CLASSES[0]), 1)
    return counts


def accuracy(confusion: FloatArray) -> FloatArray:
    """Share on the diagonal of confusion matrices (..., realized, predicted)."""
    return np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum(axis=(-2, -1))


def balanced_accuracy(confusion: FloatArray) -> FloatArray:
    """Mean recall over the realized classes that occur, of matrices (..., realized, predicted)."""
    occurred = confusion.sum(axis=-1)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    recall = np.divide(hits, occurred, out=np.zeros_like(occurred), where=occurred > 0)
    return recall.sum(axis=-1) / (occurred > 0).sum(axis=-1)


def matthews_correlation(confusion: FloatArray) -> FloatArray:
    """Multi-class Matthews correlation R_K (Gorodkin 2004); 0 where a side is constant."""
    total = confusion.sum(axis=(-2, -1))
    correct = np.trace(confusion, axis1=-2, axis2=-1)
    realized, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    covariance = correct * total - (realized * predicted).sum(axis=-1)
    spread = (total**2 - (predicted**2).sum(axis=-1)) * (total**2 - (realized**2).sum(axis=-1))
    root = np.sqrt(spread)
    return np.divide(covariance, root, out=np.zeros_like(root), where=root > 0)


def monthly_rank_ic(
    month: NDArray[np.int64], score: FloatArray, realized: FloatArray
) -> FloatArray:
    """Spearman's correlation of score and realized return across the funds of each month.

    NaN where there are fewer than 5 funds or one side is constant; ties share their mean rank.
    """
    result = np.full(int(month.max()) + 1, np.nan)
    order = np.argsort(month, kind="stable")
    bounds = np.searchsorted(month[order], np.arange(len(result) + 1))
    for k, (start, end) in enumerate(pairwise(bounds)):
        rows = order[start:end]
        if len(rows) < MIN_FUNDS:
            continue
        ranks = np.stack([rankdata(score[rows]), rankdata(realized[rows])])
        if (np.ptp(ranks, axis=1) > 0).all():
            result[k] = np.corrcoef(ranks)[0, 1]
    return result


def _bootstrap_counts(months: int, seed: int) -> FloatArray:
    """How often each month stands in each bootstrap sample, shape (draws, months)."""
    bootstrap = StationaryBootstrap(
        BLOCK_MONTHS, np.arange(months), seed=np.random.default_rng(seed)
    )
    samples = [np.asarray(data[0]) for data, _ in bootstrap.bootstrap(DRAWS)]
    return np.array([np.bincount(rows, minlength=months) for rows in samples], dtype=np.float64)


def _interval(draws: FloatArray) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
