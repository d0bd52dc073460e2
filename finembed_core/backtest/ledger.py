"""Cash-exact accounting of one portfolio of funds; knows no strategy and no signal.

Every step is a pure function from book to book. What must hold after each of them is checked:

    holdings + cash + receivables = NAV before + gains - costs,    cash >= 0

Subscriptions are paid on the dealing date, so nothing is payable in between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from finembed_core.errors import IntegrityError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import DUST, BoolArray, Costs, Orders, State, nothing, size

TOLERANCE = 1e-9  # share of NAV


@dataclass(frozen=True)
class Book:
    """What a portfolio owns, in money.

    Attributes
    ----------
    holdings : ndarray, shape (N,)
        Value of each fund at its last reported NAV.
    cash : float
    due : ndarray, shape (D,)
        Receivables: ``due[k]`` arrives k + 1 periods from now.
    """

    holdings: FloatArray
    cash: float
    due: FloatArray

    @classmethod
    def open(cls, cash: float, n_funds: int, delay: int) -> Book:
        """A new portfolio, all cash; `delay` is the longest wait for proceeds in periods."""
        return cls(np.zeros(n_funds), cash, np.zeros(delay))

    @property
    def receivables(self) -> float:
        """Money that has not arrived."""
        return float(self.due.sum()) if len(self.due) else 0.0

    @property
    def nav(self) -> float:
        """Net asset value."""
        return self.state.nav

    @cached_property
    def state(self) -> State:
        """The book as a policy sees it."""
        return State(self.holdings, self.cash, self.receivables)


def earn(book: Book, returns: FloatArray, risk_free: float) -> Book:
    """One period passes: holdings drift, cash earns the risk-free rate, receivables arrive.

    A fund that did not report (NaN) stands at its last NAV. The return that it reports next is
    taken as it is: periods without a report earn nothing, and nothing is made up for them.
    """
    gains = book.holdings * returns
    silent = np.isnan(gains)
    if silent.any():
        gains[silent] = 0.0
    interest = book.cash * risk_free
    arrived = float(book.due[0]) if len(book.due) else 0.0
    due = np.append(book.due[1:], 0.0) if len(book.due) else book.due
    after = Book(book.holdings + gains, book.cash + interest + arrived, due)
    return balanced(after, book.nav + float(gains.sum()) + interest)


def write_off(
    book: Book, dead: BoolArray, terminal: FloatArray, delay: int
) -> tuple[Book, FloatArray]:
    """Close the positions in funds whose death has become known.

    Parameters
    ----------
    book : Book
    dead : ndarray of bool, shape (N,)
    terminal : ndarray, shape (N,)
        Return from the last reported NAV to what is paid out, 0 to -1.
    delay : int
        Periods until that is paid, as many as the book has room for at most.

    Returns
    -------
    Book, ndarray of shape (N,)
        The proceeds of each fund; they wait among the receivables, or are cash where there is no
        delay.
    """
    proceeds = np.where(dead, book.holdings * (1.0 + terminal), 0.0)
    loss = float(np.where(dead, book.holdings * terminal, 0.0).sum())
    paid = float(proceeds.sum())
    holdings = np.where(dead, 0.0, book.holdings)
    if delay:
        due = book.due.copy()
        due[delay - 1] += paid
        after = Book(holdings, book.cash, due)
    else:
        after = Book(holdings, book.cash + paid, book.due)
    return balanced(after, book.nav + loss), proceeds


@dataclass(frozen=True)
class Dealing:
    """What was dealt on one dealing date.

    Attributes
    ----------
    amounts : ndarray, shape (N,)
        Positive bought, negative sold; costs on top.
    blocked : ndarray, shape (N,)
        Amounts that could not be dealt because the fund reported no NAV.
    costs : ndarray, shape (N,)
    """

    amounts: FloatArray
    blocked: FloatArray
    costs: FloatArray


def deal(book: Book, orders: Orders, dealable: BoolArray, costs: Costs) -> tuple[Book, Dealing]:
    """Execute orders at the NAVs of the dealing date.

    Parameters
    ----------
    book : Book
    orders : SellAndSpend or TargetWeights
    dealable : ndarray of bool, shape (N,)
        Funds with a NAV on this date.
    costs : Costs
        Paid from cash.
    """
    amounts = size(orders, book.state, dealable, costs)
    paid = costs.of(amounts)
    cash = book.cash - float(amounts.sum()) - float(paid.sum())
    if abs(cash) < DUST * book.nav:
        cash = 0.0
    after = replace(book, holdings=book.holdings + amounts, cash=cash)
    blocked = nothing(len(amounts))
    stuck = ~dealable
    if stuck.any():
        stuck &= orders.touches(book.state)
    if stuck.any():
        wished = size(orders, book.state, np.ones_like(dealable), costs)
        blocked = np.where(stuck, wished, 0.0)
    dealing = Dealing(amounts, blocked, paid)
    return balanced(after, book.nav - float(paid.sum())), dealing


def balanced(book: Book, nav: float) -> Book:
    """The book, once it is sure that it holds what it should.

    Raises
    ------
    IntegrityError
        Its NAV is another, or something in it is negative.
    """
    scale = TOLERANCE * max(abs(nav), 1.0)
    whole = book.cash >= 0.0 and (not len(book.holdings) or bool(book.holdings.min() >= 0.0))
    if not whole or not abs(book.nav - nav) <= scale:
        raise IntegrityError(
            f"the ledger does not balance: NAV {book.nav!r}, expected {nav!r}, cash {book.cash!r}",
            remedy="this is an error in finembed: please report it with the settings of the run",
        )
    return book
