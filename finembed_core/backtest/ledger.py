"""Cash-exact accounting of one portfolio of funds; knows no strategy and no signal.

Every step is a pure function from book to book. What must hold after each of them is checked:

    holdings + cash + receivables - payables = NAV before + gains - costs,    cash >= 0

Subscriptions are paid on the dealing date; payable is only what short positions owe beyond the
cash that there is: borrow fees, and what it costs to cover a dead fund.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from finembed_core.calendar import IntArray
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
        Value of each fund at its last reported NAV, negative where it is sold short.
    cash : float
    due : ndarray, shape (D,)
        Receivables: ``due[k]`` arrives k + 1 periods from now.
    payables : float
        Paid as soon as there is cash.
    shorts : bool
        Whether holdings may be negative.
    """

    holdings: FloatArray
    cash: float
    due: FloatArray
    payables: float = 0.0
    shorts: bool = False

    @classmethod
    def open(cls, cash: float, n_funds: int, shorts: bool = False) -> Book:
        """A new portfolio, all cash."""
        return cls(np.zeros(n_funds), cash, np.zeros(0), shorts=shorts)

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
        return State(self.holdings, self.cash, self.receivables, payables=self.payables)


def earn(book: Book, returns: FloatArray, risk_free: float, borrow_fee: float = 0.0) -> Book:
    """One period passes: holdings drift, cash earns the risk-free rate, receivables arrive.

    `borrow_fee` is money, for what is sold short.

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
    after = _settled(
        book, book.holdings + gains, book.cash + interest + arrived, due, book.payables + borrow_fee
    )
    return balanced(after, book.nav + float(gains.sum()) + interest - borrow_fee)


def _settled(
    book: Book, holdings: FloatArray, cash: float, due: FloatArray, payables: float
) -> Book:
    """The book as it goes on, payables paid as far as cash goes."""
    paid = min(max(cash, 0.0), payables)
    return Book(holdings, cash - paid, due, payables - paid, book.shorts)


def owe(due: FloatArray, money: FloatArray, periods: IntArray) -> FloatArray:
    """Receivables with more money that arrives so many periods from now, each at least 1."""
    if not len(money):
        return due
    more = np.bincount(periods - 1, weights=money, minlength=len(due)).astype(float, copy=False)
    more[: len(due)] += due
    return more


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
        Periods until that is paid.

    Returns
    -------
    Book, ndarray of shape (N,)
        The proceeds of each fund; they wait among the receivables, or are cash where there is no
        delay. Those of a short sale are negative: it is covered at once.
    """
    proceeds = np.where(dead, book.holdings * (1.0 + terminal), 0.0)
    loss = float(np.where(dead, book.holdings * terminal, 0.0).sum())
    holdings = np.where(dead, 0.0, book.holdings)
    covering = -float(np.minimum(proceeds, 0.0).sum()) if book.shorts else 0.0
    paid = float(proceeds.sum()) + covering
    due = owe(book.due, np.array([paid]), np.array([delay])) if delay else book.due
    cash = book.cash if delay else book.cash + paid
    after = _settled(book, holdings, cash, due, book.payables + covering)
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
    orders : SellAndSpend, TargetWeights or Replace
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
    after = _settled(book, book.holdings + amounts, cash, book.due, book.payables)
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
        Its NAV is another, or something in it is negative that must not be.
    """
    scale = TOLERANCE * max(abs(nav), 1.0)
    long = book.shorts or not len(book.holdings) or bool(book.holdings.min() >= 0.0)
    whole = long and book.cash >= 0.0 and book.payables >= 0.0
    if not whole or not abs(book.nav - nav) <= scale:
        raise IntegrityError(
            f"the ledger does not balance: NAV {book.nav!r}, expected {nav!r}, cash {book.cash!r}",
            remedy="this is an error in finembed: please report it with the settings of the run",
        )
    return book
