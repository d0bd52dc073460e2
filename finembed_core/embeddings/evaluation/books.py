"""Target weights of every decision: what each model, and each benchmark, would hold.

A book is an array (D, N) of weights by decision and fund; a row of NaN decides nothing: what is
held stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from finembed_core.daily_panel import DailyPanel, Days
from finembed_core.embeddings.evaluation.predictions import Predictions, visible
from finembed_core.errors import InputError, NoRiskError, SolverError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.covariance import Estimator
from finembed_core.portfolio.forecast_covariance import MIN_OBSERVED, of_unequal_lives
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


def mean_ranks(scores: Sequence[FloatArray], among: BoolArray) -> FloatArray:
    """Ranks within a date and group, averaged over seeds, whose scores differ in scale.

    Parameters
    ----------
    scores : sequence of ndarray, shape (D, N)
        NaN where there is none.
    among : ndarray of bool, shape (D, N)
        Funds to rank.

    Returns
    -------
    ndarray, shape (D, N)
        Above 0 to 1, the best; equal scores share their mean rank. NaN where no seed has a score.
    """
    given = np.array([np.where(among & np.isfinite(each), each, np.nan) for each in scores])
    known = np.isfinite(given)
    places = rankdata(np.where(known, given, np.inf), axis=2)  # those without a score come last
    ranks = places / np.maximum(known.sum(axis=2, keepdims=True), 1)
    count = known.sum(axis=0)
    summed = np.where(known, ranks, 0.0).sum(axis=0)
    return np.divide(summed, count, out=np.full(summed.shape, np.nan), where=count > 0)


def predicted_weights(weights: FloatArray, name: str, days: Days) -> FloatArray:
    """Weights as a model gave them, free of rounding, shape (D, N).

    Parameters
    ----------
    weights : ndarray, shape (D, N)
        NaN where none was given; a row without any holds on.
    name : str
        Which they are, for messages.
    days : ndarray of datetime64[D], shape (D,)

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
            where=f"fund_predictions, {name}, {days[wrong[0]]}",
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
    panel: DailyPanel,
    predictions: Predictions,
    sessions: int,
    estimator: Estimator,
    among: BoolArray,
) -> tuple[FloatArray, str]:
    """Minimum variance from the returns of the last sessions, as known at each decision.

    Parameters
    ----------
    panel : DailyPanel
    predictions : Predictions
    sessions : int
    estimator : callable
        One of `covariance.ESTIMATORS`.
    among : ndarray of bool, shape (D, N)
        Funds to choose from; of these the ones that have returns.

    Returns
    -------
    book : ndarray, shape (D, N)
        NaN where there is no solution that could be certified.
    reason : str
        When there was none for the first time, and why; empty where there always was.
    """
    book, reason = np.full(predictions.listed.shape, np.nan), ""
    for row, session in enumerate(predictions.sessions.tolist()):
        chosen = np.flatnonzero(among[row])
        window = visible(panel, session, sessions, predictions.columns[chosen])
        enough = np.isfinite(window).sum(axis=0) >= MIN_OBSERVED
        found = _solved(window[:, enough], estimator)
        if isinstance(found, str):
            reason = reason or f"{predictions.days[row]}: {found}"
            continue
        book[row] = 0.0
        book[row, chosen[enough]] = found
    return book, reason


def _solved(window: FloatArray, estimator: Estimator) -> FloatArray | str:
    """Weights, or why there are none."""
    if window.shape[1] == 0:
        return f"no fund has {MIN_OBSERVED} returns"
    try:
        return minimum_variance(of_unequal_lives(window, estimator)).weights
    except (NoRiskError, SolverError) as error:
        return error.what


def _shares(held: BoolArray) -> FloatArray:
    """Equal weights of the funds held; NaN where none is."""
    count = held.sum(axis=1, keepdims=True)
    return np.divide(held, count, out=np.full(held.shape, np.nan), where=count > 0)
