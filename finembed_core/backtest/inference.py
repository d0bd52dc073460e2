"""Confidence intervals of the statistics in `metrics`, by a stationary bootstrap.

Every statistic is computed on all draws at once; all strategies of a study share the draws, so
that the difference of two strategies is paired. Which statistic gets which interval was decided by
how often the interval holds the true value (docs/inference.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from finembed_core.backtest.metrics import MRAR_GAMMA, TAIL, Series, metrics, relative_metrics
from finembed_core.backtest.resampling import (
    CONSTANT,
    DRAWS,
    MIN_PERIODS,
    block_length,
    stationary_draws,
)
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray

LEVEL = 0.95  # coverage
UNDEFINED = 0.01  # share of draws that may lack a statistic, such as omega where nothing is lost
CHUNK = 2**16  # periods drawn that are computed at once: half a megabyte an array

Scale = tuple[Callable[[FloatArray], FloatArray], Callable[[FloatArray], FloatArray]]

PLAIN: Scale = (np.positive, np.positive)
LOG: Scale = (np.log, np.exp)
GROWTH: Scale = (np.log1p, np.expm1)
INTERVALS: dict[str, Scale | None] = {
    "annual_return": GROWTH,
    "volatility": LOG,
    "sharpe": PLAIN,
    "sortino": None,
    "max_drawdown": None,
    "calmar": None,
    "omega": LOG,
    "mrar": GROWTH,
    "var_95": PLAIN,
    "cvar_95": PLAIN,
    "skewness": None,
    "kurtosis": None,
    "hit_rate": None,
    "beta": PLAIN,
    "alpha": PLAIN,
    "tracking_error": LOG,
    "information_ratio": PLAIN,
    "treynor": None,
    "hit_rate_benchmark": None,
}
"""Statistics that have intervals, and a scale on which their draws are about normal: the interval
is ``estimate -+ t x bootstrap error`` there. None stands for quantiles of the draws.
"""

COMPARED: dict[str, Scale | None] = {
    "annual_return": PLAIN,
    "volatility": PLAIN,
    "sharpe": PLAIN,
    "max_drawdown": None,
}
"""The same for what one strategy has over another."""

SCHEMA = {
    "strategy": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "n": pl.Int64,
}

Statistics = dict[str, FloatArray]
Row = tuple[str, str, float, float, float, int]
NO_DRAWS = np.empty(0)


@dataclass(frozen=True)
class Bootstrap:
    """Statistics of all strategies of a study on the same draws.

    Attributes
    ----------
    series : mapping of str to Series
        By strategy.
    block : float
        Mean block length, in periods.
    draws : mapping of str to dict
        By strategy: the name of each statistic and its values on the draws, shape (draws,). Empty
        where the record is too short (`MIN_PERIODS`).
    """

    series: Mapping[str, Series]
    block: float
    draws: Mapping[str, Statistics]

    @classmethod
    def of(
        cls,
        series: Mapping[str, Series],
        *,
        seed: int,
        draws: int = DRAWS,
        block: float | None = None,
    ) -> Self:
        """Draw, and compute every statistic on every draw.

        Parameters
        ----------
        series : mapping of str to Series
            By strategy, all over the same periods. Returns, risk-free rate and, where there is
            one, benchmark are resampled together.
        seed : int
        draws : int
        block : float, optional
            Mean block length, in periods. By default the largest automatic one
            (`resampling.block_length`) of all returns and of those over the benchmark.

        Raises
        ------
        InputError
            There is no strategy, their periods differ, or the record has fewer than two blocks.
        """
        n = _common_periods(series)
        if n < MIN_PERIODS:
            return cls(series, 1.0, {name: {} for name in series})
        if block is None:
            block = max(_block(s) for s in series.values())
        if 2.0 * block > n:
            what = f"{n} periods are fewer than two blocks of {block:g}"
            raise InputError(what, remedy="give a shorter mean block length")
        index = stationary_draws(n, block, draws, seed)
        parts = np.array_split(index, max(1, index.size // CHUNK))
        drawn: dict[str, Statistics] = {}
        for name, s in series.items():
            found = [_on(s, part) for part in parts]
            drawn[name] = {key: np.concatenate([f[key] for f in found]) for key in found[0]}
        return cls(series, block, drawn)

    @property
    def periods(self) -> int:
        """Length of the record."""
        return len(next(iter(self.series.values())).returns)

    @property
    def degrees(self) -> float:
        """Degrees of freedom of the intervals: blocks in the record, less one."""
        return max(self.periods / self.block - 1.0, 1.0)

    def intervals(self) -> pl.DataFrame:
        """95% intervals of all statistics.

        Returns
        -------
        DataFrame
            strategy, metric, value (as in `metrics`), ci_low, ci_high, n. The interval is NaN
            where the record is too short, the statistic is undefined or does not vary over the
            draws (a constant series), or more than 1% of the draws lack it.
        """
        rows: list[Row] = []
        for name, s in self.series.items():
            for m in [*metrics(s), *relative_metrics(s)]:
                if m.name in INTERVALS:
                    drawn = self.draws[name].get(m.name, NO_DRAWS)
                    ends = interval(m.value, drawn, INTERVALS[m.name], self.degrees)
                    rows.append((name, m.name, m.value, *ends, m.n))
        return pl.DataFrame(rows, schema=SCHEMA, orient="row")

    def differences(self, baseline: str) -> pl.DataFrame:
        """95% intervals of what each strategy has over another one, draw by draw.

        Parameters
        ----------
        baseline : str
            Strategy to compare with.

        Returns
        -------
        DataFrame
            As `intervals`, of all others; above 0 in max_drawdown, which is negative: fell less.

        Raises
        ------
        InputError
            There is no such strategy.
        """
        if baseline not in self.series:
            known = ", ".join(self.series)
            raise InputError(f"there is no strategy {baseline!r}", remedy=f"one of {known}")
        values = {name: {m.name: m.value for m in metrics(s)} for name, s in self.series.items()}
        rows: list[Row] = []
        for name in (name for name in self.series if name != baseline):
            ours, theirs = self.draws[name], self.draws[baseline]
            for metric, scale in COMPARED.items():
                value = values[name][metric] - values[baseline][metric]
                drawn = ours.get(metric, NO_DRAWS) - theirs.get(metric, NO_DRAWS)
                ends = interval(value, drawn, scale, self.degrees)
                rows.append((name, metric, value, *ends, self.periods))
        return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def interval(
    value: float, draws: FloatArray, scale: Scale | None, degrees: float
) -> tuple[float, float]:
    """95% interval of one statistic, widened for the few blocks in the record.

    With a scale g: ``g^-1(g(value) -+ t sd(g(draws)))``, t of Student's distribution. Without one:
    quantiles at ``Phi(-+ t sqrt((degrees + 1) / degrees))``, Hesterberg's (2015) expanded ones.

    Parameters
    ----------
    value : float
        Estimate.
    draws : ndarray, shape (draws,)
    scale : tuple of two functions, or None
    degrees : float
        Degrees of freedom.

    Returns
    -------
    tuple of float
        NaN where there is nothing to say (see `Bootstrap.intervals`).
    """
    nothing = (np.nan, np.nan)
    defined = draws[np.isfinite(draws)]
    if len(defined) == 0 or np.ptp(defined) <= CONSTANT:
        return nothing
    onto, back = scale or PLAIN
    with np.errstate(divide="ignore", invalid="ignore"):
        center, scaled = onto(np.array(value)), onto(defined)
    scaled = scaled[np.isfinite(scaled)]
    if not np.isfinite(center) or len(scaled) < (1.0 - UNDEFINED) * len(draws):
        return nothing
    t = float(stdtrit(degrees, (1.0 + LEVEL) / 2.0))
    if scale is None:
        tail = float(ndtr(-t * np.sqrt((degrees + 1.0) / degrees)))
        low, high = np.quantile(scaled, [tail, 1.0 - tail])
    else:
        reach = t * np.std(scaled, ddof=1)
        low, high = back(center - reach), back(center + reach)
    return float(low), float(high)


def batch_metrics(returns: FloatArray, risk_free: FloatArray, periods_per_year: int) -> Statistics:
    """The statistics of `metrics.metrics` for many series at once.

    Parameters
    ----------
    returns, risk_free : ndarray, shape (..., n)
        Two periods at least, none missing.
    periods_per_year : int

    Returns
    -------
    dict of str to ndarray, shape (...)
        By name; NaN where `metrics.metrics` has it.
    """
    n, ppy = returns.shape[-1], periods_per_year
    mean = returns.mean(axis=-1)
    centered = returns - mean[..., None]
    squares = centered * centered
    second = squares.mean(axis=-1)
    varying = np.where(np.ptp(returns, axis=-1) > CONSTANT, second, np.nan)
    excess = returns - risk_free
    error = np.where(np.ptp(excess, axis=-1) > CONSTANT, _deviation(excess), np.nan)
    wealth = np.cumprod(1.0 + returns, axis=-1, dtype=np.float64)
    annual = _growth(wealth[..., -1], n, ppy)
    peak = np.maximum(np.maximum.accumulate(wealth, axis=-1), 1.0)
    drawdown = np.minimum(np.min(wealth / peak, axis=-1) - 1.0, 0.0)
    losses = np.minimum(returns, 0.0)
    lost = -losses.sum(axis=-1)
    downside = np.sqrt(_mean_product(losses, losses))
    quantile, tail_mean = _tail(returns)
    return {
        "annual_return": annual,
        "volatility": np.sqrt(second * n / (n - 1) * ppy),
        "sharpe": excess.mean(axis=-1) / error * np.sqrt(ppy),
        "sortino": _divide(mean * np.sqrt(ppy), downside),
        "max_drawdown": drawdown,
        "calmar": _divide(annual, -drawdown),
        "omega": _divide(returns.sum(axis=-1) + lost, lost),
        "mrar": _mrar(returns, risk_free, ppy),
        "var_95": quantile,
        "cvar_95": tail_mean,
        "skewness": _mean_product(squares, centered) / varying**1.5,
        "kurtosis": _mean_product(squares, squares) / varying**2 - 3.0,
        "hit_rate": np.mean(returns > 0.0, axis=-1),
    }


def batch_relative_metrics(
    returns: FloatArray, risk_free: FloatArray, benchmark: FloatArray, periods_per_year: int
) -> Statistics:
    """The statistics of `metrics.relative_metrics` for many series at once.

    Parameters
    ----------
    returns, risk_free, benchmark : ndarray, shape (..., n)
        Three periods at least, none missing.
    periods_per_year : int

    Returns
    -------
    dict of str to ndarray, shape (...)
        By name; NaN where `metrics.relative_metrics` has it.
    """
    n, ppy = returns.shape[-1], periods_per_year
    excess, x = returns - risk_free, benchmark - risk_free
    mean_x = x.mean(axis=-1)
    centered = x - mean_x[..., None]
    moves = (np.ptp(x, axis=-1) > 0.0) & (np.ptp(excess, axis=-1) > 0.0)
    spread = np.where(moves, _mean_product(centered, centered), np.nan)
    beta = _mean_product(centered, excess) / spread
    active = returns - benchmark
    error = _deviation(active) * np.sqrt(ppy)
    grown = [_growth(np.prod(1.0 + r, axis=-1), n, ppy) for r in (returns, benchmark, excess)]
    return {
        "beta": beta,
        "alpha": (excess.mean(axis=-1) - beta * mean_x) * ppy,
        "tracking_error": error,
        "information_ratio": _divide(grown[0] - grown[1], error),
        "treynor": _divide(grown[2], beta),
        "hit_rate_benchmark": np.mean(active > 0.0, axis=-1),
    }


def _common_periods(series: Mapping[str, Series]) -> int:
    if not series:
        raise InputError("there is no strategy to draw from", remedy="give one series at least")
    (first, one), *others = series.items()
    for name, other in others:
        if not np.array_equal(one.dates, other.dates):
            raise InputError(
                f"{name} and {first} are not over the same periods: they cannot be paired",
                remedy="cut all strategies to the periods that they have in common",
            )
    return len(one.returns)


def _block(series: Series) -> float:
    own, benchmark = series.returns, series.benchmark
    return block_length(own if benchmark is None else np.column_stack([own, own - benchmark]))


def _on(series: Series, index: NDArray[np.intp]) -> Statistics:
    """All statistics on draws (D, n) of a series."""
    returns, risk_free = series.returns[index], series.risk_free[index]
    ppy = series.periods_per_year
    found = batch_metrics(returns, risk_free, ppy)
    if series.benchmark is not None:
        found |= batch_relative_metrics(returns, risk_free, series.benchmark[index], ppy)
    return found


def _mean_product(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.einsum("...t,...t->...", a, b) / a.shape[-1]


def _deviation(values: FloatArray) -> FloatArray:
    """Standard deviation, ddof 1."""
    centered = values - values.mean(axis=-1, keepdims=True)
    return np.sqrt(np.einsum("...t,...t->...", centered, centered) / (values.shape[-1] - 1))


def _growth(wealth: FloatArray, n: int, periods_per_year: int) -> FloatArray:
    """Annual return that leads to this wealth; NaN where more than everything is lost."""
    return np.where(wealth < 0.0, np.nan, np.maximum(wealth, 0.0) ** (periods_per_year / n) - 1.0)


def _mrar(returns: FloatArray, risk_free: FloatArray, periods_per_year: int) -> FloatArray:
    growth = (1.0 + returns) / (1.0 + risk_free)
    alive = growth.min(axis=-1) > 0.0
    growth = np.where(alive[..., None], growth, 1.0)
    mean = np.mean(growth**-MRAR_GAMMA, axis=-1)
    return np.where(alive, mean ** (-periods_per_year / MRAR_GAMMA) - 1.0, np.nan)


def _tail(returns: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Quantile by linear interpolation, and mean of the returns up to the one below it."""
    last = returns.shape[-1] - 1
    below = int(last * TAIL)
    above = min(below + 1, last)
    lowest = np.partition(returns, (below, above), axis=-1)
    step = lowest[..., above] - lowest[..., below]
    quantile = lowest[..., below] + (last * TAIL - below) * step
    return quantile, lowest[..., : below + 1].mean(axis=-1)


def _divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    nonzero = np.abs(denominator) >= CONSTANT  # False for NaN
    return np.where(nonzero, numerator / np.where(nonzero, denominator, 1.0), np.nan)
