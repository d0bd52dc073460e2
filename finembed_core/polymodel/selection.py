"""Which factors count for a fund, and how many of them are there by luck."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finembed_core.panel import FloatArray
from finembed_core.settings import PolyModelSettings

ROUNDING = 1e-12


@dataclass(frozen=True)
class Selection:
    """The selected factors of every fund.

    Attributes
    ----------
    score : ndarray, shape (J, N)
        P-value score ``-ln p`` in nats; NaN where the pair was not tested.
    chosen : ndarray of bool, shape (J, N)
    tested, selected : ndarray of int, shape (N,)
        Factors tested, factors selected.
    best : ndarray, shape (N,)
        Best score; NaN where none was tested.
    expected_false : ndarray, shape (N,)
        Selections to expect if no factor had anything to do with the fund (`absolute`,
        `relative`: tested factors times the threshold's p-value), or the share of false
        discoveries that the rule allows (`benjamini_hochberg`: alpha times selected).
    """

    score: FloatArray
    chosen: NDArray[np.bool_]
    tested: NDArray[np.int64]
    selected: NDArray[np.int64]
    best: FloatArray
    expected_false: FloatArray


def select_factors(p_values: FloatArray, settings: PolyModelSettings) -> Selection:
    """Apply the settings' selection rule to p-values of shape (J, N); NaN was not tested.

    Notes
    -----
    ``absolute``: p at most ``alpha``. ``relative``: score at least ``relative_share`` of the
    fund's best, where scores are floored at the step of `shuffles` whatever their estimator, so
    that the best means the same for each. ``benjamini_hochberg``: Benjamini and Hochberg (1995)
    over the fund's factors at false discovery rate ``alpha``.
    """
    known = ~np.isnan(p_values)
    tested = known.sum(axis=0)
    score = scores(p_values)
    threshold = thresholds(p_values, settings)
    chosen = known & (p_values <= threshold * (1.0 + ROUNDING))
    selected = chosen.sum(axis=0)
    if settings.selection == "benjamini_hochberg":
        expected_false = settings.alpha * selected
    else:
        expected_false = tested * np.minimum(_reached(threshold, settings), 1.0)
    best = np.where(tested > 0, np.fmax.reduce(score, axis=0, initial=-np.inf), np.nan)
    return Selection(score, chosen, tested, selected, best, expected_false)


def scores(p_values: FloatArray) -> FloatArray:
    """P-value scores ``-ln p`` in nats, of any shape; NaN stays."""
    with np.errstate(invalid="ignore"):
        return 0.0 - np.log(p_values)


def thresholds(p_values: FloatArray, settings: PolyModelSettings) -> FloatArray:
    """Largest p-value that passes, shape (N,), by the rule of `select_factors`.

    The smaller the p-values, the higher is Benjamini and Hochberg's threshold, and the lower that
    of the relative rule.
    """
    if settings.selection == "absolute":
        return np.full(p_values.shape[1], settings.alpha)
    if settings.selection == "relative":
        best = np.fmin.reduce(p_values, axis=0, initial=1.0)
        return np.maximum(best, 1.0 / (1.0 + settings.shuffles)) ** settings.relative_share
    return _benjamini_hochberg(p_values, settings.alpha)


def _reached(threshold: FloatArray, settings: PolyModelSettings) -> FloatArray:
    """Chance that pure luck passes: the threshold, rounded down to the steps of exact p-values."""
    if settings.significance != "exact":
        return threshold
    steps = 1.0 + settings.shuffles
    return np.floor(threshold * steps * (1.0 + ROUNDING)) / steps


def _benjamini_hochberg(p_values: FloatArray, alpha: float) -> FloatArray:
    """Of m p-values: alpha k / m, k the largest with p_(k) <= alpha k / m, or 1 if none has.

    As many p-values pass at k as make up the next, smaller k, until they are k.
    """
    tested = (~np.isnan(p_values)).sum(axis=0)
    step = alpha / np.maximum(tested, 1)
    passing = tested
    while True:
        k, passing = passing, (p_values <= step * passing * (1.0 + ROUNDING)).sum(axis=0)
        if (passing == k).all():
            return step * np.maximum(k, 1)
