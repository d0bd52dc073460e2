"""Dealing where funds have terms: notice, frequency, lock-up, gate, payment delay.

An `Account` is a book and what waits beside it. On a dealing date, in this order: a new decision is
netted against the queue, redemptions deal as far as terms let them, what they pay at once and the
free cash go into subscriptions, and what could not deal waits for the fund's next date.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np

from finembed_core.backtest.ledger import TOLERANCE, Book, Dealing, balanced, earn, write_off
from finembed_core.backtest.lines import Lines, lines_of
from finembed_core.backtest.queue import Block, IntArray, Queue
from finembed_core.backtest.terms import DealingTerms, next_dealing, notice_month
from finembed_core.errors import IntegrityError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import DUST, BoolArray, Orders, SellAndSpend, State, level

SAME = 1e-12  # share of a holding below which two amounts are the same but for rounding


@dataclass(frozen=True)
class Account:
    """A book, the orders that wait, and the money that is locked.

    Attributes
    ----------
    book : Book
        Committed money is part of its cash.
    redemptions, subscriptions : Queue
    lots : ndarray, shape (L, N)
        What was bought k months ago and cannot leave yet, at today's NAV.
    begun : ndarray, shape (N,)
        The holding, in today's money, when the redemption that is going on began to deal; 0 where
        none is.
    """

    book: Book
    redemptions: Queue
    subscriptions: Queue
    lots: FloatArray
    begun: FloatArray

    @classmethod
    def open(cls, cash: float, delay: int, n_funds: int, terms: DealingTerms | None) -> Account:
        """A new portfolio, all cash; `delay` is the wait for dead funds' proceeds."""
        longest, locked = delay, 0
        if terms is not None and n_funds:
            longest = max(delay, int(terms.payment_months.max()))
            locked = int(terms.lockup_months.max())
        book = Book.open(cash, n_funds, longest)
        lots = np.zeros((locked, n_funds))
        return cls(book, Queue.empty(), Queue.empty(), lots, np.zeros(n_funds))

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

    def earn(self, returns: FloatArray, risk_free: float) -> Account:
        """One period passes (`ledger.earn`); what is queued and locked earns with its fund.

        Committed money does not grow, but shrinks where a negative rate has left less cash than
        that.
        """
        book, pledged = earn(self.book, returns, risk_free), self.subscriptions
        committed = float(pledged.amount.sum())
        if committed > book.cash:
            pledged = pledged.of_amounts(pledged.amount * (book.cash / committed))
        if not len(self.redemptions) and not self.lots.size and not self.begun.any():
            return replace(self, book=book, subscriptions=pledged)
        own = np.nan_to_num(returns)
        queued = self.redemptions.grow(returns)
        lots, begun = self.lots + self.lots * own, self.begun + self.begun * own
        return Account(book, queued, pledged, lots, begun)

    def age(self, terms: DealingTerms) -> Account:
        """Purchases become a month older; those whose lock-up ends are free."""
        if not self.lots.size:
            return self
        older = np.zeros_like(self.lots)
        older[1:] = self.lots[:-1]
        months = np.arange(len(older))[:, None]
        older *= months < terms.lockup_months
        return replace(self, lots=older)

    def waiting(self, terms: DealingTerms, before: int) -> Lines:
        """Orders decided before the month of this ordinal that wait, on the date they are due."""
        held, old = self.book.holdings, Lines.none()
        for queue, cost, buys in (
            (self.redemptions, terms.sell_cost, False),
            (self.subscriptions, terms.buy_cost, True),
        ):
            own = queue.only(queue.decided < before)
            amount = own.amount / (1.0 + cost[own.fund]) if buys else own.amount
            whole = held == 0.0 if buys else own.totals(len(held)) >= held * (1.0 - 1e-9)
            delay = np.zeros_like(terms.payment_months) if buys else terms.payment_months
            every = np.ones(len(own), dtype=bool)
            nothing = np.zeros(len(own))
            old = old.joined(
                lines_of(own, nothing, every, amount, 0, delay, whole, whole, cost, buys)
            )
        return old

    def bury(self, dead: BoolArray, terminal: FloatArray, delay: int) -> tuple[Account, FloatArray]:
        """Close positions and orders in funds whose death has become known (`write_off`)."""
        book, proceeds = write_off(self.book, dead, terminal, delay)
        out, into = (q.only(~dead[q.fund]) for q in (self.redemptions, self.subscriptions))
        lots, begun = np.where(dead, 0.0, self.lots), np.where(dead, 0.0, self.begun)
        return Account(book, out, into, lots, begun), proceeds


@dataclass(frozen=True)
class DealingDate:
    """When and in what orders deal.

    Attributes
    ----------
    month : int
        Ordinal of the month at whose end is dealt.
    decided : int
        Ordinal of the month of the new orders.
    decision_day : date
        From which notice runs.
    reported : ndarray of bool, shape (N,)
        Funds with a NAV on this date.
    """

    month: int
    decided: int
    decision_day: dt.date
    reported: BoolArray


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
    if isinstance(orders, SellAndSpend):
        released = np.minimum(committed, orders.sell * (held + committed))
        redeem = np.maximum(orders.sell * held - (1.0 - orders.sell) * committed, 0.0)
        keep, spend, is_money = committed - released, orders.spend, False
    else:
        own = terms.costs.only(orderable)
        alpha = level(orders.weights[orderable], held[orderable], own, state.nav)
        gap = alpha * orders.weights - held
        redeem = np.maximum(-gap, 0.0)
        wanted = np.maximum(gap, 0.0) * (1.0 + terms.buy_cost)
        keep, is_money = np.minimum(committed, wanted), True
        spend = wanted - keep
        spend = np.where(spend > dust, spend, 0.0)
    redeem = np.where((redeem > dust) | (redeem == held), redeem, 0.0)
    return _Wish(redeem, keep, spend, is_money)


