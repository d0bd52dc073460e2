"""Reward for risk over the window: Sharpe ratio and Morningstar's risk-adjusted return."""

from __future__ import annotations

from typing import Literal

import numpy as np

from finembed_core.panel import FloatArray
from finembed_core.polymodel.basis import is_flat

MONTHS_PER_YEAR = 12


def sharpe_ratio(returns: FloatArray, risk_free: FloatArray) -> FloatArray:
    """Monthly Sharpe ratio ``mean(r - rf) / sd(r - rf)`` of every fund, ddof = 1.

    Parameters
    ----------
    returns : ndarray, shape (T, N)
        Simple monthly returns, NaN is missing; two observations at least per fund.
    risk_free : ndarray, shape (T,)

    Returns
    -------
    ndarray, shape (N,)
        NaN where the excess return does not move. Times ``sqrt(12)`` it is annualized.
    """
    excess = returns - risk_free[:, None]
    flat = is_flat(excess)
    sd = np.where(flat, np.nan, np.nanstd(excess, axis=0, ddof=1))
    return np.nanmean(excess, axis=0) / sd


def morningstar_return(
    returns: FloatArray,
    risk_free: FloatArray,
    gamma: float = 2.0,
    exponent: Literal["annual", "paper"] = "annual",
) -> FloatArray:
    """Morningstar risk-adjusted return of every fund.

    ``MRAR = (mean (1 + rG)^-gamma)^(-c / gamma) - 1`` with ``rG = (1 + r)/(1 + rf) - 1`` and
    c = 12 (Morningstar, annualized) or c = n, the number of months (arXiv 2408.03320 as printed).

    Parameters
    ----------
    returns : ndarray, shape (T, N)
        Simple monthly returns, NaN is missing.
    risk_free : ndarray, shape (T,)
    gamma : float
        Risk aversion, above 0.
    exponent : {"annual", "paper"}

    Returns
    -------
    ndarray, shape (N,)
        -1 for a fund that lost everything.
    """
    growth = np.maximum((1.0 + returns) / (1.0 + risk_free[:, None]), 0.0)
    months = np.isfinite(growth).sum(axis=0) if exponent == "paper" else MONTHS_PER_YEAR
    with np.errstate(divide="ignore"):  # growth 0 is infinitely bad, and the power brings it back
        certain = np.nanmean(growth**-gamma, axis=0)
    return certain ** (-months / gamma) - 1.0
