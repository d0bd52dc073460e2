"""What a simulation leaves behind: NAV, holdings, cash by month; decisions, orders, payouts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finembed_core.backtest.ledger import Dealing
from finembed_core.backtest.lines import Lines
from finembed_core.calendar import Month, month_range
from finembed_core.panel import FloatArray


@dataclass(frozen=True)
class Decision:
    """One decision and what became of it.

    Attributes
    ----------
    month, dealing : Month
        Decided on this month's information, dealt at the end of that one.
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

    month: Month
    dealing: Month
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
    """Proceeds of a dead fund: booked at the end of `month`, paid at the end of `paid`."""

    month: Month
    paid: Month
    fund: int
    amount: float
    nav: float
    reason: str


@dataclass(frozen=True)
class Track:
    """A simulated portfolio. Row 0 is the first dealing date, row k the k-th month earned.

    Attributes
    ----------
    first : Month
        First dealing date.
    nav : ndarray, shape (K + 1,)
        Before dealing at the end of the month.
    earned, costs, traded : ndarray, shape (K + 1,)
        Money earned in a month; costs paid and amounts dealt at its beginning.
    holdings : ndarray, shape (K + 1, N)
        After dealing at the end of the month.
    cash, receivables : ndarray, shape (K + 1,)
        After dealing.
    risk_free : ndarray, shape (K + 1,)
    unreported : int
        Months x funds held that stood at their last NAV for want of a report.
    declined : int
        Months in which the policy gave no orders.
    decisions : tuple of Decision
    payouts : tuple of Payout
    executed : tuple of Executed, or None
        Order by order, where the market has terms; None where decisions say it all.
    waiting : Executed, or None
        Orders of earlier decisions that are still to be dealt after the newest; they stand in
        `executed` too, as they were on the date from which they wait.
    """

    first: Month
    nav: FloatArray
    earned: FloatArray
    costs: FloatArray
    traded: FloatArray
    holdings: FloatArray
    cash: FloatArray
    receivables: FloatArray
    risk_free: FloatArray
    unreported: int
    declined: int
    decisions: tuple[Decision, ...]
    payouts: tuple[Payout, ...]
    executed: tuple[Executed, ...] | None = None
    waiting: Executed | None = None

    @property
    def months(self) -> list[Month]:
        """Months of the rows."""
        return month_range(self.first, self.first + (len(self.nav) - 1))

    def per_nav(self, money: FloatArray) -> FloatArray:
        """Money of months 1..K as a share of the NAV at each month's beginning."""
        before = self.nav[:-1]
        return np.divide(money[1:], before, out=np.zeros(len(before)), where=before > 0.0)

    @property
    def gross(self) -> FloatArray:
        """Return before costs, shape (K,)."""
        return self.per_nav(self.earned)

    @property
    def cost(self) -> FloatArray:
        """Costs of the dealing that opens each month, share of NAV, shape (K,)."""
        return self.per_nav(self.costs)

    @property
    def net(self) -> FloatArray:
        """Return after costs, shape (K,): ``gross - cost``, and the NAV's own growth."""
        return self.gross - self.cost

    @property
    def turnover(self) -> FloatArray:
        """Half of what was bought and sold at each month's opening, share of NAV, shape (K,)."""
        return 0.5 * self.per_nav(self.traded)
