"""The ledger on terms against a second one in plain Python, and its invariants."""

import dataclasses
import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.calendar import Month
from finembed_core.portfolio.orders import Signals
from finembed_core.portfolio.policies.selection import simple_average
from tests.backtest.plain_runs import POLICIES, assert_equal, run
from tests.backtest.worlds import World, world_on_terms

WORLDS = {
    "seed": st.integers(0, 10**6),
    "name": st.sampled_from(sorted(POLICIES)),
    "lag": st.sampled_from([0, 15, 30]),
    "delay": st.sampled_from([0, 3]),
}


@given(**WORLDS)
@settings(max_examples=60, deadline=None)
def test_equals_the_plain_account(seed: int, name: str, lag: int, delay: int) -> None:
    made = world_on_terms(seed, lag=lag, delay=delay)
    track = run(made, POLICIES[name])
    assert_equal(track, made, name)


@given(**WORLDS)
@settings(max_examples=25, deadline=None)
def test_invariants(seed: int, name: str, lag: int, delay: int) -> None:
    track = run(world_on_terms(seed, lag=lag, delay=delay), POLICIES[name])
    after = track.holdings.sum(axis=1) + track.cash + track.receivables
    assert after[:-1] == pytest.approx(track.nav[:-1] - track.costs[1:], rel=1e-9)
    assert np.cumprod(1 + track.net) == pytest.approx(track.nav[1:] / track.nav[0], rel=1e-9)
    assert track.net == pytest.approx(track.gross - track.cost, abs=1e-15)
    assert (track.cash >= 0).all() and (track.holdings >= 0).all()


@given(**WORLDS)
@settings(max_examples=25, deadline=None)
def test_what_is_dealt_keeps_the_terms(seed: int, name: str, lag: int, delay: int) -> None:
    made = world_on_terms(seed, lag=lag, delay=delay)
    terms, track = made.terms.dealing, run(made, POLICIES[name])
    assert terms is not None and track.executed is not None
    for executed in track.executed:
        lines = executed.lines
        assert (lines.amount > 0).all()
        every = np.where(
            lines.buys, terms.subscription_every[lines.fund], terms.redemption_every[lines.fund]
        )
        assert (
            (lines.date + 1) % np.maximum(every, 1) == 0
        ).all()  # dealing dates, by the calendar year
        for k in np.flatnonzero(~lines.buys):
            day = made.calendar.decision_day(Month(lines.decided[k]))
            notice = dt.timedelta(days=int(terms.notice_days[lines.fund[k]]))
            assert Month(lines.date[k]).end >= day + notice


@given(seed=WORLDS["seed"], name=WORLDS["name"])
@settings(max_examples=25, deadline=None)
def test_order_of_funds_does_not_matter(seed: int, name: str) -> None:
    """Ties of P(up) go by fund id, so distinct ones here; to TopK-Drop no score is a tie too."""
    made = world_on_terms(seed, funds=7, lag=15, delay=1)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(made.market.ids))
    place = np.argsort(order)
    unscored = 0.3 if name == "topk" else np.nan
    signals = {
        m: dataclasses.replace(
            s, p_up=np.nan_to_num(s.p_up, nan=unscored) + rng.uniform(0, 1e-6, len(s.p_up))
        )
        for m, s in made.signals.items()
    }
    made = dataclasses.replace(made, signals=signals)
    assert made.terms.dealing is not None
    market = dataclasses.replace(
        made.market,
        ids=tuple(np.array(made.market.ids)[order]),
        returns=made.market.returns[:, order],
        deaths=tuple(dataclasses.replace(d, fund=int(place[d.fund])) for d in made.market.deaths),
    )
    shuffled = {
        m: Signals(m, s.eligible[order], s.p_up[order], s.aum[order]) for m, s in signals.items()
    }
    terms = dataclasses.replace(made.terms, dealing=made.terms.dealing.select(order))
    one = run(made, POLICIES[name])
    other = run(World(market, shuffled, terms, made.calendar), POLICIES[name])
    assert one.nav == pytest.approx(other.nav, rel=1e-12)
    assert one.holdings == pytest.approx(other.holdings[:, place], rel=1e-10, abs=1e-13)


def test_a_later_month_changes_nothing_before_it() -> None:
    for lag in (0, 15, 45):
        made = world_on_terms(7, lag=lag, delay=1)
        market = made.market
        shorter = dataclasses.replace(
            market, returns=market.returns[:-5], risk_free=market.risk_free[:-5]
        )
        known = {m: s for m, s in made.signals.items() if m <= shorter.last}
        long = run(made, simple_average)
        short = run(dataclasses.replace(made, market=shorter, signals=known), simple_average)
        n = len(short.nav)
        assert (short.nav == long.nav[:n]).all()
        assert (short.holdings[:-1] == long.holdings[: n - 1]).all()
