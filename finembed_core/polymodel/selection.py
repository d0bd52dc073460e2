"""Which factors count for a fund, and how many of them are there by luck."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from finembed_core.panel import FloatArray

Rule = Literal["absolute", "relative", "benjamini_hochberg"]
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


def select_factors(
    p_values: FloatArray, rule: Rule, alpha: float, relative_share: float, shuffles: int
) -> Selection:
    """Apply a selection rule to p-values of shape (J, N), NaN where a pair was not tested.

    Parameters
    ----------
    p_values : ndarray, shape (J, N)
    rule : {"absolute", "relative", "benjamini_hochberg"}
        p at most `alpha`; score at least `relative_share` of the fund's best; Benjamini and
        Hochberg (1995) over the fund's factors at false discovery rate `alpha`.
    alpha, relative_share : float
    shuffles : int
        K: p-values come in steps of 1/(K+1). For the relative rule they are floored there
        whatever their estimator, so that the best score means the same for each.
    """
    known = ~np.isnan(p_values)
    tested = known.sum(axis=0)
    with np.errstate(invalid="ignore"):
        score = 0.0 - np.log(p_values)
    best = np.where(known, score, -np.inf).max(axis=0, initial=-np.inf)
    step = 1.0 / (1.0 + shuffles)
    if rule == "absolute":
        threshold = np.full(p_values.shape[1], alpha)
    elif rule == "relative":
        threshold = np.exp(-relative_share * np.minimum(best, -np.log(step)))
    else:
        threshold = _benjamini_hochberg(np.where(known, p_values, np.inf), tested, alpha)
    chosen = known & (p_values <= threshold * (1.0 + ROUNDING))
    selected = chosen.sum(axis=0)
    if rule == "benjamini_hochberg":
        expected_false = alpha * selected
    else:  # the p-value of pure luck is uniform on its steps
        reached = np.floor(threshold * (1.0 + shuffles) * (1.0 + ROUNDING)) * step
        expected_false = tested * np.minimum(reached, 1.0)
    best = np.where(tested > 0, best, np.nan)
    return Selection(score, chosen, tested, selected, best, expected_false)


def _benjamini_hochberg(
    p_values: FloatArray, tested: NDArray[np.int64], alpha: float
) -> FloatArray:
    """Largest p_(k) <= alpha k / m per column; 0 where there is none."""
    ordered = np.sort(p_values, axis=0)
    k = np.arange(1, len(ordered) + 1)[:, None]
    passes = ordered <= alpha * k / np.maximum(tested, 1) * (1.0 + ROUNDING)
    return np.where(passes, ordered, 0.0).max(axis=0, initial=0.0)
