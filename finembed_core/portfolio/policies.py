"""Policies: pure functions ``(state, signals, settings) -> orders``, and their register.

SA and WA are the two constructions of Zhao, Dong, Cao, Douady (arXiv 2408.03320), section 4; the
universe portfolios are their honest benchmarks: the same funds without the selection.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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
from finembed_core.settings import PortfolioSettings

Policy = Callable[[State, Signals, PortfolioSettings], Orders | None]
"""None: no orders, everything stays as it is."""


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


def simple_average(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
    """SA: keep what is still selected as it is, sell the rest, spread the cash over the new.

    Without sales only the cash at hand is spent; with nothing new the cash is kept. A fund that
    waits for its subscription counts as held; one that waits for its redemption and is selected
    again stays.
    """
    selected = select_top(signals, settings.selected_share)
    if not selected.any():
        return None
    new = selected & ~state.taken
    sell = (state.taken & ~selected).astype(float)
    return SellAndSpend(sell, new / max(int(new.sum()), 1))


def weighted_average(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
    """WA: reset the selected funds to weights in proportion to their AUM as known then."""
    return _by_aum(select_top(signals, settings.selected_share), signals)


def equal_weight(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
    """Reset all eligible funds to equal weights."""
    count = int(signals.eligible.sum())
    return TargetWeights(signals.eligible / count) if count else None


def aum_weight(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
    """Reset all eligible funds to weights in proportion to their AUM as known then."""
    return _by_aum(signals.eligible, signals)


def _by_aum(chosen: BoolArray, signals: Signals) -> Orders | None:
    """Weights by AUM; a chosen fund without AUM has no weight, and no AUM at all no orders."""
    aum = np.where(chosen & (signals.aum > 0.0), signals.aum, 0.0)
    total = float(aum.sum())
    return TargetWeights(aum / total) if total > 0.0 else None


@dataclass(frozen=True)
class Strategy:
    """One line of the register.

    Attributes
    ----------
    name : str
        Strategy id, or its beginning where there is one per model or per series.
    policy : callable
    rule : str
        What it does, for people.
    over : {"universe", "models", "benchmarks"}
        One portfolio of the universe, one per model of the settings, or one per benchmark series.
    needs_aum : bool
        Absent where no AUM is known.
    """

    name: str
    policy: Policy
    rule: str
    over: Literal["universe", "models", "benchmarks"] = "universe"
    needs_aum: bool = False


STRATEGIES: tuple[Strategy, ...] = (
    Strategy("sa", simple_average, "top share by P(up); keep the held, spread the cash", "models"),
    Strategy("wa", weighted_average, "top share by P(up), reset to AUM weights", "models", True),
    Strategy("equal_weight_universe", equal_weight, "all eligible funds, reset to equal weights"),
    Strategy("aum_weight_universe", aum_weight, "all eligible funds by AUM", needs_aum=True),
    Strategy("index", equal_weight, "holds the benchmark series, without costs", "benchmarks"),
)
