"""Orders that wait for a dealing date, oldest first within each fund."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np

from finembed_core.calendar import IntArray
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import BoolArray


class Block(IntEnum):
    """What holds an order up; the names in lower case are `blocked_by`."""

    NOTICE = 1
    FREQUENCY = 2
    LOCKUP = 3
    GATE = 4
    NO_NAV = 5


@dataclass(frozen=True)
class Queue:
    """Orders of one side, sorted by fund and then by age; arrays of shape (Q,).

    Attributes
    ----------
    fund : ndarray of int
        Column of the fund.
    decided, due : ndarray of int
        Ordinals of periods: of the decision, and of the date on which the order may deal.
    why : ndarray of int
        The `Block` that the order waits for.
    amount : ndarray
        Money, above 0: of a redemption at the fund's last NAV, of a subscription with its cost.
    """

    fund: IntArray
    decided: IntArray
    due: IntArray
    why: IntArray
    amount: FloatArray

    @classmethod
    def empty(cls) -> Queue:
        """No order."""
        none = np.empty(0, dtype=np.int64)
        return cls(none, none, none, none, np.empty(0))

    def __len__(self) -> int:
        return len(self.fund)

    def totals(self, n_funds: int, which: BoolArray | None = None) -> FloatArray:
        """Money waiting in each fund, shape (N,); of some orders where `which` says so."""
        if len(self) == 0:
            return np.zeros(n_funds)
        amount = self.amount if which is None else np.where(which, self.amount, 0.0)
        return np.bincount(self.fund, weights=amount, minlength=n_funds).astype(float, copy=False)

    def only(self, which: BoolArray) -> Queue:
        """Some of the orders."""
        return Queue(*(getattr(self, f.name)[which] for f in fields(self)))

    def of_amounts(self, amount: FloatArray) -> Queue:
        """The orders with other amounts; those of 0 are gone."""
        changed = Queue(self.fund, self.decided, self.due, self.why, amount)
        return changed.only(amount > 0.0)

    def grow(self, returns: FloatArray) -> Queue:
        """Money in funds earns what they do, as holdings book it; NaN is no return."""
        if len(self) == 0:
            return self
        own = np.nan_to_num(returns[self.fund])
        return self.of_amounts(self.amount + self.amount * own)

    def add(self, funds: IntArray, decided: int, due: IntArray, amounts: FloatArray) -> Queue:
        """New orders, the youngest of their funds; `funds` sorted, why still open (0)."""
        if len(funds) == 0:
            return self
        decisions = np.full(len(funds), decided, dtype=np.int64)
        new = Queue(funds, decisions, due, np.zeros_like(decisions), amounts)
        if len(self) == 0:
            return new
        order = np.argsort(np.concatenate([self.fund, funds]), kind="stable")
        names = [f.name for f in fields(self)]
        both = (np.concatenate([getattr(self, n), getattr(new, n)])[order] for n in names)
        return Queue(*both)

    def fill(self, limits: FloatArray, which: BoolArray, *, oldest: bool = True) -> FloatArray:
        """What each order gets of its fund's limit, one after the other, shape (Q,).

        Parameters
        ----------
        limits : ndarray, shape (N,)
            Money to give out in each fund.
        which : ndarray of bool, shape (Q,)
            Orders that take part.
        oldest : bool
            Oldest first, or newest first.
        """
        own = limits[self.fund]
        room = self.totals(len(limits), which)[self.fund]
        taken = np.where(which & (room <= own), self.amount, 0.0)
        parts = np.flatnonzero(which & (room > own) & (own > 0.0))
        if len(parts) == 0:
            return taken
        if not oldest:
            parts = parts[::-1]
        funds = self.fund[parts]
        starts = np.flatnonzero(np.diff(funds, prepend=-1))
        length = np.diff(np.append(starts, len(funds)))
        place = np.arange(len(funds)) - np.repeat(starts, length)
        left = limits.copy()
        for turn in range(int(length.max())):  # one order of each fund at a time
            at = parts[place == turn]
            give = np.minimum(self.amount[at], left[self.fund[at]])
            taken[at] = give
            left[self.fund[at]] -= give
        return taken

    def withdraw(self, wanted: FloatArray, dust: float) -> Queue:
        """Keep at most `wanted` (N,) in each fund; the newest orders go first."""
        if len(self) == 0:
            return self
        excess = np.maximum(self.totals(len(wanted)) - wanted, 0.0)
        excess[excess <= dust] = 0.0
        if not excess.any():
            return self
        taken = self.fill(excess, np.ones(len(self), dtype=bool), oldest=False)
        rest = self.amount - taken
        return self.of_amounts(np.where((taken > 0.0) & (rest <= dust), 0.0, rest))
