"""What a strategy was exposed to: its excess return explained by several risk factors at once.

    r(t) - rf(t) = alpha + sum_k beta_k f_k(t) + e(t)

by ordinary least squares, with the errors of Newey and West (1987, Econometrica 55(3)). With the
intercept the split of the mean is exact, and Euler's split of the variance sums to R2:

    mean(r - rf) = alpha + sum_k beta_k mean(f_k)
    R2           = sum_k beta_k cov(f_k, r - rf) / var(r - rf)

This is a description after the fact: it sees all months at once, and no decision may use it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray
from statsmodels.regression.linear_model import OLS

from finembed_core.backtest.metrics import Series, newey_west_lags
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray, Panel

ALPHA, BENCHMARK = ":alpha", ":benchmark"
"""Ids of what no factor explains, and of the benchmark's excess return as a factor."""

MONTHS_PER_FACTOR = 5  # periods that a factor must have to be chosen
LEAST_PER_COEFFICIENT = 2  # Austin and Steyerberg (2015), Journal of Clinical Epidemiology 68(6)
LEAST = 24  # periods below which there is no regression at all: two years, a convention
SAME = 1e-6  # share of a factor's length that is rounding, once the other factors are taken out
INFLATED = 10.0  # variance inflation from which a beta is not a factor's own (Marquardt 1970)

SCHEMAS: dict[str, dict[str, pl.DataType | type[pl.DataType]]] = {
    "exposures": {
        "strategy": pl.String,
        "factor": pl.String,
        "beta": pl.Float64,
        "std_error": pl.Float64,
        "t": pl.Float64,
        "contribution": pl.Float64,
        "risk_share": pl.Float64,
        "n": pl.Int64,
        "note": pl.String,
    },
}


@dataclass(frozen=True)
class Factors:
    """Factors over the periods of a strategy.

    Attributes
    ----------
    names : tuple of str, length K
    values : ndarray, shape (n, K)
        Without missing values.
    dropped : dict of str to str
        Factors left out, and why.
    note : str
        Which factors these are, or why there are none.
    """

    names: tuple[str, ...]
    values: FloatArray
    dropped: dict[str, str] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def of(cls, series: Series, panel: Panel, note: str = "") -> Factors:
        """Those of a panel that have a value on every date of the strategy.

        Parameters
        ----------
        series : Series
        panel : Panel
            Dated like the series: the ends of months where it is monthly.
        note : str
        """
        row = np.searchsorted(panel.dates, series.dates)
        row = np.minimum(row, max(len(panel.dates) - 1, 0))
        values = np.full((len(series.dates), len(panel.ids)), np.nan)
        if len(panel.dates):
            there = panel.dates[row] == series.dates
            values[there] = panel.values[row[there]]
        seen = np.isfinite(values).sum(axis=0)
        whole = seen == len(values)
        dropped = {
            panel.ids[k]: f"incomplete: a value in {seen[k]} of {len(values)} periods"
            for k in np.flatnonzero(~whole)
        }
        names = tuple(panel.ids[k] for k in np.flatnonzero(whole))
        return cls(names, values[:, whole], dropped, note)

    def first(self, most: int) -> Factors:
        """The first `most` of them."""
        late = dict.fromkeys(self.names[most:], f"too many factors: the first {most} are taken")
        return Factors(
            self.names[:most], self.values[:, :most], {**self.dropped, **late}, self.note
        )


def choose_factors(series: Series, risk_factors: Panel, macro_factors: Panel) -> Factors:
    """Factors to explain a strategy by, chosen without looking at its returns.

    1. All risk factors that cover every period, if there are 5 periods or more for each.
    2. Otherwise the benchmark's excess return (`BENCHMARK`) and the macro factors that cover every
       period, in their order, as many as there are 5 periods for. Macro factors alone would leave
       to alpha what the market paid.

    Any rule that picks the factors that fit best would make t statistics meaningless; this one
    looks at dates alone.

    Parameters
    ----------
    series : Series
    risk_factors : Panel
        Monthly returns or changes of the series with role ``risk_factor``.
    macro_factors : Panel
        Components of the series with role ``macro``, as known in the last month.

    Returns
    -------
    Factors
        Without names, and a note that says why, where there is none of all these.
    """
    n = len(series.returns)
    most = n // MONTHS_PER_FACTOR
    risk = Factors.of(series, risk_factors, "risk factors")
    if 0 < len(risk.names) <= most:
        return risk
    short = f"{len(risk.names)} risk factors are too many for {n} periods"
    if not risk.names:
        short = "no risk factor covers all periods"
    macro = Factors.of(series, macro_factors, f"macro factors: {short}")
    if series.benchmark is not None:
        macro = Factors(
            (BENCHMARK, *macro.names),
            np.column_stack([series.benchmark - series.risk_free, macro.values]),
            macro.dropped,
            f"benchmark and macro factors: {short}",
        )
    if not macro.names:
        nothing = f"{short}, and there is neither a benchmark nor a macro factor"
        return Factors((), macro.values, risk.dropped, nothing)
    return macro.first(most)


