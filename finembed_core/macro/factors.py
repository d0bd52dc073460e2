"""Macro factors of one information set: principal components of a panel without gaps.

The standardized panel X (T x N), its missing cells filled (`finembed_core.macro.missing`), is
approximated by F L' with r factors. Their number is fixed, the smallest with a given explained
share, or minimizes

    IC_p2(k) = ln V(k) + k (N + T)/(N T) ln min(N, T)

with V(k) the mean squared residual (Bai and Ng 2002, Econometrica 70(1), equation 9).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from statsmodels.multivariate.pca import PCA

from finembed_core.macro.alignment import Loadings, align, factor_order
from finembed_core.macro.missing import fill
from finembed_core.macro.sample import Sample, draw_sample
from finembed_core.panel import FloatArray, Panel
from finembed_core.settings import MacroSettings

MIN_SERIES = 2
ROUNDING = 1e-12  # explained share below which a component is nothing but rounding


@dataclass(frozen=True)
class MacroFactors:
    """Factors as known in one month.

    Attributes
    ----------
    factors : Panel
        Months x factors, in units of the factor's root mean square over these months; a month
        in which no series is observed is absent.
    loadings : Loadings
        Regression coefficients of the standardized series on the factors.
    explained : ndarray of float64
        Share of the variance of the filled panel, one per factor.
    excluded : dict of str to str
        Series left out, and why.
    reason : str
        Why there are no factors; empty where there are.
    notes : dict
        ``em_gap`` (how far the last step moved the filled cells, relative), ``missing_share``,
        ``outliers``, ``min_congruence`` with the month before.
    """

    factors: Panel
    loadings: Loadings
    explained: FloatArray
    excluded: dict[str, str]
    reason: str = ""
    notes: dict[str, float | int] = field(default_factory=dict)


def macro_factors(
    known: Panel, steps: NDArray[np.int64], settings: MacroSettings, previous: Loadings | None
) -> MacroFactors:
    """Factors of the panel's last month.

    Parameters
    ----------
    known : Panel
        Stationary series as known in that month (`histories.macro_series`), consecutive months.
    steps : ndarray of int, shape (N,)
        Months between two observations of each series.
    settings : MacroSettings
    previous : Loadings or None
        Of the month before: gives names and signs.
    """
    if not known.values.size:
        return _nothing(Sample(known, {}, 0), "no_series")
    sample = draw_sample(known, steps, settings)
    panel = sample.panel
    if len(panel.ids) < MIN_SERIES:
        return _nothing(sample, "too_few_series")
    if len(panel.dates) < settings.min_months:
        return _nothing(sample, "too_little_history")
    most = settings.n_components if settings.rule == "fixed" else settings.max_components
    fit = _fit(panel, min(most, len(panel.ids) - 1))
    count = _count(fit, settings)
    if count < len(fit.explained):
        fit = _fit(panel, count)
    return _named(sample, fit, previous)


@dataclass(frozen=True)
class _Fit:
    panel: Panel  # what was fitted, missing cells NaN
    factors: FloatArray  # (T, r), mean square 1
    loadings: FloatArray  # (N, r)
    explained: FloatArray  # (r,)
    criterion: FloatArray  # IC_p2 of 0 ... r factors
    em_gap: float


def _fit(panel: Panel, count: int) -> _Fit:
    filling = fill(panel.values, count)
    # Standardized already, on observed cells alone; statsmodels would do it again on filled ones.
    pca: Any = PCA(filling.values, ncomp=count, standardize=False, demean=False, method="eig")
    scale = np.sqrt(len(panel.dates))
    explained = pca.eigenvals / np.square(filling.values).sum()
    rank = int((explained > ROUNDING).sum())
    return _Fit(
        panel,
        pca.factors[:, :rank] * scale,
        pca.coeff.T[:, :rank] / scale,
        explained[:rank],
        pca.ic[: rank + 1, 1],
        filling.gap,
    )


def _count(fit: _Fit, settings: MacroSettings) -> int:
    most = len(fit.explained)
    if settings.rule == "fixed":
        return most
    if settings.rule == "explained":
        enough = np.flatnonzero(np.cumsum(fit.explained) >= settings.explained_share)
        return int(enough[0]) + 1 if len(enough) else most
    return max(int(np.argmin(fit.criterion)), 1)


def _named(sample: Sample, fit: _Fit, previous: Loadings | None) -> MacroFactors:
    ids = fit.panel.ids
    alignment = align(ids, fit.loadings, previous)
    order = factor_order(alignment.names)
    signs, names = alignment.signs[order], tuple(alignment.names[k] for k in order)
    notes: dict[str, float | int] = {
        "outliers": sample.outliers,
        "missing_share": float(np.isnan(fit.panel.values).mean()),
        "em_gap": fit.em_gap,
    }
    if not np.isnan(alignment.congruence).all():
        notes["min_congruence"] = float(np.nanmin(alignment.congruence))
    return MacroFactors(
        Panel(fit.panel.dates, names, fit.factors[:, order] * signs),
        Loadings(names, ids, fit.loadings[:, order] * signs),
        fit.explained[order],
        sample.excluded,
        notes=notes,
    )


def _nothing(sample: Sample, reason: str) -> MacroFactors:
    empty = Panel(sample.panel.dates[:0], (), np.zeros((0, 0)))
    return MacroFactors(
        empty, Loadings((), (), np.zeros((0, 0))), np.zeros(0), sample.excluded, reason
    )
