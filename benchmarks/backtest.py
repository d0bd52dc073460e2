"""Speed of the simulator, by month and by day, against bt and vectorbt.

``python -m benchmarks.backtest [--funds 10000] [--months 314] [--assets 500] [--days 4000]
[--peers PYTHON] [--limit 120]``. The peers live in an environment of their own, whose interpreter
is given by ``--peers`` or FINEMBED_PEERS; without it they are absent. A peer that has not finished
after ``--limit`` seconds is said not to have.

By month they rebalance to random weights with costs. Each has its own rule for who pays these; a
policy of ours computes the weights that come to the same trades, so that wealth must agree to 1e-9.
By day it is TopK-Drop. The peers have no such rule: they are given the shares that ours holds, on
the days on which it trades, and book them; ours decides as well.
"""

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from finembed_core.backtest.simulator import Market, Terms, simulate
from finembed_core.backtest.terms import DealingTerms
from finembed_core.calendar import DecisionCalendar, Month
from finembed_core.portfolio.orders import Signals, TargetWeights
from finembed_core.portfolio.policies.selection import simple_average
from finembed_core.portfolio.policies.universe import equal_weight
from finembed_core.portfolio.rankings import topk_drop_order
from finembed_core.sessions import SessionCalendar
from finembed_core.settings import PortfolioSettings

FIRST = Month.parse("1990-01")
COST = 0.001
INVESTED = 0.9  # the peers pay costs from cash
REPEATS = 5
PLACES, DROP = 50, 5  # of TopK-Drop


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--funds", type=int, default=10_000)
    parser.add_argument("--months", type=int, default=314)
    parser.add_argument("--assets", type=int, default=500)
    parser.add_argument("--days", type=int, default=4_000)
    parser.add_argument("--limit", type=float, default=120.0)
    parser.add_argument("--peers", default=os.environ.get("FINEMBED_PEERS"))
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    returns = rng.normal(0.008, 0.04, (given.months, given.funds)).clip(-0.9)
    print(f"{given.funds:,} funds x {given.months} months, load {os.getloadavg()[0]:.1f}")
    ours(rng, returns)
    against_peers(rng, returns, given)
    for assets, days in ((given.assets, given.days), (50, 250)):  # the small one is for bt
        daily(rng, assets, days, given)


def ours(rng, returns):
    """Every month decided, half of the funds selected anew."""
    market, signals = world(rng, returns)
    every = terms_of_all(rng, returns.shape[1])
    for name, terms, policy, repeats in (
        ("SA, no terms", Terms(1.0, COST), simple_average, REPEATS),
        ("equal weights, no terms", Terms(1.0, COST), equal_weight, REPEATS),
        ("SA, terms on every fund", Terms(1.0, 0.0, 0, every), simple_average, 2),
        ("equal weights, terms on every fund", Terms(1.0, 0.0, 0, every), equal_weight, 2),
    ):
        wall, cpu, _ = timed(market, signals, chosen(policy), terms, repeats)
        print(f"{name:36s} {wall:8.3f} s   {cpu:8.3f} s of CPU (best of {repeats})")


def world(rng, returns):
    months, funds = returns.shape
    ids = tuple(f"F{k:05d}" for k in range(funds))
    market = Market(FIRST, ids, returns, np.full(months, 0.002))
    p_up, nothing, yes = rng.random((months, funds)), np.full(funds, np.nan), np.ones(funds, bool)
    return market, {FIRST + k: Signals(FIRST + k, yes, p_up[k], nothing) for k in range(months)}


def terms_of_all(rng, funds):
    def whole(*values):
        return rng.choice(values, funds).astype(np.int64)

    return DealingTerms(
        redemption_every=whole(1, 3, 6, 12),
        subscription_every=whole(1, 3),
        notice_days=whole(30, 60, 95),
        lockup_months=whole(0, 12),
        gate=rng.choice([1.0, 0.25], funds),
        payment_months=whole(0, 1, 2),
        buy_cost=np.full(funds, COST),
        sell_cost=np.full(funds, 2 * COST),
        waits=np.ones(funds, bool),
    )


def chosen(policy):
    settings = PortfolioSettings()
    return lambda state, known: policy(state, known, settings)


def timed(market, signals, policy, terms, repeats, calendar=None):
    best = np.inf, np.inf
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        track = simulate(market, signals, policy, terms, calendar or DecisionCalendar(0))
        took = time.perf_counter() - wall, time.process_time() - cpu
        best = min(best, took)
    return *best, track


