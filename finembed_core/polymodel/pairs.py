"""All pairs of fund and factor: fitted and tested, the selected ones stressed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finembed_core.calendar import Month
from finembed_core.panel import FloatArray
from finembed_core.polymodel.basis import hermite_basis, is_flat
from finembed_core.polymodel.fit import Ridge, missing_pattern_groups
from finembed_core.polymodel.longterm import LEVELS, expected_basis
from finembed_core.polymodel.significance import exact_p_values, shuffled_rows
from finembed_core.polymodel.stress import (
    long_history_quantiles,
    observed_range,
    stress_var,
    worst_loss,
)
from finembed_core.settings import PolyModelSettings


@dataclass(frozen=True)
class PairStatistics:
    """Fits of all (factor, fund) pairs; NaN where a pair shares too few months.

    Attributes
    ----------
    coefficients : ndarray, shape (J, N, p)
        On the scaled Hermite basis of the standardized factor.
    r2, p_value : ndarray, shape (J, N)
        Of the fit with an unpenalized intercept, whatever the intercept in use.
    residual_sd : ndarray, shape (J, N)
        Unexplained standard deviation ``s = sqrt(RSS / (n - p))`` of the fit in use.
    """

    coefficients: FloatArray
    r2: FloatArray
    p_value: FloatArray
    residual_sd: FloatArray


@dataclass(frozen=True)
class PairStress:
    """What M pairs promise and threaten; arrays of shape (M,), in monthly returns.

    Attributes
    ----------
    y_max, y_max_clamped : ndarray
        Worst predicted loss over the factor's long-history range, and over the part of it that
        the fund's own window has seen.
    svar, svar_clamped : ndarray
        StressVaR of each, not capped.
    extrapolated : ndarray of bool
        The long-history range reaches beyond the window's.
    lta : ndarray
        Long-term alpha per month.
    """

    y_max: FloatArray
    y_max_clamped: FloatArray
    svar: FloatArray
    svar_clamped: FloatArray
    extrapolated: NDArray[np.bool_]
    lta: FloatArray


def fit_pairs(
    returns: FloatArray, factors: FloatArray, month: Month, settings: PolyModelSettings
) -> PairStatistics:
    """Fit and test every fund on every factor, grouped by the months they share.

    Parameters
    ----------
    returns : ndarray, shape (T, N)
        Fund returns in the window, NaN is missing.
    factors : ndarray, shape (T, J)
        Standardized factors in the same months.
    month : Month
        Its shuffles are used.
    settings : PolyModelSettings
    """
    p = settings.degree + 1
    shape = (factors.shape[1], returns.shape[1])
    coefficients = np.full((*shape, p), np.nan)
    r2, p_value, residual_sd = np.full((3, *shape), np.nan)
    for group in missing_pattern_groups(returns, factors, settings.min_obs):
        n = len(group.rows)
        y = returns[np.ix_(group.rows, group.funds)]
        moving = ~is_flat(y)
        y, cells = y[:, moving], np.ix_(group.factors, group.funds[moving])
        basis = hermite_basis(factors[np.ix_(group.rows, group.factors)].T, settings.degree)
        centered = Ridge.on(basis, settings.ridge)
        used = centered
        if settings.penalize_intercept:
            used = Ridge.on(basis, settings.ridge, penalize_intercept=True)
        shuffles = shuffled_rows(n, settings.shuffles, settings.seed, month)
        total = np.square(y - y.mean(axis=0)).sum(axis=0)
        coefficients[cells] = used.coefficients(y)
        residual_sd[cells] = np.sqrt(used.residual_sum_of_squares(y) / (n - p))
        r2[cells] = 1.0 - centered.residual_sum_of_squares(y) / total
        p_value[cells] = exact_p_values(centered.factor, y, shuffles)
    return PairStatistics(coefficients, r2, p_value, residual_sd)


def stress_pairs(
    statistics: PairStatistics,
    returns: FloatArray,
    history: FloatArray,
    factor: NDArray[np.int64],
    fund: NDArray[np.int64],
    settings: PolyModelSettings,
) -> PairStress:
    """StressVaR and long-term alpha of chosen pairs.

    Parameters
    ----------
    statistics : PairStatistics
    returns : ndarray, shape (T, N)
    history : ndarray, shape (L, J)
        Standardized long histories; the last T rows are the window.
    factor, fund : ndarray of int, shape (M,)
        Columns of the chosen pairs.
    settings : PolyModelSettings
    """
    tail = (settings.tail_share, settings.min_tail_exceedances)
    outer = [1.0 - settings.stress_probability, settings.stress_probability]
    nodes = long_history_quantiles(history, LEVELS, *tail)
    low, high = long_history_quantiles(history, outer, *tail)[:, factor]
    seen_low, seen_high = observed_range(history[-len(returns) :], returns, factor, fund)
    coefficients = statistics.coefficients[factor, fund]
    residual_sd = statistics.residual_sd[factor, fund]
    y_max = worst_loss(coefficients, low, high)
    y_max_clamped = worst_loss(
        coefficients, np.clip(low, seen_low, seen_high), np.clip(high, seen_low, seen_high)
    )
    expectation = expected_basis(nodes, settings.degree)
    return PairStress(
        y_max,
        y_max_clamped,
        stress_var(y_max, residual_sd, settings.stress_probability),
        stress_var(y_max_clamped, residual_sd, settings.stress_probability),
        (low < seen_low) | (high > seen_high),
        np.einsum("mp,mp->m", coefficients, expectation[factor]),
    )