def deal_on_terms(
    account: Account, orders: Orders | None, terms: DealingTerms, when: DealingDate
) -> tuple[Account, TermsDealing]:
    """Net new orders against the queue, then deal what the terms let deal on this date.

    Parameters
    ----------
    account : Account
    orders : SellAndSpend, TargetWeights or None
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
        money = wish.money(max(free, 0.0), ~lapsing)
        blocked += np.where(lapsing, money / (1.0 + terms.buy_cost), 0.0)
        fresh = np.flatnonzero((money > DUST * nav) & ~lapsing)
        due = next_dealing(np.full(len(fresh), when.month), terms.subscription_every[fresh])
        subscriptions = subscriptions.add(fresh, when.decided, due, money[fresh])
    bought, subscriptions, into = _subscribe(state, subscriptions, terms, when)
    paid = bought * terms.buy_cost
    cash = book.cash + arrived - float(bought.sum()) - float(paid.sum())
    after = Book(
        state.holdings - sold + bought,
        0.0 if abs(cash) < DUST * nav else cash,
        _owed(book.due, np.where(at_once, 0.0, sold - charged), terms.payment_months),
    )
    costs = charged + paid
    lots = account.lots
    if lots.size:
        lots = lots.copy()
        lots[0] += np.where(terms.lockup_months > 0, bought, 0.0)
    balanced(after, book.nav - float(costs.sum()))
    left = _covered(Account(after, redemptions, subscriptions, lots, begun))
    return left, TermsDealing(bought - sold, blocked, costs, out.joined(into))


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
    month = np.maximum(notice_month(when.decision_day, terms.notice_days[fresh]), when.month)
    due = next_dealing(month, terms.redemption_every[fresh])
    return kept.add(fresh, when.decided, due, more[fresh])


def _redeem(
    account: Account, queue: Queue, terms: DealingTerms, when: DealingDate
) -> tuple[FloatArray, FloatArray, Queue, Lines]:
    """Money redeemed (N,), holdings at the beginning of what goes on (N,), queue, lines."""
    held = account.book.holdings
    ripe = queue.due <= when.month
    dealing = ripe & when.reported[queue.fund]
    ready = queue.totals(len(held), dealing)
    began = np.where(account.begun > 0.0, account.begun, held)
    unlocked = np.maximum(held - account.lots.sum(axis=0), 0.0) if account.lots.size else held
    gated = np.where(terms.gate < 1.0, terms.gate * began, held)
    room = np.minimum(np.minimum(unlocked, gated), held)
    all_of_it = (ready > 0.0) & (ready >= room - SAME * held)
    sold = np.where(all_of_it, room, ready)
    done = ready <= room + SAME * held
    taken = queue.fill(np.where(done, np.inf, sold), dealing)
    rest = queue.amount - taken
    held_up = np.where(unlocked <= gated, Block.LOCKUP, Block.GATE)[queue.fund]
    base = next_dealing(np.full(len(queue), when.month), terms.redemption_every[queue.fund])
    early = np.where(queue.due > base, Block.NOTICE, Block.FREQUENCY)
    why = np.where(dealing, held_up, np.where(ripe, Block.NO_NAV, early))
    moved = (rest > 0.0) & (ripe | (queue.why == 0))
    due = np.where(ripe, _following(terms.redemption_every, queue, when), queue.due)
    after = replace(queue, why=np.where(moved, why, queue.why), due=due)
    left = after.of_amounts(rest)
    going_on = left.totals(len(held), left.why >= Block.LOCKUP) > 0.0
    begun = np.where(going_on, np.where(when.reported, began, account.begun), 0.0)
    settle = when.month + terms.payment_months
    closed = sold == held
    whole = left.totals(len(held)) >= (held - sold) * (1.0 - 1e-9)
    lines = lines_of(
        after, taken, moved, rest, when.month, settle, closed, whole, terms.sell_cost, False
    )
    return sold, begun, left, lines


def _subscribe(
    state: State, queue: Queue, terms: DealingTerms, when: DealingDate
) -> tuple[FloatArray, Queue, Lines]:
    """Money invested (N,), costs on top; queue, lines."""
    ripe = queue.due <= when.month
    dealing = ripe & when.reported[queue.fund]
    money = queue.totals(len(state.holdings), dealing)
    bought = money / (1.0 + terms.buy_cost)
    moved = ~dealing & (ripe | (queue.why == 0))
    why = np.where(ripe, Block.NO_NAV, Block.FREQUENCY)
    due = np.where(ripe, _following(terms.subscription_every, queue, when), queue.due)
    after = replace(queue, why=np.where(moved, why, queue.why), due=due)
    share = 1.0 / (1.0 + terms.buy_cost[queue.fund])
    taken, rest = (np.where(d, queue.amount, 0.0) for d in (dealing, ~dealing))
    enters = state.holdings == 0.0
    settle, cost = np.full(len(enters), when.month), terms.buy_cost
    taken, left = taken * share, rest * share
    lines = lines_of(after, taken, moved, left, when.month, settle, enters, enters, cost, True)
    return bought, after.of_amounts(rest), lines


def _following(every: IntArray, queue: Queue, when: DealingDate) -> IntArray:
    """The dealing date after this one of each order's fund, shape (Q,)."""
    return next_dealing(np.full(len(queue), when.month + 1), every[queue.fund])


def _owed(due: FloatArray, money: FloatArray, months: IntArray) -> FloatArray:
    later = np.flatnonzero(money)
    if len(later) == 0:
        return due
    return due + np.bincount(months[later] - 1, weights=money[later], minlength=len(due))
