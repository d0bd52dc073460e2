"""Dealing on terms again in plain Python: lots in lists, orders in lists, one fund at a time."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field

from finembed_core.calendar import Month


class PlainMonths:
    """Months by their ordinals."""

    def end(self, now: int) -> dt.date:
        return Month(now).end

    def deals(self, now: int, every: int) -> bool:
        return every == 0 or Month(now).end.month % every == 0

    def later(self, now: int, months: int) -> int:
        return now + months


class PlainSessions:
    """Trading days by their place in a list, and weekdays after its end."""

    def __init__(self, days: list[dt.date]) -> None:
        self.days = list(days)
        day = days[-1]
        while len(self.days) < len(days) + 1000:
            day += dt.timedelta(days=1)
            if day.weekday() < 5:
                self.days.append(day)

    def end(self, now: int) -> dt.date:
        return self.days[now]

    def deals(self, now: int, every: int) -> bool:
        day, tomorrow = self.days[now], self.days[now + 1]
        return every == 0 or (day.month != tomorrow.month and day.month % every == 0)

    def later(self, now: int, months: int) -> int:
        if months == 0:
            return now
        day = self.days[now]
        year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
        of_month = [k for k, d in enumerate(self.days) if (d.year, d.month) == (year, month + 1)]
        return next((k for k in of_month if self.days[k].day >= day.day), of_month[-1])


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
    bought: int
    money: float


@dataclass
class Order:
    decided: int
    due: int
    money: float
    began: bool = False  # has come to a dealing date and goes on


@dataclass
class PlainAccount:
    cash: float
    delay: int
    terms: dict[str, PlainTerms]
    dates: PlainMonths | PlainSessions
    lots: dict[str, list[Lot]] = field(default_factory=dict)
    redemptions: dict[str, list[Order]] = field(default_factory=dict)
    pledges: dict[str, list[Order]] = field(default_factory=dict)
    begun: dict[str, float] = field(default_factory=dict)
    due: list[tuple[int, float]] = field(default_factory=list)
    fees: float = 0.0
    log: list[tuple] = field(default_factory=list)  # fund, side, decided, dealt, money
    held_up: list[tuple] = field(default_factory=list)  # fund, side, decided, due, why, money

    def first_date(self, start: int, every: int, not_before: dt.date) -> int:
        while not self.dates.deals(start, every) or self.dates.end(start) < not_before:
            start += 1
        return start

    def value(self, fund: str) -> float:
        return math.fsum(lot.money for lot in self.lots.get(fund, []))

    def free_at(self, lot: Lot, own: PlainTerms) -> int:
        return self.dates.later(lot.bought, own.lockup)

    def pledged(self, fund: str) -> float:
        return math.fsum(order.money for order in self.pledges.get(fund, []))

    def taken(self) -> set[str]:
        return {f for f in self.terms if self.value(f) > 0 or self.pledged(f) > 0}

    def owed(self) -> float:
        return math.fsum(money for _, money in self.due)

    def nav(self) -> float:
        return math.fsum([self.cash, self.owed(), *(self.value(f) for f in self.terms)])

    def month(self, now: int, returns: dict[str, float | None], rate: float) -> None:
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

    def death(self, now: int, fund: str, terminal: float) -> None:
        proceeds = self.value(fund) * (1 + terminal)
        for book in (self.lots, self.redemptions, self.pledges, self.begun):
            book.pop(fund, None)
        if self.delay:
            self.due.append((now + self.delay, proceeds))
        else:
            self.cash += proceeds

    # A decision: what each fund is to lose, what is pledged anew ---------------------------------

    def swap(self, sell: set[str], buy: set[str], now: int, decided: int, day, open_: set):
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

    def replace(
        self, sell: set[str], ranked: list[str], k: int, now: int, decided: int, day, open_
    ):
        """TopK-Drop: leave some funds, share the cash among the first that find a place."""
        for fund in self.terms:
            if fund in sell:
                self.pledges.pop(fund, None)
            self.wish(fund, self.value(fund) if fund in sell else 0.0, now, decided, day, open_)
        self.redeem(now, open_)
        pot, free = max(self.free(), 0.0), max(k - len(self.taken()), 0)
        may = [f for f in ranked if f not in self.taken() | sell]
        buy = [f for f in may if self.terms[f].waits or f in open_][:free]
        for fund in buy:
            self.pledge(fund, pot / len(buy), now, decided, open_)
        self.subscribe(now, open_)

    def reset(self, weights: dict[str, float], now: int, decided: int, day, open_: set):
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

    def nothing_new(self, now: int, open_: set) -> None:
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

    def wish(self, fund: str, money: float, now: int, decided: int, day, open_: set) -> None:
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
            due = self.first_date(now, own.redeems_every, notified)
            orders.append(Order(decided, due, money - waiting))
            if due != now:
                late = due != self.first_date(now, own.redeems_every, self.dates.end(now))
                why = "notice" if late else "frequency"
                self.held_up.append((fund, "sell", decided, due, why, money - waiting))

    def redeem(self, now: int, open_: set[str]) -> None:
        for fund, orders in self.redemptions.items():
            own, lots = self.terms[fund], self.lots.get(fund, [])
            ripe = [order for order in orders if order.due <= now]
            if not ripe:
                continue
            if fund in open_:
                value = self.value(fund)
                began = self.begun.get(fund, value)
                unlocked = math.fsum(x.money for x in lots if self.free_at(x, own) <= now)
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
                    order.due = self.first_date(now + 1, own.redeems_every, self.dates.end(now))
                    self.held_up.append((fund, "sell", order.decided, order.due, why, order.money))
            self.redemptions[fund] = [order for order in orders if order.money > 0]
        for fund in list(self.begun):
            if not any(order.began for order in self.redemptions.get(fund, [])):
                del self.begun[fund]

    def pay_out(self, fund: str, money: float, now: int) -> None:
        own = self.terms[fund]
        left = money
        while left > 1e-13 and self.lots[fund]:
            oldest = self.lots[fund][0]
            assert self.free_at(oldest, own) <= now  # first in, first out: never a locked one
            gone = min(oldest.money, left)
            oldest.money -= gone
            left -= gone
            if oldest.money <= 1e-13:
                self.lots[fund].pop(0)
        self.fees += money * own.sell_cost
        net = money - money * own.sell_cost
        if own.pays_after:
            self.due.append((self.dates.later(now, own.pays_after), net))
        else:
            self.cash += net

    def free(self) -> float:
        return self.cash - math.fsum(self.pledged(fund) for fund in self.terms)

    def pledge(self, fund: str, money: float, now: int, decided: int, open_: set) -> None:
        own = self.terms[fund]
        if money <= 1e-12 or (not own.waits and fund not in open_):
            return
        due = self.first_date(now, own.subscribes_every, self.dates.end(now))
        self.pledges.setdefault(fund, []).append(Order(decided, due, money))
        if due != now:
            self.held_up.append((fund, "buy", decided, due, "frequency", money))

    def subscribe(self, now: int, open_: set[str]) -> None:
        for fund, orders in self.pledges.items():
            own = self.terms[fund]
            for order in [order for order in orders if order.due <= now]:
                if fund not in open_:
                    order.due = self.first_date(now + 1, own.subscribes_every, self.dates.end(now))
                    self.held_up.append(
                        (fund, "buy", order.decided, order.due, "no_nav", order.money)
                    )
                    continue
                orders.remove(order)
                amount = order.money / (1 + own.buy_cost)
                self.log.append((fund, "buy", order.decided, now, amount))
                self.fees += amount * own.buy_cost
                self.cash -= order.money
                self.lots.setdefault(fund, []).append(Lot(now, amount))
