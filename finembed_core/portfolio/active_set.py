"""The primal-dual active set method for minimum variance portfolios.

Guess which funds are held freely (F) and which at their caps (U); the others are at 0. On the guess
the optimality conditions are linear ::

    Sigma_FF w_F = level 1 + multiplier tilt_F - Sigma_FU cap_U,    sum w = 1,    tilt'w = 0

the last where the floor binds. A fund of F whose weight leaves its bounds goes to that bound, one
at a bound whose cost ``Sigma w - multiplier tilt`` is on the wrong side of the level goes to F, and
so on until nothing moves: this is the solution, exact up to rounding. It is Newton's method on the
complementarity conditions (Hintermueller, Ito and Kunisch 2002, SIAM Journal on Optimization 13,
865-888), which may cycle, but ten steps are usual. With ``Sigma = A'A + diag(d)`` of rank K a step
costs |F| K^2.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from finembed_core.calendar import IntArray
from finembed_core.panel import FloatArray
from finembed_core.portfolio.costs import BoolArray
from finembed_core.portfolio.covariance import RiskModel

STEPS = 50  # before it is taken to cycle
SINGULAR = 1e-14  # specific variance that counts as none, in units of nearly the variance sought


def active_set(
    model: RiskModel, caps: FloatArray, tilt: FloatArray | None, first: IntArray
) -> tuple[FloatArray | None, float, int, str]:
    """Solve for least variance over ``sum w = 1, 0 <= w <= caps, tilt'w >= 0``.

    Parameters
    ----------
    model : RiskModel
        Of N funds, in units of nearly the variance sought.
    caps : ndarray, shape (N,)
    tilt : ndarray, shape (N,), or None
    first : ndarray of int
        Funds of the first guess.

    Returns
    -------
    weights : ndarray, shape (N,), or None
        None where the conditions on a guess have no solution. They may be slightly infeasible.
    multiplier : float
        Of the floor, in ``w'Sigma w``.
    steps : int
    status : str
        ``solved`` where nothing moved any more, else ``cycled`` or ``singular``.
    """
    caps = np.where(caps < 1.0, caps, np.inf)  # a whole portfolio is no bound
    usable = caps > 0.0
    free, full, binds = np.zeros_like(usable), np.zeros_like(usable), False
    free[first] = usable[first]
    weights, multiplier = None, 0.0
    for step in range(1, STEPS + 1):
        found = _on_the_guess(model, caps, tilt if binds else None, free, full)
        if found is None:
            return None, 0.0, step, "singular"
        weights, level, multiplier = found
        cost, short = model.times(weights), 0.0
        if tilt is not None:
            cost -= multiplier * tilt
            short = -multiplier if binds else -float(tilt @ weights)
        within = (weights > 0.0) & (weights < caps)
        enters = usable & np.where(full, cost > level, cost < level)
        now_free = np.where(free, within, enters)
        now_full = np.where(free, weights >= caps, full & ~enters)
        if short <= 0.0 and (now_free == free).all() and (now_full == full).all():
            return weights, 2.0 * multiplier, step, "solved"
        free, full, binds = now_free, now_full, binds ^ (short > 0.0)
    return weights, 2.0 * max(multiplier, 0.0), STEPS, "cycled"


def _on_the_guess(
    model: RiskModel,
    caps: FloatArray,
    tilt: FloatArray | None,
    free: BoolArray,
    full: BoolArray,
) -> tuple[FloatArray, float, float] | None:
    """Weights, level and multiplier; None where the conditions have no solution."""
    if not free.any():
        return None
    weights = np.where(full, caps, 0.0)
    loadings, specific = model.loadings[:, free], model.specific[free]
    ones = np.ones_like(caps)
    limits = ones[None] if tilt is None else np.vstack([ones, tilt])  # (1 or 2, N)
    missing = np.append(1.0, np.zeros(len(limits) - 1)) - limits @ weights
    own, pull = limits[:, free], loadings.T @ (model.loadings @ weights)  # of what is at its cap
    try:
        solved = _inverse_times(loadings, specific, np.vstack([own, pull]))
        prices = np.linalg.solve(own @ solved[:-1].T, missing + own @ solved[-1])
    except np.linalg.LinAlgError:
        return None
    weights[free] = prices @ solved[:-1] - solved[-1]
    if not np.isfinite(weights).all():
        return None
    return weights, float(prices[0]), 0.0 if tilt is None else float(prices[1])


def _inverse_times(loadings: FloatArray, specific: FloatArray, rows: FloatArray) -> FloatArray:
    """Each row r to ``Sigma^-1 r``, by Woodbury's formula where the rank is low."""
    if len(loadings) >= len(specific):
        sigma = loadings.T @ loadings + np.diag(specific)
        return linalg.cho_solve(linalg.cho_factor(sigma), rows.T).T
    if specific.min() <= SINGULAR:
        raise np.linalg.LinAlgError
    over = loadings / specific
    inner = linalg.cho_factor(np.eye(len(loadings)) + over @ loadings.T)  # (K, K)
    return rows / specific - linalg.cho_solve(inner, over @ rows.T).T @ over
