"""The best weights of a window in hindsight: what a model of weights learns to foresee.

::

    maximize  mu'w - risk_aversion / 2 w'Sigma w   over   sum w = 1,  w >= 0

mu and Sigma are the annualized mean and covariance of the window's realized returns. A window has
fewer sessions than there are funds, so that many portfolios seem free of risk: Sigma is moved by
`RIDGE` toward its diagonal, after which one answer is the best.

**Method.** A primal active set method, that of Lawson and Hanson (1974, *Solving Least Squares
Problems*, chapter 23) with a sum. The funds held, F, solve
``risk_aversion Sigma_FF w_F = mu_F - level 1``, ``sum w_F = 1``; where that takes a weight below 0,
the way there ends as the first one reaches it, and that fund leaves. Then the fund enters whose
marginal utility ``g = mu - risk_aversion Sigma w`` is the highest above the level. Every step gains
utility, so that no set returns and the method ends.

**Certificate.** Utility is concave, so that no portfolio exceeds that of w by more than
``max g - g'w``, which is computed from the returned weights: whatever the method did, it holds.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from finembed_core.errors import InputError, SolverError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.covariance import RiskModel

SESSIONS_PER_YEAR = 252
RIDGE = 0.05
"""Share of the diagonal in Sigma: small, it is to decide between portfolios that the window cannot
tell apart, and not to shrink an estimate, for in hindsight there is nothing to estimate."""
STILL = 1e-6, 1e-16  # least variance, of the mean one and at all: there are funds without any
ACCEPTED = 1e-9  # largest certified lack of utility, in units of the highest marginal utility
ROUNDING = 1e-15  # weight below which a fund on its way out has left


def best_weights(returns: FloatArray, risk_aversion: float) -> FloatArray:
    """Long-only portfolio of the highest mean-variance utility over a window, known afterwards.

    Parameters
    ----------
    returns : ndarray, shape (S, N)
        Simple returns of N funds in S sessions, decimals. A fund with a missing one (NaN) has
        weight 0.
    risk_aversion : float
        Positive; utility is per year.

    Returns
    -------
    ndarray, shape (N,)
        Weights, none negative; their sum is 1.

    Raises
    ------
    InputError
        Fewer than two sessions, no fund without a missing return, an infinite one, or a risk
        aversion that is not positive.
    SolverError
        The weights found could not be certified to be within `ACCEPTED` of the best.

    Examples
    --------
    >>> returns = np.array([[0.01, 0.00, np.nan], [-0.01, 0.01, 0.02], [0.01, 0.00, 0.01]])
    >>> best_weights(returns, 200.0).round(3)
    array([0.33, 0.67, 0.  ])
    """
    whole = np.flatnonzero(~np.isnan(returns).any(axis=0))
    if not risk_aversion > 0.0:
        raise InputError(f"the risk aversion is {risk_aversion}, but must be positive")
    if len(returns) < 2 or not len(whole):
        raise InputError("the best weights take two sessions and a fund without missing returns")
    window = np.asarray(returns, dtype=float)[:, whole]
    if not np.isfinite(window).all():
        raise InputError("a return is infinite in the window whose best weights are sought")
    weights = np.zeros(returns.shape[1])
    weights[whole] = _maximized(
        SESSIONS_PER_YEAR * window.mean(axis=0), _risk(window, risk_aversion)
    )
    return weights


def _risk(window: FloatArray, risk_aversion: float) -> RiskModel:
    """``risk_aversion Sigma``."""
    centered = window - window.mean(axis=0)
    variance = np.square(centered).sum(axis=0) / (len(window) - 1)
    least = max(STILL[0] * variance.mean(), STILL[1])
    scale = SESSIONS_PER_YEAR * risk_aversion
    return RiskModel(
        centered * np.sqrt((1.0 - RIDGE) * scale / (len(window) - 1)),
        RIDGE * scale * np.maximum(variance, least),
    )


def _maximized(mean: FloatArray, risk: RiskModel) -> FloatArray:
    """Maximize ``mean'w - w'risk w / 2`` over the simplex."""
    weights = np.zeros(len(mean))
    held = np.array([np.argmax(mean - risk.diagonal / 2.0)])  # the best fund alone
    weights[held] = 1.0
    lack = np.inf
    for _ in range(10 * len(mean)):
        held = _settle(mean, risk, weights, held)
        utility = mean - risk.times(weights)
        entering = np.argmax(utility)
        lack = utility[entering] - utility @ weights
        if lack <= ACCEPTED * np.abs(utility).max():
            return weights
        if entering in held:
            break  # rounding: those held no longer agree on their level
        held = np.append(held, entering)
    raise SolverError(
        f"the best weights could not be certified: they may lack {lack:.3g} of utility a year",
        remedy="look for a return of an impossible size in the window",
    )


def _settle(mean: FloatArray, risk: RiskModel, weights: FloatArray, held: np.ndarray) -> np.ndarray:
    """Move the weights to the best ones of those held, who may leave on the way; who is left."""
    while True:
        wanted = _best_of(mean[held], risk.loadings[:, held], risk.specific[held])
        now = weights[held]
        falling = wanted <= 0.0
        if not falling.any():
            weights[held] = wanted
            return held
        way = np.min(now[falling] / (now[falling] - wanted[falling]))
        moved = now + way * (wanted - now)
        stays = ~falling | (moved > ROUNDING)
        weights[held] = np.where(stays, moved, 0.0)
        weights /= weights.sum()
        held = held[stays]


def _best_of(mean: FloatArray, loadings: FloatArray, specific: FloatArray) -> FloatArray:
    """Best weights of these funds, of either sign."""
    factor = linalg.cho_factor(loadings.T @ loadings + np.diag(specific))
    above = mean - mean.mean()  # a shift changes no weight, and small numbers lose fewer digits
    tilted, even = linalg.cho_solve(factor, np.column_stack([above, np.ones_like(mean)])).T
    return tilted + (1.0 - tilted.sum()) / even.sum() * even
