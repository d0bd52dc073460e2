"""Policies whose weights follow positions: how far a fund's P(up) is above the average one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from finembed_core.panel import FloatArray
from finembed_core.portfolio import positions
from finembed_core.portfolio.orders import BoolArray, Orders, Signals, State, TargetWeights
from finembed_core.portfolio.policies import Policy
from finembed_core.portfolio.policies.optimized import risk_parity
from finembed_core.portfolio.policies.universe import all_weather, equal_weight
from finembed_core.portfolio.simplex import project_simplex
from finembed_core.settings import PortfolioSettings

ROUNDING = 1e-12  # distance from the mean that equal probabilities may show
BASES: dict[str, Policy] = {
    "equal_weight_universe": equal_weight,
    "risk_parity": risk_parity,
    "all_weather": all_weather,
}


def simplex(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
    """P(up) itself as weights: projected on the simplex."""
    return _reset(signals, _predicted(signals), project_simplex)


def long_only(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
    """The positive positions in proportion; all cash where none is."""
    return _reset(signals, _predicted(signals), lambda p: positions.long_only(_positions(p)))


def long_short(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
    """All positions in proportion, as much sold short as bought; none where all are alike."""
    gross = settings.gross_leverage
    return _reset(
        signals, _predicted(signals), lambda p: positions.long_short(_positions(p), gross)
    )


def tilt(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
    """A base portfolio leaned towards the positions; it is the base where nothing is predicted."""
    own = settings.tilt
    base = BASES[own.base](state, signals, settings)
    funds = signals.eligible
    if not isinstance(base, TargetWeights) or not funds.any():
        return base
    wanted = _positions(signals.p_up[funds])
    leaned = positions.tilted(base.weights[funds], wanted, own.strength, own.active_share)
    return TargetWeights(_among(funds, leaned), base.solved)


def _predicted(signals: Signals) -> BoolArray:
    return signals.eligible & ~np.isnan(signals.p_up)


def _positions(p_up: FloatArray) -> FloatArray:
    """Distance from the mean, 0 where nothing is predicted."""
    seen = ~np.isnan(p_up)
    away = p_up - (p_up[seen].mean() if seen.any() else 0.0)
    return np.where(np.abs(away) > ROUNDING, away, 0.0)  # NaN is not


def _reset(
    signals: Signals, funds: BoolArray, weigh: Callable[[FloatArray], FloatArray]
) -> Orders | None:
    """Weights of the predicted funds by their P(up); None where there are none."""
    if not funds.any():
        return None
    return TargetWeights(_among(funds, weigh(signals.p_up[funds])))


def _among(funds: BoolArray, weights: FloatArray) -> FloatArray:
    whole = np.zeros(len(funds))
    whole[funds] = weights
    return whole
