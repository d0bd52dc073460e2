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

import numpy as np
from numpy.typing import NDArray

from finembed_core.calendar import Month
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray

BoolArray = NDArray[np.bool_]

DUST = 1e-12  # share of NAV below which an amount is rounding, not a trade


@lru_cache(maxsize=8)
def nothing(n_funds: int) -> FloatArray:
    """Zeros that all share and nobody can write to, shape (N,)."""
    zeros = np.zeros(n_funds)
    zeros.flags.writeable = False
    return zeros


@dataclass(frozen=True)
class Costs:
    """Proportional costs of dealing, decimal shares of the amount dealt, below 1.

    Attributes
    ----------
    buy, sell : float, or ndarray of shape (N,)
        One for all funds, or one for each.
    """

    buy: float | FloatArray = 0.0
    sell: float | FloatArray = 0.0

    @classmethod
    def both_ways(cls, cost: float) -> Costs:
        """The same in both directions."""
        return cls(cost, cost)

    @classmethod
    def of_bps(cls, cost: float, slippage: float, redemption_fee: float) -> Costs:
        """From basis points; the redemption fee is for sales only."""
        side = (cost + slippage) / 1e4
        return cls(side, side + redemption_fee / 1e4)

    @property
    def uniform(self) -> float | None:
        """The one cost of all funds both ways; None where there are several."""
        if isinstance(self.buy, np.ndarray) or isinstance(self.sell, np.ndarray):
            return None
        return self.buy if self.buy == self.sell else None

    def of(self, amounts: FloatArray) -> FloatArray:
        """Cost of each amount (positive bought, negative sold), shape (N,)."""
        if self.uniform is not None:
            return self.uniform * np.abs(amounts)
        return np.where(amounts > 0.0, self.buy, self.sell) * np.abs(amounts)

    def only(self, funds: BoolArray) -> Costs:
        """The costs of some of the funds."""
        buy = self.buy[funds] if isinstance(self.buy, np.ndarray) else self.buy
        sell = self.sell[funds] if isinstance(self.sell, np.ndarray) else self.sell
        return Costs(buy, sell)


@dataclass(frozen=True)
class State:
    """What is held and owed, in money; arrays run over all funds, sorted by id.

    Attributes
    ----------
    holdings : ndarray, shape (N,)
        Value of each fund held, 0 where none is.
    cash : float
        What is free to be spent.
    receivables : float
        Proceeds that have not arrived: part of the NAV, not to be spent.
    committed : ndarray, shape (N,)
        Money set aside for purchases that wait for a dealing date, costs included; not in `cash`.
    redeeming : ndarray, shape (N,)
        The part of each holding whose redemption waits for a dealing date.
    """

    holdings: FloatArray
    cash: float
    receivables: float = 0.0
    committed: FloatArray = field(default_factory=lambda: np.empty(0))
    redeeming: FloatArray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        for queued in ("committed", "redeeming"):
            if len(getattr(self, queued)) == 0:
                object.__setattr__(self, queued, nothing(len(self.holdings)))

    @cached_property
    def nav(self) -> float:
        """Net asset value."""
        return (
            float(self.holdings.sum()) + self.cash + self.receivables + float(self.committed.sum())
        )

    @cached_property
    def held(self) -> BoolArray:
        """Funds held, shape (N,)."""
        return self.holdings > 0.0

    @cached_property
    def taken(self) -> BoolArray:
        """Funds held or about to be: money is committed to them, shape (N,)."""
        return self.held | (self.committed > 0.0)


