"""What a policy sees, what it orders, and how large its orders are.

Orders are decided before the prices are known at which they deal, so they are written in terms
that hold at any price: a share of a holding, a share of the cash, a weight of the portfolio. `size`
turns them into amounts on the dealing date.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finembed_core.calendar import Month
from finembed_core.panel import FloatArray

BoolArray = NDArray[np.bool_]

DUST = 1e-12  # share of NAV below which an amount is rounding, not a trade


@dataclass(frozen=True)
class State:
    """What is held and owed, in money; arrays run over all funds, sorted by id.

    Attributes
    ----------
    holdings : ndarray, shape (N,)
        Value of each fund held, 0 where none is.
    cash : float
    receivables : float
        Proceeds of dead funds that have not arrived: part of the NAV, not to be spent.
    """

    holdings: FloatArray
    cash: float
    receivables: float = 0.0

    @property
    def nav(self) -> float:
        """Net asset value."""
        return float(self.holdings.sum()) + self.cash + self.receivables

    @property
    def held(self) -> BoolArray:
        """Funds held, shape (N,)."""
        return self.holdings > 0.0


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
    """

    month: Month
    eligible: BoolArray
    p_up: FloatArray
    aum: FloatArray


@dataclass(frozen=True)
class SellAndSpend:
    """Sell shares of holdings, then spend shares of the cash.

    Attributes
    ----------
    sell : ndarray, shape (N,)
        Share of each holding to redeem, 0 to 1.
    spend : ndarray, shape (N,)
        Share of the cash after the sales that goes to each fund, its cost included; sums to at
        most 1.
    """

    sell: FloatArray
    spend: FloatArray

    def touches(self, state: State) -> BoolArray:
        """Funds that may have to deal, shape (N,)."""
        return (self.spend > 0.0) | ((self.sell > 0.0) & state.held)


@dataclass(frozen=True)
class TargetWeights:
    """Reset the portfolio to weights.

    Attributes
    ----------
    weights : ndarray, shape (N,)
        Shares of the NAV after costs, none negative, summing to at most 1; the rest is cash.
    """

    weights: FloatArray

    def touches(self, state: State) -> BoolArray:
        """Funds that may have to deal, shape (N,)."""
        return (self.weights > 0.0) | state.held


Orders = SellAndSpend | TargetWeights


def size(orders: Orders, state: State, dealable: BoolArray, cost: float) -> FloatArray:
    """Amounts to deal: positive buys, negative sells, costs on top.

    Parameters
    ----------
    orders : SellAndSpend or TargetWeights
    state : State
        On the dealing date, before dealing.
    dealable : ndarray of bool, shape (N,)
        Funds that deal on this date. What was meant for the others stays where it is: in the fund,
        or in cash.
    cost : float
        Proportional cost, a decimal share of the amount dealt, below 1.

    Returns
    -------
    ndarray, shape (N,)
        Cash is enough for all purchases and all costs. Differences below `DUST` of the NAV are no
        trades, unless they close a position.
    """
    if isinstance(orders, SellAndSpend):
        sold = np.where(dealable, orders.sell * state.holdings, 0.0)
        budget = state.cash + float(sold.sum()) * (1.0 - cost)
        bought = np.where(dealable, orders.spend * max(budget, 0.0) / (1.0 + cost), 0.0)
        amounts = bought - sold
    else:
        amounts = _reset(orders.weights, state, dealable, cost)
    closes = (amounts == -state.holdings) & state.held
    return np.where((np.abs(amounts) > DUST * state.nav) | closes, amounts, 0.0)


def indicated_weights(orders: Orders, state: State) -> FloatArray:
    """Weights that the orders lead to if they dealt at once and for nothing, shape (N,)."""
    everything = np.ones(len(state.holdings), dtype=bool)
    after = state.holdings + size(orders, state, everything, 0.0)
    return after / state.nav if state.nav > 0.0 else np.zeros_like(after)


def _reset(weights: FloatArray, state: State, dealable: BoolArray, cost: float) -> FloatArray:
    """Amounts that bring the dealable funds to ``alpha * weights``.

    ``alpha`` is the NAV after costs, or less where fixed holdings or receivables leave too little
    to reach it: the smaller root of

        alpha   + cost * sum |alpha w - h| = NAV                       (weights of the NAV)
        alpha W + cost * sum |alpha w - h| = cash + dealable holdings  (nothing left in cash)

    with W the weight of the dealable funds.
    """
    wanted, held = weights[dealable], state.holdings[dealable]
    total = float(wanted.sum())
    alpha = _root(1.0, wanted, held, cost, state.nav)
    if total > 0.0:
        spendable = state.cash + float(held.sum())
        alpha = min(alpha, _root(total, wanted, held, cost, spendable))
    amounts = np.zeros_like(state.holdings)
    amounts[dealable] = alpha * wanted - held
    return amounts


def _root(slope: float, wanted: FloatArray, held: FloatArray, cost: float, money: float) -> float:
    """Solve ``slope * a + cost * sum |a * wanted - held| = money`` for a >= 0.

    The left side is convex, piecewise linear and increasing: Newton from the right is exact after
    finitely many steps.
    """
    alpha = money / slope
    while True:
        gap = alpha * wanted - held
        excess = slope * alpha + cost * float(np.abs(gap).sum()) - money
        step = excess / (slope + cost * float((np.sign(gap) * wanted).sum()))
        if step <= 1e-15 * abs(alpha):
            return max(alpha - max(step, 0.0), 0.0)
        alpha -= step
