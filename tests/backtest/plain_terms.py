"""Dealing on terms again in plain Python: lots in lists, orders in lists, one fund at a time."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field

from finembed_core.calendar import Month


@dataclass
class PlainTerms:
    """Terms of one fund."""

    redeems_every: int
    subscribes_every: int
    notice: int
    lockup: int
    gate: float
    pays_after: int
    buy_cost: float
    sell_cost: float
    waits: bool


@dataclass
class Lot:
    bought: Month
    money: float


@dataclass
class Order:
    decided: Month
    due: Month
    money: float
    began: bool = False  # has come to a dealing date and goes on


def first_date(start: Month, every: int, not_before: dt.date) -> Month:
    while (every and start.end.month % every != 0) or start.end < not_before:
        start = start + 1
    return start


@dataclass
class PlainAccount:
    cash: float
    delay: int
    terms: dict[str, PlainTerms]
    lots: dict[str, list[Lot]] = field(default_factory=dict)
    redemptions: dict[str, list[Order]] = field(default_factory=dict)
    pledges: dict[str, list[Order]] = field(default_factory=dict)
    begun: dict[str, float] = field(default_factory=dict)
    due: list[tuple[Month, float]] = field(default_factory=list)
    fees: float = 0.0
    log: list[tuple] = field(default_factory=list)  # fund, side, decided, dealt, money
    held_up: list[tuple] = field(default_factory=list)  # fund, side, decided, due, why

    def value(self, fund: str) -> float:
        return math.fsum(lot.money for lot in self.lots.get(fund, []))

    def pledged(self, fund: str) -> float:
        return math.fsum(order.money for order in self.pledges.get(fund, []))

    def taken(self) -> set[str]:
        return {f for f in self.terms if self.value(f) > 0 or self.pledged(f) > 0}

    def owed(self) -> float:
        return math.fsum(money for _, money in self.due)

    def nav(self) -> float:
        return math.fsum([self.cash, self.owed(), *(self.value(f) for f in self.terms)])

    def month(self, now: Month, returns: dict[str, float | None], rate: float) -> None:
        self.cash *= 1 + rate
        self.cash += math.fsum(money for day, money in self.due if day == now)
        self.due = [(day, money) for day, money in self.due if day != now]
        committed = math.fsum(self.pledged(fund) for fund in self.terms)
        for order in [order for orders in self.pledges.values() for order in orders]:
            order.money *= min(1.0, self.cash / committed)  # a negative rate has eaten some
        for fund, earned in returns.items():
            growth = 1 + (earned or 0.0)
            for thing in (*self.lots.get(fund, []), *self.redemptions.get(fund, [])):
                thing.money *= growth
            if fund in self.begun:
                self.begun[fund] *= growth

    def death(self, now: Month, fund: str, terminal: float) -> None:
        proceeds = self.value(fund) * (1 + terminal)
        for book in (self.lots, self.redemptions, self.pledges, self.begun):
            book.pop(fund, None)
        if self.delay:
            self.due.append((now + self.delay, proceeds))
        else:
            self.cash += proceeds

    # A decision: what each fund is to lose, what is pledged anew ---------------------------------

    def swap(self, sell: set[str], buy: set[str], now: Month, decided: Month, day, open_: set):
        """SA: leave some funds, spend the cash evenly on others."""
        for fund in self.terms:
            if fund in sell:
                self.pledges.pop(fund, None)
            self.wish(fund, self.value(fund) if fund in sell else 0.0, now, decided, day, open_)
        self.redeem(now, open_)
        pot = max(self.free(), 0.0)
        for fund in buy:
            self.pledge(fund, pot / len(buy), now, decided, open_)
        self.subscribe(now, open_)

    def reset(self, weights: dict[str, float], now: Month, decided: Month, day, open_: set):
        nav = self.nav()
        names = [f for f in self.terms if self.terms[f].waits or f in open_]
        held = {f: self.value(f) for f in self.terms}

        def cost(alpha: float) -> float:
            gaps = {f: alpha * weights.get(f, 0.0) - held[f] for f in names}
            return math.fsum(
                gap * self.terms[f].buy_cost if gap > 0 else -gap * self.terms[f].sell_cost
                for f, gap in gaps.items()
            )

        low, high = 0.0, nav
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (low, middle) if middle + cost(middle) > nav else (middle, high)
        more = {}
        for fund in self.terms:
            gap = low * weights.get(fund, 0.0) - held[fund]
            gap = 0.0 if abs(gap) < 1e-12 * nav and low * weights.get(fund, 0.0) > 0 else gap
            self.wish(fund, max(-gap, 0.0), now, decided, day, open_)
            money = max(gap, 0.0) * (1 + self.terms[fund].buy_cost)
            too_much = self.pledged(fund) - money
            self.withdraw(self.pledges.get(fund, []), too_much)
            if fund in names:
                more[fund] = max(-too_much, 0.0)
        self.redeem(now, open_)
        needed = math.fsum(more.values())
        share = min(1.0, max(self.free(), 0.0) / needed) if needed > 0 else 0.0
        for fund, money in more.items():
            if money > 1e-12 * nav:
                self.pledge(fund, money * share, now, decided, open_)
        self.subscribe(now, open_)

    def nothing_new(self, now: Month, open_: set) -> None:
        self.redeem(now, open_)
        self.subscribe(now, open_)

    def withdraw(self, orders: list[Order], money: float) -> None:
        """Take money out of the newest orders."""
        while orders and money > 1e-13:
            gone = min(orders[-1].money, money)
            orders[-1].money -= gone
            money -= gone
            if orders[-1].money <= 1e-13:
                orders.pop()

    def wish(self, fund: str, money: float, now: Month, decided: Month, day, open_: set) -> None:
        """All that is to leave the fund, orders that wait included."""
        own = self.terms[fund]
        if not own.waits and fund not in open_:
            return
        orders = self.redemptions.setdefault(fund, [])
        waiting = math.fsum(order.money for order in orders)
        if waiting > money:
            self.withdraw(orders, waiting - money)
        elif money - waiting > 1e-12:
            notified = day + dt.timedelta(days=own.notice)
            due = first_date(now, own.redeems_every, notified)
            orders.append(Order(decided, due, money - waiting))
            if due != now:
                late = due != first_date(now, own.redeems_every, now.end)
                why = "notice" if late else "frequency"
                self.held_up.append((fund, "sell", decided, due, why))

    def redeem(self, now: Month, open_: set[str]) -> None:
        for fund, orders in self.redemptions.items():
            own, lots = self.terms[fund], self.lots.get(fund, [])
            ripe = [order for order in orders if order.due <= now]
            if not ripe:
                continue
            if fund in open_:
                value = self.value(fund)
                began = self.begun.get(fund, value)
                unlocked = math.fsum(x.money for x in lots if now - x.bought >= own.lockup)
                by_gate = own.gate * began if own.gate < 1 else value
                room = min(unlocked, by_gate)
                why = "lockup" if unlocked <= by_gate else "gate"
                self.begun[fund] = began
            else:
                room, why = 0.0, "no_nav"
            for order in ripe:
                dealt = min(order.money, room)
                if order.money - dealt < 1e-12 * max(self.value(fund), 1e-3):
                    dealt = order.money
                room -= dealt
                order.money -= dealt
                if dealt > 0:
                    self.log.append((fund, "sell", order.decided, now, dealt))
                    self.pay_out(fund, dealt, now)
                if order.money > 0:
                    order.began = True
                    order.due = first_date(now + 1, own.redeems_every, now.end)
                    self.held_up.append((fund, "sell", order.decided, order.due, why))
            self.redemptions[fund] = [order for order in orders if order.money > 0]
        for fund in list(self.begun):
            if not any(order.began for order in self.redemptions.get(fund, [])):
                del self.begun[fund]

    def pay_out(self, fund: str, money: float, now: Month) -> None:
        own = self.terms[fund]
        left = money
        while left > 1e-13 and self.lots[fund]:
            oldest = self.lots[fund][0]
            assert now - oldest.bought >= own.lockup  # first in, first out: never a locked one
            gone = min(oldest.money, left)
            oldest.money -= gone
            left -= gone
            if oldest.money <= 1e-13:
                self.lots[fund].pop(0)
        self.fees += money * own.sell_cost
        net = money - money * own.sell_cost
        if own.pays_after:
            self.due.append((now + own.pays_after, net))
        else:
            self.cash += net

    def free(self) -> float:
        return self.cash - math.fsum(self.pledged(fund) for fund in self.terms)

    def pledge(self, fund: str, money: float, now: Month, decided: Month, open_: set) -> None:
        own = self.terms[fund]
        if money <= 1e-12 or (not own.waits and fund not in open_):
            return
        due = first_date(now, own.subscribes_every, now.end)
        self.pledges.setdefault(fund, []).append(Order(decided, due, money))
        if due != now:
            self.held_up.append((fund, "buy", decided, due, "frequency"))

    def subscribe(self, now: Month, open_: set[str]) -> None:
        for fund, orders in self.pledges.items():
            own = self.terms[fund]
            for order in [order for order in orders if order.due <= now]:
                if fund not in open_:
                    order.due = first_date(now + 1, own.subscribes_every, now.end)
                    self.held_up.append((fund, "buy", order.decided, order.due, "no_nav"))
                    continue
                orders.remove(order)
                amount = order.money / (1 + own.buy_cost)
                self.log.append((fund, "buy", order.decided, now, amount))
                self.fees += amount * own.buy_cost
                self.cash -= order.money
                self.lots.setdefault(fund, []).append(Lot(now, amount))
