"""Small random worlds: markets with gaps and deaths, signals, terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from finembed_core.backtest.simulator import Death, Market, Terms
from finembed_core.backtest.terms import DealingTerms
from finembed_core.calendar import Calendar, DecisionCalendar, Month, Period, month_range
from finembed_core.portfolio.orders import Signals
from finembed_core.sessions import SessionCalendar

FIRST = Month.parse("2001-01")


@dataclass(frozen=True)
class World:
    market: Market
    signals: Mapping[Period, Signals]
    terms: Terms
    calendar: Calendar


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


def trading_days(rng: np.random.Generator, count: int) -> np.ndarray:
    """Weekdays from January 2001, a twentieth of them holidays."""
    days = np.busday_offset(np.datetime64("2001-01-02"), np.arange(2 * count), roll="forward")
    return days[rng.random(len(days)) > 0.05][:count]


def daily_world(
    seed: int, funds: int = 5, sessions: int = 150, lag: int = 0, delay: int = 0
) -> World:
    """Sessions on terms of every kind, a third of them decided; gaps and deaths as by month."""
    rng = np.random.default_rng(seed)
    made = world(seed, funds, sessions, 0, 0.0, delay)
    calendar = SessionCalendar(trading_days(rng, sessions), lag)
    days = calendar.sessions()
    deaths = tuple(replace(d, month=days[0] + (d.month - FIRST + lag)) for d in made.market.deaths)
    rates = made.market.risk_free / 20 - 1e-4 * (seed % 2)
    market = replace(made.market, first=days[0], risk_free=rates, deaths=deaths)
    signals = {
        days[month - FIRST]: replace(known, month=days[month - FIRST])
        for month, known in made.signals.items()
        if month == FIRST or rng.random() < 0.3
    }
    terms = random_terms(rng, funds)
    often = {
        "redemption_every": rng.choice([0, 0, 1, 1, 3], funds),
        "subscription_every": rng.choice([0, 0, 1, 3], funds),
        "notice_days": rng.choice([0, 0, 1, 5, 30], funds),
        "lockup_months": rng.choice([0, 0, 1, 2], funds),
        "payment_months": rng.choice([0, 0, 1, 2], funds),
    }
    own = {name: np.where(terms.waits, values, 0) for name, values in often.items()}
    return World(market, signals, Terms(1.0, 0.0, delay, replace(terms, **own)), calendar)


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
