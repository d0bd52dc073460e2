"""Which fund earned what: a track's change of NAV split by fund, cash, costs and dead funds.

In month t, with NAV W before the dealing that opens it and holdings h after that dealing,

    W(t) - W(t-1) = sum_i h_i r_i  -  losses on dead funds  +  cash x rf  -  costs

which divided by W(t-1) is the month's net return r(t) as a sum of contributions c_i(t). Over
several months they are linked by Carino (1999), *Combining Attribution Effects Over Time*, Journal
of Performance Measurement 3(4):

    C_i = sum_t c_i(t) k(t) / k,    k(t) = ln(1 + r(t)) / r(t),    k = ln(1 + R) / R

so that they sum to the compounded return R, whatever the order of the months.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from finembed_core.backtest.ledger import TOLERANCE
from finembed_core.backtest.simulator import Market, Track
from finembed_core.calendar import Period
from finembed_core.errors import InputError, IntegrityError
from finembed_core.panel import FloatArray

CASH, COSTS, WRITE_OFFS, RECEIVABLES = ":cash", ":costs", ":write_offs", ":receivables"
"""Ids of the rows that are no fund."""

SCHEMAS: dict[str, dict[str, pl.DataType | type[pl.DataType]]] = {
    "contributions": {
        "strategy": pl.String,
        "fund_id": pl.String,
        "contribution": pl.Float64,
        "average_weight": pl.Float64,
        "months_held": pl.Int64,
    },
}


@dataclass(frozen=True)
class Contributions:
    """Money earned and lost in each of K months, by what earned or lost it.

    Attributes
    ----------
    months : list of Period, length K
    ids : tuple of str, length N
    nav : ndarray, shape (K + 1,)
        Before dealing; the first is that of the month before.
    funds : ndarray, shape (K, N)
        What each fund's reported returns earned.
    write_offs : ndarray, shape (K, N)
        What was lost when a fund's death was booked: 0 or less, but for short positions.
    cash : ndarray, shape (K,)
        Interest less borrow fees, and in ruin what a creditor bears.
    costs : ndarray, shape (K,)
        Of the dealing that opens each month, 0 or less.
    weights : ndarray, shape (K, N)
        Share of each fund in the NAV after that dealing.
    cash_weight, receivables_weight : ndarray, shape (K,)
        Shares of the rest, payables taken off the receivables; 0, like all weights, once the NAV
        is lost.
    """

    months: list[Period]
    ids: tuple[str, ...]
    nav: FloatArray
    funds: FloatArray
    write_offs: FloatArray
    cash: FloatArray
    costs: FloatArray
    weights: FloatArray
    cash_weight: FloatArray
    receivables_weight: FloatArray

    @property
    def total_return(self) -> float:
        """Compounded return of these months."""
        if len(self.nav) == 0 or self.nav[0] <= 0.0:
            return 0.0
        return float(self.nav[-1] / self.nav[0] - 1.0)

    def per_month(self, money: FloatArray) -> FloatArray:
        """Money as a share of the NAV at each month's beginning.

        Parameters
        ----------
        money : ndarray, shape (K,) or (K, N)
            `funds`, `write_offs`, `cash` or `costs`: over all four the shares of a month sum to
            its net return.

        Returns
        -------
        ndarray, same shape
        """
        share = _reciprocal(self.nav[:-1])
        return (money.T * share).T

    def linked(self, money: FloatArray) -> FloatArray:
        """Contributions to the compounded return of all months.

        Parameters
        ----------
        money : ndarray, shape (K,) or (K, N)

        Returns
        -------
        ndarray, shape () or (N,)
            Over all four kinds of money they sum to `total_return`.
        """
        return linking(self.nav) * _reciprocal(self.nav[:-1]) @ money


def linking(nav: FloatArray) -> FloatArray:
    """Carino's k(t) / k of each month.

    Parameters
    ----------
    nav : ndarray, shape (K + 1,)

    Returns
    -------
    ndarray, shape (K,)
        Where everything is lost, the limit: 1 in the month of the loss, 0 in all others.
    """
    lost = nav <= 0.0
    if len(nav) == 0 or lost.any():
        return np.diff(lost.astype(np.float64))
    return _log_ratio(nav[1:] / nav[:-1]) / _log_ratio(nav[-1:] / nav[:1])


def _log_ratio(growth: FloatArray) -> FloatArray:
    """``ln(1 + r) / r`` of growth 1 + r; 1 where r is 0.

    Numerator and denominator see the same rounding of 1 + r, so it cancels however small r is.
    """
    change = growth - 1.0
    return np.divide(np.log(growth), change, out=np.ones_like(growth), where=change != 0.0)


def _reciprocal(values: FloatArray) -> FloatArray:
    return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0.0)


def contributions(
    track: Track, market: Market, first: Period | None = None, last: Period | None = None
) -> Contributions:
    """Split a track's gains and losses.

    Parameters
    ----------
    track : Track
    market : Market
        The one that the track went through.
    first, last : Period, optional
        First and last month earned; all that the track has where None.

    Raises
    ------
    InputError
        The months are not those of the track, or the market is another one.
    IntegrityError
        The parts do not sum to the change of the NAV.
    """
    earned = track.months[1:]
    if not earned and first is None and last is None:
        return _nothing(market.ids)
    begin, end = _span(earned, first, last)
    before, now = slice(begin, end), slice(begin + 1, end + 1)  # rows of the track
    row = market.row(track.first)
    returns = market.returns[row + begin + 1 : row + end + 1]
    holdings = track.holdings[before]
    if returns.shape != holdings.shape:
        raise InputError(
            f"the market has {returns.shape} returns where the track holds {holdings.shape}",
            where=f"{earned[begin]} to {earned[end - 1]}",
            remedy="give the market that the track was simulated in",
        )
    share = _reciprocal(track.nav_after[before])
    gains = holdings * np.nan_to_num(returns)
    made = Contributions(
        months=earned[begin:end],
        ids=market.ids,
        nav=track.nav[begin : end + 1],
        funds=gains,
        write_offs=_write_offs(track, begin, holdings + gains),
        cash=_cash(track, before, now),
        costs=-track.costs[now],
        weights=holdings * share[:, None],
        cash_weight=track.cash[before] * share,
        receivables_weight=(track.receivables - track.payables)[before] * share,
    )
    _check(made)
    return made


def _cash(track: Track, before: slice, now: slice) -> FloatArray:
    """Interest, less borrow fees; in ruin, plus what a creditor bears."""
    earned = track.cash[before] * track.risk_free[now] - track.borrow_fees[now]
    if track.ruin is not None:
        k = track.ruin.month - track.first - now.start
        if 0 <= k < len(earned):
            earned[k] -= track.ruin.nav
    return earned


def _span(earned: list[Period], first: Period | None, last: Period | None) -> tuple[int, int]:
    if not earned:
        raise InputError("the track has earned no month", where=f"{first or ''} to {last or ''}")
    first, last = first or earned[0], last or earned[-1]
    if not earned[0] <= first <= last <= earned[-1]:
        raise InputError(
            f"no contributions from {first} to {last}",
            where=f"the track earns {earned[0]} to {earned[-1]}",
            remedy="ask for months in between, the first of them first",
        )
    return first - earned[0], last - earned[0] + 1


def _write_offs(track: Track, begin: int, valued: FloatArray) -> FloatArray:
    """Proceeds less the value that the fund stood at, in the month of its write-off."""
    losses = np.zeros_like(valued)
    for payout in track.payouts:
        k = payout.month - track.first - 1 - begin
        if 0 <= k < len(valued):
            losses[k, payout.fund] = payout.amount - valued[k, payout.fund]
    return losses


def _check(made: Contributions) -> None:
    parts = made.funds.sum(axis=1) + made.write_offs.sum(axis=1) + made.cash + made.costs
    gap = np.abs(parts - np.diff(made.nav))
    wrong = np.flatnonzero(~(gap <= TOLERANCE * np.maximum(np.abs(made.nav[:-1]), 1.0)))
    if len(wrong):
        k = int(wrong[0])
        raise IntegrityError(
            f"contributions sum to {parts[k]!r}, the NAV changed by {np.diff(made.nav)[k]!r}",
            where=f"{made.months[k]}",
            remedy="give the market that the track was simulated in; if it is that one, this is an "
            "error in finembed: please report it",
        )


def _nothing(ids: tuple[str, ...]) -> Contributions:
    by_month, by_fund = np.zeros(0), np.zeros((0, len(ids)))
    return Contributions(
        [], ids, by_month, by_fund, by_fund, by_month, by_month, by_fund, by_month, by_month
    )


def contribution_table(strategy: str, made: Contributions) -> pl.DataFrame:
    """Rows of `contributions`: every fund held, by id, then what is no fund.

    Parameters
    ----------
    strategy : str
    made : Contributions

    Returns
    -------
    DataFrame
        ``contribution`` is linked and sums to the compounded return of the months.
        ``average_weight`` is the mean over all of them and null for costs and write-offs; it sums
        to 1 unless the NAV is lost on the way. No rows where there are no months.

    Raises
    ------
    InputError
        A fund has one of the ids of the rows that are no fund.
    """
    reserved = (CASH, RECEIVABLES, COSTS, WRITE_OFFS)
    taken = sorted(set(reserved) & set(made.ids))
    if taken:
        raise InputError(
            f"a fund is called {taken[0]!r}, the id of a row that is no fund",
            where="fund_id",
            remedy="rename the fund",
        )
    if not made.months:
        return pl.DataFrame(schema=SCHEMAS["contributions"])
    months_held = np.count_nonzero(made.weights, axis=0)
    held = np.flatnonzero(months_held)
    cash, costs = float(made.linked(made.cash)), float(made.linked(made.costs))
    losses = float(made.linked(made.write_offs).sum())
    rest = [
        (CASH, cash, made.cash_weight),
        (RECEIVABLES, 0.0, made.receivables_weight),
        (COSTS, costs, None),
        (WRITE_OFFS, losses, None),
    ]
    ids = pl.Series(made.ids, dtype=pl.String).gather(held).to_list()
    frame = pl.DataFrame(
        {
            "fund_id": [*ids, *reserved],
            "contribution": [
                *made.linked(made.funds)[held].tolist(),
                *(contribution for _, contribution, _ in rest),
            ],
            "average_weight": [
                *made.weights.mean(axis=0)[held].tolist(),
                *(None if w is None else float(w.mean()) for _, _, w in rest),
            ],
            "months_held": [
                *months_held[held].tolist(),
                *(None if w is None else int(np.count_nonzero(w)) for _, _, w in rest),
            ],
        }
    ).with_columns(strategy=pl.lit(strategy))
    return frame.select(
        pl.col(column).cast(kind) for column, kind in SCHEMAS["contributions"].items()
    )
