"""What can be held and on which terms: returns, deaths, costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finembed_core.backtest.terms import DealingTerms
from finembed_core.calendar import Period
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import Costs


@dataclass(frozen=True)
class Death:
    """A death as the ledger books it.

    Attributes
    ----------
    month : Period
        At whose end it is booked: the first dealing date after it became known.
    fund : int
        Column of the fund.
    terminal : float
        Return from the last NAV to the proceeds, 0 to -1.
    reason : str
    """

    month: Period
    fund: int
    terminal: float
    reason: str


@dataclass(frozen=True)
class Market:
    """What can be held, and what it turned out to earn.

    Attributes
    ----------
    first : Period
        Month or trading session of the first row: that of the first decision, or earlier.
    ids : tuple of str, length N
        Sorted.
    returns : ndarray, shape (T, N)
        Returns of each period; NaN where the fund did not report.
    risk_free : ndarray, shape (T,)
    deaths : tuple of Death
        A fund that reports again after it was taken for dead may die again.

    Raises
    ------
    InputError
        A return is infinite or below -1, the risk-free return is missing somewhere, or shapes do
        not fit.
    """

    first: Period
    ids: tuple[str, ...]
    returns: FloatArray
    risk_free: FloatArray
    deaths: tuple[Death, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.risk_free), len(self.ids))
        if self.returns.shape != shape:
            raise InputError(
                f"returns of shape {self.returns.shape}, risk-free returns and ids say {shape}",
                remedy="give one row per period and one column per fund",
            )
        wrong = np.argwhere((self.returns < -1.0) | np.isinf(self.returns))
        if len(wrong):
            row, fund = wrong[0].tolist()
            raise InputError(
                f"a return of {self.returns[row, fund]:g}",
                where=f"fund {self.ids[fund]}, {self.first + row}",
                remedy="a fund loses at most -1: give NaN where it did not report",
            )
        missing = np.flatnonzero(~np.isfinite(self.risk_free))
        if len(missing):
            raise InputError(
                f"the risk-free return is missing in {len(missing)} periods",
                where=f"{self.first + int(missing[0])}",
                remedy="give 0 where cash earns nothing",
            )

    def row(self, month: Period) -> int:
        """Row of a period."""
        return month - self.first

    @property
    def last(self) -> Period:
        """Period of the last row."""
        return self.first + (len(self.returns) - 1)


@dataclass(frozen=True)
class Terms:
    """Money terms of a simulation.

    Attributes
    ----------
    initial_nav : float
    cost : float or Costs
        A number is a decimal share of every amount dealt, both ways.
    delay : int
        Periods from a booked death to its proceeds.
    dealing : DealingTerms or None
        Terms of each fund, and then its costs instead of `cost`. None: every fund deals in every
        period, at once and in full.
    shorts : bool
        Whether weights and holdings may be negative. What a short sale brings is cash.
    borrow_bps : float
        Fee on what is sold short, basis points per year of 365 days, accrued every period.

    Raises
    ------
    InputError
        Short sales of funds with dealing terms, or a fee without short sales.
    """

    initial_nav: float = 1.0
    cost: float | Costs = 0.0
    delay: int = 0
    dealing: DealingTerms | None = None
    shorts: bool = False
    borrow_bps: float = 0.0

    def __post_init__(self) -> None:
        if self.shorts and self.dealing is not None:
            raise InputError(
                "funds with dealing terms cannot be sold short",
                where="Terms(shorts=True, dealing=...)",
                remedy="leave out one of them: notice, lock-up and gates bind holders of shares",
            )
        if self.borrow_bps < 0.0 or (self.borrow_bps > 0.0 and not self.shorts):
            raise InputError(
                f"a borrow fee of {self.borrow_bps:g} bps a year",
                where=f"Terms(shorts={self.shorts}, borrow_bps=...)",
                remedy="give 0 or more, and shorts=True where something is borrowed",
            )

    @property
    def costs(self) -> Costs:
        """Costs where no fund has terms."""
        return self.cost if isinstance(self.cost, Costs) else Costs.both_ways(self.cost)
