"""The minimum variance portfolio of forecast returns.

A point forecast is a conditional mean and varies far less than what it forecasts: a covariance of
forecasts alone takes nearly all risk for gone. By the law of total covariance the rest is that of
what the forecast misses::

    Cov(r) = Cov(E[r | x]) + E[Cov(r | x)]
    Sigma  = LW(forecast steps) + LW(training residuals)

LW is Ledoit and Wolf's (2004) shrunk covariance. Both are in factor form, and so is their sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finembed_core.errors import InputError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.covariance import RiskModel, ledoit_wolf
from finembed_core.portfolio.minimum_variance import minimum_variance

MIN_OBSERVED = 2  # returns of a fund that make a variance


@dataclass(frozen=True)
class PredictionEffect:
    """What a prediction changed against the covariance of the residuals alone.

    Attributes
    ----------
    trace_share : float
        Share of the forecasts in the summed variances of all funds, 0 to 1.
    moved : float
        Half the summed absolute differences of the weights, 0 to 1: the part of the portfolio that
        is elsewhere.
    """

    trace_share: float
    moved: float


def gmv_weights(
    forecasts: FloatArray, residuals: FloatArray, *, cap: float = 1.0
) -> tuple[FloatArray, PredictionEffect]:
    """Long-only weights of least variance under a forecast.

    Parameters
    ----------
    forecasts : ndarray, shape (N, S)
        Return of each fund in each step ahead, decimal.
    residuals : ndarray, shape (R, N)
        Returns less their forecasts on training rows, of steps of the same length, in the order of
        time or in any other; NaN where there was none.
    cap : float
        Largest weight.

    Returns
    -------
    weights : ndarray, shape (N,)
        Not negative, summing to 1, certified (`minimum_variance`).
    PredictionEffect

    Raises
    ------
    InputError
        A forecast is missing, a fund has too few residuals, or shapes do not fit.
    SolverError
        No solver found weights that could be certified.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> residuals = rng.normal(0.0, [0.01, 0.02], (4000, 2))
    >>> weights, effect = gmv_weights(np.zeros((2, 64)), residuals)
    >>> weights.round(1), effect  # in proportion to 1 / variance; nothing was forecast
    (array([0.8, 0.2]), PredictionEffect(trace_share=0.0, moved=0.0))
    """
    missed = ledoit_wolf(without_gaps(residuals))
    foreseen = _forecast_covariance(forecasts, residuals.shape[1])
    whole = foreseen.diagonal.sum() + missed.diagonal.sum()
    plain = minimum_variance(missed, cap=cap).weights
    if not foreseen.diagonal.any():
        return plain, PredictionEffect(0.0, 0.0)
    weights = minimum_variance(total(foreseen, missed), cap=cap).weights
    share = float(foreseen.diagonal.sum() / whole)
    return weights, PredictionEffect(share, 0.5 * float(np.abs(weights - plain).sum()))


def total(first: RiskModel, second: RiskModel) -> RiskModel:
    """Sum of two covariances of the same funds."""
    loadings = np.vstack([first.loadings, second.loadings])
    return RiskModel(loadings, first.specific + second.specific)


def without_gaps(returns: FloatArray) -> FloatArray:
    """Centered returns whose covariance is that of the returns observed.

    A missing one counts as the fund's mean; the others are scaled by ``sqrt(T / observed)``, which
    gives the fund its own variance back and leaves the covariance positive semidefinite.

    Parameters
    ----------
    returns : ndarray, shape (T, N)
        NaN where missing.

    Raises
    ------
    InputError
        A fund has fewer than two returns.
    """
    seen = np.isfinite(returns)
    observed = seen.sum(axis=0)
    short = np.flatnonzero(observed < MIN_OBSERVED)
    if len(short):
        raise InputError(
            f"{len(short)} of {returns.shape[1]} funds have fewer than {MIN_OBSERVED} returns, "
            f"the first in column {short[0]}",
            where="covariance",
            remedy="leave these funds out",
        )
    values = np.where(seen, returns, 0.0)
    centered = np.where(seen, values - values.sum(axis=0) / observed, 0.0)
    return centered * np.sqrt(len(returns) / observed)


def _forecast_covariance(forecasts: FloatArray, funds: int) -> RiskModel:
    if forecasts.ndim != 2 or len(forecasts) != funds:
        raise InputError(
            f"forecasts of shape {forecasts.shape} beside residuals of {funds} funds",
            where="forecast covariance",
            remedy="give one row of steps per fund, in the order of the residuals' columns",
        )
    broken = np.flatnonzero(~np.isfinite(forecasts).all(axis=1))
    if len(broken):
        raise InputError(
            f"{len(broken)} of {funds} funds have no forecast, the first in row {broken[0]}",
            where="forecast covariance",
            remedy="leave these funds out",
        )
    if forecasts.shape[1] < MIN_OBSERVED:  # a single step does not vary
        return RiskModel(np.zeros((1, funds)), np.zeros(funds))
    return ledoit_wolf(forecasts.T.astype(np.float64))