def _none() -> FloatArray:
    return np.empty(0)


@dataclass(frozen=True)
class Exposures:
    """Result of the regression of excess returns on K factors.

    Attributes
    ----------
    n : int
        Periods.
    dropped : dict of str to str
        Factors left out, and why.
    note : str
        Which factors these are.
    absent : str
        Why there is no result: then nothing follows. Empty where there is one.
    names : tuple of str, length K
    betas, std_errors, t : ndarray, shape (K,)
        Return per unit of the factor; errors are NaN where the fit leaves nothing over.
    contributions : ndarray, shape (K,)
        beta x mean of the factor x periods per year: decimal per year.
    risk_shares : ndarray, shape (K,)
        Of the variance of the excess return; may be negative, sum to ``r_squared``.
    notes : tuple of str, length K
        What to know about a beta; mostly empty.
    alpha, alpha_error, alpha_t : float
        Intercept and its error x periods per year. With the contributions alpha sums to the mean
        excess return x periods per year.
    r_squared, adjusted_r_squared : float
    lags : int
        Of the errors.
    """

    n: int
    dropped: dict[str, str]
    note: str
    absent: str = ""
    names: tuple[str, ...] = ()
    betas: FloatArray = field(default_factory=_none)
    std_errors: FloatArray = field(default_factory=_none)
    t: FloatArray = field(default_factory=_none)
    contributions: FloatArray = field(default_factory=_none)
    risk_shares: FloatArray = field(default_factory=_none)
    notes: tuple[str, ...] = ()
    alpha: float = np.nan
    alpha_error: float = np.nan
    alpha_t: float = np.nan
    r_squared: float = np.nan
    adjusted_r_squared: float = np.nan
    lags: int = 0


def exposures(series: Series, factors: Factors, funded: Collection[str] = ()) -> Exposures:
    """Regress a strategy's excess returns on factors.

    Parameters
    ----------
    series : Series
        Its benchmark plays no part but as a factor.
    factors : Factors
        Over the same periods. Constant ones and combinations of those before them in the order of
        their names are dropped.
    funded : collection of str
        Factors that are returns on money invested, such as a stock index: the risk-free rate is
        taken from them too. Returns of long-short portfolios and changes of yields stay. Names
        that are no factor here are ignored.

    Raises
    ------
    InputError
        The factors are of other periods, or one has the id of the row of alpha.
    """
    n = len(series.returns)
    if len(factors.values) != n:
        raise InputError(
            f"factors have {len(factors.values)} periods, the strategy has {n}",
            remedy="make them with Factors.of or choose_factors from the same series",
        )
    if ALPHA in {*factors.names, *factors.dropped}:
        raise InputError(f"a factor is called {ALPHA!r}", remedy="rename the series")
    if n < LEAST:
        few = f"{n} periods are too few: {LEAST} are needed"
        return Exposures(n, factors.dropped, factors.note, few)
    paid = np.array([name in funded for name in factors.names], dtype=bool)
    values = factors.values - paid * series.risk_free[:, None]
    kept, dropped = _independent(factors.names, values)
    dropped = {**factors.dropped, **dropped}
    absent = _absence(series, factors, len(kept))
    if absent:
        return Exposures(n, dropped, factors.note, absent)
    names = tuple(factors.names[k] for k in kept)
    return _fit(series, names, values[:, kept], dropped, factors.note)


def _absence(series: Series, factors: Factors, kept: int) -> str:
    n, least = len(series.returns), LEAST_PER_COEFFICIENT * (kept + 1)
    if kept == 0:
        return factors.note if not factors.names else "no factor varies"
    if n < least:
        return f"{n} periods are too few for {kept} factors: {least} are needed"
    if np.ptp(series.excess) <= 1e-12:
        return "the excess return does not vary"
    return ""


