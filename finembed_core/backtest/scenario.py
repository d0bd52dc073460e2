"""One simulation as a value: what an assumption changes is replaced, the rest stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from finembed_core.backtest.simulator import Market, Policy, Terms, Track, simulate
from finembed_core.calendar import DecisionCalendar, Month, Period
from finembed_core.portfolio.orders import Orders, Signals, State


@dataclass(frozen=True)
class Scenario:
    """Arguments of `simulate`.

    Attributes
    ----------
    market : Market
    signals : mapping of Month to Signals
    policy : callable
    terms : Terms
    calendar : DecisionCalendar
    """

    market: Market
    signals: Mapping[Month, Signals]
    policy: Policy
    terms: Terms
    calendar: DecisionCalendar

    def run(self) -> Track:
        """Simulate it."""
        return simulate(self.market, self.signals, self.policy, self.terms, self.calendar)


class Remembered:
    """A policy that is asked once where its answer cannot depend on the state.

    A policy is a pure function of state and signals. Where it returned without having read anything
    of the state, it returns the same for every state, so its orders stand for all scenarios with
    the same signals: what took an optimization is not solved again to see another cost.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.known: dict[Period, Orders | None] = {}

    def __call__(self, state: State, signals: Signals) -> Orders | None:
        """Orders of the policy."""
        if signals.month in self.known:
            return self.known[signals.month]
        watched = _Watched(**{f.name: getattr(state, f.name) for f in fields(state)})
        read = watched.__dict__["reads"] = []
        orders = self.policy(watched, signals)
        if not read:
            self.known[signals.month] = orders
        return orders


class _Watched(State):
    """A state that tells when anything of it is read."""

    def __getattribute__(self, name: str) -> Any:
        own = object.__getattribute__(self, "__dict__")
        if "reads" in own and name != "__class__":
            own["reads"].append(name)
        return object.__getattribute__(self, name)