def against_peers(rng, returns, given):
    """Rebalance to the same weights."""
    market, signals = world(rng, returns)
    market = Market(FIRST, market.ids, returns, np.zeros(len(returns)))
    weights = rng.uniform(0.5, 1.5, (len(returns) - 1, returns.shape[1]))  # no short sale in bt
    weights *= INVESTED / weights.sum(axis=1, keepdims=True)
    prices = 100.0 * np.cumprod(1.0 + returns, axis=0)
    for peer in ("vectorbt", "bt"):
        policy = rebalancing(weights, paid_by[peer])
        wall, _, track = timed(market, signals, policy, Terms(1.0, COST), 2)
        compare(peer, given, wall, track.nav_after[:-1], prices=prices, weights=weights)


def daily(rng, assets, days, given):
    """TopK-Drop on scores that drift, every day."""
    calendar = SessionCalendar(np.busday_offset("2005-01-03", np.arange(days), roll="forward"))
    sessions = calendar.sessions()
    returns = rng.normal(0.0003, 0.02, (days, assets)).clip(-0.9)
    scores = 0.1 * rng.normal(size=(days, assets)).cumsum(axis=0) + rng.normal(size=(days, assets))
    ids = tuple(f"F{k:05d}" for k in range(assets))
    market = Market(sessions[0], ids, returns, np.zeros(days))
    yes, nothing = np.ones(assets, bool), np.full(assets, np.nan)
    signals = {day: Signals(day, yes, scores[k], nothing) for k, day in enumerate(sessions)}
    places, drop = min(PLACES, assets // 5), min(DROP, assets // 10)

    def policy(state, known):
        return topk_drop_order(known.p_up, state.taken, known.eligible, places, drop)

    wall, cpu, track = timed(market, signals, policy, Terms(1.0, COST), 3, calendar)
    name = f"TopK-Drop {places}/{drop}, {assets} x {days:,} days"
    print(f"{name:36s} {wall:8.3f} s   {cpu:8.3f} s of CPU (best of 3)")
    prices = 100.0 * np.cumprod(1.0 + returns, axis=0)
    shares = track.holdings[:-1] / prices[:-1]
    before = np.vstack([np.zeros(assets), track.holdings[:-2] * (1.0 + returns[1:-1])])
    still = np.abs(track.holdings[:-1] - before) <= 1e-12 * track.nav[:-1, None]
    shares[still] = np.nan  # no order
    for peer in ("vectorbt", "bt"):
        compare(peer, given, wall, track.nav_after[:-1], prices=prices, shares=shares)


def compare(peer, given, ours, wealth, **orders):
    """Print how long the peer takes for the same orders, and whether it gets as rich."""
    if given.peers is None or not has(given.peers, peer):
        print(f"{peer:10s} absent; ours, its rule: {ours:.3f} s")
        return
    found = peer_result(peer, given, orders)
    if found is None:
        print(f"{peer:10s} did not finish in {given.limit:.0f} s, ours {ours:.3f} s")
        return
    other, seconds = found
    apart = float(np.max(np.abs(other / wealth - 1.0)))
    verdict = "equal" if apart < 1e-9 else "NOT EQUAL"
    print(
        f"{peer:10s} {seconds:8.2f} s, ours {ours:.3f} s: {seconds / ours:.0f} times; "
        f"wealth {verdict} ({apart:.1e} apart at most)"
    )


def rebalancing(weights, amounts):
    """Weights after costs that come to the trades of a peer."""

    def policy(state, known):
        month = known.month - FIRST
        if month >= len(weights):
            return None
        change = amounts(weights[month] * state.nav - state.holdings)
        nav = state.nav - COST * float(np.abs(change).sum())
        return TargetWeights((state.holdings + change) / nav)

    return policy


def costs_from_cash(gap):
    """vectorbt: the target is of the NAV before costs."""
    return gap


def costs_from_the_trade(gap):
    """bt: an amount spent or received includes its cost."""
    return np.where(gap > 0.0, gap / (1.0 + COST), gap / (1.0 - COST))


paid_by = {"vectorbt": costs_from_cash, "bt": costs_from_the_trade}


def peer_result(peer, given, orders):
    """Wealth and seconds, or None where the peer takes too long."""
    script = Path(__file__).with_name("backtest_peers.py")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(source, cost=COST, **orders)
        command = [given.peers, script, peer, source, target]
        try:
            subprocess.run(command, check=True, timeout=given.limit)
        except subprocess.TimeoutExpired:
            return None
        result = np.load(target)
        return result["wealth"], float(result["seconds"])


def has(interpreter, package):
    probe = f"import importlib.util as u, sys; sys.exit(u.find_spec('{package}') is None)"
    return subprocess.run([interpreter, "-c", probe], check=False).returncode == 0


if __name__ == "__main__":
    main()
