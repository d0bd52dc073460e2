"""What a policy sees, what it orders, and how large its orders are.

Orders are decided before the prices are known at which they deal, so they are written in terms
that hold at any price: a share of a holding, a share of the cash, a weight of the portfolio. `size`
turns them into amounts on the dealing date, where every fund deals at once; where funds have terms,
`finembed_core.backtest.dealing` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from finembed_core.calendar import IntArray, Period
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.costs import BoolArray, Costs
from finembed_core.portfolio.resets import reset

__all__ = [
    "DUST",
    "BoolArray",
    "Costs",
    "Orders",
    "Replace",
    "SellAndSpend",
    "Signals",
    "Solved",
    "State",
    "TargetWeights",
    "after_cost",
    "indicated_weights",
    "nothing",
    "size",
    "without_dust",
]

DUST = 1e-12  # share of NAV below which an amount is rounding, not a trade


@lru_cache(maxsize=8)
def nothing(n_funds: int) -> FloatArray:
    """Zeros that all share and nobody can write to, shape (N,)."""
    zeros = np.zeros(n_funds)
    zeros.flags.writeable = False
    return zeros


@dataclass(frozen=True)
class State:
    """What is held and owed, in money; arrays run over all funds, sorted by id.

    Attributes
    ----------
    holdings : ndarray, shape (N,)
        Value of each fund held, 0 where none is; negative where it is sold short.
    cash : float
        What is free to be spent.
    receivables : float
        Proceeds that have not arrived: part of the NAV, not to be spent.
    committed : ndarray, shape (N,)
        Money set aside for purchases that wait for a dealing date, costs included; not in `cash`.
    redeeming : ndarray, shape (N,)
        The part of each holding whose redemption waits for a dealing date.
    payables : float
        Borrow fees that there was no cash to pay.
    """

    holdings: FloatArray
    cash: float
    receivables: float = 0.0
    committed: FloatArray = field(default_factory=lambda: np.empty(0))
    redeeming: FloatArray = field(default_factory=lambda: np.empty(0))
    payables: float = 0.0

    def __post_init__(self) -> None:
        for queued in ("committed", "redeeming"):
            if len(getattr(self, queued)) == 0:
                object.__setattr__(self, queued, nothing(len(self.holdings)))

    @cached_property
    def nav(self) -> float:
        """Net asset value."""
        owned = float(self.holdings.sum()) + self.cash + self.receivables
        return owned + float(self.committed.sum()) - self.payables

    @cached_property
    def held(self) -> BoolArray:
        """Funds held, or sold short, shape (N,)."""
        return self.holdings != 0.0

    @cached_property
    def taken(self) -> BoolArray:
        """Funds held or about to be: money is committed to them, shape (N,)."""
        return self.held | (self.committed > 0.0)


@dataclass(frozen=True)
class Signals:
    """What was known about the funds when something is decided; arrays sorted by fund id.

    Attributes
    ----------
    month : Period
        Of the decision: a month, or a trading session.
    eligible : ndarray of bool, shape (N,)
        May be bought (`universe`).
    p_up : ndarray, shape (N,)
        Predicted probability of a rise in the label month; NaN where there is no prediction.
    aum : ndarray, shape (N,)
        Last known assets under management; NaN where unknown.
    ids : tuple of str, length N
        Empty where no policy asks for it.
    history : callable or None
        ``(period, n)`` to the returns of the last n periods as known in that one, (n, N).
    """

    month: Period
    eligible: BoolArray
    p_up: FloatArray
    aum: FloatArray
    ids: tuple[str, ...] = ()
    history: Callable[[Any, int], FloatArray] | None = None

    def returns(self, periods: int) -> FloatArray:
        """Returns of the last periods as known now, shape (periods, N); NaN where missing."""
        if self.history is None:
            raise InputError("these signals hold no past returns", remedy="give them a history")
        return self.history(self.month, periods)


@dataclass(frozen=True)
class SellAndSpend:
    """Sell shares of holdings, then spend shares of the cash.

    Attributes
    ----------
    sell : ndarray, shape (N,)
        Share of each holding to redeem, 0 to 1, what waits for its redemption included: 0 withdraws
        that. Money committed to the fund is released first.
    spend : ndarray, shape (N,)
        Share of the free cash after the sales that goes to each fund, its cost included; sums to at
        most 1. Comes on top of what is committed.
    """

    sell: FloatArray
    spend: FloatArray

    def touches(self, state: State) -> BoolArray:
        """Funds that may have to deal, shape (N,)."""
        return (self.spend > 0.0) | ((self.sell > 0.0) & state.held)


@dataclass(frozen=True)
class Solved:
    """How an optimizer came to its weights.

    Attributes
    ----------
    solver, status : str
        The status is the solver's own word.
    iterations : int
    kkt_residual, budget_error : float
        How far the optimality conditions and ``sum w = 1`` are missed.
    excess : float
        Upper bound on the excess of the objective as a share of it; NaN where there is none.
    """

    solver: str
    status: str
    iterations: int
    kkt_residual: float
    budget_error: float
    excess: float = np.nan


@dataclass(frozen=True)
class TargetWeights:
    """Reset the portfolio to weights.

    Attributes
    ----------
    weights : ndarray, shape (N,)
        Shares of the NAV after costs, summing to at most 1; the rest is cash. Negative ones are
        sold short, where that is allowed.
    solved : Solved or None
        How they were found, if by an optimizer.
    """

    weights: FloatArray
    solved: Solved | None = None

    def touches(self, state: State) -> BoolArray:
        """Funds that may have to deal, shape (N,)."""
        return (self.weights != 0.0) | state.held


@dataclass(frozen=True)
class Replace:
    """Sell some funds and buy others into the places that are then free, best first.

    Attributes
    ----------
    sell : ndarray of bool, shape (N,)
        Funds to sell. A sale that cannot be dealt frees no place.
    buy : ndarray of int, shape (B,)
        Columns of the candidates, best first, each once: as many as there are free places are
        bought, and one that cannot be dealt passes its place to the next. The cash after the
        sales is split equally over them, their costs included.
    k : int
        Places: most funds to hold.
    """

    sell: BoolArray
    buy: IntArray
    k: int

    def touches(self, state: State) -> BoolArray:
        """Funds that may have to deal, shape (N,)."""
        may = self.sell & state.held
        may[self.buy] = True
        return may

    def shares(self, stays: BoolArray, dealable: BoolArray) -> FloatArray:
        """Share of the cash that each fund gets, shape (N,), once it is known which ones stay."""
        spend, free = np.zeros(len(stays)), self.k - int(np.count_nonzero(stays))
        if free > 0:
            chosen = self.buy[(dealable & ~stays & ~self.sell)[self.buy]][:free]
            spend[chosen] = 1.0 / max(len(chosen), 1)
        return spend

    def at_once(self, state: State, dealable: BoolArray) -> SellAndSpend:
        """What comes to the same where every dealable fund deals at once."""
        sold = self.sell & dealable
        return SellAndSpend(sold.astype(float), self.shares(state.taken & ~sold, dealable))


Orders = SellAndSpend | TargetWeights | Replace


def size(orders: Orders, state: State, dealable: BoolArray, cost: float | Costs) -> FloatArray:
    """Amounts to deal: positive buys, negative sells, costs on top.

    Parameters
    ----------
    orders : SellAndSpend, TargetWeights or Replace
    state : State
        On the dealing date, before dealing.
    dealable : ndarray of bool, shape (N,)
        Funds that deal on this date. What was meant for the others stays where it is: in the fund,
        or in cash.
    cost : float or Costs
        Proportional costs; a number is a decimal share of the amount dealt, both ways.

    Returns
    -------
    ndarray, shape (N,)
        Cash is enough for all purchases and all costs. Differences below `DUST` of the NAV are no
        trades, unless they close a position.
    """
    costs = cost if isinstance(cost, Costs) else Costs.both_ways(cost)
    if isinstance(orders, Replace):
        orders = orders.at_once(state, dealable)
    if isinstance(orders, SellAndSpend):
        sold = _where(dealable, orders.sell * state.holdings)
        budget = state.cash + after_cost(sold, costs.sell)
        bought = _where(dealable, orders.spend * max(budget, 0.0) / (1.0 + costs.buy))
        amounts = bought - sold
    else:
        free = state.cash - state.payables
        amounts = reset(orders.weights, state.holdings, free, state.nav, dealable, costs)
    return without_dust(amounts, state)


def without_dust(amounts: FloatArray, state: State) -> FloatArray:
    """Amounts that are trades: above `DUST` of the NAV, or closing a position; 0 elsewhere."""
    small = (np.abs(amounts) <= DUST * state.nav) & (amounts != 0.0)
    if not small.any():
        return amounts
    closes = (amounts == -state.holdings) & state.held
    return np.where(small & ~closes, 0.0, amounts)


def _where(chosen: BoolArray, amounts: FloatArray) -> FloatArray:
    return amounts if chosen.all() else np.where(chosen, amounts, 0.0)


def after_cost(sold: FloatArray, cost: float | FloatArray) -> float:
    """What is left of sales when their costs are paid."""
    if isinstance(cost, np.ndarray):
        return float((sold * (1.0 - cost)).sum())
    return float(sold.sum()) * (1.0 - cost)


def indicated_weights(orders: Orders, state: State) -> FloatArray:
    """Weights that the orders lead to if they dealt at once and for nothing, shape (N,)."""
    everything = np.ones(len(state.holdings), dtype=bool)
    if isinstance(orders, TargetWeights):
        cash = state.cash + float(state.committed.sum())
        whole = State(state.holdings, cash, state.receivables, payables=state.payables)
    else:  # committed money is as good as invested
        whole = State(state.holdings + state.committed, state.cash, state.receivables)
    after = whole.holdings + size(orders, whole, everything, 0.0)
    return after / whole.nav if whole.nav > 0.0 else np.zeros_like(after)
