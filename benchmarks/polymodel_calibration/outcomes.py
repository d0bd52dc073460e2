"""What settings make of a month."""

from dataclasses import dataclass

import numpy as np

from finembed_core.calendar import Month
from finembed_core.polymodel.history import LongHistory
from finembed_core.polymodel.pairs import fit_pairs, fitted_curves, stress_pairs
from finembed_core.polymodel.selection import select_factors
from finembed_core.polymodel.significance import p_values


@dataclass(frozen=True)
class Sample:
    """One month: T x N returns, T x J standardized factors, and what is known of the funds."""

    month: Month
    returns: np.ndarray
    factors: np.ndarray
    history: LongHistory
    own: np.ndarray  # (J, N): pairs to look at whether selected or not; the planted ones
    related: np.ndarray  # (J, N): those and the pairs with factors correlated with them
    kind: np.ndarray
    var: np.ndarray  # what StressVaR should be
    mean: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """What settings make of a month; NaN where nothing was selected."""

    svar: np.ndarray  # the feature: the worst selected factor
    clamped: np.ndarray
    best: np.ndarray  # of the selected factor with the best score
    middle: np.ndarray  # median over the selected factors
    own: np.ndarray  # of the sample's own pair, selected or not
    lta: np.ndarray
    extrapolated: np.ndarray
    chosen: np.ndarray  # (J, N)
    expected_false: np.ndarray


def outcomes(sample, grid):
    """One outcome for each of the settings."""
    fits, tests = {}, {}
    for settings in grid:
        shape = settings.degree
        if shape not in fits:
            fits[shape] = fit_pairs(sample.returns, sample.factors, settings)
        test = (settings.degree, settings.ridge)
        if test not in tests:
            tests[test] = p_values(fits[shape], sample.month, settings)
        yield outcome(sample, fits[shape], tests[test], settings)


def outcome(sample, fits, p, settings):
    selection = select_factors(p, settings)
    chosen = selection.chosen
    wanted = chosen | (sample.own & np.isfinite(p))
    curves = fitted_curves(fits, wanted, settings)
    stress = stress_pairs(curves, sample.returns, sample.factors, sample.history, settings)

    def dense(values, mask=chosen):
        matrix = np.full(p.shape, np.nan)
        matrix[curves.factor, curves.fund] = values
        return np.where(mask, matrix, np.nan)

    svar = dense(stress.svar)
    some = chosen.any(axis=0)
    everyone = np.arange(p.shape[1])
    first = np.where(chosen, p, np.inf).argmin(axis=0)
    worst = np.where(chosen, svar, -1.0).argmax(axis=0)
    return Outcome(
        svar=np.minimum(np.fmax.reduce(svar), 1.0),
        clamped=np.minimum(np.fmax.reduce(dense(stress.svar_clamped)), 1.0),
        best=np.minimum(svar[first, everyone], 1.0),
        middle=medians(svar, some),
        own=np.fmax.reduce(dense(stress.svar, sample.own)),
        lta=medians(dense(stress.lta), some),
        extrapolated=np.where(some, dense(stress.extrapolated)[worst, everyone], np.nan),
        chosen=chosen,
        expected_false=selection.expected_false,
    )


def medians(values, some):
    found = np.full(values.shape[1], np.nan)
    found[some] = np.nanmedian(values[:, some], axis=0)
    return found
