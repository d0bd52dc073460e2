"""What can be held and on which terms: returns, deaths, costs."""

from __future__ import annotations

from dataclasses import dataclass

from finembed_core.backtest.terms import DealingTerms
from finembed_core.calendar import Month
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import Costs


@dataclass(frozen=True)
class Death:
    """A death as the ledger books it.

    Attributes
    ----------
    month : Month
        At whose end it is booked: the first dealing date after it became known.
    fund : int
        Column of the fund.
    terminal : float
        Return from the last NAV to the proceeds, 0 to -1.
    reason : str
    """

    month: Month
    fund: int
    terminal: float
    reason: str


@dataclass(frozen=True)
class Market:
    """What can be held, and what it turned out to earn.

    Attributes
    ----------
    first : Month
        Month of the first row: that of the first decision, or earlier.
    ids : tuple of str, length N
        Sorted.
    returns : ndarray, shape (T, N)
        Monthly returns; NaN where the fund did not report.
    risk_free : ndarray, shape (T,)
    deaths : tuple of Death
        A fund that reports again after it was taken for dead may die again.
    """

    first: Month
    ids: tuple[str, ...]
    returns: FloatArray
    risk_free: FloatArray
    deaths: tuple[Death, ...] = ()

    def row(self, month: Month) -> int:
        """Row of a month."""
        return month - self.first

    @property
    def last(self) -> Month:
        """Month of the last row."""
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
    """

    initial_nav: float = 1.0
    cost: float | Costs = 0.0
    delay: int = 0
    dealing: DealingTerms | None = None

    @property
    def costs(self) -> Costs:
        """Costs where no fund has terms."""
        return self.cost if isinstance(self.cost, Costs) else Costs.both_ways(self.cost)
