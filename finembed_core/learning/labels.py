"""Labels: the only place where the future is looked at.

The label of month t is the return of the first month that can be earned after dealing on the
decision of t (`DecisionCalendar.label_month`), in one of three classes around an unchanged band
(Zhao, Dong, Cao, Douady, arXiv 2408.03320, section 3.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finembed_core.calendar import DecisionCalendar, Month
from finembed_core.panel import FloatArray, History
from finembed_core.settings import LearningSettings

DOWN, UNCHANGED, UP = -1, 0, 1
CLASSES = (DOWN, UNCHANGED, UP)  # order of every probability column


@dataclass(frozen=True)
class Labels:
    """What samples earned, as known in one information set.

    Attributes
    ----------
    returns : ndarray of float64, shape (n,)
        Decimal; NaN where the information set does not hold it (not yet, or the fund died).
    label_month, known_from : ndarray of int64, shape (n,)
        Ordinals of the month that is earned, and of the month in whose information set its return
        first stood as it does here (-1 where it does not stand).
    """

    returns: FloatArray
    label_month: NDArray[np.int64]
    known_from: NDArray[np.int64]


def read_labels(
    fund_returns: History,
    calendar: DecisionCalendar,
    known: Month,
    months: NDArray[np.int64],
    fund_ids: NDArray[np.str_],
) -> Labels:
    """Labels of samples (month, fund) in the information set of `known`.

    Parameters
    ----------
    fund_returns : History
        Simple monthly returns.
    calendar : DecisionCalendar
    known : Month
        Whoever reads the labels stands in this month.
    months : ndarray of int64, shape (n,)
        Ordinals of the sample months.
    fund_ids : ndarray of str, shape (n,)
    """
    distinct, place = np.unique(months, return_inverse=True)
    earned = [calendar.label_month(Month(int(m))).ordinal for m in distinct]
    label_month = np.array(earned, dtype=np.int64)[place]
    panel = fund_returns.as_of(known)
    since = fund_returns.known_from(known)
    columns = {name: k for k, name in enumerate(panel.ids)}
    column = np.array([columns.get(str(f), -1) for f in fund_ids], dtype=np.int64)
    row = label_month - (known.ordinal - len(panel.dates) + 1)
    there = (row >= 0) & (row < len(panel.dates)) & (column >= 0)
    returns = np.full(len(months), np.nan)
    returns[there] = panel.values[row[there], column[there]]
    known_from = np.full(len(months), -1, dtype=np.int64)
    known_from[there] = since[row[there], column[there]]
    return Labels(returns, label_month, np.where(np.isnan(returns), -1, known_from))


def unchanged_band(training_returns: FloatArray, settings: LearningSettings) -> float:
    """Largest absolute return that still counts as unchanged.

    Either fixed (the paper's prior threshold) or the quantile of absolute returns that leaves a
    share `band_share` of the training labels unchanged.
    """
    if settings.band == "fixed":
        return settings.band_threshold
    return float(np.quantile(np.abs(training_returns), settings.band_share))


def classify(returns: FloatArray, band: float | FloatArray) -> NDArray[np.int64]:
    """Class of each return: -1 below the band, 1 above it, 0 within (and where it is NaN)."""
    return (returns > band).astype(np.int64) - (returns < -band)
