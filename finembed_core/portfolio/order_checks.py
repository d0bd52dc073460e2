"""What orders a simulation refuses: missing weights, more than there is, unwanted short sales."""

from __future__ import annotations

import numpy as np

from finembed_core.calendar import Period
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import Orders, Replace, SellAndSpend, TargetWeights

SLACK = 1e-9  # above a sum of 1 that is rounding


def check_orders(orders: Orders, ids: tuple[str, ...], decided: Period, shorts: bool) -> None:
    """Refuse orders that no portfolio can carry out.

    Parameters
    ----------
    orders : SellAndSpend, TargetWeights or Replace
    ids : tuple of str, length N
        Of the funds, for messages.
    decided : Period
        Of the decision, for messages.
    shorts : bool
        Whether funds may be sold short.

    Raises
    ------
    InputError
        Names the decision and the fund.
    """
    if isinstance(orders, TargetWeights):
        _check(orders.weights, ids, decided, "weight", -np.inf if shorts else 0.0)
        _check_sum(orders.weights, decided, "weights")
        return
    if shorts:
        raise InputError(
            f"{type(orders).__name__} orders know no short positions",
            where=f"decision of {decided}",
            remedy="give TargetWeights where funds may be sold short",
        )
    if isinstance(orders, SellAndSpend):
        _check(orders.sell, ids, decided, "share to sell", 0.0)
        _check(orders.spend, ids, decided, "share of the cash", 0.0)
        _check_sum(orders.spend, decided, "shares of the cash")
        if len(ids) and orders.sell.max() > 1.0 + SLACK:
            fund = ids[int(orders.sell.argmax())]
            raise InputError(
                f"more than all of a holding is to be sold: {orders.sell.max():g} of it",
                where=f"decision of {decided}, fund {fund}",
                remedy="give shares from 0 to 1",
            )
    else:
        _check_places(orders, ids, decided)


def _check(
    values: FloatArray, ids: tuple[str, ...], decided: Period, what: str, least: float
) -> None:
    if values.shape != (len(ids),):
        raise InputError(
            f"{values.shape} values where there are {len(ids)} funds",
            where=f"decision of {decided}",
            remedy=f"give one {what} per fund, in the order of the ids",
        )
    fine = np.isfinite(values) & (values >= least)
    if fine.all():
        return
    strange = np.flatnonzero(~fine)
    value, fund = values[strange[0]], ids[strange[0]]
    others = f", and {len(strange) - 1} others" if len(strange) > 1 else ""
    negative = bool(np.isfinite(value))
    raise InputError(
        f"a {what} of {value:g}",
        where=f"decision of {decided}, fund {fund}{others}",
        remedy="sell short only where the terms of the simulation allow it (Terms.shorts)"
        if negative and what == "weight"
        else "give 0 to what is not to be held",
    )


def _check_sum(values: FloatArray, decided: Period, what: str) -> None:
    total = float(values.sum())
    if total > 1.0 + SLACK:
        raise InputError(
            f"{what} sum to {total:.10g}, more than there is",
            where=f"decision of {decided}",
            remedy="let them sum to at most 1: the ledger knows no credit",
        )


def _check_places(orders: Replace, ids: tuple[str, ...], decided: Period) -> None:
    buy, n = orders.buy, len(ids)
    outside = len(buy) > 0 and (buy.min() < 0 or buy.max() >= n)
    twice = not outside and len(buy) > 0 and bool((np.bincount(buy, minlength=n) > 1).any())
    if orders.sell.shape != (n,) or outside or twice or orders.k < 0:
        raise InputError(
            f"a replacement that does not fit {n} funds and {orders.k} places",
            where=f"decision of {decided}",
            remedy="give one flag per fund to sell, and each column to buy once",
        )
