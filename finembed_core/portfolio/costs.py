"""Proportional costs of dealing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finembed_core.panel import FloatArray

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Costs:
    """Proportional costs of dealing, decimal shares of the amount dealt, below 1.

    Attributes
    ----------
    buy, sell : float, or ndarray of shape (N,)
        One for all funds, or one for each.
    """

    buy: float | FloatArray = 0.0
    sell: float | FloatArray = 0.0

    @classmethod
    def both_ways(cls, cost: float) -> Costs:
        """The same in both directions."""
        return cls(cost, cost)

    @classmethod
    def of_bps(cls, cost: float, slippage: float, redemption_fee: float) -> Costs:
        """From basis points; the redemption fee is for sales only."""
        side = (cost + slippage) / 1e4
        return cls(side, side + redemption_fee / 1e4)

    @property
    def uniform(self) -> float | None:
        """The one cost of all funds both ways; None where there are several."""
        if isinstance(self.buy, np.ndarray) or isinstance(self.sell, np.ndarray):
            return None
        return self.buy if self.buy == self.sell else None

    def of(self, amounts: FloatArray) -> FloatArray:
        """Cost of each amount (positive bought, negative sold), shape (N,)."""
        if self.uniform is not None:
            return self.uniform * np.abs(amounts)
        return np.where(amounts > 0.0, self.buy, self.sell) * np.abs(amounts)

    def only(self, funds: BoolArray) -> Costs:
        """The costs of some of the funds."""
        buy = self.buy[funds] if isinstance(self.buy, np.ndarray) else self.buy
        sell = self.sell[funds] if isinstance(self.sell, np.ndarray) else self.sell
        return Costs(buy, sell)
