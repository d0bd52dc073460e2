"""Where no fund has terms the ledger is what it was before there were any."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.backtest.terms import DealingTerms
from finembed_core.portfolio.orders import Costs
from finembed_core.portfolio.policies.selection import simple_average
from finembed_core.portfolio.policies.universe import aum_weight
from tests.backtest.plain_runs import POLICIES, run
from tests.backtest.worlds import world

# What the simulator made of these worlds before it knew terms: last NAV, costs, amounts traded.
BEFORE_TERMS = (
    ((1, "sa", 0, 0.01, 0), 0.6108941161641981, 0.06355075589930458, 6.355075589930457),
    (
        (2, "sa", 15, 0.001, 3),
        0.622444984645142,
        0.005962016304288834,
        5.9620163042888334,
    ),
    (
        (3, "wa", 0, 0.01, 1),
        0.8892352063939727,
        0.1419935372411892,
        14.19935372411892,
    ),
    (
        (4, "wa", 30, 0.1, 0),
        0.34939367579550834,
        0.6507976557592896,
        6.507976557592897,
    ),
    ((5, "equal", 0, 0.01, 2), 0.9552925360888714, 0.06509927836224502, 6.509927836224503),
    (
        (6, "equal", 45, 0.001, 0),
        1.1166326479593203,
        0.008055988980280685,
        8.055988980280686,
    ),
    ((7, "aum", 15, 0.01, 1), 0.4361957921679223, 0.09751036388434711, 9.751036388434708),
    ((11, "sa", 45, 0.1, 1), 0.6611968025646506, 0.4545194478280696, 4.545194478280696),
)


@pytest.mark.parametrize(("how", "nav", "costs", "traded"), BEFORE_TERMS)
def test_without_terms_nothing_has_changed(how, nav: float, costs: float, traded: float) -> None:
    seed, name, lag, cost, delay = how
    policy = aum_weight if name == "aum" else POLICIES[name]
    track = run(world(seed, lag=lag, cost=cost, delay=delay), policy)
    found = track.nav[-1], track.costs.sum(), track.traded.sum()
    assert found == pytest.approx((nav, costs, traded), rel=1e-14)  # sums differ between CPUs


@given(seed=st.integers(0, 10**6), lag=st.sampled_from([0, 15, 30]), delay=st.sampled_from([0, 3]))
@settings(max_examples=12, deadline=None)
def test_ordinary_terms_are_no_terms(seed: int, lag: int, delay: int) -> None:
    """Two ways through the code, one result: every fund deals every month, at once, in full."""
    made = world(seed, lag=lag, cost=0.01, delay=delay)
    ordinary = DealingTerms.none(len(made.market.ids), Costs.both_ways(0.01))
    assert ordinary.ordinary
    terms = dataclasses.replace(made.terms, dealing=ordinary)
    one = run(made, simple_average)
    other = run(dataclasses.replace(made, terms=terms), simple_average)
    assert other.nav == pytest.approx(one.nav, rel=1e-12)
    assert other.holdings == pytest.approx(one.holdings, rel=1e-10, abs=1e-13)
    assert other.cash == pytest.approx(one.cash, abs=1e-12)
    for d, e in zip(one.decisions, other.decisions, strict=True):
        assert d.target == pytest.approx(e.target, abs=1e-12)
        if d.dealt is not None and e.dealt is not None:
            assert d.dealt.amounts == pytest.approx(e.dealt.amounts, abs=1e-12)
            stuck = [np.minimum(x.dealt.blocked, 0.0) for x in (d, e)]  # what cannot be sold
            assert stuck[0] == pytest.approx(stuck[1], abs=1e-12)
