"""Dealing where funds have terms: notice, frequency, lock-up, gate, payment delay.

An `Account` is a book and what waits beside it. On a dealing date, in this order: a new decision is
netted against the queue, redemptions deal as far as terms let them, what they pay at once and the
free cash go into subscriptions, and what could not deal waits for the fund's next date.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from finembed_core.backtest.dates import DealingDate
from finembed_core.backtest.ledger import TOLERANCE, Book, Dealing, balanced, earn, owe, write_off
from finembed_core.backtest.lines import Lines, lines_of
from finembed_core.backtest.lots import Lots
from finembed_core.backtest.queue import Block, Queue
from finembed_core.backtest.terms import DealingTerms
from finembed_core.errors import IntegrityError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import (
    DUST,
    BoolArray,
    Orders,
    Replace,
    SellAndSpend,
    State,
    TargetWeights,
)
from finembed_core.portfolio.resets import level

SAME = 1e-12  # share of a holding below which two amounts are the same but for rounding


@dataclass(frozen=True)
class Account:
    """A book, the orders that wait, and the money that is locked.

    Attributes
    ----------
    book : Book
        Committed money is part of its cash.
    redemptions, subscriptions : Queue
    lots : Lots
        What was bought and cannot leave yet.
    begun : ndarray, shape (N,)
        The holding, in today's money, when the redemption that is going on began to deal; 0 where
        none is.
    """

    book: Book
    redemptions: Queue
    subscriptions: Queue
    lots: Lots
    begun: FloatArray

    @classmethod
    def open(cls, cash: float, n_funds: int, shorts: bool = False) -> Account:
        """A new portfolio, all cash."""
        book, none = Book.open(cash, n_funds, shorts), Queue.empty()
        return cls(book, none, none, Lots.empty(), np.zeros(n_funds))

    @property
    def state(self) -> State:
        """The account as a policy sees it."""
        book, n_funds = self.book, len(self.book.holdings)
        if len(self.redemptions) == 0 and len(self.subscriptions) == 0:
            return book.state
        committed = self.subscriptions.totals(n_funds)
        free = max(book.cash - float(committed.sum()), 0.0)
        redeeming = self.redemptions.totals(n_funds)
        return State(book.holdings, free, book.receivables, committed, redeeming)

    def earn(self, returns: FloatArray, risk_free: float, borrow_fee: float = 0.0) -> Account:
        """One period passes (`ledger.earn`); what is queued and locked earns with its fund.

        Committed money does not grow, but shrinks where a negative rate has left less cash than
        that.
        """
        book, pledged = earn(self.book, returns, risk_free, borrow_fee), self.subscriptions
        committed = float(pledged.amount.sum())
        if committed > book.cash:
            pledged = pledged.of_amounts(pledged.amount * (book.cash / committed))
        if not len(self.redemptions) and not len(self.lots) and not self.begun.any():
            return replace(self, book=book, subscriptions=pledged)
        begun = self.begun + self.begun * np.nan_to_num(returns)
        queued, lots = self.redemptions.grow(returns), self.lots.grow(returns)
        return Account(book, queued, pledged, lots, begun)

    def age(self, now: int) -> Account:
        """Purchases whose lock-up ends with the period of that ordinal are free."""
        free = self.lots.free <= now
        return replace(self, lots=self.lots.only(~free)) if free.any() else self

    def older(self, dealt: Lines, terms: DealingTerms, when: DealingDate) -> Lines:
        """Orders of earlier decisions: those dealt on this date, those that go on waiting."""
        old = dealt.only((dealt.decided < when.decided) & (dealt.why == 0))
        held = self.book.holdings
        for queue, cost, buys in (
            (self.redemptions, terms.sell_cost, False),
            (self.subscriptions, terms.buy_cost, True),
        ):
            own = queue.only(queue.decided < when.decided)
            amount = own.amount / (1.0 + cost[own.fund]) if buys else own.amount
            whole = held == 0.0 if buys else own.totals(len(held)) >= held * (1.0 - 1e-9)
            delay = np.zeros_like(terms.payment_months) if buys else terms.payment_months
            every, nothing = np.ones(len(own), dtype=bool), np.zeros(len(own))
            old = old.joined(
                lines_of(own, nothing, every, amount, when, delay, whole, whole, cost, buys=buys)
            )
        return old

    def bury(self, dead: BoolArray, terminal: FloatArray, delay: int) -> tuple[Account, FloatArray]:
        """Close positions and orders in funds whose death has become known (`write_off`)."""
        book, proceeds = write_off(self.book, dead, terminal, delay)
        out, into = (q.only(~dead[q.fund]) for q in (self.redemptions, self.subscriptions))
        lots, begun = self.lots.only(~dead[self.lots.fund]), np.where(dead, 0.0, self.begun)
        return Account(book, out, into, lots, begun), proceeds


@dataclass(frozen=True)
class TermsDealing(Dealing):
    """What was dealt on one date, order by order.

    Attributes
    ----------
    lines : Lines
        Orders dealt, and those that began to wait or went on to the next date.
    """

    lines: Lines


@dataclass(frozen=True)
class _Wish:
    """What a decision wants; arrays of shape (N,).

    Attributes
    ----------
    redeem : ndarray
        Money out of each fund in all, what waits already included.
    keep : ndarray
        Committed money that stays committed.
    spend : ndarray
        Shares of the free cash that come on top, or money where `is_money`.
    is_money : bool
    """

    redeem: FloatArray
    keep: FloatArray
    spend: FloatArray
    is_money: bool

    def money(self, free: float, orderable: BoolArray) -> FloatArray:
        """Money for further subscriptions; scaled down where there is too little.

        What funds that are not `orderable` were to get is in it, and takes nothing from the others.
        """
        if not self.is_money:
            return self.spend * free
        needed = float(self.spend[orderable].sum())
        return self.spend * min(1.0, free / needed) if needed > 0.0 else self.spend


def _wish(orders: Orders, state: State, terms: DealingTerms, orderable: BoolArray) -> _Wish:
    held, committed, dust = state.holdings, state.committed, DUST * state.nav
    if isinstance(orders, TargetWeights):
        own = terms.costs.only(orderable)
        alpha = level(orders.weights[orderable], held[orderable], own, state.nav)
        gap = alpha * orders.weights - held
        redeem = np.maximum(-gap, 0.0)
        wanted = np.maximum(gap, 0.0) * (1.0 + terms.buy_cost)
        keep, is_money = np.minimum(committed, wanted), True
        spend = wanted - keep
        spend = np.where(spend > dust, spend, 0.0)
    else:
        if isinstance(orders, Replace):  # what is bought shows once it is known what is sold
            orders = SellAndSpend(orders.sell.astype(float), np.zeros_like(held))
        released = np.minimum(committed, orders.sell * (held + committed))
        redeem = np.maximum(orders.sell * held - (1.0 - orders.sell) * committed, 0.0)
        keep, spend, is_money = committed - released, orders.spend, False
    redeem = np.where((redeem > dust) | (redeem == held), redeem, 0.0)
    return _Wish(redeem, keep, spend, is_money)


def deal_on_terms(
    account: Account, orders: Orders | None, terms: DealingTerms, when: DealingDate
) -> tuple[Account, TermsDealing]:
    """Net new orders against the queue, then deal what the terms let deal on this date.

    Parameters
    ----------
    account : Account
    orders : SellAndSpend, TargetWeights, Replace or None
        None where nothing was decided: only what waits may deal.
    terms : DealingTerms
    when : DealingDate

    Raises
    ------
    IntegrityError
        The book does not balance afterwards: an error in finembed.
    """
    state, book = account.state, account.book
    nav, n_funds = state.nav, len(state.holdings)
    wish = None
    lapsing = ~terms.waits & ~when.reported
    redemptions, subscriptions = account.redemptions, account.subscriptions
    blocked = np.zeros(n_funds)
    if orders is not None:
        wish = _wish(orders, state, terms, ~lapsing)
        blocked -= np.where(lapsing, wish.redeem, 0.0)
        redemptions = _net(redemptions, np.where(lapsing, 0.0, wish.redeem), terms, when, nav)
        subscriptions = subscriptions.withdraw(wish.keep, DUST * nav)
    sold, begun, redemptions, out = _redeem(account, redemptions, terms, when)
    charged = sold * terms.sell_cost
    at_once = terms.payment_months == 0
    arrived = float(np.where(at_once, sold - charged, 0.0).sum())
    free = book.cash - float(subscriptions.totals(n_funds).sum()) + arrived
    if wish is not None:
        if isinstance(orders, Replace):
            wish = replace(wish, spend=_into_places(orders, state, sold, subscriptions, lapsing))
        money = wish.money(max(free, 0.0), ~lapsing)
        blocked += np.where(lapsing, money / (1.0 + terms.buy_cost), 0.0)
        fresh = np.flatnonzero((money > DUST * nav) & ~lapsing)
        due = when.dates(terms.subscription_every[fresh])
        subscriptions = subscriptions.add(fresh, when.decided, due, money[fresh])
    bought, subscriptions, into = _subscribe(state, subscriptions, terms, when)
    paid = bought * terms.buy_cost
    cash = book.cash + arrived - float(bought.sum()) - float(paid.sum())
    after = Book(
        state.holdings - sold + bought,
        0.0 if abs(cash) < DUST * nav else cash,
        _owed(book.due, np.where(at_once, 0.0, sold - charged), terms, when),
    )
    costs = charged + paid
    locked = np.flatnonzero((bought > 0.0) & (terms.lockup_months > 0))
    until = when.later(terms.lockup_months[locked])
    lots = account.lots.add(locked, until, bought[locked])
    balanced(after, book.nav - float(costs.sum()))
    left = _covered(Account(after, redemptions, subscriptions, lots, begun))
    return left, TermsDealing(bought - sold, blocked, costs, out.joined(into))


def _into_places(
    orders: Replace, state: State, sold: FloatArray, waiting: Queue, lapsing: BoolArray
) -> FloatArray:
    """Shares of the cash, shape (N,); those of lapsing funds are what they would have got."""
    stays = (state.holdings > sold) | (waiting.totals(len(sold)) > 0.0)
    passed_by = orders.shares(stays, np.ones_like(lapsing))
    return np.where(lapsing, passed_by, orders.shares(stays, ~lapsing))


def _covered(account: Account) -> Account:
    """The account, once it is sure that no order is for more than there is."""
    book = account.book
    scale = TOLERANCE * max(abs(book.nav), 1.0)
    short = float(account.subscriptions.amount.sum()) - book.cash
    over = account.redemptions.totals(len(book.holdings)) - book.holdings
    if short > scale or (over > scale).any():
        raise IntegrityError(
            f"orders wait for more than there is: {short!r} of cash, {over.max()!r} of a holding",
            remedy="this is an error in finembed: please report it with the settings of the run",
        )
    return account


def _net(
    queue: Queue, wanted: FloatArray, terms: DealingTerms, when: DealingDate, nav: float
) -> Queue:
    """The redemptions that are wanted now: old ones keep their place, the newest go first."""
    kept = queue.withdraw(wanted, DUST * nav)
    waiting = kept.totals(len(wanted))
    more = wanted - waiting
    fresh = np.flatnonzero((more > DUST * nav) | ((waiting == 0.0) & (wanted > 0.0)))
    notified = when.calendar.first_after(when.decision_day, terms.notice_days[fresh])
    earliest = np.maximum(notified, when.now)
    due = when.calendar.next_dealing(earliest, terms.redemption_every[fresh])
    return kept.add(fresh, when.decided, due, more[fresh])


def _redeem(
    account: Account, queue: Queue, terms: DealingTerms, when: DealingDate
) -> tuple[FloatArray, FloatArray, Queue, Lines]:
    """Money redeemed (N,), holdings at the beginning of what goes on (N,), queue, lines."""
    held = account.book.holdings
    ripe = queue.due <= when.now
    dealing = ripe & when.reported[queue.fund]
    ready = queue.totals(len(held), dealing)
    began = np.where(account.begun > 0.0, account.begun, held)
    locked = account.lots.locked(len(held)) if len(account.lots) else 0.0
    unlocked = np.maximum(held - locked, 0.0)
    gated = np.where(terms.gate < 1.0, terms.gate * began, held)
    room = np.minimum(np.minimum(unlocked, gated), held)
    all_of_it = (ready > 0.0) & (ready >= room - SAME * held)
    sold = np.where(all_of_it, room, ready)
    done = ready <= room + SAME * held
    taken = queue.fill(np.where(done, np.inf, sold), dealing)
    rest = queue.amount - taken
    held_up = np.where(unlocked <= gated, Block.LOCKUP, Block.GATE)[queue.fund]
    every = terms.redemption_every[queue.fund]
    base = when.dates(every)
    early = np.where(queue.due > base, Block.NOTICE, Block.FREQUENCY)
    why = np.where(dealing, held_up, np.where(ripe, Block.NO_NAV, early))
    moved = (rest > 0.0) & (ripe | (queue.why == 0))
    due = np.where(ripe, when.dates(every, 1), queue.due)
    after = replace(queue, why=np.where(moved, why, queue.why), due=due)
    left = after.of_amounts(rest)
    going_on = left.totals(len(held), left.why >= Block.LOCKUP) > 0.0
    begun = np.where(going_on, np.where(when.reported, began, account.begun), 0.0)
    closed = sold == held
    whole = left.totals(len(held)) >= (held - sold) * (1.0 - 1e-9)
    paid, cost = terms.payment_months, terms.sell_cost
    lines = lines_of(after, taken, moved, rest, when, paid, closed, whole, cost, buys=False)
    return sold, begun, left, lines


def _subscribe(
    state: State, queue: Queue, terms: DealingTerms, when: DealingDate
) -> tuple[FloatArray, Queue, Lines]:
    """Money invested (N,), costs on top; queue, lines."""
    ripe = queue.due <= when.now
    dealing = ripe & when.reported[queue.fund]
    money = queue.totals(len(state.holdings), dealing)
    bought = money / (1.0 + terms.buy_cost)
    moved = ~dealing & (ripe | (queue.why == 0))
    why = np.where(ripe, Block.NO_NAV, Block.FREQUENCY)
    due = np.where(ripe, when.dates(terms.subscription_every[queue.fund], 1), queue.due)
    after = replace(queue, why=np.where(moved, why, queue.why), due=due)
    share = 1.0 / (1.0 + terms.buy_cost[queue.fund])
    taken, rest = (np.where(d, queue.amount, 0.0) for d in (dealing, ~dealing))
    enters = state.holdings == 0.0
    at_once, cost = np.zeros_like(terms.payment_months), terms.buy_cost
    taken, left = taken * share, rest * share
    lines = lines_of(after, taken, moved, left, when, at_once, enters, enters, cost, buys=True)
    return bought, after.of_amounts(rest), lines


def _owed(due: FloatArray, money: FloatArray, terms: DealingTerms, when: DealingDate) -> FloatArray:
    later = np.flatnonzero(money)
    paid = when.later(terms.payment_months[later])
    return owe(due, money[later], np.maximum(paid - when.now, 1))
