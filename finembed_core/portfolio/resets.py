"""How much to deal so that the NAV left after costs stands at given weights."""

from __future__ import annotations

import numpy as np

from finembed_core.errors import UnpayableError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.costs import BoolArray, Costs


def level(weights: FloatArray, holdings: FloatArray, costs: Costs, nav: float) -> float:
    """The NAV that is left when a reset to `weights` has paid its costs."""
    return _root(1.0, weights, holdings, costs, nav)


def reset(
    weights: FloatArray,
    holdings: FloatArray,
    cash: float,
    nav: float,
    dealable: BoolArray,
    costs: Costs,
) -> FloatArray:
    """Amounts that bring the dealable funds to ``alpha * weights``, shape (N,).

    ``alpha`` is the NAV after costs, or less where fixed holdings or receivables leave too little
    to reach it: the smaller root of

        alpha   + sum_i c_i |alpha w_i - h_i| = NAV                       (weights of the NAV)
        alpha W + sum_i c_i |alpha w_i - h_i| = cash + dealable holdings  (nothing left in cash)

    with W the weight of the dealable funds, c_i the cost of the side that is dealt. With short
    positions the second has no one root: where cash is short, all purchases are scaled alike.

    Raises
    ------
    UnpayableError
        Short sales at such leverage and costs that no NAV solves the first equation.
    """
    wanted, held, own = weights[dealable], holdings[dealable], costs.only(dealable)
    signed = len(wanted) > 0 and (wanted.min() < 0.0 or held.min() < 0.0)
    if signed:
        _check_leverage(wanted, own)
    alpha, total = _root(1.0, wanted, held, own, nav), float(wanted.sum())
    if total > 0.0 and not signed:
        spendable = cash + float(held.sum())
        alpha = min(alpha, _root(total, wanted, held, own, spendable))
    change = alpha * wanted - held
    amounts = np.zeros_like(holdings)
    amounts[dealable] = _affordable(change, cash, own) if signed else change
    return amounts


def _check_leverage(weights: FloatArray, costs: Costs) -> None:
    """What a higher NAV costs to invest must stay below what it adds."""
    dearest = float((np.maximum(costs.buy, costs.sell) * np.abs(weights)).sum())
    if dearest >= 1.0:
        gross = float(np.abs(weights).sum())
        raise UnpayableError(
            f"weights of gross exposure {gross:g} cost the whole NAV to deal",
            where=f"costs come to {dearest:.0%} of it",
            remedy="lower the leverage or the costs",
        )


def _affordable(change: FloatArray, cash: float, costs: Costs) -> FloatArray:
    """The amounts, all purchases scaled down alike where cash and sales do not pay for them."""
    buys = np.maximum(change, 0.0)
    needed = float((buys * (1.0 + costs.buy)).sum())
    there = max(cash + float((np.maximum(-change, 0.0) * (1.0 - costs.sell)).sum()), 0.0)
    return np.where(change > 0.0, change * (there / needed), change) if there < needed else change


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
