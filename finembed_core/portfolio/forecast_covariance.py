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
from finembed_core.portfolio.covariance import Estimator, RiskModel, ledoit_wolf
from finembed_core.portfolio.minimum_variance import minimum_variance
from finembed_core.portfolio.orders import BoolArray

MIN_OBSERVED = 2  # returns of a fund that make a variance
NOTHING = 1e-12  # a return that is rounding


@dataclass(frozen=True)
class PredictionEffect:
    """What a prediction changed against the covariance of the residuals alone.

    Attributes
    ----------
    forecast_share : float
        Share of the forecasts in the summed variances of all funds, 0 to 1.
    moved : float
        Half the summed absolute differences of the weights, 0 to 1: the part of the portfolio that
        is elsewhere.
    """

    forecast_share: float
    moved: float


def gmv_weights(
    forecasts: FloatArray, residuals: FloatArray
) -> tuple[FloatArray, PredictionEffect]:
    """Long-only weights of least variance under a forecast.

    Parameters
    ----------
    forecasts : ndarray, shape (N, S)
        Return of each fund in each of two or more steps ahead, decimal.
    residuals : ndarray, shape (R, N)
        Returns less their forecasts on training rows, of steps of the same length, in the order of
        time or in any other; NaN where there was none.

    Returns
    -------
    weights : ndarray, shape (N,)
        Not negative, summing to 1, certified (`minimum_variance`).
    PredictionEffect

    Raises
    ------
    InputError
        A forecast is missing, a fund has too few residuals, or shapes do not fit.
    NoRiskError
        No fund varies.
    SolverError
        No solver found weights that could be certified.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> residuals = rng.normal(0.0, [0.01, 0.02], (4000, 2))
    >>> weights, effect = gmv_weights(np.zeros((2, 64)), residuals)
    >>> weights.round(1), effect  # in proportion to 1 / variance; nothing was forecast
    (array([0.8, 0.2]), PredictionEffect(forecast_share=0.0, moved=0.0))
    """
    missed = of_unequal_lives(residuals, ledoit_wolf)
    foreseen = _forecast_covariance(forecasts, residuals.shape[1])
    whole = foreseen.diagonal.sum() + missed.diagonal.sum()
    plain = minimum_variance(missed).weights
    if not foreseen.diagonal.any():
        return plain, PredictionEffect(0.0, 0.0)
    weights = minimum_variance(total(foreseen, missed)).weights
    share = float(foreseen.diagonal.sum() / whole)
    return weights, PredictionEffect(share, 0.5 * float(np.abs(weights - plain).sum()))


def total(first: RiskModel, second: RiskModel) -> RiskModel:
    """Sum of two covariances of the same funds."""
    loadings = np.vstack([first.loadings, second.loadings])
    return RiskModel(loadings, first.specific + second.specific)


def of_unequal_lives(returns: FloatArray, estimator: Estimator) -> RiskModel:
    """Covariance of funds of which some were not there all the time.

    A missing return counts as what the fund is expected to earn beside the mean of the other funds
    of that row, by a regression over its own life: what it shares with them keeps its size. What
    the regression leaves is its own, and that variance is added for the rows that are missing.
    Were its mean filled in, a short-lived fund would pass for a diversifier. After Stambaugh (1997,
    Journal of Financial Economics 45, 285-331), with one regressor for all the longer histories.

    Parameters
    ----------
    returns : ndarray, shape (T, N)
        NaN where missing.
    estimator : callable
        One of `covariance.ESTIMATORS`; without gaps the result is its own.

    Raises
    ------
    InputError
        A fund has fewer than two returns.
    """
    returns = returns[np.isfinite(returns).any(axis=1)]
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
    means = values.sum(axis=0) / observed
    own = np.where(seen, values - means, 0.0)
    common = _others(values, seen)
    spread = np.square(common).sum(axis=0, where=seen)
    moves = spread > observed * NOTHING**2
    beta = np.divide((own * common).sum(axis=0), spread, out=np.zeros_like(means), where=moves)
    expected = beta * common
    missing = 1.0 - observed / len(returns)
    left = np.square(own - expected).sum(axis=0, where=seen) / observed
    model = estimator(means + np.where(seen, own, expected))
    return RiskModel(model.loadings, model.specific + missing * left)


def _others(values: FloatArray, seen: BoolArray) -> FloatArray:
    """Mean of the other funds of a row, less what it is over the rows of a fund, shape (T, N)."""
    count = seen.sum(axis=1, keepdims=True) - seen
    total = values.sum(axis=1, keepdims=True) - values
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    both = seen & (count > 0)
    rows = np.maximum(both.sum(axis=0), 1)
    return np.where(count > 0, mean - mean.sum(axis=0, where=both) / rows, 0.0)


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
    return ledoit_wolf(forecasts.T.astype(np.float64))
