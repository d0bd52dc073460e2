"""Target weights of every decision: what each model, and each benchmark, would hold.

A book is an array (D, N) of weights by decision and fund; a row of NaN decides nothing: what is
held stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finembed_core.daily_panel import DailyPanel
from finembed_core.embeddings.evaluation.predictions import Predictions, visible
from finembed_core.errors import InputError, SolverError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.covariance import Estimator
from finembed_core.portfolio.forecast_covariance import MIN_OBSERVED, without_gaps
from finembed_core.portfolio.minimum_variance import minimum_variance
from finembed_core.portfolio.orders import BoolArray

SUM_ERROR = 1e-4  # of weights that a network summed in single precision


def equal_weight(listed: BoolArray) -> FloatArray:
    """All listed funds alike, shape (D, N)."""
    return _shares(listed)


def top(scores: FloatArray, k: int, among: BoolArray) -> FloatArray:
    """Equal weights of the k best scores; a fund without a score is not held.

    Parameters
    ----------
    scores : ndarray, shape (D, N)
        NaN where there is none. Of equal scores the one of the lower fund id is held.
    k : int
    among : ndarray of bool, shape (D, N)
        Funds to choose from. Where they are fewer than 2k nothing is decided.

    Returns
    -------
    ndarray, shape (D, N)
    """
    ranked = among & np.isfinite(scores)
    order = np.argsort(-np.where(ranked, scores, -np.inf), axis=1, kind="stable")[:, :k]
    chosen = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(chosen, order, True, axis=1)
    decided = among.sum(axis=1) >= 2 * k
    return _shares(chosen & ranked & decided[:, None])


def predicted_weights(weights: FloatArray, name: str) -> FloatArray:
    """Weights as a model gave them, free of rounding, shape (D, N).

    Raises
    ------
    InputError
        One is negative, or they do not sum to 1.
    """
    given = np.any(np.isfinite(weights), axis=1)
    held = np.nan_to_num(weights)
    off = np.abs(held.sum(axis=1) - 1.0)
    wrong = np.flatnonzero(given & ((off > SUM_ERROR) | (held.min(axis=1) < -SUM_ERROR)))
    if len(wrong):
        row = held[wrong[0]]
        raise InputError(
            f"predicted weights sum to {row.sum():g}, the smallest is {row.min():g}",
            where=f"fund_predictions, {name}, decision {wrong[0] + 1}",
            remedy="predict weights that are not negative and sum to 1",
        )
    held = np.maximum(held, 0.0)
    whole = np.where(given, held.sum(axis=1), np.nan)
    return held / whole.reshape(-1, 1)


def mixed(books: Sequence[FloatArray]) -> FloatArray:
    """Equal parts of several books, shape (D, N): of those that decide at a decision."""
    stacked = np.array(books)
    decide = np.isnan(stacked).sum(axis=2) == 0  # (B, D)
    count = decide.sum(axis=0)[:, None]
    summed = np.where(decide[:, :, None], stacked, 0.0).sum(axis=0)
    return np.divide(summed, count, out=np.full(summed.shape, np.nan), where=count > 0)


def least_variance(
    panel: DailyPanel, predictions: Predictions, sessions: int, estimator: Estimator
) -> FloatArray:
    """Minimum variance from the returns of the last sessions, as known at each decision.

    Parameters
    ----------
    panel : DailyPanel
    predictions : Predictions
        Whose listed funds are chosen from.
    sessions : int
    estimator : callable
        One of `covariance.ESTIMATORS`.

    Returns
    -------
    ndarray, shape (D, N)
        NaN where no solution could be certified.
    """
    book = np.full(predictions.listed.shape, np.nan)
    for row, session in enumerate(predictions.sessions.tolist()):
        listed = np.flatnonzero(predictions.listed[row])
        window = visible(panel, session, sessions, predictions.columns[listed])
        enough = np.isfinite(window).sum(axis=0) >= MIN_OBSERVED
        listed = listed[enough]
        try:
            found = minimum_variance(estimator(without_gaps(window[:, enough])))
        except (InputError, SolverError):  # what is wrong with one window: the last book stays
            continue
        book[row] = 0.0
        book[row, listed] = found.weights
    return book


def _shares(held: BoolArray) -> FloatArray:
    """Equal weights of the funds held; NaN where none is."""
    count = held.sum(axis=1, keepdims=True)
    return np.divide(held, count, out=np.full(held.shape, np.nan), where=count > 0)
