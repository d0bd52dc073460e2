"""Months that lost more than their value at risk: as many as promised, and independent.

Under right forecasts these exceptions are independent draws with probability ``1 - level``. Kupiec
(1995) tests the probability, Christoffersen (1998) that one exception does not announce the next.
Both see counts alone, so the counts of all funds may be added and tested as one; but funds fall
together, which `pooled_rate` respects and the tests of added counts do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from arch.bootstrap import StationaryBootstrap
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, xlog1py, xlogy

from finembed_core.panel import FloatArray


@dataclass(frozen=True)
class Exceptions:
    """What became of forecasts, per fund (N,) or pooled over funds ().

    Attributes
    ----------
    months : ndarray of int
        Months judged: forecast and return both known.
    count : ndarray of int
        Exceptions among them.
    transitions : ndarray of int, shape (2, 2, ...)
        ``[i, j]``: judged months in state j right after a judged month in state i, where 1 is an
        exception. A gap in the record breaks the chain.
    rate : ndarray
        ``count / months``; NaN where nothing was judged.
    mean_excess : ndarray
        Mean loss beyond the VaR over the exceptions, in returns; NaN where there is none.
    mean_relative_excess : ndarray
        The same in multiples of the VaR: 0.5 for a loss of one and a half times the VaR. Only over
        exceptions from a positive VaR.
    """

    months: NDArray[np.int64]
    count: NDArray[np.int64]
    transitions: NDArray[np.int64]
    rate: FloatArray
    mean_excess: FloatArray
    mean_relative_excess: FloatArray


@dataclass(frozen=True)
class LikelihoodRatio:
    """A likelihood-ratio test: its statistic, and the asymptotic chi-square p-value."""

    statistic: FloatArray
    p_value: FloatArray


@dataclass(frozen=True)
class PooledRate:
    """The rate of exceptions over all funds and months, and its confidence interval."""

    rate: float
    low: float
    high: float


def find_exceptions(returns: FloatArray, var: FloatArray, pooled: bool = False) -> Exceptions:
    """Compare returns with the VaR forecasts made for them.

    Parameters
    ----------
    returns : ndarray, shape (T, N)
        Simple returns of consecutive months, NaN is missing.
    var : ndarray, shape (T, N)
        Forecasts for the same months, positive for a loss; NaN where there was none.
    pooled : bool
        All funds as one.
    """
    axis = None if pooled else 0
    judged, hit = _judge(returns, var)
    pair = judged[:-1] & judged[1:]
    states = (~hit, hit)
    transitions = np.array(
        [[(pair & i[:-1] & j[1:]).sum(axis=axis) for j in states] for i in states]
    )
    excess, proper = -returns - var, hit & (var > 0.0)
    relative = np.divide(excess, var, out=np.zeros_like(excess), where=proper)
    return Exceptions(
        months=judged.sum(axis=axis),
        count=hit.sum(axis=axis),
        transitions=transitions,
        rate=_mean(hit.astype(float), judged, axis),
        mean_excess=_mean(excess, hit, axis),
        mean_relative_excess=_mean(relative, proper, axis),
    )


def kupiec_test(count: ArrayLike, months: ArrayLike, level: float) -> LikelihoodRatio:
    """Kupiec's (1995) proportion-of-failures test of unconditional coverage, chi-square(1).

    ``LR = 2 ln [(x/n)^x (1 - x/n)^(n - x)] - 2 ln [p^x (1 - p)^(n - x)]`` with x exceptions in n
    months and ``p = 1 - level``.

    Parameters
    ----------
    count, months : array_like of int, any shape
    level : float
        Of the VaR, 0.99 for p = 0.01.

    Returns
    -------
    LikelihoodRatio
        Of the same shape. Defined with no exception (``-2 n ln(1 - p)``) and with nothing else
        (``-2 n ln p``); NaN where no month was judged.

    Notes
    -----
    The p-value is asymptotic, and rough while few exceptions are expected: at level 0.99 and 5%
    significance a right forecast is rejected in 0.6% of records of 36 months, 12% of 240 months.

    Examples
    --------
    >>> kupiec_test(20, 252, 0.95).statistic.round(2).tolist()
    3.91
    """
    hits, total = np.asarray(count), np.asarray(months)
    free = _log_likelihood(hits, total - hits)
    fixed = xlogy(hits, 1.0 - level) + xlogy(total - hits, level)
    return _chi_square(np.where(total > 0, 2.0 * (free - fixed), np.nan), 1)


def independence_test(transitions: ArrayLike) -> LikelihoodRatio:
    """Christoffersen's (1998) test that exceptions do not follow one another, chi-square(1).

    The likelihood of a Markov chain against that of independent months: with ``n_ij`` months in
    state j after state i, ``LR = 2 ln L(n_01, n_00) + 2 ln L(n_11, n_10)
    - 2 ln L(n_01 + n_11, n_00 + n_10)``, where ``L(x, y) = q^x (1 - q)^y`` at ``q = x/(x + y)``.

    Parameters
    ----------
    transitions : array_like of int, shape (2, 2, ...)

    Returns
    -------
    LikelihoodRatio
        Of shape ``...``. 0, with p-value 1, where one of the states is never left, since there is
        nothing to compare; NaN without any transition, as from a single observation.
    """
    n = np.asarray(transitions)
    chain = _log_likelihood(n[:, 1], n[:, 0]).sum(axis=0)
    independent = _log_likelihood(n[:, 1].sum(axis=0), n[:, 0].sum(axis=0))
    some = n.sum(axis=(0, 1)) > 0
    return _chi_square(np.where(some, 2.0 * (chain - independent), np.nan), 1)


def conditional_coverage_test(
    count: ArrayLike, months: ArrayLike, transitions: ArrayLike, level: float
) -> LikelihoodRatio:
    """Christoffersen's (1998) joint test, ``LR_cc = LR_uc + LR_ind``, chi-square(2).

    Parameters
    ----------
    count, months, level
        See `kupiec_test`, which sees the first month too.
    transitions
        See `independence_test`.
    """
    coverage = kupiec_test(count, months, level).statistic
    return _chi_square(coverage + independence_test(transitions).statistic, 2)


def pooled_rate(
    returns: FloatArray, var: FloatArray, block: int, confidence: float, draws: int, seed: int
) -> PooledRate:
    """Rate of exceptions over all funds, with an interval that knows they move together.

    Months are resampled whole, all their funds at once, in blocks of random length (stationary
    bootstrap, Politis and Romano 1994); the interval is the percentile one.

    Parameters
    ----------
    returns, var : ndarray, shape (T, N)
        See `find_exceptions`.
    block : int
        Mean length of a block, in months: how long exceptions cluster
        (`arch.bootstrap.optimal_block_length` estimates it).
    confidence : float
        Coverage of the interval, such as 0.95.
    draws : int
        Resamples; Efron and Tibshirani (1993) ask for 1000 at least.
    seed : int

    Returns
    -------
    PooledRate
        NaN where nothing was judged. Without any exception the interval is [0, 0], since no
        resample can show what never happened.
    """
    judged, hit = _judge(returns, var)
    months, count = judged.sum(axis=1), hit.sum(axis=1)
    seen = months > 0  # or a resample could hold no month to judge
    if not seen.any():
        return PooledRate(np.nan, np.nan, np.nan)
    bootstrap = StationaryBootstrap(block, count[seen], months[seen], seed=seed)
    interval = bootstrap.conf_int(_ratio, reps=draws, method="percentile", size=confidence)
    low, high = interval.ravel().tolist()
    return PooledRate(float(count.sum() / months.sum()), low, high)


def _judge(returns: FloatArray, var: FloatArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Cells where return and forecast are known, and the exceptions among them."""
    judged = ~(np.isnan(returns) | np.isnan(var))
    return judged, judged & (-returns > var)


def _ratio(count: NDArray[np.int64], months: NDArray[np.int64]) -> FloatArray:
    return np.atleast_1d(count.sum() / months.sum())


def _mean(values: FloatArray, where: NDArray[np.bool_], axis: int | None) -> FloatArray:
    """Mean over the marked cells; NaN where none is."""
    n = where.sum(axis=axis)
    total = np.where(where, values, 0.0).sum(axis=axis)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _log_likelihood(hits: NDArray[np.int64], misses: NDArray[np.int64]) -> FloatArray:
    """``x ln q + y ln(1 - q)`` at its maximum ``q = x/(x + y)``, with ``0 ln 0 = 0``."""
    share = hits / np.maximum(hits + misses, 1)
    return xlogy(hits, share) + xlog1py(misses, -share)


def _chi_square(statistic: FloatArray, degrees: int) -> LikelihoodRatio:
    positive = np.maximum(statistic, 0.0)  # rounding
    return LikelihoodRatio(positive, chdtrc(degrees, positive))
