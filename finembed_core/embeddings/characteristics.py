"""Characteristics: numbers and a category of every fund, as they stood at the close of a session.

Trailing figures are taken over the last `TRAILING` sessions, from the returns that were visible
then. Death, closure and the terms of redemption never enter: a table of attributes tells them from
the day it was written, not from the day they were known. Fees and the category stand in that same
table without a date. They are taken as they are, which is hindsight where they changed, and where
somebody classified the funds by what they later did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.calendar import Month, month_ordinals
from finembed_core.daily_panel import DailyPanel, Floats32
from finembed_core.errors import InputError
from finembed_core.learning.channels import GroupScaler
from finembed_core.panel import FloatArray, Panel

TRAILING = 252  # sessions, a year
LEAST = 63  # returns within them, a quarter, below which a figure is unknown
PER_YEAR = 252
MOST_SERIES = 8  # daily series besides the market that a fund's betas are taken to
FLAT = 1e-7  # daily volatility below which returns are one value and rounding of float32
DAYS_PER_YEAR = 365.25
ASSET_MONTHS = 12  # of flows; also the oldest AUM that counts

MOMENTS = ("mean", "volatility", "skewness", "drawdown", "missing_share")
FEES = ("management_fee", "performance_fee")
ASSETS = ("log_aum", "flow")
BETA = "beta_"
ATTRIBUTES = ("fund_id", "category", "inception", *FEES)
"""Of the table of funds; the rest, such as deaths and closures, is none of an information set."""
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Characteristics:
    """What was known about some funds at one session.

    Attributes
    ----------
    names : tuple of str, length P
        ``age`` (years), ``mean`` and ``volatility`` (annualized), ``skewness``,
        ``drawdown`` (>= 0), ``missing_share``, ``r2_market``, ``beta_market``,
        ``beta_<series>``, fees (decimal), ``log_aum``, ``flow`` (monthly, decimal).
    values : ndarray of float64, shape (n, P)
        NaN where unknown.
    categories : tuple of str or None, length n
    """

    names: tuple[str, ...]
    values: FloatArray
    categories: tuple[str | None, ...]


class Monthly(NamedTuple):
    """Assets under management and returns as a session's information set has them.

    Attributes
    ----------
    aum, returns : Panel
        `History.as_of` of the same month.
    """

    aum: Panel
    returns: Panel


def characteristics(
    panel: DailyPanel,
    funds: pl.DataFrame,
    session: int,
    columns: Codes,
    market: str,
    monthly: Monthly | None = None,
) -> Characteristics:
    """Characteristics of some funds at the close of a session.

    Parameters
    ----------
    panel : DailyPanel
    funds : polars.DataFrame
        Table of attributes (`sources.tables.FUNDS`); a fund without a row has none.
    session : int
    columns : ndarray of int64, shape (n,)
        Columns of the panel.
    market : str
        Series of the panel.
    monthly : Monthly, optional
        Where AUM are reported.

    Raises
    ------
    InputError
        The panel has no such market.
    """
    if market not in panel.series_ids:
        raise InputError(
            f"no daily series is called {market}",
            where=f"daily panel: {', '.join(panel.series_ids) or 'no series'}",
            remedy="name one of them in embeddings.market",
        )
    ids = [panel.ids[column] for column in columns]
    rows = slice(max(session + 1 - TRAILING, 0), session + 1)
    returns = _visible(panel.returns[rows, columns], panel.known[rows, columns], session)
    series = _visible(panel.series[rows], panel.series_known[rows], session)
    others = [name for name in panel.series_ids if name != market][:MOST_SERIES]
    chosen = [panel.series_ids.index(name) for name in (market, *others)]
    betas, fits = _betas(returns, series[:, chosen])
    own = pl.DataFrame({"fund_id": ids}, schema={"fund_id": pl.String}).join(
        funds, on="fund_id", how="left", maintain_order="left"
    )
    parts = [
        _age(panel, own["inception"], session, columns)[:, None],
        _moments(returns),
        fits[:, :1],
        betas,
        own.select(pl.col(FEES).cast(pl.Float64).fill_null(np.nan)).to_numpy(),
        _assets(monthly, ids),
    ]
    betas_to = (f"{BETA}{name}" for name in ("market", *others))
    names = ("age", *MOMENTS, "r2_market", *betas_to, *FEES, *ASSETS)
    return Characteristics(names, np.concatenate(parts, axis=1), _categories(own["category"]))


class ScaledCharacteristics(NamedTuple):
    """As a network takes them.

    Attributes
    ----------
    numbers : ndarray of float32, shape (n, P')
        0 where unknown.
    known : ndarray of bool, shape (n, P')
    category : ndarray of int64, shape (n,)
        0 where it is unknown, or was in training.
    """

    numbers: Floats32
    known: Flags
    category: Codes


@dataclass(frozen=True)
class CharacteristicScaler:
    """Standardizes numbers and codes categories; fitted once, on training sessions.

    A number x becomes ``clip((x - median) / s, -5, 5)`` with the robust deviation s of
    `learning.channels`; one that does not vary in training is left out.

    Attributes
    ----------
    numbers : GroupScaler
    categories : tuple of str
        Seen in training, sorted; the code of the first is 1.
    """

    numbers: GroupScaler
    categories: tuple[str, ...]

    @classmethod
    def fit(cls, sessions: Sequence[Characteristics]) -> CharacteristicScaler:
        """Fit on the characteristics of training sessions only; at least one session."""
        values = np.concatenate([session.values for session in sessions])
        seen = {name for session in sessions for name in session.categories if name is not None}
        return cls(GroupScaler.fit(values, sessions[0].names, {}), tuple(sorted(seen)))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers that come out, length P'."""
        return self.numbers.channels

    @property
    def series(self) -> tuple[str, ...]:
        """Daily series besides the market that betas were taken to."""
        _, *betas = [name for name in self.numbers.names if name.startswith(BETA)]
        return tuple(name.removeprefix(BETA) for name in betas)

    def apply(self, session: Characteristics) -> ScaledCharacteristics:
        """Scale the characteristics of any session.

        Raises
        ------
        InputError
            They are others than in training, as when a daily series has come or gone.
        """
        _check_same(self.numbers.names, session.names)
        known = ~np.isnan(session.values[:, self.numbers.scale > 0])
        code = {name: k for k, name in enumerate(self.categories, start=1)}
        codes = [0 if name is None else code.get(name, 0) for name in session.categories]
        return ScaledCharacteristics(
            self.numbers.apply(session.values), known, np.array(codes, dtype=np.int64)
        )

    def state(self) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Arrays and plain values that `from_state` takes back."""
        arrays, plain = self.numbers.state()
        return arrays, {"numbers": plain, "categories": self.categories}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray], plain: dict[str, Any]) -> CharacteristicScaler:
        """The scaler whose `state` this was."""
        return cls(GroupScaler.from_state(arrays, plain["numbers"]), tuple(plain["categories"]))


def _check_same(trained: tuple[str, ...], found: tuple[str, ...]) -> None:
    if trained == found:
        return
    gone, new = sorted(set(trained) - set(found)), sorted(set(found) - set(trained))
    changes = [f"without {', '.join(gone)}"] if gone else []
    changes += [f"with {', '.join(new)}"] if new else []
    raise InputError(
        "the characteristics are not those that the model was trained with",
        where=f"now {' and '.join(changes) or 'in another order'}",
        remedy="train the model anew on these data",
    )


def _visible(values: Floats32, known: NDArray[np.int32], session: int) -> FloatArray:
    """Values that could be used at a session, NaN where not."""
    return np.where(known <= session, values, np.nan).astype(np.float64)


def _age(panel: DailyPanel, inception: pl.Series, session: int, columns: Codes) -> FloatArray:
    """Years since inception or, where that is not known or lies ahead, since the first return."""
    today = panel.days[session]
    begin = inception.cast(pl.Date).to_numpy().astype("datetime64[D]")
    unknown = np.isnat(begin) | (begin > today)
    late = columns[unknown]
    if len(late):
        past = slice(session + 1)
        seen = ~np.isnan(_visible(panel.returns[past, late], panel.known[past, late], session))
        first = panel.days[seen.argmax(axis=0)]
        begin[unknown] = np.where(seen.any(axis=0), first, np.datetime64("NaT", "D"))
    return (today - begin) / np.timedelta64(1, "D") / DAYS_PER_YEAR


def _moments(returns: FloatArray) -> FloatArray:
    """The figures of `MOMENTS`, shape (n, 5), of returns (W, n)."""
    seen = ~np.isnan(returns)
    count = seen.sum(axis=0)
    n = np.maximum(count, 1)
    filled = np.where(seen, returns, 0.0)
    mean = filled.sum(axis=0) / n
    residual = np.where(seen, returns - mean, 0.0)
    spread = np.sqrt((residual**2).sum(axis=0) / n)
    varies = np.where(spread > FLAT, spread, np.nan)
    skewness = (residual**3).sum(axis=0) / n / varies**3
    wealth = np.cumprod(1.0 + filled, axis=0)
    peak = np.maximum(np.maximum.accumulate(wealth, axis=0), 1.0)
    drawdown = (1.0 - wealth / peak).max(axis=0)
    figures = np.stack([mean * PER_YEAR, spread * PER_YEAR**0.5, skewness, drawdown], axis=1)
    figures[count < LEAST] = np.nan
    life = len(returns) - seen.argmax(axis=0)  # sessions since its first return in the window
    missing = np.where(count > 0, 1.0 - count / life, np.nan)
    return np.column_stack([figures, missing])


def _betas(returns: FloatArray, series: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Slope and R2 of each fund on each series alone, over the sessions that both have.

    Parameters
    ----------
    returns : ndarray, shape (W, n)
    series : ndarray, shape (W, k)

    Returns
    -------
    betas, fits : ndarray, shape (n, k)
        NaN below `LEAST` sessions, or where either does not vary.
    """
    x, seen_x = _centered(returns)
    y, seen_y = _centered(series)
    count = seen_x.T @ seen_y
    n = np.maximum(count, 1.0)
    mean_x, mean_y = x.T @ seen_y / n, seen_x.T @ y / n
    covariance = x.T @ y / n - mean_x * mean_y
    variance_x = (x**2).T @ seen_y / n - mean_x**2
    variance_y = seen_x.T @ y**2 / n - mean_y**2
    enough = count >= LEAST
    of_x = np.where(enough & (variance_x > FLAT**2), variance_x, np.nan)
    of_y = np.where(enough & (variance_y > FLAT**2), variance_y, np.nan)
    return covariance / of_y, covariance**2 / (of_x * of_y)


def _centered(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Deviations from the mean, 0 where missing, and 1.0 where not."""
    seen = ~np.isnan(values)
    mean = np.where(seen, values, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    return np.where(seen, values - mean, 0.0), seen.astype(np.float64)


def _assets(monthly: Monthly | None, ids: list[str]) -> FloatArray:
    """The figures of `ASSETS`, shape (n, 2): latest AUM of a year, and its mean monthly flow."""
    unknown = np.full((len(ids), len(ASSETS)), np.nan)
    if monthly is None or not len(monthly.aum.dates):
        return unknown
    last = Month(int(month_ordinals(monthly.aum.dates)[-1]))
    aum, returns = (table.window(last, ASSET_MONTHS + 1).select(ids).values for table in monthly)
    aum = np.where(aum > 0, aum, np.nan)  # (13, n)
    flows = aum[1:] / aum[:-1] - (1.0 + returns[1:])
    seen = ~np.isnan(aum[1:])
    latest = len(seen) - seen[::-1].argmax(axis=0)
    log_aum = np.log(aum[latest, np.arange(len(ids))])
    known = ~np.isnan(flows)
    total = np.where(known, flows, 0.0).sum(axis=0)
    flow = np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
    return np.column_stack([log_aum, flow])


def _categories(names: pl.Series) -> tuple[str | None, ...]:
    trimmed = names.cast(pl.String).str.strip_chars()
    return tuple(name or None for name in trimmed.to_list())
