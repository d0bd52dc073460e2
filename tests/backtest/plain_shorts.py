"""A long-short book again in plain Python, fund by fund."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class PlainShorts:
    cash: float
    cost: float
    delay: int
    funds: dict[str, float] = field(default_factory=dict)  # below 0: sold short
    due: list[tuple[int, float]] = field(default_factory=list)
    debts: float = 0.0
    fees: float = 0.0
    borrowed: float = 0.0

    def nav(self) -> float:
        owed = math.fsum(amount for _, amount in self.due)
        return math.fsum(self.funds.values()) + self.cash + owed - self.debts

    def pay(self) -> None:
        paid = min(self.cash, self.debts)
        self.cash, self.debts = self.cash - paid, self.debts - paid

    def month(self, when: int, returns: dict, rate: float, fee: float) -> None:
        self.borrowed = -fee * math.fsum(value for value in self.funds.values() if value < 0)
        for fund, value in self.funds.items():
            self.funds[fund] = value + value * (returns[fund] or 0.0)
        self.cash += self.cash * rate + math.fsum(a for day, a in self.due if day == when)
        self.due = [(day, amount) for day, amount in self.due if day != when]
        self.debts += self.borrowed
        self.pay()

    def death(self, when: int, fund: str, terminal: float) -> None:
        proceeds = self.funds.pop(fund, 0.0) * (1 + terminal)
        if proceeds < 0:
            self.debts -= proceeds
        elif self.delay:
            self.due.append((when + self.delay, proceeds))
        else:
            self.cash += proceeds
        self.pay()

    def reset(self, weights: dict[str, float], names: list[str]) -> None:
        """Weights of the NAV that is left after costs, found by bisection."""
        held = {fund: self.funds.get(fund, 0.0) for fund in names}
        wanted = {fund: weights.get(fund, 0.0) for fund in names}
        nav, signed = self.nav(), min([*held.values(), *wanted.values(), 0.0]) < 0

        def too_much(alpha: float) -> bool:
            dealt = math.fsum(abs(alpha * wanted[f] - held[f]) for f in names)
            spent = alpha * math.fsum(wanted.values()) + self.cost * dealt
            there = self.cash - self.debts + math.fsum(held.values())
            return alpha + self.cost * dealt > nav or (not signed and spent > there)

        low, high = 0.0, nav
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (low, middle) if too_much(middle) else (middle, high)
        changes = {f: low * wanted[f] - held[f] for f in names}
        pot = self.cash - self.debts - (1 - self.cost) * sum(min(c, 0) for c in changes.values())
        bill = (1 + self.cost) * sum(max(c, 0) for c in changes.values())
        share = min(1.0, max(pot, 0.0) / bill) if bill > 0 else 0.0
        for fund, change in changes.items():
            dealt = change * share if change > 0 else change
            self.funds[fund] = self.funds.get(fund, 0.0) + dealt
            self.cash -= dealt + self.cost * abs(dealt)
            self.fees += self.cost * abs(dealt)
        self.pay()
