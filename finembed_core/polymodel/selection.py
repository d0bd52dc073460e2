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
    """Largest p-value that is selected, shape (N,), by the rule of `select_factors`."""
    known = ~np.isnan(p_values)
    if settings.selection == "absolute":
        return np.full(p_values.shape[1], settings.alpha)
    if settings.selection == "relative":
        best = np.fmin.reduce(p_values, axis=0, initial=1.0)
        return np.maximum(best, 1.0 / (1.0 + settings.shuffles)) ** settings.relative_share
    return _benjamini_hochberg(np.where(known, p_values, np.inf), known.sum(axis=0), settings.alpha)


def doubtful_below(p_values: FloatArray, settings: PolyModelSettings) -> FloatArray:
    """Thresholds (N,) of p-values that are not certain: one that nothing passes may be passed."""
    limit = thresholds(p_values, settings)
    if settings.selection == "benjamini_hochberg":
        tested = (~np.isnan(p_values)).sum(axis=0)
        return np.maximum(limit, settings.alpha / np.maximum(tested, 1))
    return limit


def _reached(threshold: FloatArray, settings: PolyModelSettings) -> FloatArray:
    """Chance that pure luck passes: the threshold, rounded down to the steps of exact p-values."""
    if settings.significance != "exact":
        return threshold
    steps = 1.0 + settings.shuffles
    return np.floor(threshold * steps * (1.0 + ROUNDING)) / steps


def _benjamini_hochberg(
    p_values: FloatArray, tested: NDArray[np.int64], alpha: float
) -> FloatArray:
    """Largest p_(k) <= alpha k / m per column; 0 where there is none."""
    ordered = np.sort(p_values, axis=0)
    k = np.arange(1, len(ordered) + 1)[:, None]
    passes = ordered <= alpha * k / np.maximum(tested, 1) * (1.0 + ROUNDING)
    return np.where(passes, ordered, 0.0).max(axis=0, initial=0.0)
