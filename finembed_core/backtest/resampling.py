"""Stationary bootstrap (Politis and Romano 1994): which periods each draw consists of.

A draw strings blocks of consecutive periods together until it is as long as the record; where a
block starts and how long it is, is random, and after the last period comes the first. Whatever is
resampled by the same draws stays paired, period by period.
"""

from __future__ import annotations

import numpy as np
from arch.bootstrap import optimal_block_length
from numpy.typing import NDArray

from finembed_core.errors import InputError
from finembed_core.panel import FloatArray

DRAWS = 1000  # Efron and Tibshirani (1993) ask for as many
MIN_PERIODS = 24  # below, intervals of monthly returns hold the true value far too rarely
CONSTANT = 1e-12  # a range below it is rounding


def block_lengths(series: FloatArray) -> FloatArray:
    """Automatic mean block length of each series.

    Politis and White (2004), corrected by Patton, Politis and White (2009), as
    `arch.bootstrap.optimal_block_length` has it.

    Parameters
    ----------
    series : ndarray, shape (n,) or (n, K)
        Without missing values. Columns that do not vary have no say.

    Returns
    -------
    ndarray
        In periods, 1 at least, one for each column that varies; 1 where none does.

    Raises
    ------
    InputError
        A value is missing.
    """
    columns = series.reshape(len(series), -1)
    if not np.isfinite(columns).all():
        raise InputError(
            "a series to be resampled has missing values",
            remedy="cut all series to the periods that they have in common",
        )
    columns = columns[:, np.ptp(columns, axis=0) > CONSTANT]
    if len(columns) < 3 or columns.shape[1] == 0:  # no autocorrelation to speak of
        return np.ones(1)
    return np.maximum(optimal_block_length(columns)["stationary"].to_numpy(dtype=np.float64), 1.0)


def block_length(series: FloatArray) -> float:
    """The largest of the automatic lengths (`block_lengths`), in periods.

    For intervals, which are wide where blocks are few: series that are resampled together need the
    block that the most dependent of them needs.
    """
    return float(block_lengths(series).max())


def stationary_draws(n: int, block: float, draws: int, seed: int) -> NDArray[np.intp]:
    """Periods that each draw consists of.

    Parameters
    ----------
    n : int
        Periods on record.
    block : float
        Mean length of a block, in periods: block lengths are geometric with probability
        ``1 / block``. 1 draws single periods.
    draws : int
    seed : int
        The same arguments give the same draws.

    Returns
    -------
    ndarray of int, shape (draws, n)
        Positions from 0 to n - 1.

    Raises
    ------
    InputError
        There is nothing to draw, or the block is shorter than a period.
    """
    if n < 1 or draws < 1 or not block >= 1.0:
        raise InputError(
            f"cannot draw {draws} times {n} periods in blocks of {block:g}",
            remedy="give at least one period, one draw and a mean block length of 1 or more",
        )
    rng = np.random.default_rng(seed)
    place = np.arange(n)
    starts = rng.integers(n, size=(draws, n))
    fresh = rng.random((draws, n)) < 1.0 / block
    fresh[:, 0] = True
    opened = np.maximum.accumulate(np.where(fresh, place, 0), axis=1)  # where the block began
    return (np.take_along_axis(starts, opened, axis=1) + place - opened) % n


def bootstrap_variance(series: FloatArray, block: float) -> FloatArray:
    """Variance of a mean over all stationary draws, exactly: what drawing approximates.

    ``(1/n) [C(0) + 2 sum_i (1 - i/n) (1 - 1/block)^i C(i)]`` with the autocovariances C around the
    circle of periods (Politis and Romano 1994, lemma 1).

    Parameters
    ----------
    series : ndarray, shape (n, K)
    block : float

    Returns
    -------
    ndarray, shape (K,)
    """
    n = len(series)
    spectrum = np.abs(np.fft.rfft(series - series.mean(axis=0), axis=0)) ** 2
    covariance = np.fft.irfft(spectrum, n, axis=0) / n  # (n, K), lag by row, around the circle
    lag = np.arange(n)
    weight = np.where(lag == 0, 1.0, 2.0 * (1.0 - lag / n) * (1.0 - 1.0 / block) ** lag)
    return weight @ covariance / n
