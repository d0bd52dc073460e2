"""What a factor's whole history up to t says of its distribution: units, quantiles, tails.

A window of 36 months hardly holds the 1st and 99th percentile of anything. Stress scenarios and
long-term expectations are therefore read from everything known of the factor at t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from finembed_core.panel import FloatArray, Panel
from finembed_core.polymodel.basis import FLAT
from finembed_core.polymodel.columns import column_sums
from finembed_core.settings import PolyModelSettings

LEVELS = np.array([0.01, 0.16, 0.50, 0.84, 0.99])
"""Where long-term alpha looks at the factor."""


@dataclass(frozen=True)
class LongHistory:
    """Summary of J long histories.

    Attributes
    ----------
    count : ndarray of int, shape (J,)
        Observations.
    mean, sd : ndarray, shape (J,)
        The factor's unit; sd with ddof = 1.
    quantiles : ndarray, shape (7, J)
        At `LEVELS`, then at both ends of the stress range, in the factor's own units.
    """

    count: NDArray[np.int64]
    mean: FloatArray
    sd: FloatArray
    quantiles: FloatArray

    @classmethod
    def of(cls, values: FloatArray, settings: PolyModelSettings) -> LongHistory:
        """Summarize histories of shape (L, J), NaN is missing."""
        return cls._of_sorted(np.sort(values, axis=0), settings)

    @classmethod
    def _of_sorted(cls, ordered: FloatArray, settings: PolyModelSettings) -> LongHistory:
        count = np.isfinite(ordered).sum(axis=0)
        mean = column_sums(ordered) / np.maximum(count, 1)
        variance = column_sums(np.square(ordered - mean)) / np.maximum(count - 1, 1)
        levels = [*LEVELS, 1.0 - settings.stress_probability, settings.stress_probability]
        tail = (settings.tail_share, settings.min_tail_exceedances)
        return cls(count, mean, np.sqrt(variance), long_history_quantiles(ordered, levels, *tail))

    def select(self, columns: NDArray) -> LongHistory:
        """Some of the factors, by index or mask."""
        return LongHistory(
            self.count[columns], self.mean[columns], self.sd[columns], self.quantiles[:, columns]
        )

    def standardize(self, values: FloatArray) -> FloatArray:
        """Values (T, J) in units of the long history."""
        return (values - self.mean) / self.sd

    def nodes(self) -> FloatArray:
        """Standardized quantiles at `LEVELS`, shape (5, J)."""
        return self.standardize(self.quantiles[: len(LEVELS)])

    def stress_range(self) -> FloatArray:
        """Standardized ends of the stress range, shape (2, J)."""
        return self.standardize(self.quantiles[len(LEVELS) :])

    def stands_still(self) -> NDArray[np.bool_]:
        """Factors whose stress range is a point, shape (J,): nothing to stress with."""
        low, high = self.quantiles[len(LEVELS) :]
        return ~(high - low > FLAT * np.maximum(np.abs(high), np.abs(low)))


class SortedHistories:
    """Keeps histories sorted from month to month, and summarizes only those that changed.

    The summary is to the bit that of `LongHistory.of`, whatever was summarized before.
    """

    def __init__(self, settings: PolyModelSettings) -> None:
        self._settings = settings
        self._seen = Panel(np.zeros(0, "datetime64[D]"), (), np.zeros((0, 0)))
        self._ordered = self._seen
        self._summary = LongHistory.of(np.zeros((1, 0)), settings)

    def summarize(self, panel: Panel) -> LongHistory:
        """Summary of everything in the panel (L, J)."""
        known = self._unchanged(panel)
        rows = len(self._seen.dates)
        ordered = np.empty_like(panel.values)
        ordered[:, ~known] = np.sort(panel.values[:, ~known], axis=0)
        if known.any():
            kept = self._ordered.select(panel.ids).values
            grown = np.concatenate([kept[:, known], panel.values[rows:, known]])
            ordered[:, known] = np.sort(grown, axis=0, kind="stable")  # quick where nearly sorted
        fresh = ~known | np.isfinite(panel.values[rows:]).any(axis=0)
        summary = LongHistory._of_sorted(ordered[:, fresh], self._settings)
        if not fresh.all():
            place = {name: k for k, name in enumerate(self._seen.ids)}
            old = [place[name] for name, new in zip(panel.ids, fresh, strict=True) if not new]
            summary = _interleaved(summary, self._summary.select(np.array(old)), fresh)
        self._seen, self._summary = panel, summary
        self._ordered = Panel(panel.dates, panel.ids, ordered)
        return summary

    def _unchanged(self, panel: Panel) -> NDArray[np.bool_]:
        """Columns that begin with the values they had before, and where there were any."""
        before = self._seen.select(panel.ids).values
        rows = len(before)
        if not rows or rows > len(panel.dates) or panel.dates[0] != self._seen.dates[0]:
            return np.zeros(len(panel.ids), dtype=bool)
        now = panel.values[:rows]
        same = (now == before) | (np.isnan(now) & np.isnan(before))
        return same.all(axis=0) & np.isin(panel.ids, self._seen.ids)


def _interleaved(fresh: LongHistory, old: LongHistory, where: NDArray[np.bool_]) -> LongHistory:
    """Columns of `fresh` where the mask says so, those of `old` elsewhere."""

    def both(new: NDArray, kept: NDArray) -> NDArray:
        whole = np.empty((*new.shape[:-1], len(where)), dtype=new.dtype)
        whole[..., where], whole[..., ~where] = new, kept
        return whole

    return LongHistory(
        both(fresh.count, old.count),
        both(fresh.mean, old.mean),
        both(fresh.sd, old.sd),
        both(fresh.quantiles, old.quantiles),
    )


def empirical_quantiles(values: FloatArray, levels: ArrayLike) -> FloatArray:
    """Quantiles of every column, NaN ignored, linear between order statistics (type 7).

    Parameters
    ----------
    values : ndarray, shape (L, J)
    levels : array_like, shape (Q,)

    Returns
    -------
    ndarray, shape (Q, J); NaN for a column without observations.
    """
    return _quantiles_of_sorted(np.sort(values, axis=0), levels)


def pareto_upper_quantile(
    ordered: FloatArray, level: float, tail_share: float, min_exceedances: int
) -> FloatArray:
    """Upper quantile of every column from a generalized Pareto fit of its outer tail.

    With exceedances y over the threshold u (the empirical ``1 - tail_share`` quantile), sorted
    increasingly, ``a0 = mean y`` and ``a1 = mean (n - i)/(n - 1) y_(i)``, the probability-weighted
    moments of Hosking and Wallis (1987, eq. 8 and 9) give ``xi = 2 - a0/(a0 - 2 a1)`` and
    ``sigma = 2 a0 a1 / (a0 - 2 a1)``, and the quantile is ``u + sigma/xi ((zeta/tail)^xi - 1)``
    with zeta the share of exceedances and ``tail = 1 - level``.

    Parameters
    ----------
    ordered : ndarray, shape (L, J)
        Every column ascending, NaN last.
    level : float
        Above ``1 - tail_share``.
    tail_share : float
    min_exceedances : int
        Columns with fewer get the empirical quantile.

    Returns
    -------
    ndarray, shape (J,)
    """
    threshold, empirical = _quantiles_of_sorted(ordered, [1.0 - tail_share, level])
    count = np.isfinite(ordered).sum(axis=0)
    excess = np.fmax(ordered - threshold, 0.0)
    n = (excess > 0).sum(axis=0)
    a0 = column_sums(excess) / np.maximum(n, 1)
    above = count - 1 - np.arange(len(ordered))[:, None]  # n - i for the exceedance of rank i
    a1 = column_sums(above * excess) / np.maximum(n * (n - 1), 1)
    spread = a0 - 2.0 * a1
    share = n / np.maximum(count, 1)
    fitted = (n >= min_exceedances) & (spread > 1e-12 * a0) & (share > 1.0 - level)
    spread = np.where(fitted, spread, 1.0)
    xi = 2.0 - a0 / spread
    sigma = 2.0 * a0 * a1 / spread
    steps = np.log(np.where(fitted, share, 1.0) / (1.0 - level))
    small = np.abs(xi * steps) < 1e-8
    growth = np.where(small, steps, np.expm1(xi * steps) / np.where(small, 1.0, xi))
    return np.where(fitted, threshold + sigma * growth, empirical)


def long_history_quantiles(
    ordered: FloatArray, levels: ArrayLike, tail_share: float, min_exceedances: int
) -> FloatArray:
    """Quantiles of factors: generalized Pareto in the outer tails, empirical between.

    Parameters
    ----------
    ordered : ndarray, shape (L, J)
        Long history up to the month, every column ascending, NaN last.
    levels : array_like, shape (Q,)
        Those below `tail_share` or above ``1 - tail_share`` are read from the tail fits.
    tail_share, min_exceedances
        See `pareto_upper_quantile`.

    Returns
    -------
    ndarray, shape (Q, J)
    """
    tail = (tail_share, min_exceedances)
    levels = np.asarray(levels, dtype=float)
    quantiles = _quantiles_of_sorted(ordered, levels)
    mirrored = _mirrored(ordered)
    for k, level in enumerate(levels):
        if level > 1.0 - tail_share:
            quantiles[k] = pareto_upper_quantile(ordered, level, *tail)
        elif level < tail_share:
            quantiles[k] = -pareto_upper_quantile(mirrored, 1.0 - level, *tail)
    return quantiles


def _quantiles_of_sorted(ordered: FloatArray, levels: ArrayLike) -> FloatArray:
    count = np.isfinite(ordered).sum(axis=0)
    position = np.asarray(levels, dtype=float)[:, None] * np.maximum(count - 1, 0)
    lower = np.floor(position).astype(int)
    upper = np.ceil(position).astype(int)
    low = np.take_along_axis(ordered, lower, axis=0)
    high = np.take_along_axis(ordered, upper, axis=0)
    return low + (position - lower) * (high - low)


def _mirrored(ordered: FloatArray) -> FloatArray:
    """The columns with their signs turned, again ascending, NaN last."""
    count = np.isfinite(ordered).sum(axis=0)
    place = count - 1 - np.arange(len(ordered))[:, None]
    turned = -np.take_along_axis(ordered, np.maximum(place, 0), axis=0)
    return np.where(place >= 0, turned, np.nan)
