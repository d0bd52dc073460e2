"""What a simulation leaves behind: NAV, holdings, cash by period; decisions, orders, payouts.

A `month` is any period here, a month or a trading session.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finembed_core.backtest.ledger import Dealing
from finembed_core.backtest.lines import Lines
from finembed_core.calendar import Period, period_range
from finembed_core.panel import FloatArray

RUIN = "ruin"


@dataclass(frozen=True)
class Decision:
    """One decision and what became of it.

    Attributes
    ----------
    month, dealing : Period
        Decided on this one's information, dealt at the end of that one.
    target : ndarray, shape (N,)
        Weights that the orders aimed at, as of the decision.
    nav : float
        NAV before dealing, or as of the decision while pending.
    before : ndarray, shape (N,)
        Holdings before dealing.
    dealt : Dealing or None
        None while pending.
    wished : ndarray of shape (N,), or None
        Amounts at the decision's prices, while pending.
    """

    month: Period
    dealing: Period
    target: FloatArray
    nav: float
    before: FloatArray
    dealt: Dealing | None
    wished: FloatArray | None


@dataclass(frozen=True)
class Executed:
    """Orders of one dealing date in a market with terms.

    Attributes
    ----------
    nav : float
        Before dealing.
    lines : Lines
    pending : bool
        As they would deal: the date has not come, or lies beyond the last month.
    """

    nav: float
    lines: Lines
    pending: bool


@dataclass(frozen=True)
class Payout:
    """Proceeds of a position that was closed without an order: of a dead fund, or in ruin.

    Booked at the end of `month`, paid at the end of `paid`; negative for what was sold short.
    """

    month: Period
    paid: Period
    fund: int
    amount: float
    nav: float
    reason: str


@dataclass(frozen=True)
class Ruin:
    """The end of a portfolio that owed as much as it owned, or more.

    All positions are closed at the end of `month`; the `nav` that they leave, 0 or less, is what a
    creditor bears. From then on the track's NAV is 0 and nothing is traded.
    """

    month: Period
    nav: float


@dataclass(frozen=True)
class Track:
    """A simulated portfolio. Row 0 is the first dealing date, row k the k-th period earned.

    Attributes
    ----------
    first : Period
        First dealing date.
    nav : ndarray, shape (K + 1,)
        Before dealing at the end of the period.
    earned, costs, traded : ndarray, shape (K + 1,)
        Money earned in a period; costs paid and amounts dealt at its beginning.
    holdings : ndarray, shape (K + 1, N)
        After dealing at the end of the period.
    cash, receivables, payables : ndarray, shape (K + 1,)
        After dealing.
    borrow_fees : ndarray, shape (K + 1,)
        Money that short positions cost in a period, part of what it earned.
    risk_free : ndarray, shape (K + 1,)
    unreported : int
        Periods x funds held that stood at their last NAV for want of a report.
    declined : int
        Periods in which the policy gave no orders.
    decisions : tuple of Decision
    payouts : tuple of Payout
    executed : tuple of Executed, or None
        Order by order, where the market has terms; None where decisions say it all.
    waiting : Executed, or None
        Orders of earlier decisions that are still to be dealt after the newest; they stand in
        `executed` too, as they were on the date from which they wait.
    ruin : Ruin or None
    """

    first: Period
    nav: FloatArray
    earned: FloatArray
    costs: FloatArray
    traded: FloatArray
    holdings: FloatArray
    cash: FloatArray
    receivables: FloatArray
    payables: FloatArray
    borrow_fees: FloatArray
    risk_free: FloatArray
    unreported: int
    declined: int
    decisions: tuple[Decision, ...]
    payouts: tuple[Payout, ...]
    executed: tuple[Executed, ...] | None = None
    waiting: Executed | None = None
    ruin: Ruin | None = None

    @property
    def months(self) -> list[Period]:
        """Periods of the rows."""
        return period_range(self.first, self.first + (len(self.nav) - 1))

    @property
    def nav_after(self) -> FloatArray:
        """NAV after dealing, shape (K + 1,)."""
        return self.holdings.sum(axis=1) + self.cash + self.receivables - self.payables

    def per_nav(self, money: FloatArray) -> FloatArray:
        """Money of periods 1..K as a share of the NAV at each one's beginning."""
        before = self.nav[:-1]
        return np.divide(money[1:], before, out=np.zeros(len(before)), where=before > 0.0)

    @property
    def gross(self) -> FloatArray:
        """Return before costs, shape (K,)."""
        return self.per_nav(self.earned)

    @property
    def cost(self) -> FloatArray:
        """Costs of the dealing that opens each period, share of NAV, shape (K,)."""
        return self.per_nav(self.costs)

    @property
    def net(self) -> FloatArray:
        """Return after costs, shape (K,): ``gross - cost``, and the NAV's own growth."""
        lost = (self.nav[:-1] > 0.0) & (self.nav[1:] <= 0.0)  # all of it, not but for a rounding
        return np.where(lost, -1.0, self.gross - self.cost)

    @property
    def turnover(self) -> FloatArray:
        """Half of what was bought and sold at each period's opening, share of NAV, shape (K,)."""
        return 0.5 * self.per_nav(self.traded)
