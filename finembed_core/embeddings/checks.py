"""Sanity checks: do the vectors of one date know what is known about the funds anyway.

Each check is done with principal components of the same windows' returns, too, and says what comes
without any vector. An embedding that does not beat them has learned nothing worth its training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from finembed_core.embeddings.baseline import principal_vectors
from finembed_core.embeddings.retrieval import cosines
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray
from finembed_core.sessions import SESSIONS_PER_YEAR

NEIGHBORS = 10
MOST_QUERIES = 1_000
PERMUTATIONS = 20
FOLDS = 5
FEWEST_FUNDS = 20
PENALTIES = np.logspace(-2, 4, 13)
SCHEMA = {
    "check": pl.String,
    "value": pl.Float64,
    "baseline": pl.Float64,
    "chance": pl.Float64,
    "n": pl.Int64,
}


def checks(
    vectors: FloatArray,
    windows: NDArray,
    visible: NDArray[np.bool_],
    categories: Sequence[str | None],
    *,
    seed: int,
) -> pl.DataFrame:
    """All checks of one date.

    Parameters
    ----------
    vectors : ndarray, shape (n, d)
    windows : ndarray, shape (n, C, L)
        What the vectors were made from: the fund's returns first, then those of the market.
    visible : ndarray of bool, shape (n, C, L)
    categories : sequence of length n
        None where unknown.
    seed : int
        Of folds, permutations and drawn queries.

    Returns
    -------
    DataFrame
        Columns check, value, baseline (the same with `principal_vectors` of as many dimensions),
        chance, n (funds). All but n are null where fewer than `FEWEST_FUNDS` can be checked.

        - category_retrieval: mean average precision with which funds of the same category come
          first among all others, by cosine. category_precision_10: their share among the ten
          nearest. Chance: categories permuted.
        - linear_probe_volatility, linear_probe_beta: R2 of ridge regressions, out of fold. Chance:
          the mean of the other folds.
        - linear_probe_category: accuracy of a logistic regression, out of fold, on categories with
          five funds or more. Chance: the most frequent category.

    Raises
    ------
    InputError
        Not one vector, window and category for each fund.
    """
    if not len(vectors) == len(windows) == len(visible) == len(categories):
        raise InputError(
            f"{len(vectors)} vectors, {len(windows)} windows and {len(categories)} categories",
            remedy="give one of each for every fund",
        )
    groups = np.array([category or "" for category in categories])
    _, own, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    targets: dict[str, tuple[NDArray, NDArray[np.bool_]]] = {
        name: (values, np.isfinite(values))
        for name, values in (
            ("volatility", trailing_volatility(windows, visible)),
            ("beta", market_beta(windows, visible)),
        )
    }
    targets["category"] = groups, (groups != "") & (sizes >= FOLDS)[own]
    rows = _retrieval_rows(vectors, windows, visible, groups, seed)
    for name, (values, known) in targets.items():
        scores: list[float | None] = [None] * 3
        if known.sum() >= FEWEST_FUNDS and len(set(values[known])) > 1:
            baseline = principal_vectors(windows[known], visible[known], vectors.shape[1])
            scores = [
                linear_probe(vectors[known], values[known], seed),
                linear_probe(baseline, values[known], seed),
                linear_probe(None, values[known], seed),
            ]
        rows.append((f"linear_probe_{name}", *scores, int(known.sum())))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def trailing_volatility(windows: NDArray, visible: NDArray[np.bool_]) -> FloatArray:
    """Annualized, of the visible returns of each window, shape (n,); NaN with fewer than two."""
    seen = visible[:, 0]
    squares = np.square(_centered(windows[:, 0], seen)).sum(axis=1)
    freedom = seen.sum(axis=1) - 1
    variance = np.where(freedom > 0, squares / np.maximum(freedom, 1), np.nan)
    return np.sqrt(SESSIONS_PER_YEAR * variance)


def market_beta(windows: NDArray, visible: NDArray[np.bool_]) -> FloatArray:
    """Slope on the market over the days that show both, shape (n,); NaN where there is none."""
    if windows.shape[1] < 2:
        return np.full(len(windows), np.nan)
    both = visible[:, 0] & visible[:, 1]
    own, market = (_centered(windows[:, channel], both) for channel in (0, 1))
    with np.errstate(invalid="ignore"):
        return (own * market).sum(axis=1) / np.square(market).sum(axis=1)


def _centered(values: NDArray, seen: NDArray[np.bool_]) -> FloatArray:
    """Less the mean of what is seen in each row; 0 where nothing is."""
    shown = np.where(seen, values, 0.0).astype(np.float64)
    mean = shown.sum(axis=1, keepdims=True) / np.maximum(seen.sum(axis=1, keepdims=True), 1)
    return np.where(seen, shown - mean, 0.0)


def linear_probe(vectors: FloatArray | None, target: NDArray, seed: int) -> float:
    """How much of a target a linear model of vectors knows, cross-validated over funds.

    Parameters
    ----------
    vectors : ndarray, shape (n, d), or None
        None: what is known without them.
    target : ndarray, shape (n,)
        Numbers (R2 of ridge, its penalty by leave-one-out) or names (accuracy of a logistic
        regression); both on standardized columns.
    seed : int
        Of the folds.
    """
    named = target.dtype.kind == "U"
    model: Any = LogisticRegression(max_iter=2_000) if named else RidgeCV(PENALTIES)
    if vectors is None:
        vectors = np.zeros((len(target), 1))
        model = DummyClassifier() if named else DummyRegressor()
    folds = (StratifiedKFold if named else KFold)(FOLDS, shuffle=True, random_state=seed)
    guess = cross_val_predict(make_pipeline(StandardScaler(), model), vectors, target, cv=folds)
    return float((accuracy_score if named else r2_score)(target, guess))


def retrieval_scores(
    vectors: FloatArray, labels: NDArray, queries: NDArray[np.intp]
) -> tuple[float, float]:
    """Mean average precision, and precision among the ten nearest, of finding the same label.

    Average precision of a query is the mean, over the funds that share its label, of the share of
    such funds among all that are at least as near by cosine (equal ones in their order).

    Parameters
    ----------
    vectors : ndarray, shape (n, d)
    labels : ndarray, shape (n,)
    queries : ndarray of int
        Funds to ask for; those whose label no other has are passed over.
    """
    return _precisions(_order(vectors, queries), labels, queries)


def _retrieval_rows(
    vectors: FloatArray,
    windows: NDArray,
    visible: NDArray[np.bool_],
    groups: NDArray,
    seed: int,
) -> list[tuple]:
    known = groups != ""
    labels, n = groups[known], int(known.sum())
    names = ("category_retrieval", f"category_precision_{NEIGHBORS}")
    if n < FEWEST_FUNDS or not 1 < len(set(labels)) < n:
        return [(name, None, None, None, n) for name in names]
    rng = np.random.default_rng(seed)
    queries = np.sort(rng.permutation(n)[:MOST_QUERIES])
    baseline = principal_vectors(windows[known], visible[known], vectors.shape[1])
    order = _order(vectors[known], queries)
    own = _precisions(order, labels, queries)
    plain = retrieval_scores(baseline, labels, queries)
    shuffled = [_precisions(order, rng.permutation(labels), queries) for _ in range(PERMUTATIONS)]
    chance = np.mean(shuffled, axis=0).tolist()
    return [(*row, n) for row in zip(names, own, plain, chance, strict=True)]


def _order(vectors: FloatArray, queries: NDArray[np.intp]) -> NDArray[np.intp]:
    """All other funds, the most alike first, shape (q, n - 1)."""
    similarity = cosines(vectors[queries], vectors)
    similarity[np.arange(len(queries)), queries] = -np.inf  # last, and cut off
    return np.argsort(-similarity, axis=1, kind="stable")[:, :-1]


def _precisions(
    order: NDArray[np.intp], labels: NDArray, queries: NDArray[np.intp]
) -> tuple[float, float]:
    alike = labels[order] == labels[queries][:, None]
    alike = alike[alike.any(axis=1)]
    among = np.cumsum(alike, axis=1) / np.arange(1, alike.shape[1] + 1)
    average = (among * alike).sum(axis=1) / alike.sum(axis=1)
    return float(average.mean()), float(alike[:, :NEIGHBORS].mean())