def _fit(
    series: Series, names: tuple[str, ...], values: FloatArray, dropped: dict[str, str], note: str
) -> Exposures:
    n, ppy = len(values), series.periods_per_year
    away = values - values.mean(axis=0)
    size = np.sqrt(np.mean(away**2, axis=0))  # yields in decimals and volatilities side by side
    design = np.column_stack([np.ones(n), values / size])
    plain = OLS(series.excess, design).fit()
    lags = newey_west_lags(n)
    errors = np.full(len(design.T), np.nan)
    if plain.ssr > 1e-20 * plain.centered_tss:  # else a factor itself: no error to test against
        errors = plain.get_robustcov_results("HAC", maxlags=lags).bse
    t = plain.params / errors
    betas = plain.params[1:] / size
    unlike = series.excess - series.excess.mean()
    return Exposures(
        names=names,
        betas=betas,
        std_errors=errors[1:] / size,
        t=t[1:],
        contributions=betas * values.mean(axis=0) * ppy,
        risk_shares=betas * (away.T @ unlike) / float(unlike @ unlike),
        alpha=float(plain.params[0]) * ppy,
        alpha_error=float(errors[0]) * ppy,
        alpha_t=float(t[0]),
        r_squared=float(plain.rsquared),
        adjusted_r_squared=float(plain.rsquared_adj),
        n=n,
        lags=lags,
        notes=_inflation(away),
        dropped=dropped,
        note=note,
    )


def _inflation(away: FloatArray) -> tuple[str, ...]:
    """A word on each factor that the others nearly span: 1 / (1 - R2 on them)."""
    triangle = np.linalg.qr(away / np.linalg.norm(away, axis=0), mode="r")
    inflation = np.square(np.linalg.inv(triangle)).sum(axis=1)
    return tuple(
        f"other factors nearly span it: variance inflation {value:.3g}" if value > INFLATED else ""
        for value in inflation
    )


def _independent(
    names: tuple[str, ...], values: FloatArray
) -> tuple[NDArray[np.int64], dict[str, str]]:
    """Columns that vary and are no combination of others; the reasons of the rest.

    Names are gone through in their order, so that the order of columns changes nothing.
    """
    dropped: dict[str, str] = {}
    kept: list[int] = []
    basis = np.empty((len(values), 0))  # orthonormal
    for k in sorted(range(len(names)), key=names.__getitem__):
        away = values[:, k] - values[:, k].mean()
        length = np.linalg.norm(away)
        if not length > SAME * np.linalg.norm(values[:, k]):
            dropped[names[k]] = "constant"
            continue
        rest = away - basis @ (basis.T @ away)
        rest -= basis @ (basis.T @ rest)  # once more: rounding of the first time
        if np.linalg.norm(rest) <= SAME * length:
            parts = ", ".join(_parts(values[:, kept], [names[j] for j in kept], away))
            dropped[names[k]] = f"collinear: a combination of {parts}"
            continue
        basis = np.column_stack([basis, rest / np.linalg.norm(rest)])
        kept.append(k)
    return np.array(sorted(kept), dtype=np.int64), dropped


def _parts(values: FloatArray, names: list[str], target: FloatArray) -> list[str]:
    away = values - values.mean(axis=0)
    unit = away / np.linalg.norm(away, axis=0)
    shares = np.linalg.lstsq(unit, target / np.linalg.norm(target))[0]
    return [name for name, share in zip(names, shares, strict=True) if abs(share) > np.sqrt(SAME)]


def exposure_table(strategy: str, found: Exposures) -> pl.DataFrame:
    """Rows of `exposures`: the factors, those dropped with their reason, then alpha.

    Parameters
    ----------
    strategy : str
    found : Exposures

    Returns
    -------
    DataFrame
        ``contribution`` sums to the mean excess return per year, ``risk_share`` to 1: the row of
        alpha has what the factors leave over; its note says which factors these are. Where there
        is no result, no row has numbers, and that note is the reason.
    """
    note = (
        f"absent: {found.absent}"
        if found.absent
        else f"{found.note or 'factors'}; adjusted R2 {found.adjusted_r_squared:.3f}, "
        f"Newey-West with {found.lags} lags"
    )
    unexplained = 1.0 - found.r_squared
    alpha = (found.alpha, found.alpha_error, found.alpha_t, found.alpha, unexplained)
    rows: list[tuple[str | float, ...]] = [
        (name, *numbers, note)
        for name, *numbers, note in zip(
            found.names,
            found.betas.tolist(),
            found.std_errors.tolist(),
            found.t.tolist(),
            found.contributions.tolist(),
            found.risk_shares.tolist(),
            found.notes,
            strict=True,
        )
    ]
    nothing = (np.nan,) * 5
    rows += [(name, *nothing, reason) for name, reason in sorted(found.dropped.items())]
    rows.append((ALPHA, *alpha, note))
    own = {k: v for k, v in SCHEMAS["exposures"].items() if k not in ("strategy", "n")}
    return (
        pl.DataFrame(rows, schema=own, orient="row")
        .with_columns(
            pl.selectors.float().fill_nan(None), strategy=pl.lit(strategy), n=pl.lit(found.n)
        )
        .select(pl.col(column).cast(kind) for column, kind in SCHEMAS["exposures"].items())
    )
