"""Whether the best of many strategies is more than the luckiest.

The deflated Sharpe ratio (Bailey and Lopez de Prado 2014) holds one strategy against the best
of as many that have no skill. CSCV (Bailey, Borwein, Lopez de Prado and Zhu 2017) asks how often
the best of one half of the record is worse than the median in the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats
from scipy.special import ndtr, ndtri

from finembed_core.backtest.resampling import CONSTANT, MIN_PERIODS
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray

SPLIT_BLOCKS = 16  # the paper's example: 12,870 splits
MOST_BLOCKS = 20  # 184,756 splits; each further pair of blocks takes four times as long


@dataclass(frozen=True)
class DeflatedSharpe:
    """A Sharpe ratio, and what is left of it.

    Attributes
    ----------
    sharpe : float
        Per period, not annualized.
    n : int
        Periods.
    skewness, kurtosis : float
        Of the excess returns; the kurtosis of a normal distribution is 3.
    trials : int
        Strategies tried.
    expected_max : float
        Expected highest Sharpe ratio, per period, of as many trials without skill.
    probabilistic : float
        Probability that the true Sharpe ratio is above 0.
    deflated : float
        Probability that it is above `expected_max`. Below 0.95 the strategy may be the luckiest of
        those tried.
    """

    sharpe: float
    n: int
    skewness: float
    kurtosis: float
    trials: int
    expected_max: float
    probabilistic: float
    deflated: float


@dataclass(frozen=True)
class Overfitting:
    """Choosing the strategy with the highest Sharpe ratio, over all splits of the record.

    Attributes
    ----------
    probability : float
        Of backtest overfitting: share of the splits in which the strategy that is best in one half
        is no better than the median in the other.
    logits : ndarray, shape (splits,)
        ``ln(w / (1 - w))`` of its relative rank w out of sample; 0 is the median.
    in_sample, out_of_sample : ndarray, shape (splits,)
        Its Sharpe ratio, per period, in the half where it was chosen and in the other.
    slope, intercept : float
        Of the regression of `out_of_sample` on `in_sample`: performance degradation.
    loss_probability : float
        Share of the splits with a negative Sharpe ratio out of sample.
    """

    probability: float
    logits: FloatArray
    in_sample: FloatArray
    out_of_sample: FloatArray
    slope: float
    intercept: float
    loss_probability: float


def sharpe_ratios(excess: FloatArray) -> FloatArray:
    """Sharpe ratios per period, not annualized, ddof 1; NaN where nothing varies.

    Parameters
    ----------
    excess : ndarray, shape (n, K)
        Returns over the risk-free rate.

    Returns
    -------
    ndarray, shape (K,)
    """
    varies = np.ptp(excess, axis=0) > CONSTANT
    deviation = np.where(varies, np.std(excess, axis=0, ddof=1), 1.0)
    return np.where(varies, excess.mean(axis=0) / deviation, np.nan)


def probabilistic_sharpe(
    sharpe: float, reference: float, n: int, skewness: float, kurtosis: float
) -> float:
    """Probability that the true Sharpe ratio is above a reference (Bailey, Lopez de Prado 2012).

    ``Phi[(SR - SR*) sqrt(n - 1) / sqrt(1 - g3 SR + (g4 - 1) SR^2 / 4)]``

    Parameters
    ----------
    sharpe, reference : float
        SR and SR*, per period, not annualized.
    n : int
        Periods.
    skewness, kurtosis : float
        g3 and g4; the kurtosis of a normal distribution is 3.

    Raises
    ------
    InputError
        Fewer than 2 periods, or no distribution has these moments.
    """
    spread = 1.0 - skewness * sharpe + (kurtosis - 1.0) * sharpe**2 / 4.0
    if n < 2 or not spread > 0.0:
        raise InputError(
            f"no Sharpe ratio of {n} periods has skewness {skewness:g} and kurtosis {kurtosis:g}",
            remedy="give 2 periods at least and the kurtosis that is 3 for a normal distribution",
        )
    return float(ndtr((sharpe - reference) * np.sqrt((n - 1) / spread)))


def expected_max_sharpe(trials: int, variance: float) -> float:
    """Expected highest Sharpe ratio of trials without skill (Bailey, Lopez de Prado 2014).

    ``sqrt(V) [(1 - g) Phi^-1(1 - 1/N) + g Phi^-1(1 - 1/(N e))]`` with Euler's g = 0.5772...

    Parameters
    ----------
    trials : int
        N, independent ones.
    variance : float
        V, of their Sharpe ratios, per period.

    Returns
    -------
    float
        Per period; 0 for a single trial.

    Raises
    ------
    InputError
        There is no trial, or the variance is not one.

    Examples
    --------
    The paper's: 100 trials, variance 1/2 of annual ratios of 250 days.

    >>> round(expected_max_sharpe(100, 0.5 / 250), 4)
    0.1132
    """
    if trials < 1 or not (variance >= 0.0 and np.isfinite(variance)):
        raise InputError(
            f"no best of {trials} trials with variance {variance:g}",
            remedy="count every strategy of every run, and give the variance of their ratios",
        )
    if trials == 1:
        return 0.0
    weight = np.euler_gamma
    high = (1.0 - weight) * ndtri(1.0 - 1.0 / trials) + weight * ndtri(1.0 - 1.0 / (trials * np.e))
    return float(np.sqrt(variance) * high)


def deflated_sharpe(excess: FloatArray, trials: int, variance: float) -> DeflatedSharpe:
    """Hold a strategy against the best of all that were tried.

    Parameters
    ----------
    excess : ndarray, shape (n,)
        Its returns over the risk-free rate.
    trials : int
        Strategies tried, over all runs, the losing ones too. Many that are nearly the same are
        fewer independent ones: to count them all is to err on the safe side.
    variance : float
        Of the Sharpe ratios of all trials, per period (`sharpe_ratios`), ddof 1.

    Raises
    ------
    InputError
        A value is missing, the returns do not vary, or trials and variance make no sense.
    """
    check_returns(["the strategy"], excess[:, None])
    sharpe = float(sharpe_ratios(excess[:, None])[0])
    if np.isnan(sharpe):
        raise InputError(
            "a constant series has no Sharpe ratio", remedy="leave the strategy out of the test"
        )
    moments = len(excess), float(stats.skew(excess)), float(stats.kurtosis(excess)) + 3.0
    bar = expected_max_sharpe(trials, variance)
    return DeflatedSharpe(
        sharpe,
        *moments,
        trials,
        bar,
        probabilistic_sharpe(sharpe, 0.0, *moments),
        probabilistic_sharpe(sharpe, bar, *moments),
    )


def overfitting(
    names: Sequence[str], excess: FloatArray, blocks: int = SPLIT_BLOCKS
) -> Overfitting:
    """Combinatorially symmetric cross-validation (CSCV) of choosing the highest Sharpe ratio.

    The record is cut into `blocks` stretches. Every half of them is a sample in which the best
    strategy is chosen, the other half tells what that choice was worth.

    Parameters
    ----------
    names : sequence of str
        Strategies, for messages.
    excess : ndarray, shape (n, K)
        Their returns over the risk-free rate, or over the benchmark.
    blocks : int
        S, even. The stretches differ by one period where S does not divide n.

    Returns
    -------
    Overfitting
        Of ``C(S, S/2)`` splits. Without skill the probability is about 0.5.

    Raises
    ------
    InputError
        A value is missing, there are fewer than two strategies, or the record cannot be split.

    Notes
    -----
    A strategy that does not vary in a half has Sharpe ratio 0 there. Equal ranks count as their
    mean.
    """
    check_returns(names, excess)
    n, count = excess.shape
    if count < 2:
        raise InputError(
            "there is nothing to choose from one strategy", remedy="give all that were tried"
        )
    if blocks < 2 or blocks % 2 or blocks > MOST_BLOCKS or n < 2 * blocks:
        raise InputError(
            f"{n} periods cannot be split into {blocks} blocks",
            remedy=f"an even number up to {MOST_BLOCKS}, with 2 periods a block at least",
        )
    chosen = np.array(list(combinations(range(blocks), blocks // 2)))
    splits = np.zeros((len(chosen), blocks))
    np.put_along_axis(splits, chosen, 1.0, axis=1)
    inside = _split_sharpes(excess, splits)
    outside = inside[::-1]  # in this order the last split is the complement of the first
    best, row = np.argmax(inside, axis=1), np.arange(len(splits))
    there, here = outside[row, best], inside[row, best]
    below = (outside < there[:, None]).sum(axis=1)
    ties = (outside == there[:, None]).sum(axis=1)
    relative = (below + (ties + 1) / 2) / (count + 1)
    logits = np.log(relative / (1.0 - relative))
    spread = float(np.var(here))
    slope = float(np.mean((here - here.mean()) * there)) / spread if spread > 0.0 else np.nan
    intercept = float(there.mean() - slope * here.mean())
    lost = float(np.mean(there < 0.0))
    return Overfitting(float(np.mean(logits <= 0.0)), logits, here, there, slope, intercept, lost)


def _split_sharpes(excess: FloatArray, splits: FloatArray) -> FloatArray:
    """Sharpe ratio of each strategy in the periods of each split, (C, S) -> (C, K)."""
    n, blocks = len(excess), splits.shape[1]
    first = np.array([part[0] for part in np.array_split(np.arange(n), blocks)])
    mean = excess.mean(axis=0)
    centered = excess - mean  # so that sums of squares keep their digits
    size = splits @ np.diff(first, append=n)
    shift = splits @ np.add.reduceat(centered, first) / size[:, None]
    squares = splits @ np.add.reduceat(centered**2, first)
    variance = (squares - size[:, None] * shift**2) / (size[:, None] - 1.0)
    varies = variance > CONSTANT * centered.var(axis=0)
    return np.where(varies, (mean + shift) / np.sqrt(np.where(varies, variance, 1.0)), 0.0)


def check_returns(names: Sequence[str], table: FloatArray) -> None:
    """Refuse a table of returns (n, K) that no test can be made on."""
    if table.ndim != 2 or table.shape[1] != len(names) or not names:
        raise InputError(
            f"{len(names)} strategies need a column each, not a table of shape {table.shape}",
            remedy="give returns of shape (periods, strategies)",
        )
    missing = ~np.isfinite(table).all(axis=0)
    if missing.any():
        raise InputError(
            f"{names[int(np.argmax(missing))]} has missing values",
            remedy="cut all strategies to the periods that they have in common",
        )
    if len(table) < MIN_PERIODS:
        raise InputError(
            f"{len(table)} periods are too few for a test",
            remedy=f"give {MIN_PERIODS} at least",
        )
