"""Scalar statistics of a return series, each with its convention, and the drawdown table.

Simple returns, ddof 1, `periods_per_year` explicit. Formulas that empyrical-reloaded has come from
there, behind a guard: it takes missing values for months without return (0.1647 for an annual
return of 0.1747 after one leading NaN) and knows no calendar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import empyrical
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats
from statsmodels.regression.linear_model import OLS

from finembed_core.calendar import month_ends, month_ordinals
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray

MONTHLY = 12
TAIL = 0.05  # VaR and CVaR level
MRAR_GAMMA = 2.0  # Morningstar's risk aversion


@dataclass(frozen=True)
class Series:
    """Returns that have passed the guard: regular dates, no missing value.

    Attributes
    ----------
    dates : ndarray of datetime64[D], shape (n,)
    returns, risk_free : ndarray, shape (n,)
    benchmark : ndarray, shape (n,), or None
    periods_per_year : int
    """

    dates: NDArray[np.datetime64]
    returns: FloatArray
    risk_free: FloatArray
    benchmark: FloatArray | None
    periods_per_year: int

    @classmethod
    def of(
        cls,
        dates: NDArray[np.datetime64],
        returns: FloatArray,
        risk_free: FloatArray | None = None,
        benchmark: FloatArray | None = None,
        periods_per_year: int = MONTHLY,
        name: str = "the series",
    ) -> Self:
        """Trim missing values at both ends, refuse those between and dates that do not fit.

        Parameters
        ----------
        dates : ndarray of datetime64[D], shape (n,)
        returns : ndarray, shape (n,)
        risk_free, benchmark : ndarray, shape (n,), optional
            Same dates; the risk-free return is 0 when None.
        periods_per_year : int
        name : str
            For messages.

        Raises
        ------
        InputError
            A value is missing inside, or the dates are not of this frequency.
        """
        n = len(returns)
        rf = np.zeros(n) if risk_free is None else risk_free
        columns = [returns, rf] if benchmark is None else [returns, rf, benchmark]
        whole = np.isfinite(np.sum(columns, axis=0))
        inside = np.flatnonzero(whole)
        if len(inside) == 0:
            empty = np.empty(0)
            none = None if benchmark is None else empty
            return cls(dates[:0], empty, empty, none, periods_per_year)
        kept = slice(int(inside[0]), int(inside[-1]) + 1)
        if not whole[kept].all():
            hole = dates[kept][~whole[kept]][0]
            raise InputError(
                f"{name} has a missing value inside its history",
                where=f"{hole}",
                remedy="statistics need every period: cut the series or fill the hole knowingly",
            )
        _check_frequency(dates[kept], periods_per_year, name)
        trimmed = None if benchmark is None else benchmark[kept]
        return cls(dates[kept], returns[kept], rf[kept], trimmed, periods_per_year)

    @property
    def excess(self) -> FloatArray:
        """Returns over the risk-free rate."""
        return self.returns - self.risk_free


def _check_frequency(dates: NDArray[np.datetime64], periods_per_year: int, name: str) -> None:
    if len(dates) < 2:
        return
    if periods_per_year == MONTHLY:
        regular = bool((np.diff(month_ordinals(dates)) == 1).all())
    else:
        days = np.diff(dates.astype("datetime64[D]")).astype(np.int64)
        regular = bool((days > 0).all()) and 0.8 < days.mean() * periods_per_year / 365.25 < 1.25
    if not regular:
        raise InputError(
            f"the dates of {name} are not {periods_per_year} periods a year without gaps",
            where=f"{dates[0]} to {dates[-1]}",
            remedy="give one return per period, in order, and the right periods_per_year",
        )


@dataclass(frozen=True)
class Metric:
    """One statistic.

    Attributes
    ----------
    name : str
    value : float
        NaN where it is not defined.
    n : int
        Periods it was computed on.
    convention : str
        Formula and unit.
    """

    name: str
    value: float
    n: int
    convention: str


def omega(returns: FloatArray) -> float:
    """Omega ratio at threshold 0: sum of gains over sum of losses; NaN without losses."""
    if -np.minimum(returns, 0.0).sum() < 1e-12:
        return np.nan
    return _scalar(empyrical.omega_ratio(returns, annualization=1))


def mrar(
    returns: FloatArray, risk_free: FloatArray, periods_per_year: int, gamma: float = MRAR_GAMMA
) -> float:
    """Morningstar risk-adjusted return, decimal per year (Morningstar 2009; see polymodel)."""
    growth = (1.0 + returns) / (1.0 + risk_free)
    if len(growth) == 0 or growth.min() <= 0.0:
        return np.nan
    return float(np.mean(growth**-gamma) ** (-periods_per_year / gamma) - 1.0)


def annual_excess(excess: FloatArray, periods_per_year: int) -> float:
    """Compounded excess return, decimal per year; NaN where it falls below -1 in a period."""
    if (excess < -1.0).any():
        return np.nan
    return _scalar(empyrical.annual_return(excess, annualization=periods_per_year))


@dataclass(frozen=True)
class Regression:
    """OLS of excess returns on the benchmark's excess returns.

    ``alpha`` is per period; the t statistics are Newey and West's (1987), with `newey_west_lags`.
    """

    alpha: float
    beta: float
    alpha_t: float
    beta_t: float
    r_squared: float


def newey_west_lags(n: int) -> int:
    """Lags of a Newey-West error over n periods: floor(4 (n / 100)^(2/9)), their rule of thumb."""
    return int(4 * (n / 100) ** (2 / 9))


def regression(series: Series) -> Regression:
    """Alpha and beta; NaN where the benchmark does not vary or there are fewer than 3 periods."""
    if series.benchmark is None or len(series.returns) < 3:
        return Regression(np.nan, np.nan, np.nan, np.nan, np.nan)
    x = series.benchmark - series.risk_free
    if np.ptp(x) == 0.0 or np.ptp(series.excess) == 0.0:
        return Regression(np.nan, np.nan, np.nan, np.nan, np.nan)
    design = np.column_stack([np.ones_like(x), x])
    plain = OLS(series.excess, design).fit()
    alpha, beta = plain.params
    if plain.ssr <= 1e-20 * plain.centered_tss:  # the benchmark itself: no error to test against
        return Regression(float(alpha), float(beta), np.nan, np.nan, float(plain.rsquared))
    robust = plain.get_robustcov_results("HAC", maxlags=newey_west_lags(len(x)))
    alpha_t, beta_t = robust.tvalues
    return Regression(
        float(alpha), float(beta), float(alpha_t), float(beta_t), float(plain.rsquared)
    )


def metrics(series: Series, turnover: FloatArray | None = None) -> list[Metric]:
    """All scalar statistics.

    Parameters
    ----------
    series : Series
        With a benchmark, the relative statistics come too.
    turnover : ndarray, optional
        Half of what was bought and sold per period, share of NAV (see `after_purchase`).
    """
    found = _own(series)
    if turnover is not None:
        value = _mean(turnover) * series.periods_per_year
        text = "mean of (bought + sold) / 2 / NAV after the first purchase x ppy"
        found.append(Metric("turnover", value, len(turnover), text))
    return found


def after_purchase(turnover: FloatArray) -> FloatArray:
    """Turnover by period after the first purchase, which is none: a book must be bought."""
    bought = int(np.argmax(turnover > 0.0)) if len(turnover) else 0
    return turnover[bought + 1 :]


def relative_metrics(series: Series) -> list[Metric]:
    """Statistics against the benchmark."""
    r, b, ppy = series.returns, series.benchmark, series.periods_per_year
    n = len(r)
    fit = regression(series)
    error = ratio = treynor = beaten = np.nan
    if b is not None and n > 1:
        error = float(np.std(r - b, ddof=1) * np.sqrt(ppy))
        premium = _annual(r, ppy) - _annual(b, ppy)
        ratio = _divide(premium, error)
        treynor = _divide(annual_excess(series.excess, ppy), fit.beta)
        beaten = float(np.mean(r > b))
    return [
        Metric("beta", fit.beta, n, "OLS slope of r - rf on b - rf"),
        Metric("alpha", fit.alpha * ppy, n, "OLS intercept of r - rf on b - rf, x ppy"),
        Metric("alpha_t", fit.alpha_t, n, "t of alpha, Newey-West, floor(4 (n/100)^(2/9)) lags"),
        Metric("r_squared", fit.r_squared, n, "of the same regression"),
        Metric("tracking_error", error, n, "sd(r - b) sqrt(ppy)"),
        Metric("information_ratio", ratio, n, "(annual return - benchmark's) / tracking error"),
        Metric("treynor", treynor, n, "annualized compounded r - rf, over beta"),
        Metric("hit_rate_benchmark", beaten, n, "share of periods with r > b"),
    ]


def _own(series: Series) -> list[Metric]:
    r, ppy = series.returns, series.periods_per_year
    n = len(r)
    enough = n > 1 and bool(np.ptp(r) > 1e-12)
    volatility = _scalar(empyrical.annual_volatility(r, annualization=ppy)) if n > 1 else np.nan
    drawdown = _scalar(empyrical.max_drawdown(r)) if n else np.nan
    downside = float(np.sqrt(np.mean(np.minimum(r, 0.0) ** 2))) if n else np.nan
    table = [
        ("annual_return", _annual(r, ppy), "prod(1+r)^(ppy/n) - 1"),
        ("cumulative_return", float(np.prod(1.0 + r)) - 1.0 if n else np.nan, "prod(1+r) - 1"),
        ("volatility", volatility, "sd(r) sqrt(ppy), ddof 1"),
        ("sharpe", _sharpe(series), "mean(r - rf) / sd(r - rf) sqrt(ppy), ddof 1"),
        (
            "sortino",
            _divide(_mean(r) * np.sqrt(ppy), downside),
            "mean(r) / sqrt(mean(min(r, 0)^2)) sqrt(ppy), over all n",
        ),
        ("max_drawdown", drawdown, "min(wealth / running peak - 1), initial wealth 1, negative"),
        ("calmar", _divide(_annual(r, ppy), abs(drawdown)), "annual return / |max drawdown|"),
        ("omega", omega(r) if n > 1 else np.nan, "sum of gains / sum of losses, threshold 0"),
        ("mrar", mrar(r, series.risk_free, ppy), "Morningstar, gamma 2, over rf, per year"),
        (
            "var_95",
            _scalar(empyrical.value_at_risk(r, TAIL)) if n else np.nan,
            "5% quantile of r per period, linear interpolation, a return",
        ),
        (
            "cvar_95",
            _scalar(empyrical.conditional_value_at_risk(r, TAIL)) if n else np.nan,
            "mean of the lowest floor(0.05 (n-1)) + 1 returns per period",
        ),
        ("skewness", float(stats.skew(r)) if enough else np.nan, "m3 / m2^1.5, population moments"),
        (
            "kurtosis",
            float(stats.kurtosis(r)) if enough else np.nan,
            "m4 / m2^2 - 3, population moments",
        ),
        ("hit_rate", float(np.mean(r > 0.0)) if n else np.nan, "share of periods with r > 0"),
    ]
    return [Metric(name, value, n, text) for name, value, text in table]


def _annual(returns: FloatArray, periods_per_year: int) -> float:
    return _scalar(empyrical.annual_return(returns, annualization=periods_per_year))


def _sharpe(series: Series) -> float:
    excess = series.excess
    if len(excess) < 2 or np.ptp(excess) <= 1e-12:
        return np.nan
    return _scalar(empyrical.sharpe_ratio(excess, annualization=series.periods_per_year))


def _scalar(value: object) -> float:
    return float(np.asarray(value, dtype=np.float64))


def _mean(values: FloatArray) -> float:
    return float(np.mean(values)) if len(values) else np.nan


def _divide(numerator: float, denominator: float) -> float:
    small = not np.isfinite(denominator) or abs(denominator) < 1e-12
    return np.nan if small else float(numerator / denominator)


def drawdowns(dates: NDArray[np.datetime64], returns: FloatArray) -> pl.DataFrame:
    """All falls of wealth from a peak, the deepest first.

    Parameters
    ----------
    dates : ndarray of datetime64[D], shape (n + 1,)
        The first one is the start, when wealth is 1.
    returns : ndarray, shape (n,)

    Returns
    -------
    DataFrame
        rank, peak, trough, recovery (null while under water), depth (negative), months_down (peak
        to trough), months_recovering (trough to recovery, null): whole months, at any frequency.
    """
    wealth = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    peak = np.maximum.accumulate(wealth)
    under = np.concatenate([[False], wealth[1:] < peak[1:] * (1.0 - 1e-12), [False]])
    starts = np.flatnonzero(~under[:-1] & under[1:])  # the last date at the peak
    ends = np.flatnonzero(under[:-1] & ~under[1:]) + 1  # the first date back at it
    rows: list[dict[str, object]] = []
    for start, end in zip(starts, ends, strict=True):
        low = int(start + np.argmin(wealth[start:end]))
        back = int(end) if end < len(wealth) else None
        rows.append(
            {
                "peak": dates[start].item(),
                "trough": dates[low].item(),
                "recovery": None if back is None else dates[back].item(),
                "depth": float(wealth[low] / peak[low] - 1.0),
                "months_down": _whole_months(dates[start], dates[low]),
                "months_recovering": None
                if back is None
                else _whole_months(dates[low], dates[back]),
            }
        )
    schema = {
        "peak": pl.Date,
        "trough": pl.Date,
        "recovery": pl.Date,
        "depth": pl.Float64,
        "months_down": pl.Int64,
        "months_recovering": pl.Int64,
    }
    table = pl.DataFrame(rows, schema=schema).sort("depth", "peak")
    return table.with_row_index("rank", 1).with_columns(pl.col("rank").cast(pl.Int64))


def _whole_months(begin: np.datetime64, end: np.datetime64) -> int:
    """Months that are over between two days; from month end to month end all of them are."""
    first, last = month_ordinals([begin, end])
    day_begin, day_end = (day - day.astype("datetime64[M]") for day in (begin, end))
    is_month_end = end == month_ends(last)
    return int(last - first) - int(day_end < day_begin and not is_month_end)
