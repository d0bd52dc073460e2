"""Returns by calendar month and year, and statistics over rolling windows.

Every number is that of `metrics` on the same slice; here all windows are computed at once.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view

from finembed_core.backtest.metrics import Series
from finembed_core.calendar import month_ordinals
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WINDOW = 36  # periods: spec of the report
FLAT = 1e-12  # range of excess returns below which `metrics` has no Sharpe ratio

SCHEMAS: dict[str, dict[str, pl.DataType | type[pl.DataType]]] = {
    "calendar_returns": {
        "strategy": pl.String,
        "year": pl.Int64,
        **dict.fromkeys(MONTHS, pl.Float64),
        "total": pl.Float64,
        "months": pl.Int64,
        "partial": pl.Boolean,
    },
    "rolling": {
        "strategy": pl.String,
        "date": pl.Date,
        "window": pl.Int64,
        "annual_return": pl.Float64,
        "volatility": pl.Float64,
        "sharpe": pl.Float64,
        "beta": pl.Float64,
        "max_drawdown": pl.Float64,
    },
}


def calendar_returns(strategy: str, series: Series) -> pl.DataFrame:
    """A row per calendar year: its twelve months and the year, compounded.

    Parameters
    ----------
    strategy : str
    series : Series
        Monthly, or of a higher frequency, which is compounded by month.

    Returns
    -------
    DataFrame
        Table `calendar_returns`. A month without return is null; ``total`` compounds the months
        that there are, ``months`` counts them, and ``partial`` says that they are not all twelve.
    """
    months, starts = np.unique(month_ordinals(series.dates), return_index=True)
    monthly = np.multiply.reduceat(1.0 + series.returns, starts) - 1.0
    year, place = 1970 + months // 12, months % 12
    years, row = np.unique(year, return_inverse=True)
    table = np.full((len(years), 12), np.nan)
    table[row, place] = monthly
    covered = np.isfinite(table).sum(axis=1)
    total = np.prod(1.0 + np.nan_to_num(table), axis=1) - 1.0
    columns = dict(zip(MONTHS, table.T, strict=True))
    frame = pl.DataFrame({"year": years, **columns}).with_columns(
        pl.col(MONTHS).fill_nan(None),
        strategy=pl.lit(strategy),
        total=pl.Series(total, dtype=pl.Float64),
        months=pl.Series(covered, dtype=pl.Int64),
        partial=pl.Series(covered < 12, dtype=pl.Boolean),
    )
    return _conform(frame, "calendar_returns")


def rolling(strategy: str, series: Series, window: int = WINDOW) -> pl.DataFrame:
    """Statistics of every stretch of `window` periods.

    Parameters
    ----------
    strategy : str
    series : Series
        Beta is null without a benchmark.
    window : int
        Periods, 2 or more.

    Returns
    -------
    DataFrame
        Table `rolling`: one row per window, dated at its end, with the formulas and units of
        `metrics`; null where the statistic is not defined. Empty where the series is shorter.

    Raises
    ------
    InputError
        The window is shorter than 2.
    """
    if window < 2:
        raise InputError(
            f"a rolling window of {window} periods has no volatility",
            remedy="give 2 periods or more",
        )
    if len(series.returns) < window:
        return pl.DataFrame(schema=SCHEMAS["rolling"])
    ppy = series.periods_per_year
    returns = sliding_window_view(series.returns, window)
    excess = sliding_window_view(series.excess, window)
    frame = pl.DataFrame(
        {
            "date": series.dates[window - 1 :],
            "annual_return": np.prod(1.0 + returns, axis=1) ** (ppy / window) - 1.0,
            "volatility": np.std(returns, axis=1, ddof=1) * np.sqrt(ppy),
            "sharpe": _sharpe(excess) * np.sqrt(ppy),
            "beta": _beta(excess, series),
            "max_drawdown": _drawdown(returns),
        }
    ).with_columns(
        pl.selectors.float().fill_nan(None),
        strategy=pl.lit(strategy),
        window=pl.lit(window),
    )
    return _conform(frame, "rolling")


def _conform(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    return frame.select(pl.col(column).cast(kind) for column, kind in SCHEMAS[table].items())


def _sharpe(excess: FloatArray) -> FloatArray:
    varies = np.ptp(excess, axis=1) > FLAT
    spread = np.std(excess, axis=1, ddof=1)
    return np.divide(excess.mean(axis=1), spread, out=np.full(len(excess), np.nan), where=varies)


def _beta(excess: FloatArray, series: Series) -> FloatArray:
    """Slope of each window's regression on the benchmark; NaN as in `metrics.regression`."""
    n, window = excess.shape
    if series.benchmark is None or window < 3:
        return np.full(n, np.nan)
    market = sliding_window_view(series.benchmark - series.risk_free, window)
    varies = (np.ptp(market, axis=1) > 0.0) & (np.ptp(excess, axis=1) > 0.0)
    away = market - market.mean(axis=1, keepdims=True)
    covariance = np.einsum("ij,ij->i", away, excess - excess.mean(axis=1, keepdims=True))
    variance = np.einsum("ij,ij->i", away, away)
    return np.divide(covariance, variance, out=np.full(n, np.nan), where=varies)


def _drawdown(returns: FloatArray) -> FloatArray:
    """Deepest fall below the running peak of each window, which starts at wealth 1."""
    wealth = np.cumprod(1.0 + returns, axis=1)
    peak = np.maximum(np.maximum.accumulate(wealth, axis=1), 1.0)
    return np.minimum((wealth / peak).min(axis=1) - 1.0, 0.0)