@dataclass(frozen=True)
class Signals:
    """What was known about the funds in the month of a decision; arrays sorted by fund id.

    Attributes
    ----------
    month : Month
    eligible : ndarray of bool, shape (N,)
        May be bought (`universe`).
    p_up : ndarray, shape (N,)
        Predicted probability of a rise in the label month; NaN where there is no prediction.
    aum : ndarray, shape (N,)
        Last known assets under management; NaN where unknown.
    ids : tuple of str, length N
        Empty where no policy asks for it.
    history : callable or None
        ``(month, months)`` to the returns of the last months as known in the month, (months, N).
    """

    month: Month
    eligible: BoolArray
    p_up: FloatArray
    aum: FloatArray
    ids: tuple[str, ...] = ()
    history: Callable[[Month, int], FloatArray] | None = None

    def returns(self, months: int) -> FloatArray:
        """Returns of the last months as known now, shape (months, N); NaN where missing."""
        if self.history is None:
            raise InputError("these signals hold no past returns", remedy="give them a history")
        return self.history(self.month, months)


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
        Shares of the NAV after costs, none negative, summing to at most 1; the rest is cash.
    solved : Solved or None
        How they were found, if by an optimizer.
    """

    weights: FloatArray
    solved: Solved | None = None

    def touches(self, state: State) -> BoolArray:
        """Funds that may have to deal, shape (N,)."""
        return (self.weights > 0.0) | state.held


Orders = SellAndSpend | TargetWeights


def size(orders: Orders, state: State, dealable: BoolArray, cost: float | Costs) -> FloatArray:
    """Amounts to deal: positive buys, negative sells, costs on top.

    Parameters
    ----------
    orders : SellAndSpend or TargetWeights
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
    if isinstance(orders, SellAndSpend):
        sold = _where(dealable, orders.sell * state.holdings)
        budget = state.cash + after_cost(sold, costs.sell)
        bought = _where(dealable, orders.spend * max(budget, 0.0) / (1.0 + costs.buy))
        amounts = bought - sold
    else:
        amounts = _reset(orders.weights, state, dealable, costs)
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
    if isinstance(orders, SellAndSpend):  # committed money is as good as invested
        whole = State(state.holdings + state.committed, state.cash, state.receivables)
    else:
        cash = state.cash + float(state.committed.sum())
        whole = State(state.holdings, cash, state.receivables)
    after = whole.holdings + size(orders, whole, everything, 0.0)
    return after / whole.nav if whole.nav > 0.0 else np.zeros_like(after)


def level(weights: FloatArray, holdings: FloatArray, costs: Costs, nav: float) -> float:
    """The NAV that is left when a reset to `weights` has paid its costs."""
    return _root(1.0, weights, holdings, costs, nav)


def _reset(weights: FloatArray, state: State, dealable: BoolArray, costs: Costs) -> FloatArray:
    """Amounts that bring the dealable funds to ``alpha * weights``.

    ``alpha`` is the NAV after costs, or less where fixed holdings or receivables leave too little
    to reach it: the smaller root of

        alpha   + sum_i c_i |alpha w_i - h_i| = NAV                       (weights of the NAV)
        alpha W + sum_i c_i |alpha w_i - h_i| = cash + dealable holdings  (nothing left in cash)

    with W the weight of the dealable funds, c_i the cost of the side that is dealt.
    """
    wanted, held, own = weights[dealable], state.holdings[dealable], costs.only(dealable)
    total = float(wanted.sum())
    alpha = _root(1.0, wanted, held, own, state.nav)
    if total > 0.0:
        spendable = state.cash + float(held.sum())
        alpha = min(alpha, _root(total, wanted, held, own, spendable))
    amounts = np.zeros_like(state.holdings)
    amounts[dealable] = alpha * wanted - held
    return amounts


def _root(slope: float, wanted: FloatArray, held: FloatArray, costs: Costs, money: float) -> float:
    """Solve ``slope * a + sum_i c_i |a wanted_i - held_i| = money`` for a >= 0.

    The left side is convex, piecewise linear and increasing: Newton from the right is exact after
    finitely many steps.
    """
    alpha = money / slope
    while True:
        gap = alpha * wanted - held
        paid, marginal = _cost_and_slope(gap, wanted, costs)
        excess = slope * alpha + paid - money
        step = excess / (slope + marginal)
        if step <= 1e-15 * abs(alpha):
            return max(alpha - max(step, 0.0), 0.0)
        alpha -= step


def _cost_and_slope(gap: FloatArray, wanted: FloatArray, costs: Costs) -> tuple[float, float]:
    """Cost of dealing the gaps, and what it grows by where the target does."""
    cost = costs.uniform
    if cost is not None:
        return cost * float(np.abs(gap).sum()), cost * float((np.sign(gap) * wanted).sum())
    side = np.where(gap > 0.0, costs.buy, np.where(gap < 0.0, np.negative(costs.sell), 0.0))
    return float((side * gap).sum()), float((side * wanted).sum())
