"""Which series and months enter a month's factors, standardized with what is known then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finembed_core.macro.transforms import lagged
from finembed_core.panel import FloatArray, Panel
from finembed_core.settings import MacroSettings

FLAT = 1e-9  # a standard deviation below this share of the largest value is rounding


@dataclass(frozen=True)
class Sample:
    """Standardized series of one information set.

    Attributes
    ----------
    panel : Panel
        Mean 0 and standard deviation 1 (ddof 0) over each column's observed cells; missing cells
        are NaN.
    excluded : dict of str to str
        Series left out, and why: ``short_history``, ``ended``, ``low_coverage``, ``constant``.
    outliers : int
        Cells set to missing as outliers.
    """

    panel: Panel
    excluded: dict[str, str]
    outliers: int


def draw_sample(known: Panel, steps: NDArray[np.int64], settings: MacroSettings) -> Sample:
    """Choose series and months, and standardize.

    A quarterly value stands for the three months of its quarter. The sample starts with the first
    month in which ``min_coverage`` of the usable series have begun; a series must be observed in
    that share of the months from its own beginning on. Months without any value are left out.

    Parameters
    ----------
    known : Panel
        Stationary series as known in the panel's last month, consecutive months.
    steps : ndarray of int, shape (N,)
        Months between two observations of each series.
    settings : MacroSettings
    """
    values, outliers = _without_outliers(known.values, settings.outlier_iqr)
    values = _spread(values, steps)
    months = len(values)
    observed = ~np.isnan(values)
    first = np.where(observed.any(0), observed.argmax(0), months)
    since_last = np.where(observed.any(0), observed[::-1].argmax(0), months)
    excluded: dict[str, str] = {}

    def exclude(wrong: NDArray[np.bool_], reason: str) -> None:
        for column in np.flatnonzero(wrong):
            excluded.setdefault(known.ids[column], reason)

    exclude(since_last > settings.max_staleness_months, "ended")
    exclude(months - first < settings.min_months, "short_history")
    usable = np.array([name not in excluded for name in known.ids], dtype=bool)
    start = _sample_start(first[usable], settings.min_coverage, months)

    values, observed = values[start:], observed[start:]
    expected = len(values) - np.maximum(first - start, 0)
    exclude(observed.sum(0) < settings.min_coverage * expected, "low_coverage")
    chosen = [k for k, name in enumerate(known.ids) if name not in excluded]
    values = values[:, chosen]
    mean = np.nanmean(values, axis=0) if chosen else np.zeros(0)
    spread = np.nanstd(values, axis=0) if chosen else np.zeros(0)
    flat = spread <= FLAT * np.nanmax(np.abs(values), axis=0, initial=0.0)
    for column in np.flatnonzero(flat):
        excluded[known.ids[chosen[column]]] = "constant"
    ids = tuple(known.ids[k] for k, still in zip(chosen, ~flat, strict=True) if still)
    standard = (values[:, ~flat] - mean[~flat]) / spread[~flat]
    seen = ~np.isnan(standard).all(axis=1)
    return Sample(Panel(known.dates[start:][seen], ids, standard[seen]), excluded, outliers)


def _spread(values: FloatArray, steps: NDArray[np.int64]) -> FloatArray:
    """Let each value stand for the months since the observation before it, `steps` long."""
    spread = values.copy()
    for lag in range(1, int(steps.max(initial=1))):
        later = lagged(values[::-1], lag)[::-1]
        spread = np.where(np.isnan(spread) & (lag < steps), later, spread)
    return spread


def _without_outliers(values: FloatArray, limit: float | None) -> tuple[FloatArray, int]:
    """Set to missing what lies more than `limit` interquartile ranges from the median."""
    columns = np.flatnonzero((~np.isnan(values)).any(axis=0))
    if limit is None or not len(columns):
        return values, 0
    low, median, high = np.nanpercentile(values[:, columns], [25, 50, 75], axis=0)
    range_ = np.where(high > low, high - low, np.inf)  # mostly one value: no scale to judge by
    outlier = np.zeros(values.shape, dtype=bool)
    outlier[:, columns] = np.abs(values[:, columns] - median) > limit * range_
    return np.where(outlier, np.nan, values), int(outlier.sum())


def _sample_start(first: NDArray[np.int64], share: float, months: int) -> int:
    """First month by which this share of the series has begun."""
    if not len(first):
        return months
    needed = max(int(np.ceil(share * len(first))), 1)
    return int(np.sort(first)[needed - 1])
