"""What best weights are the best of, and cvxpy's answer."""

import cvxpy as cp
import numpy as np

from finembed_core.portfolio.best_weights import RIDGE


def moments(returns):
    """A year's mean (N,) and covariance (N, N), some of it taken off the correlations."""
    sample = 252 * np.cov(returns.T)
    return 252 * returns.mean(axis=0), (1 - RIDGE) * sample + RIDGE * np.diag(np.diag(sample))


def utility(returns, weights, risk_aversion):
    """Mean less risk aversion times half the variance."""
    mean, sigma = moments(returns)
    return mean @ weights - risk_aversion / 2 * weights @ sigma @ weights


def clarabel(returns, risk_aversion, tolerance=1e-8):
    """Long-only weights of greatest utility; the tolerance is Clarabel's own unless given."""
    mean, sigma = moments(returns)
    weights = cp.Variable(returns.shape[1])
    value = mean @ weights - risk_aversion / 2 * cp.quad_form(weights, cp.psd_wrap(sigma))
    problem = cp.Problem(cp.Maximize(value), [cp.sum(weights) == 1, weights >= 0])
    names = ("tol_gap_abs", "tol_gap_rel", "tol_feas")
    problem.solve(solver=cp.CLARABEL, **dict.fromkeys(names, tolerance))
    return weights.value
