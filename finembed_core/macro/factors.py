"""Macro factors of one information set: principal components with missing values filled by EM.

The standardized panel X (T x N) is approximated by F L' with r factors. Missing cells are filled
with F L' and the components computed again until the filling no longer moves (Stock and Watson
2002, Journal of Business & Economic Statistics 20(2), appendix A; statsmodels' PCA). The number
of factors is fixed, the smallest with a given explained share, or minimizes

    IC_p2(k) = ln V(k) + k (N + T)/(N T) ln min(N, T)

with V(k) the mean squared residual (Bai and Ng 2002, Econometrica 70(1), equation 9).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from statsmodels.multivariate.pca import PCA
from statsmodels.tools.sm_exceptions import EstimationWarning

from finembed_core.macro.alignment import Loadings, align, factor_order
from finembed_core.macro.sample import Sample, draw_sample, estimable
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
        with too few observed series is absent.
    loadings : Loadings
        Regression coefficients of the standardized series on the factors.
    explained : ndarray of float64
        Share of the variance of the filled panel, one per factor.
    excluded : dict of str to str
        Series left out, and why.
    reason : str
        Why there are no factors; empty where there are.
    notes : dict
        ``em_gap`` (how far the last EM step would still have moved the filled cells, relative),
        ``missing_share``, ``outliers``, ``min_congruence`` with the month before.
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
    most = settings.n_components if settings.rule == "fixed" else settings.max_components
    panel = estimable(sample.panel, most)
    if len(panel.ids) < MIN_SERIES:
        return _nothing(sample, "too_few_series")
    if len(panel.dates) < settings.min_months:
        return _nothing(sample, "too_little_history")
    fit = _fit(panel, min(most, len(panel.ids) - 1))
    count = _count(fit, settings)
    if count < len(fit.explained):
        fit = _fit(estimable(sample.panel, count), count)
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
    # Standardized already, on observed cells alone; statsmodels would do it again on filled ones.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EstimationWarning)  # fewer than asked for: cut below
        pca: Any = PCA(
            panel.values,
            ncomp=count,
            standardize=False,
            demean=False,
            method="eig",
            missing="fill-em",
        )
    scale = np.sqrt(len(panel.dates))
    missing = np.isnan(panel.values)
    filled, fitted = pca.transformed_data[missing], pca.projection[missing]
    length = float(np.linalg.norm(filled))
    explained = pca.eigenvals / np.square(pca.transformed_data).sum()
    rank = int((explained > ROUNDING).sum())
    return _Fit(
        panel,
        pca.factors[:, :rank] * scale,
        pca.coeff.T[:, :rank] / scale,
        explained[:rank],
        pca.ic[: rank + 1, 1],
        float(np.linalg.norm(fitted - filled)) / length if length > 0 else 0.0,
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
    sparse = set(sample.panel.ids) - set(ids)
    return MacroFactors(
        Panel(fit.panel.dates, names, fit.factors[:, order] * signs),
        Loadings(names, ids, fit.loadings[:, order] * signs),
        fit.explained[order],
        sample.excluded | dict.fromkeys(sorted(sparse), "low_coverage"),
        notes=notes,
    )


def _nothing(sample: Sample, reason: str) -> MacroFactors:
    empty = Panel(sample.panel.dates[:0], (), np.zeros((0, 0)))
    return MacroFactors(
        empty, Loadings((), (), np.zeros((0, 0))), np.zeros(0), sample.excluded, reason
    )
