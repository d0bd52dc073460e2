"""Orders of one dealing date, line by line: what the table ``trades`` is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finembed_core.backtest.dates import DealingDate
from finembed_core.backtest.queue import Queue
from finembed_core.calendar import IntArray
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import BoolArray


@dataclass(frozen=True)
class Lines:
    """Orders of one dealing date, dealt or waiting; arrays of shape (L,).

    Attributes
    ----------
    fund, decided : ndarray of int
        Column of the fund; ordinal of the period of the decision.
    date, settle : ndarray of int
        Ordinals: dealt or due at the end of the one, paid at the end of the other.
    buys, whole : ndarray of bool
        Whether the order buys; whether it opens or closes the position.
    amount, cost : ndarray
        Money in the fund, cost on top.
    why : ndarray of int
        The `Block` that a waiting order waits for; 0 where it was dealt.
    """

    fund: IntArray
    decided: IntArray
    date: IntArray
    settle: IntArray
    buys: BoolArray
    whole: BoolArray
    amount: FloatArray
    cost: FloatArray
    why: IntArray

    @classmethod
    def none(cls) -> Lines:
        """No order."""
        whole, no = np.empty(0, dtype=np.int64), np.empty(0, dtype=bool)
        money = np.empty(0)
        return cls(whole, whole, whole, whole, no, no, money, money, whole)

    def only(self, which: BoolArray) -> Lines:
        """Some of the lines."""
        return Lines(*(values[which] for values in vars(self).values()))

    def joined(self, other: Lines) -> Lines:
        """These lines, then the others."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Lines(*(np.concatenate(pair) for pair in pairs))


def lines_of(
    queue: Queue,
    taken: FloatArray,
    moved: BoolArray,
    rest: FloatArray,
    when: DealingDate,
    payment_months: IntArray,
    closed: BoolArray,
    whole: BoolArray,
    cost: FloatArray,
    *,
    buys: bool,
) -> Lines:
    """What was dealt of each order, then what began to wait or goes on waiting.

    Parameters
    ----------
    queue : Queue
        Orders with the date and the reason that they wait for now.
    taken, rest : ndarray, shape (Q,)
        Money dealt and money that waits.
    moved : ndarray of bool, shape (Q,)
        Orders whose waiting is new.
    when : DealingDate
    payment_months : ndarray of int, shape (N,)
        From dealing to the money.
    closed, whole : ndarray of bool, shape (N,)
        Whether what is dealt, and what waits, opens or closes the position.
    cost : ndarray, shape (N,)
        Decimal share of the amount.
    buys : bool
    """
    done, waits = np.flatnonzero(taken > 0.0), np.flatnonzero(moved)
    at = np.concatenate([done, waits])
    fund, n_done = queue.fund[at], len(done)
    amount = np.concatenate([taken[done], rest[waits]])
    date = np.concatenate([np.full(n_done, when.now), queue.due[waits]])
    return Lines(
        fund=fund,
        decided=queue.decided[at],
        date=date,
        settle=when.calendar.later(date, payment_months[fund]),
        buys=np.full(len(at), buys),
        whole=np.concatenate([closed[fund[:n_done]], whole[fund[n_done:]]]),
        amount=amount,
        cost=amount * cost[fund],
        why=np.concatenate([np.zeros(n_done, dtype=np.int64), queue.why[waits]]),
    )
