"""Policies that look at no prediction: the honest benchmarks of those that do."""

from __future__ import annotations

import numpy as np

from finembed_core.portfolio.orders import BoolArray, Orders, Signals, State, TargetWeights
from finembed_core.settings import AssetClass, PortfolioSettings


def eligible(signals: Signals, settings: PortfolioSettings) -> BoolArray:
    """All that may be bought, shape (N,)."""
    return signals.eligible


def equal_weight(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
    """Reset all eligible funds to equal weights."""
    count = int(signals.eligible.sum())
    return TargetWeights(signals.eligible / count) if count else None


def aum_weight(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
    """Reset all eligible funds to weights in proportion to their AUM as known then."""
    return by_aum(signals.eligible, signals)


def by_aum(chosen: BoolArray, signals: Signals) -> Orders | None:
    """Weights by AUM; a chosen fund without AUM has no weight, and no AUM at all no orders."""
    aum = np.where(chosen & (signals.aum > 0.0), signals.aum, 0.0)
    total = float(aum.sum())
    return TargetWeights(aum / total) if total > 0.0 else None


ALL_WEATHER: dict[AssetClass, float] = {
    "stocks": 0.30,
    "long_bonds": 0.40,
    "intermediate_bonds": 0.15,
    "gold": 0.075,
    "commodities": 0.075,
}
"""The fixed portfolio of Ray Dalio's as Robbins (2014, Money: Master the Game) prints it."""


def all_weather(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
    """Reset to fixed weights of five asset classes, once a fund of each may be bought."""
    place = {name: k for k, name in enumerate(signals.ids)}
    weights = np.zeros(len(signals.eligible))
    for kind, share in ALL_WEATHER.items():
        weights[place[settings.all_weather[kind]]] += share
    return TargetWeights(weights) if signals.eligible[weights > 0.0].all() else None
