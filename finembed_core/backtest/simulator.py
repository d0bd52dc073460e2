"""The months of a backtest: when a policy decides, when its orders deal, what they earn.

Lag 0 decides and deals at the end of month t and earns t + 1. Lag 15 decides on the 15th of t + 1,
deals at the end of t + 1 and earns t + 2::

    lag 15    | ... t ... | ... t+1 ......... | ... t+2 ...
                          ^ holdings that the policy sees
                              ^ decision day  ^ dealing

A policy sees the book as of its own month and signals from its month's information set; the
returns that the book then earns are the final ones. Orders that funds' terms hold up deal at the
end of later months, whether or not something is decided there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from finembed_core.backtest.dealing import Account, DealingDate, TermsDealing, deal_on_terms
from finembed_core.backtest.ledger import Dealing, deal
from finembed_core.backtest.market import Death, Market, Terms
from finembed_core.backtest.track import Decision, Executed, Payout, Track
from finembed_core.calendar import DecisionCalendar, Month, month_range
from finembed_core.panel import FloatArray
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
    "Terms",
    "Track",
    "dealing_months",
    "simulate",
]

Policy = Callable[[State, Signals], Orders | None]


def dealing_months(decided: list[Month], calendar: DecisionCalendar) -> dict[Month, Month]:
    """Dealing month to the decision that deals then.

    Where a long lag brings two decisions to one dealing date, the later one replaces the earlier.
    """
    return {Month.of(calendar.dealing_date(month)): month for month in sorted(decided)}


def simulate(
    market: Market,
    signals: Mapping[Month, Signals],
    policy: Policy,
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
        Pure; None keeps everything as it is, orders that wait too.
    terms : Terms
    calendar : DecisionCalendar
    """
    deals = dealing_months(list(signals), calendar)
    first = min(deals)
    run = _Run(market, terms, first, calendar)
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
        elif month <= market.last:
            run.deal_waiting(month)
        run.record(month)
    return run.track()


@dataclass(frozen=True)
class _Ordered:
    orders: Orders
    decided: Month
    target: FloatArray
    state: State


class _Run:
    """The account of one simulation as it goes through the months."""

    def __init__(
        self, market: Market, terms: Terms, first: Month, calendar: DecisionCalendar
    ) -> None:
        self.market, self.terms, self.first, self.calendar = market, terms, first, calendar
        self.deaths: dict[Month, list[Death]] = {}
        for death in market.deaths:
            self.deaths.setdefault(death.month, []).append(death)
        self.account = Account.open(terms.initial_nav, terms.delay, len(market.ids), terms.dealing)
        self.rows: list[tuple[float, ...]] = []
        self.holdings: list[FloatArray] = []
        self.decisions: list[Decision] = []
        self.executed: list[Executed] = []
        self.waiting: Executed | None = None
        self.payouts: list[Payout] = []
        self.unreported = self.declined = 0
        self.earned = self.costs = self.traded = 0.0  # of the month that is going on
        self.next_costs = self.next_traded = 0.0  # of the one that the last dealing opens
        self.nav = self.account.book.nav

    def ask(
        self, policy: Policy, signals: Signals, decided: Month, dealing: Month
    ) -> _Ordered | None:
        """Orders of one decision, by a policy that sees no price after its month."""
        state = self.account.state
        valued = dealing if decided == dealing else dealing - 1
        if valued > decided:  # a lag of more than a month: back to the prices of the decision
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
        return _Ordered(orders, decided, indicated_weights(orders, state), state)

    def pass_month(self, month: Month) -> None:
        """Earn, then book the deaths that have become known."""
        before = self.account.book.nav
        if self.terms.dealing is not None:
            self.account = self.account.age(self.terms.dealing)
        if month <= self.market.last:
            row = self.market.row(month)
            returns = self.market.returns[row]
            silent = np.isnan(returns)
            self.unreported += int(np.count_nonzero(silent & (self.account.book.holdings > 0.0)))
            self.account = self.account.earn(returns, float(self.market.risk_free[row]))
            self._bury(month)
        self.nav = self.account.book.nav
        self.earned = self.nav - before
        self.costs, self.traded = self.next_costs, self.next_traded
        self.next_costs = self.next_traded = 0.0

    def _bury(self, month: Month) -> None:
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
            if held[d.fund] > 0.0
        ]

    def execute(self, ordered: _Ordered, month: Month, pending: bool) -> None:
        """Deal at the end of `month`, or keep the orders for the list of pending ones."""
        dealt = wished = None
        before, nav, after = ordered.state.holdings, ordered.state.nav, self.account
        if pending:
            everything = np.ones(len(self.market.ids), dtype=bool)
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
                own = lines.decided == ordered.decided.ordinal
                older = lines.only(~own & (lines.why == 0)).joined(
                    after.waiting(self.terms.dealing, ordered.decided.ordinal)
                )
                self.waiting = Executed(nav, older, pending)
                lines = lines.only(own)
            self.executed.append(Executed(nav, lines, pending))
        self.decisions.append(
            Decision(ordered.decided, month, ordered.target, nav, before, dealt, wished)
        )

    def deal_waiting(self, month: Month) -> None:
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
        self, ordered: _Ordered, month: Month, reported: BoolArray
    ) -> tuple[Account, Dealing]:
        if self.terms.dealing is None:
            book, dealt = deal(self.account.book, ordered.orders, reported, self.terms.costs)
            return replace(self.account, book=book), dealt
        when = self._date(month, ordered.decided, reported)
        return deal_on_terms(self.account, ordered.orders, self.terms.dealing, when)

    def _date(self, month: Month, decided: Month, reported: BoolArray) -> DealingDate:
        day = self.calendar.decision_day(decided)
        return DealingDate(month.ordinal, decided.ordinal, day, reported)

    def _pay(self, dealt: Dealing) -> None:
        self.next_costs = float(dealt.costs.sum())
        self.next_traded = float(np.abs(dealt.amounts).sum())

    def record(self, month: Month) -> None:
        """Keep the month's row."""
        if month > self.market.last:
            return
        book, rate = self.account.book, float(self.market.risk_free[self.market.row(month)])
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
            executed=None if self.terms.dealing is None else tuple(self.executed),
            waiting=self.waiting,
        )


def _divided(money: FloatArray, growth: FloatArray) -> FloatArray:
    """Money at earlier prices; 0 where everything was lost since."""
    return np.divide(money, growth, out=np.zeros_like(growth), where=growth > 0)
