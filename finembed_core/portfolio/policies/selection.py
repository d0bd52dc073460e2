"""Policies that hold the funds of the highest P(up).

SA and WA are the two constructions of Zhao, Dong, Cao, Douady (arXiv 2408.03320), section 4.
"""

from __future__ import annotations

import math

import numpy as np

from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import (
    BoolArray,
    Orders,
    SellAndSpend,
    Signals,
    State,
    TargetWeights,
)
from finembed_core.portfolio.policies import Policy
from finembed_core.portfolio.policies.universe import by_aum
from finembed_core.portfolio.rankings import top_k, topk_drop_order
from finembed_core.settings import PortfolioSettings


def ranking(signals: Signals) -> FloatArray:
    """Rank of each eligible fund by P(up), 1 the best, equal ones by fund id; NaN elsewhere."""
    ranks = np.full(len(signals.p_up), np.nan)
    candidates = np.flatnonzero(signals.eligible & ~np.isnan(signals.p_up))
    best_first = candidates[np.argsort(-signals.p_up[candidates], kind="stable")]
    ranks[best_first] = np.arange(1.0, len(best_first) + 1.0)
    return ranks


def select_top(signals: Signals, share: float) -> BoolArray:
    """The best `share` of the eligible funds that have a prediction, by P(up).

    An odd number is rounded up: the top 50% of 5 funds are 3.
    """
    candidates = np.flatnonzero(signals.eligible & ~np.isnan(signals.p_up))
    count = math.ceil(share * len(candidates) - 1e-9)
    selected = np.zeros(len(signals.p_up), dtype=bool)
    if count == 0:
        return selected
    p_up = signals.p_up[candidates]
    last = np.partition(p_up, len(p_up) - count)[len(p_up) - count]  # what the last one has
    above = p_up > last
    ties = np.flatnonzero(p_up == last)[: count - int(np.count_nonzero(above))]  # by fund id
    above[ties] = True
    selected[candidates[above]] = True
    return selected


def top_share(signals: Signals, settings: PortfolioSettings) -> BoolArray:
    """What SA and WA select, shape (N,)."""
    return select_top(signals, settings.selected_share)


def simple_average(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
    """SA: keep what is still selected as it is, sell the rest, spread the cash over the new.

    Without sales only the cash at hand is spent; with nothing new the cash is kept. A fund that
    waits for its subscription counts as held; one that waits for its redemption and is selected
    again stays.
    """
    selected = top_share(signals, settings)
    if not selected.any():
        return None
    new = selected & ~state.taken
    sell = (state.taken & ~selected).astype(float)
    return SellAndSpend(sell, new / max(int(new.sum()), 1))


def weighted_average(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
    """WA: reset the selected funds to weights in proportion to their AUM as known then."""
    return by_aum(top_share(signals, settings), signals)


def best(k: int) -> Policy:
    """A policy: reset the `k` best funds to equal weights, fewer where there are fewer."""

    def policy(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
        weights = top_k(signals.p_up, signals.eligible, k)
        return TargetWeights(weights) if weights.any() else None

    return policy


def topk_drop(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
    """Hold so many funds and replace a few of them by better ones; the rest drifts."""
    if np.isnan(signals.p_up).all():
        return None
    own = settings.topk_drop
    return topk_drop_order(signals.p_up, state.taken, signals.eligible, own.holdings, own.replaced)
