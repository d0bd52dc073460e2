"""Purchases that their lock-up still holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finembed_core.calendar import IntArray
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import BoolArray


@dataclass(frozen=True)
class Lots:
    """Locked purchases, the newest first; arrays of shape (L,).

    Attributes
    ----------
    fund, free : ndarray of int
        Column of the fund; ordinal of the first period at whose end the money can leave.
    amount : ndarray
        At today's NAV.
    """

    fund: IntArray
    free: IntArray
    amount: FloatArray

    @classmethod
    def empty(cls) -> Lots:
        """Nothing is locked."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))

    def __len__(self) -> int:
        return len(self.fund)

    def only(self, which: BoolArray) -> Lots:
        """Some of the lots."""
        return Lots(self.fund[which], self.free[which], self.amount[which])

    def locked(self, n_funds: int) -> FloatArray:
        """Locked money in each fund, shape (N,)."""
        locked = np.bincount(self.fund, weights=self.amount, minlength=n_funds)
        return locked.astype(float, copy=False)

    def grow(self, returns: FloatArray) -> Lots:
        """Money in funds earns what they do; NaN is no return."""
        own = np.nan_to_num(returns[self.fund])
        return Lots(self.fund, self.free, self.amount + self.amount * own)

    def add(self, fund: IntArray, free: IntArray, amount: FloatArray) -> Lots:
        """New purchases."""
        if not len(fund):
            return self
        return Lots(
            np.concatenate([fund, self.fund]),
            np.concatenate([free, self.free]),
            np.concatenate([amount, self.amount]),
        )
