"""All pairs of fund and factor of a block: fitted, and the curves of those that are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finembed_core.panel import FloatArray
from finembed_core.polymodel.basis import hermite_basis, is_flat
from finembed_core.polymodel.columns import column_sums
from finembed_core.polymodel.fit import Index, Ridge, missing_pattern_groups
from finembed_core.polymodel.history import LongHistory
from finembed_core.polymodel.longterm import expected_basis
from finembed_core.polymodel.stress import observed_range, stress_var, worst_loss
from finembed_core.settings import PolyModelSettings


@dataclass(frozen=True)
class GroupFit:
    """Fits of a group of J factors on N funds that share their n months.

    Attributes
    ----------
    factors, funds : ndarray of int
        Columns in the whole.
    unit : ndarray, shape (n, N)
        Centered returns of length 1.
    total : ndarray, shape (N,)
        Their squared length before.
    tested : Ridge
        With a free intercept: what R2 and its p-value refer to.
    curve : Ridge
        The fit in use; another one where the intercept is penalized.
    projections : ndarray, shape (J, q, N)
        Returns on the axes of `curve`.
    level, energy : ndarray, shape (N,)
        What `curve` takes off the returns, and the sum of squares that is left.
    """

    factors: Index
    funds: Index
    unit: FloatArray
    total: FloatArray
    tested: Ridge
    curve: Ridge
    projections: FloatArray
    level: FloatArray
    energy: FloatArray

    @classmethod
    def of(
        cls, factors: Index, funds: Index, x: FloatArray, y: FloatArray, settings: PolyModelSettings
    ) -> GroupFit:
        """Fit returns y (n, N) on standardized factors x (n, J)."""
        basis = hermite_basis(x.T, settings.degree)
        tested = Ridge.on(basis)
        curve = Ridge.on(basis, penalize_intercept=True) if settings.penalize_intercept else tested
        centered = y - column_sums(y) / len(y)
        total = column_sums(np.square(centered))
        level = curve.level(y)
        energy = column_sums(np.square(y - level))
        unit = centered / np.sqrt(total)
        return cls(factors, funds, unit, total, tested, curve, curve.project(y), level, energy)

    @property
    def cells(self) -> tuple[Any, ...]:
        """Index of the group's cells in an array of all factors x funds."""
        return np.ix_(self.factors, self.funds)

    def r2(self, ridge: float) -> FloatArray:
        """Explained share of the sum of squares, shape (J, N)."""
        if self.curve is self.tested:
            return self.tested.explained(self.projections, ridge) / self.total
        return self.tested.explained(self.tested.project(self.unit), ridge)


@dataclass(frozen=True)
class PairFits:
    """Fits of all (factor, fund) pairs of a block.

    Attributes
    ----------
    groups : list of GroupFit
        Every pair that shares enough months is in one of them.
    r2 : ndarray, shape (J, N)
        NaN where a pair shares too few months. Of the fit with a free intercept, whatever the
        intercept in use.
    """

    groups: list[GroupFit]
    r2: FloatArray


@dataclass(frozen=True)
class PairCurves:
    """Fitted curves of M pairs.

    Attributes
    ----------
    factor, fund : ndarray of int, shape (M,)
        Columns of each pair.
    coefficients : ndarray, shape (M, p)
        On the scaled Hermite basis of the standardized factor.
    residual_sd : ndarray, shape (M,)
        Unexplained standard deviation ``s = sqrt(RSS / (n - p))``.
    """

    factor: Index
    fund: Index
    coefficients: FloatArray
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


def fit_pairs(returns: FloatArray, factors: FloatArray, settings: PolyModelSettings) -> PairFits:
    """Fit every fund on every factor, grouped by the months they share.

    Parameters
    ----------
    returns : ndarray, shape (T, N)
        Fund returns in the window, NaN is missing.
    factors : ndarray, shape (T, J)
        Standardized factors in the same months.
    settings : PolyModelSettings
    """
    groups: list[GroupFit] = []
    r2 = np.full((factors.shape[1], returns.shape[1]), np.nan)
    for group in missing_pattern_groups(returns, factors, settings.min_obs):
        y = returns[np.ix_(group.rows, group.funds)]
        moving = ~is_flat(y)
        if moving.any():
            x = factors[np.ix_(group.rows, group.factors)]
            fit = GroupFit.of(group.factors, group.funds[moving], x, y[:, moving], settings)
            r2[fit.cells] = fit.r2(settings.ridge)
            groups.append(fit)
    return PairFits(groups, r2)


def fitted_curves(
    fits: PairFits, chosen: NDArray[np.bool_], settings: PolyModelSettings
) -> PairCurves:
    """Curves of the chosen pairs, a mask of shape (J, N); by factor, then fund."""
    parts: list[PairCurves] = []
    for group in fits.groups:
        j, i = np.nonzero(chosen[group.cells])
        ridge, projections = group.curve.pairs(j), group.projections[j, :, i]
        energy = group.energy[i]
        penalty = settings.ridge
        if settings.cross_validated:
            penalty = ridge.cross_validated(projections, energy)
        rss = ridge.unexplained(projections, energy, penalty)
        parts.append(
            PairCurves(
                group.factors[j],
                group.funds[i],
                ridge.coefficients(projections, group.level[i], penalty),
                np.sqrt(rss / (ridge.months - settings.degree - 1)),
            )
        )
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return PairCurves(none, none, np.zeros((0, settings.degree + 1)), np.zeros(0))
    factor = np.concatenate([part.factor for part in parts])
    fund = np.concatenate([part.fund for part in parts])
    order = np.lexsort((fund, factor))
    coefficients = np.concatenate([part.coefficients for part in parts])
    residual_sd = np.concatenate([part.residual_sd for part in parts])
    return PairCurves(factor[order], fund[order], coefficients[order], residual_sd[order])


def stress_pairs(
    curves: PairCurves,
    returns: FloatArray,
    factors: FloatArray,
    history: LongHistory,
    settings: PolyModelSettings,
) -> PairStress:
    """StressVaR and long-term alpha of pairs.

    Parameters
    ----------
    curves : PairCurves
    returns, factors : ndarray, shape (T, N) and (T, J)
        The window, factors standardized.
    history : LongHistory
        Of the J factors.
    settings : PolyModelSettings
    """
    low, high = history.stress_range()[:, curves.factor]
    seen_low, seen_high = observed_range(factors, returns, curves.factor, curves.fund)
    y_max = worst_loss(curves.coefficients, low, high)
    y_max_clamped = worst_loss(
        curves.coefficients, np.clip(low, seen_low, seen_high), np.clip(high, seen_low, seen_high)
    )
    expectation = expected_basis(history.nodes(), settings.degree)[curves.factor]
    return PairStress(
        y_max,
        y_max_clamped,
        stress_var(y_max, curves.residual_sd, settings.stress_probability),
        stress_var(y_max_clamped, curves.residual_sd, settings.stress_probability),
        (low < seen_low) | (high > seen_high),
        (curves.coefficients * expectation).sum(axis=1),
    )
