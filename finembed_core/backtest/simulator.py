"""The periods of a backtest: when a policy decides, when its orders deal, what they earn.

A period is a month (`DecisionCalendar`) or a trading session (`SessionCalendar`). By months, lag 0
decides and deals at the end of month t and earns t + 1. Lag 15 decides on the 15th of t + 1, deals
at the end of t + 1 and earns t + 2::

    lag 15    | ... t ... | ... t+1 ......... | ... t+2 ...
                          ^ holdings that the policy sees
                              ^ decision day  ^ dealing

A policy sees the book as of its own period and signals from that period's information set; the
returns that the book then earns are the final ones. Orders that funds' terms hold up deal at the
end of later periods, whether or not something is decided there. A portfolio that owes as much as it
owns, or more, is ruined: it is closed and trades no more (`Track.ruin`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from finembed_core.backtest.dates import DealingDate
from finembed_core.backtest.dealing import Account, TermsDealing, deal_on_terms
from finembed_core.backtest.ledger import Dealing, deal
from finembed_core.backtest.market import Death, Market, Terms
from finembed_core.backtest.track import RUIN, Decision, Executed, Payout, Ruin, Track
from finembed_core.calendar import Calendar, Period, period_range
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.order_checks import check_orders
from finembed_core.portfolio.orders import (
    BoolArray,
    Orders,
    Signals,
    State,
    indicated_weights,
    size,
)

__all__ = [
    "Death",
    "Decision",
    "Market",
    "Payout",
    "Ruin",
    "Terms",
    "Track",
    "dealing_months",
    "simulate",
]

Policy = Callable[[State, Signals], Orders | None]

P = TypeVar("P", bound=Period)

DAYS_PER_YEAR = 365  # of a borrow fee


def dealing_months(decided: Iterable[P], calendar: Calendar) -> dict[Period, P]:
    """Dealing period to the decision that deals then.

    Where a long lag brings two decisions to one dealing date, the later one replaces the earlier.
    """
    return {calendar.dealing(month): month for month in sorted(decided)}


def simulate(
    market: Market,
    signals: Mapping[P, Signals],
    policy: Policy,
    terms: Terms,
    calendar: Calendar,
) -> Track:
    """Run one policy through the market.

    Parameters
    ----------
    market : Market
        Its last period is the last that is earned.
    signals : mapping of Period to Signals
        The periods to decide in. The decision of the market's last one stays pending, and with it
        what waits from earlier ones: these orders are what is to be dealt next.
    policy : callable
        Pure; None keeps everything as it is, orders that wait too.
    terms : Terms
    calendar : Calendar
        Of the market's periods.

    Raises
    ------
    InputError
        Orders that no portfolio can carry out (`check_orders`), or decisions before the market
        begins.
    """
    deals = dealing_months(signals, calendar)
    if not deals:
        raise InputError("nothing is decided", remedy="give the signals of some periods")
    first = min(deals)
    if first < market.first:
        raise InputError(
            f"orders deal in {first}, before the market begins",
            where=f"the first returns are of {market.first}",
            remedy="give returns from the first dealing date on, or decide later",
        )
    run = _Run(market, terms, first, calendar)
    for month in period_range(first, max(market.last, max(deals))):
        decided = deals.get(month)
        ordered = None
        if decided is not None and decided < month:
            ordered = run.ask(policy, signals[decided], decided, month)
        if month > first:
            run.pass_month(month)
        if decided is not None and decided == month:
            ordered = run.ask(policy, signals[decided], decided, month)
        if ordered is not None and run.ruin is None:
            pending = month > market.last or decided == market.last
            run.execute(ordered, month, pending)
        elif decided == market.last:
            run.list_waiting(month, market.last)
        elif month <= market.last:
            run.deal_waiting(month)
        run.record(month)
    return run.track()


@dataclass(frozen=True)
class _Ordered:
    orders: Orders
    decided: Period
    target: FloatArray
    state: State


class _Run:
    """The account of one simulation as it goes through the periods."""

    def __init__(self, market: Market, terms: Terms, first: Period, calendar: Calendar) -> None:
        self.market, self.terms, self.first, self.calendar = market, terms, first, calendar
        self.deaths: dict[Period, list[Death]] = {}
        for death in market.deaths:
            self.deaths.setdefault(death.month, []).append(death)
        self.account = Account.open(terms.initial_nav, len(market.ids), terms.shorts)
        self.rows: list[tuple[float, ...]] = []
        self.holdings: list[FloatArray] = []
        self.decisions: list[Decision] = []
        self.executed: list[Executed] = []
        self.waiting: Executed | None = None
        self.payouts: list[Payout] = []
        self.unreported = self.declined = 0
        self.ruin: Ruin | None = None
        self.earned = self.costs = self.traded = self.borrow_fee = 0.0  # of the current period
        self.next_costs = self.next_traded = 0.0  # of the one that the last dealing opens
        self.nav = self.account.book.nav

    def ask(
        self, policy: Policy, signals: Signals, decided: Period, dealing: Period
    ) -> _Ordered | None:
        """Orders of one decision, by a policy that sees no price after its period."""
        if self.ruin is not None:
            return None
        state = self.account.state
        valued = dealing if decided == dealing else dealing - 1
        if valued > decided:  # a lag of more than a period: back to the prices of the decision
            rows = slice(self.market.row(decided + 1), self.market.row(valued + 1))
            growth = np.prod(1.0 + np.nan_to_num(self.market.returns[rows]), axis=0)
            state = replace(
                state,
                holdings=_divided(state.holdings, growth),
                redeeming=_divided(state.redeeming, growth),
            )
        orders = policy(state, signals)
        if orders is None:
            self.declined += 1
            return None
        check_orders(orders, self.market.ids, decided, self.terms.shorts)
        return _Ordered(orders, decided, indicated_weights(orders, state), state)

    def pass_month(self, month: Period) -> None:
        """Earn, then book the deaths that have become known, then see what is left."""
        before = self.account.book.nav
        if self.terms.dealing is not None:
            self.account = self.account.age(month.ordinal)
        if month <= self.market.last:
            row = self.market.row(month)
            returns = self.market.returns[row]
            silent = np.isnan(returns)
            self.unreported += int(np.count_nonzero(silent & (self.account.book.holdings != 0.0)))
            self.borrow_fee = self._fee(month)
            rate = float(self.market.risk_free[row])
            self.account = self.account.earn(returns, rate, self.borrow_fee)
            self._bury(month)
            if self.account.book.nav <= 0.0 and self.ruin is None:
                self._close(month)
        self.nav = self.account.book.nav
        self.earned = self.nav - before
        self.costs, self.traded = self.next_costs, self.next_traded
        self.next_costs = self.next_traded = 0.0

    def _fee(self, month: Period) -> float:
        """What the short positions cost until the end of the period."""
        if not self.terms.borrow_bps:
            return 0.0
        short = -float(np.minimum(self.account.book.holdings, 0.0).sum())
        years = (month.end - (month - 1).end).days / DAYS_PER_YEAR
        return short * years * self.terms.borrow_bps / 1e4

    def _close(self, month: Period) -> None:
        """Ruin: all positions go at their last NAV, and what is owed beyond them stays unpaid."""
        nav, held = self.account.book.nav, self.account.book.holdings
        self.ruin = Ruin(month, nav)
        self.payouts += [
            Payout(month, month, int(k), float(held[k]), nav, RUIN) for k in np.flatnonzero(held)
        ]
        self.account = Account.open(0.0, len(held), self.terms.shorts)

    def _bury(self, month: Period) -> None:
        deaths = self.deaths.get(month)
        if not deaths:
            return
        dead = np.zeros(len(self.market.ids), dtype=bool)
        terminal = np.zeros(len(self.market.ids))
        for death in deaths:
            dead[death.fund], terminal[death.fund] = True, death.terminal
        nav, held = self.account.book.nav, self.account.book.holdings
        self.account, proceeds = self.account.bury(dead, terminal, self.terms.delay)
        paid = month + self.terms.delay
        self.payouts += [
            Payout(month, paid, d.fund, float(proceeds[d.fund]), nav, d.reason)
            for d in deaths
            if held[d.fund] != 0.0
        ]

    def execute(self, ordered: _Ordered, month: Period, pending: bool) -> None:
        """Deal at the end of `month`, or keep the orders for the list of pending ones."""
        dealt = wished = None
        before, nav, after = ordered.state.holdings, ordered.state.nav, self.account
        everything = np.ones(len(self.market.ids), dtype=bool)
        if pending:
            after, dealing = self._deal(ordered, month, everything)
            if self.terms.dealing is None:
                wished = size(ordered.orders, ordered.state, everything, self.terms.costs)
            else:
                wished = dealing.amounts
            if ordered.decided < self.market.last:  # the next decision builds on it
                self.account = after
        else:
            before, nav = self.account.book.holdings, self.account.book.nav
            reported = ~np.isnan(self.market.returns[self.market.row(month)])
            self.account, dealt = self._deal(ordered, month, reported)
            dealing = dealt
            self._pay(dealt)
        if isinstance(dealing, TermsDealing) and self.terms.dealing is not None:
            lines = dealing.lines
            if pending:  # older orders have said already when they are due
                when = self._date(month, ordered.decided, everything)
                self.waiting = Executed(nav, after.older(lines, self.terms.dealing, when), pending)
                lines = lines.only(lines.decided == ordered.decided.ordinal)
            self.executed.append(Executed(nav, lines, pending))
        self.decisions.append(
            Decision(ordered.decided, month, ordered.target, nav, before, dealt, wished)
        )

    def list_waiting(self, month: Period, decided: Period) -> None:
        """Keep what waits for the list of pending orders, where the newest decision has none."""
        if self.terms.dealing is None:
            return
        when = self._date(month, decided, np.ones(len(self.market.ids), dtype=bool))
        after, dealt = deal_on_terms(self.account, None, self.terms.dealing, when)
        older = after.older(dealt.lines, self.terms.dealing, when)
        self.waiting = Executed(self.account.book.nav, older, pending=True)

    def deal_waiting(self, month: Period) -> None:
        """Deal what waits, where nothing new was decided."""
        waiting = len(self.account.redemptions) + len(self.account.subscriptions)
        if self.terms.dealing is None or not waiting:
            return
        nav = self.account.book.nav
        when = self._date(month, month, ~np.isnan(self.market.returns[self.market.row(month)]))
        self.account, dealt = deal_on_terms(self.account, None, self.terms.dealing, when)
        self.executed.append(Executed(nav, dealt.lines, pending=False))
        self._pay(dealt)

    def _deal(
        self, ordered: _Ordered, month: Period, reported: BoolArray
    ) -> tuple[Account, Dealing]:
        if self.terms.dealing is None:
            book, dealt = deal(self.account.book, ordered.orders, reported, self.terms.costs)
            return replace(self.account, book=book), dealt
        when = self._date(month, ordered.decided, reported)
        return deal_on_terms(self.account, ordered.orders, self.terms.dealing, when)

    def _date(self, month: Period, decided: Period, reported: BoolArray) -> DealingDate:
        day = self.calendar.decision_day(decided)
        return DealingDate(month.ordinal, decided.ordinal, day, reported, self.calendar)

    def _pay(self, dealt: Dealing) -> None:
        self.next_costs = float(dealt.costs.sum())
        self.next_traded = float(np.abs(dealt.amounts).sum())

    def record(self, month: Period) -> None:
        """Keep the period's row."""
        if month > self.market.last:
            return
        book, rate = self.account.book, float(self.market.risk_free[self.market.row(month)])
        money = (self.nav, self.earned, self.costs, self.traded)
        left = (book.cash, book.receivables, book.payables)
        self.rows.append((*money, *left, self.borrow_fee, rate))
        self.holdings.append(book.holdings)

    def track(self) -> Track:
        rows = np.array(self.rows).reshape(len(self.rows), 9)
        nav, earned, costs, traded, cash, receivables, payables, borrow_fees, risk_free = rows.T
        return Track(
            first=self.first,
            nav=nav,
            earned=earned,
            costs=costs,
            traded=traded,
            holdings=np.array(self.holdings).reshape(len(rows), len(self.market.ids)),
            cash=cash,
            receivables=receivables,
            payables=payables,
            borrow_fees=borrow_fees,
            risk_free=risk_free,
            unreported=self.unreported,
            declined=self.declined,
            decisions=tuple(self.decisions),
            payouts=tuple(self.payouts),
            executed=None if self.terms.dealing is None else tuple(self.executed),
            waiting=self.waiting,
            ruin=self.ruin,
        )


def _divided(money: FloatArray, growth: FloatArray) -> FloatArray:
    """Money at earlier prices; 0 where everything was lost since."""
    return np.divide(money, growth, out=np.zeros_like(growth), where=growth > 0)
