"""Policies: pure functions ``(state, signals, settings) -> orders``, by what they look at."""

from __future__ import annotations

from collections.abc import Callable

from finembed_core.portfolio.orders import Orders, Signals, State
from finembed_core.settings import PortfolioSettings

Policy = Callable[[State, Signals, PortfolioSettings], Orders | None]
"""None: no orders, everything stays as it is."""
