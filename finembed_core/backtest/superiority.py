"""Whether any strategy of a study beats a benchmark, and which ones.

SPA (Hansen 2005) asks the first, StepM (Romano and Wolf 2005) the second, both on one stationary
bootstrap of all strategies together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from arch.bootstrap import SPA, StepM

from finembed_core.backtest.resampling import (
    CONSTANT,
    DRAWS,
    block_lengths,
    bootstrap_variance,
)
from finembed_core.backtest.selection import check_returns
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray

SIZE = 0.05


@dataclass(frozen=True)
class Superiority:
    """What SPA and StepM say of strategies against a benchmark.

    Attributes
    ----------
    p_value : float
        Of SPA: that no strategy has a higher expected return than the benchmark. Hansen's
        consistent one.
    p_lower, p_upper : float
        Its bounds; the upper one is that of White's (2000) reality check, studentized.
    statistics : ndarray, shape (K,)
        Mean of each strategy's active returns over its error; SPA's statistic is the largest.
    p_values : ndarray, shape (K,)
        Of each strategy, adjusted for all the others: the smallest size at which StepM names it
        (Romano and Wolf 2016, Statistics and Probability Letters 113).
    superior : tuple of str
        Strategies that StepM finds better; the probability that one of them is not is `size`.
    size : float
    block : int
        Mean block length, in periods.
    """

    p_value: float
    p_lower: float
    p_upper: float
    statistics: FloatArray
    p_values: FloatArray
    superior: tuple[str, ...]
    size: float
    block: int


def superiority(
    names: Sequence[str],
    active: FloatArray,
    *,
    seed: int,
    draws: int = DRAWS,
    size: float = SIZE,
    block: int | None = None,
) -> Superiority:
    """SPA and StepM on one stationary bootstrap.

    Parameters
    ----------
    names : sequence of str
        Strategies. All that were tried: leaving the losers out is what these tests are against.
    active : ndarray, shape (n, K)
        Their returns over the benchmark's, period by period.
    seed : int
    draws : int
    size : float
        Probability with which StepM may name a strategy that is no better.
    block : int, optional
        Mean block length, in periods; by default the median of the automatic ones
        (`resampling.block_lengths`). The largest of many is mostly the error of its estimate, and
        leaves so few blocks that noise is found superior twice as often as it should be.

    Returns
    -------
    Superiority

    Raises
    ------
    InputError
        A value is missing, the record is too short, or a strategy is the benchmark.

    Notes
    -----
    Bootstrap and steps are those of `arch.bootstrap.StepM`, on losses ``-active``. arch 8 compares
    plain means, whatever its ``studentize`` says, so that the most volatile strategy sets the bar
    for all: each column is divided by its long-run standard deviation first, as Hansen defines the
    statistic. And arch's steps fail when no strategy is left: a column of zeros, the benchmark
    itself, joins them, which can neither be superior nor lower a bar.
    """
    check_returns(names, active)
    if not 0.0 < size < 1.0:
        raise InputError(f"a test cannot have size {size:g}", remedy="between 0 and 1, as 0.05")
    still = np.ptp(active, axis=0) <= CONSTANT
    if still.any():
        raise InputError(
            f"{names[int(np.argmax(still))]} does not vary against the benchmark",
            remedy="leave the benchmark itself out of the strategies",
        )
    length = max(1, round(np.median(block_lengths(active)))) if block is None else block
    error = np.sqrt(len(active) * bootstrap_variance(active, length))
    losses = np.column_stack([-active / error, np.zeros(len(active))])
    test = StepM(np.zeros(len(active)), losses, size, length, draws, seed=seed)
    test.compute()
    better = tuple(names[int(k)] for k in np.asarray(test.superior_models, dtype=int))
    lower, consistent, upper = _p_values(test.spa, range(len(names)))
    statistics = active.mean(axis=0) / np.sqrt(bootstrap_variance(active, length))
    adjusted = _stepped(test.spa, statistics)
    return Superiority(consistent, lower, upper, statistics, adjusted, better, size, length)


def _p_values(spa: SPA, among: Sequence[int]) -> list[float]:
    """Lower, consistent and upper p-value of SPA over some strategies."""
    spa.subset(np.isin(np.arange(spa.k), among))
    spa.compute()
    return spa.pvalues.to_numpy(dtype=np.float64).tolist()


def _stepped(spa: SPA, statistics: FloatArray) -> FloatArray:
    """From the best down: SPA of each and all worse ones, never below that of a better one."""
    order = np.argsort(-statistics, kind="stable")
    alone = [_p_values(spa, order[k:].tolist())[1] for k in range(len(order))]
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate(alone)
    return adjusted
