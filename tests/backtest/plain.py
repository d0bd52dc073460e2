"""The same bookkeeping again in plain Python, fund by fund: slow, obvious, the oracle."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class PlainBook:
    cash: float
    cost: float
    delay: int
    funds: dict[str, float] = field(default_factory=dict)
    due: list[tuple[int, float]] = field(default_factory=list)
    fees: float = 0.0

    def nav(self) -> float:
        owed = sum(amount for _, amount in self.due)
        return sum(self.funds.values()) + self.cash + owed

    def month(self, when: int, returns: dict[str, float | None], rate: float) -> None:
        for fund in self.funds:
            if returns[fund] is not None:
                self.funds[fund] *= 1 + returns[fund]
        self.cash *= 1 + rate
        self.cash += sum(amount for day, amount in self.due if day == when)
        self.due = [(day, amount) for day, amount in self.due if day != when]

    def death(self, when: int, fund: str, terminal: float) -> None:
        proceeds = self.funds.pop(fund, 0.0) * (1 + terminal)
        if self.delay == 0:
            self.cash += proceeds
        elif proceeds:
            self.due.append((when + self.delay, proceeds))

    def sell(self, fund: str, amount: float) -> None:
        self.funds[fund] -= amount
        if self.funds[fund] <= 1e-15:
            del self.funds[fund]
        self.cash += amount - amount * self.cost
        self.fees += amount * self.cost

    def buy(self, fund: str, amount: float) -> None:
        self.funds[fund] = self.funds.get(fund, 0.0) + amount
        self.cash -= amount + amount * self.cost
        self.fees += amount * self.cost

    def simple_average(self, selected: set[str], held: set[str], open_today: set[str]) -> None:
        """SA in the words of the spec; `held` when it was decided."""
        for fund in held - selected:
            if fund in open_today and fund in self.funds:
                self.sell(fund, self.funds[fund])
        new = selected - held
        pot = self.cash
        for fund in new:
            if fund in open_today and pot > 1e-11:
                self.buy(fund, pot / len(new) / (1 + self.cost))

    def reset(self, weights: dict[str, float], open_today: set[str]) -> None:
        """Weights of the NAV that is left after costs, found by bisection."""
        names = {fund for fund in {*weights, *self.funds} if fund in open_today}
        nav = self.nav()
        free = self.cash + sum(self.funds.get(fund, 0.0) for fund in names)
        wanted = math.fsum(weights.get(fund, 0.0) for fund in names)

        def too_much(alpha: float) -> bool:
            dealt = math.fsum(
                abs(alpha * weights.get(f, 0.0) - self.funds.get(f, 0.0)) for f in names
            )
            over_nav = alpha > nav - self.cost * dealt
            return over_nav or alpha * wanted > free - self.cost * dealt

        low, high = 0.0, nav
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (low, middle) if too_much(middle) else (middle, high)
        changes = {f: low * weights.get(f, 0.0) - self.funds.get(f, 0.0) for f in names}
        for fund, change in changes.items():
            if change < -1e-12:
                self.sell(fund, -change)
        for fund, change in changes.items():
            if change > 1e-12:
                self.buy(fund, change)
