"""Deflated Sharpe ratios, which count what was tried in all runs that the warehouse holds.

A run is immutable and cannot know of the others, so these rows of `significance` are made at
publication. A trial is a strategy of a run, the losing ones too; holdings of a series are none.

All trials count, but their Sharpe ratios are compared only with those of the same data set and
frequency: how much they differ is what luck does on one record, and ratios per month and per
session are not of one size.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.backtest.resampling import CONSTANT, MIN_PERIODS
from finembed_core.backtest.selection import expected_max_sharpe, probabilistic_sharpe
from finembed_core.panel import FloatArray
from finembed_core.warehouse.query import query

TEST = "deflated_sharpe"
MODULES = ("finembed_core.warehouse.trials", "finembed_core.backtest.selection")
DAYS = 365.25  # a year
TRIED = "strategies.status = 'run' AND NOT starts_with(strategies.strategy, 'index_')"
TRIALS = f"""
SELECT run_id, strategy, n, dataset, monthly,
    CASE WHEN monthly THEN 12 ELSE {DAYS} * (n - 1) / days END AS per_year
FROM (
    SELECT run_id, strategy, any_value(dataset) AS dataset, count(date)::BIGINT AS n,
        count(DISTINCT date_trunc('month', date)) = n AS monthly, max(date) - min(date) AS days
    FROM strategies LEFT JOIN runs USING (run_id) LEFT JOIN returns USING (run_id, strategy)
    WHERE {TRIED}
    GROUP BY run_id, strategy
) ORDER BY run_id, strategy
"""
EXCESS = f"""
SELECT coalesce(net - rf, 'NaN'::DOUBLE) AS excess
FROM returns SEMI JOIN ({TRIALS}) USING (run_id, strategy) ORDER BY run_id, strategy, date
"""


@dataclass(frozen=True)
class Moments:
    """Of the excess returns of each trial, per period; NaN where they do not vary.

    Attributes
    ----------
    n : ndarray of int, shape (K,)
    sharpe, skewness, kurtosis : ndarray, shape (K,)
        The kurtosis of a normal distribution is 3.
    """

    n: NDArray[np.int64]
    sharpe: FloatArray
    skewness: FloatArray
    kurtosis: FloatArray

    @classmethod
    def of(cls, excess: FloatArray, n: NDArray[np.int64]) -> Moments:
        """Moments of stretches of `n` values that lie one after the other."""
        some = n > 1
        kept, length = excess[np.repeat(some, n)], n[some]
        empty = np.full(len(n), np.nan)
        if len(length) == 0:
            return cls(n, empty, empty, empty)
        first = np.concatenate([[0], np.cumsum(length)[:-1]])
        mean = np.add.reduceat(kept, first) / length
        away = kept - np.repeat(mean, length)
        second, third, fourth = (np.add.reduceat(away**k, first) / length for k in (2, 3, 4))
        spread = np.maximum.reduceat(kept, first) - np.minimum.reduceat(kept, first)
        second = np.where(spread > CONSTANT, second, np.nan)
        found = (
            mean / np.sqrt(second * length / (length - 1)),
            third / second**1.5,
            fourth / second**2,
        )
        whole = np.full((3, len(n)), np.nan)
        whole[:, some] = found
        return cls(n, *whole)


def deflated_sharpe_rows(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Rows of `significance` for every trial.

    Parameters
    ----------
    connection : DuckDBPyConnection
        On a warehouse with `strategies` and `returns`.

    Returns
    -------
    DataFrame
        ``statistic`` is the probability that the true Sharpe ratio is above the expected highest
        one of as many trials without skill; ``note`` has both, per year. Trials with too few
        periods for a Sharpe ratio count as trials, have no statistic and no part in the variance.
    """
    trials = pl.DataFrame(connection.sql(TRIALS).to_arrow_table())
    excess = connection.execute(EXCESS).fetchnumpy()["excess"]
    moments = Moments.of(np.asarray(excess, dtype=np.float64), trials["n"].to_numpy())
    usable = (moments.n >= MIN_PERIODS) & np.isfinite(moments.sharpe)
    alike = trials.select(pl.struct("dataset", "monthly").rank("dense")).to_series().to_numpy()
    values = np.full(trials.height, np.nan)
    notes = [_absence(int(n)) for n in moments.n]
    for k in np.flatnonzero(usable):
        peers = moments.sharpe[usable & (alike == alike[k])]
        bar = expected_max_sharpe(trials.height, _variance(peers, int(moments.n[k])))
        sharpe = float(moments.sharpe[k])
        shape = int(moments.n[k]), float(moments.skewness[k]), float(moments.kurtosis[k])
        values[k] = probabilistic_sharpe(sharpe, bar, *shape)
        year = trials["per_year"][int(k)] ** 0.5
        notes[k] = (
            f"Sharpe ratio {sharpe * year:.2f} a year over cash, any premium of the market in it; "
            f"expected best of {trials.height:,} trials without skill {bar * year:.2f}"
        )
    return trials.select(
        "run_id",
        "strategy",
        test=pl.lit(TEST),
        statistic=pl.Series(values, dtype=pl.Float64).fill_nan(None),
        p_value=pl.Series(1.0 - values, dtype=pl.Float64).fill_nan(None),
        n="n",
        n_trials=pl.lit(trials.height, dtype=pl.Int64),
        note=pl.Series(notes, dtype=pl.String),
    )


def count_trials(path: Path, without: Collection[str] = ()) -> int:
    """Trials that a warehouse holds, those of some runs left out."""
    return query(path, TRIALS).filter(~pl.col("run_id").is_in(sorted(without))).height


def _variance(ratios: FloatArray, n: int) -> float:
    """Of Sharpe ratios per period; of a single one over n periods, what it has without skill."""
    return float(np.var(ratios, ddof=1)) if len(ratios) > 1 else 1.0 / (n - 1)


def _absence(n: int) -> str:
    if n < MIN_PERIODS:
        return f"absent: {n} periods, {MIN_PERIODS} are needed"
    return "absent: the return over the risk-free rate does not vary, or misses a period"
