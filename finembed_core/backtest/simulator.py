"""The months of a backtest: when a policy decides, when its orders deal, what they earn.

Lag 0 decides and deals at the end of month t and earns t + 1. Lag 15 decides on the 15th of t + 1,
deals at the end of t + 1 and earns t + 2::

    lag 15    | ... t ... | ... t+1 ......... | ... t+2 ...
                          ^ holdings that the policy sees
                              ^ decision day  ^ dealing

A policy sees the book as of its own month and signals from its month's information set; the
returns that the book then earns are the final ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from finembed_core.backtest.ledger import Book, Dealing, deal, earn, write_off
from finembed_core.calendar import DecisionCalendar, Month, month_range
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import (
    Orders,
    Signals,
    State,
    indicated_weights,
    size,
)


@dataclass(frozen=True)
class Death:
    """A death as the ledger books it.

    Attributes
    ----------
    month : Month
        At whose end it is booked: the first dealing date after it became known.
    fund : int
        Column of the fund.
    terminal : float
        Return from the last NAV to the proceeds, 0 to -1.
    reason : str
    """

    month: Month
    fund: int
    terminal: float
    reason: str


@dataclass(frozen=True)
class Market:
    """What can be held, and what it turned out to earn.

    Attributes
    ----------
    first : Month
        Month of the first row: that of the first decision, or earlier.
    ids : tuple of str, length N
        Sorted.
    returns : ndarray, shape (T, N)
        Monthly returns; NaN where the fund did not report.
    risk_free : ndarray, shape (T,)
    deaths : tuple of Death
        A fund that reports again after it was taken for dead may die again.
    """

    first: Month
    ids: tuple[str, ...]
    returns: FloatArray
    risk_free: FloatArray
    deaths: tuple[Death, ...] = ()

    def row(self, month: Month) -> int:
        """Row of a month."""
        return month - self.first

    @property
    def last(self) -> Month:
        """Month of the last row."""
        return self.first + (len(self.returns) - 1)


@dataclass(frozen=True)
class Terms:
    """Money terms of a simulation.

    Attributes
    ----------
    initial_nav : float
    cost : float
        Decimal share of every amount dealt.
    delay : int
        Months from a booked death to its proceeds.
    """

    initial_nav: float = 1.0
    cost: float = 0.0
    delay: int = 0


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


def dealing_months(decided: list[Month], calendar: DecisionCalendar) -> dict[Month, Month]:
    """Dealing month to the decision that deals then.

    Where a long lag brings two decisions to one dealing date, the later one replaces the earlier.
    """
    return {Month.of(calendar.dealing_date(month)): month for month in sorted(decided)}


def simulate(
    market: Market,
    signals: Mapping[Month, Signals],
    policy: Callable[[State, Signals], Orders | None],
    terms: Terms,
    calendar: DecisionCalendar,
) -> Track:
    """Run one policy through the market.

    Parameters
    ----------
    market : Market
        Its last month is the last that is earned.
    signals : mapping of Month to Signals
        The months to decide in. The decision of the market's last month stays pending: its orders
        are what is to be dealt next.
    policy : callable
        Pure; None keeps everything as it is.
    terms : Terms
    calendar : DecisionCalendar
    """
    deals = dealing_months(list(signals), calendar)
    first = min(deals)
    run = _Run(market, terms, first)
    for month in month_range(first, max(market.last, max(deals))):
        decided = deals.get(month)
        ordered = None
        if decided is not None and decided < month:
            ordered = run.ask(policy, signals[decided], decided, month)
        if month > first:
            run.pass_month(month)
        if decided is not None and decided == month:
            ordered = run.ask(policy, signals[decided], decided, month)
        if ordered is not None:
            pending = month > market.last or decided == market.last
            run.execute(ordered, month, pending)
        run.record(month)
    return run.track()


@dataclass(frozen=True)
class _Ordered:
    orders: Orders
    decided: Month
    target: FloatArray
    state: State


class _Run:
    """The book of one simulation as it goes through the months."""

    def __init__(self, market: Market, terms: Terms, first: Month) -> None:
        self.market, self.terms, self.first = market, terms, first
        self.deaths: dict[Month, list[Death]] = {}
        for death in market.deaths:
            self.deaths.setdefault(death.month, []).append(death)
        self.book = Book.open(terms.initial_nav, len(market.ids), terms.delay)
        self.rows: list[tuple[float, ...]] = []
        self.holdings: list[FloatArray] = []
        self.decisions: list[Decision] = []
        self.payouts: list[Payout] = []
        self.unreported = self.declined = 0
        self.earned = self.costs = self.traded = 0.0  # of the month that is going on
        self.next_costs = self.next_traded = 0.0  # of the one that the last dealing opens
        self.nav = self.book.nav

    def ask(
        self,
        policy: Callable[[State, Signals], Orders | None],
        signals: Signals,
        decided: Month,
        dealing: Month,
    ) -> _Ordered | None:
        """Orders of one decision, by a policy that sees no price after its month."""
        state = self.book.state
        valued = dealing if decided == dealing else dealing - 1
        if valued > decided:  # a lag of more than a month: back to the prices of the decision
            rows = slice(self.market.row(decided + 1), self.market.row(valued + 1))
            growth = np.prod(1.0 + np.nan_to_num(self.market.returns[rows]), axis=0)
            known = np.divide(state.holdings, growth, out=np.zeros_like(growth), where=growth > 0)
            state = State(known, state.cash, state.receivables)
        orders = policy(state, signals)
        if orders is None:
            self.declined += 1
            return None
        return _Ordered(orders, decided, indicated_weights(orders, state), state)

    def pass_month(self, month: Month) -> None:
        """Earn, then book the deaths that have become known."""
        before = self.book.nav
        if month <= self.market.last:
            row = self.market.row(month)
            returns = self.market.returns[row]
            self.unreported += int(np.count_nonzero(self.book.state.held & np.isnan(returns)))
            self.book = earn(self.book, returns, float(self.market.risk_free[row]))
            self._bury(month)
        self.nav = self.book.nav
        self.earned = self.nav - before
        self.costs, self.traded = self.next_costs, self.next_traded
        self.next_costs = self.next_traded = 0.0

    def _bury(self, month: Month) -> None:
        deaths = [d for d in self.deaths.get(month, []) if self.book.holdings[d.fund] > 0.0]
        if not deaths:
            return
        dead = np.zeros(len(self.market.ids), dtype=bool)
        terminal = np.zeros(len(self.market.ids))
        for death in deaths:
            dead[death.fund], terminal[death.fund] = True, death.terminal
        nav = self.book.nav
        self.book, proceeds = write_off(self.book, dead, terminal)
        paid = month + self.terms.delay
        self.payouts += [
            Payout(month, paid, d.fund, float(proceeds[d.fund]), nav, d.reason) for d in deaths
        ]

    def execute(self, ordered: _Ordered, month: Month, pending: bool) -> None:
        """Deal at the end of `month`, or keep the orders for the list of pending ones."""
        dealt = wished = None
        before, nav = ordered.state.holdings, ordered.state.nav
        if pending:
            everything = np.ones(len(self.market.ids), dtype=bool)
            wished = size(ordered.orders, ordered.state, everything, self.terms.cost)
            if ordered.decided < self.market.last:  # the next decision builds on it
                self.book, _ = deal(self.book, ordered.orders, everything, self.terms.cost)
        else:
            before, nav = self.book.holdings, self.book.nav
            reported = ~np.isnan(self.market.returns[self.market.row(month)])
            self.book, dealt = deal(self.book, ordered.orders, reported, self.terms.cost)
            self.next_costs = float(dealt.costs.sum())
            self.next_traded = float(np.abs(dealt.amounts).sum())
        self.decisions.append(
            Decision(ordered.decided, month, ordered.target, nav, before, dealt, wished)
        )

    def record(self, month: Month) -> None:
        """Keep the month's row."""
        if month > self.market.last:
            return
        book, rate = self.book, float(self.market.risk_free[self.market.row(month)])
        money = (self.nav, self.earned, self.costs, self.traded, book.cash, book.receivables, rate)
        self.rows.append(money)
        self.holdings.append(book.holdings)

    def track(self) -> Track:
        rows = np.array(self.rows).reshape(len(self.rows), 7)
        nav, earned, costs, traded, cash, receivables, risk_free = rows.T
        return Track(
            first=self.first,
            nav=nav,
            earned=earned,
            costs=costs,
            traded=traded,
            holdings=np.array(self.holdings).reshape(len(rows), len(self.market.ids)),
            cash=cash,
            receivables=receivables,
            risk_free=risk_free,
            unreported=self.unreported,
            declined=self.declined,
            decisions=tuple(self.decisions),
            payouts=tuple(self.payouts),
        )
