"""Small random worlds: markets with gaps and deaths, signals, terms."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from finembed_core.backtest.simulator import Death, Market, Terms
from finembed_core.backtest.terms import DealingTerms
from finembed_core.calendar import DecisionCalendar, Month, month_range
from finembed_core.portfolio.orders import Signals

FIRST = Month.parse("2001-01")


@dataclass(frozen=True)
class World:
    market: Market
    signals: dict[Month, Signals]
    terms: Terms
    calendar: DecisionCalendar


def world(
    seed: int, funds: int = 6, months: int = 14, lag: int = 0, cost: float = 0.01, delay: int = 0
) -> World:
    """Months from 2001-01, all of them decided; a third of the funds dies, a tenth is silent."""
    rng = np.random.default_rng(seed)
    calendar = DecisionCalendar(lag)
    returns = rng.normal(0.01, 0.06, (months, funds)).clip(-0.9)
    deaths = []
    for fund in range(funds):
        if rng.random() < 0.33:
            silent_from = int(rng.integers(2, months))
            returns[silent_from:, fund] = np.nan
            known = FIRST + (silent_from + int(rng.integers(0, 3)))
            booked = Month.of(calendar.dealing_date(known))
            terminal = float(rng.choice([0.0, -0.2, -1.0]))
            deaths.append(Death(booked, fund, terminal, "unknown"))
    returns[rng.random(returns.shape) < 0.1] = np.nan
    ids = tuple(f"F{k:02d}" for k in range(funds))
    market = Market(FIRST, ids, returns, rng.uniform(0, 0.005, months), tuple(deaths))
    signals = {}
    for month in month_range(FIRST, FIRST + (months - 1)):
        p_up = rng.choice([0.2, 0.4, 0.4, 0.6, np.nan], funds)
        aum = np.where(rng.random(funds) < 0.2, np.nan, rng.uniform(1, 9, funds))
        signals[month] = Signals(month, rng.random(funds) < 0.8, p_up, aum)
    return World(market, signals, Terms(1.0, cost, delay), calendar)


def world_on_terms(
    seed: int, funds: int = 6, months: int = 24, lag: int = 0, delay: int = 0
) -> World:
    """A world in which most funds have terms of every kind, and some none; rates of both signs."""
    made = world(seed, funds, months, lag, 0.0, delay)
    market = replace(made.market, risk_free=made.market.risk_free - 0.002 * (seed % 2))
    terms = Terms(1.0, 0.0, delay, random_terms(np.random.default_rng(seed + 1), funds))
    return World(market, made.signals, terms, made.calendar)


def random_terms(rng: np.random.Generator, funds: int) -> DealingTerms:
    """Terms of every kind; a quarter of the funds has none but costs."""

    def whole(*values: int) -> np.ndarray:
        return rng.choice(values, funds).astype(np.int64)

    made = DealingTerms(
        redemption_every=whole(1, 1, 3, 6, 12),
        subscription_every=whole(1, 1, 3, 6),
        notice_days=whole(0, 0, 10, 30, 65, 95),
        lockup_months=whole(0, 0, 1, 3, 12),
        gate=rng.choice([1.0, 1.0, 0.5, 0.3], funds),
        payment_months=whole(0, 0, 1, 2),
        buy_cost=rng.choice([0.0, 0.001, 0.02], funds),
        sell_cost=rng.choice([0.0, 0.001, 0.05], funds),
        waits=np.ones(funds, dtype=bool),
    )
    plain = DealingTerms.none(funds)
    lapsing = rng.random(funds) < 0.25
    mixed = {
        name: np.where(lapsing, getattr(plain, name), values)
        for name, values in vars(made).items()
        if not name.endswith("cost")
    }
    return DealingTerms(**mixed, buy_cost=made.buy_cost, sell_cost=made.sell_cost)
