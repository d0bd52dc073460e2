"""On which terms funds deal: when, after what notice, how much at once, when they pay.

Dealing dates are month ends, counted from January: a quarterly fund deals at the end of March,
June, September and December, on the last session of these months in a daily backtest. Terms come
from the table ``funds``; where it says nothing the defaults of ``backtest.dealing`` hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from finembed_core.calendar import IntArray
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import BoolArray, Costs
from finembed_core.settings import BacktestSettings

FREQUENCIES: dict[str, int] = {
    "daily": 0,
    "weekly": 1,
    "fortnightly": 1,
    "monthly": 1,
    "quarterly": 3,
    "semi-annual": 6,
    "semiannual": 6,
    "half-yearly": 6,
    "annual": 12,
    "yearly": 12,
}
"""Months between dealing dates, by the word in `redemption_frequency`; 0 is every period. What
deals weekly or fortnightly deals at month ends here, later than it could."""

STATED = ("notice_days", "lockup_months", "redemption_frequency", "gate")


@dataclass(frozen=True)
class DealingTerms:
    """Dealing terms of all funds; arrays of shape (N,), sorted by fund id.

    Attributes
    ----------
    redemption_every, subscription_every : ndarray of int
        Months between dealing dates: 1, 3, 6 or 12; 0 where every period has one.
    notice_days : ndarray of int
        A redemption deals on a date at least so many days after the decision day.
    lockup_months : ndarray of int
        Money can leave on dates at least so many months after it came in.
    gate : ndarray, in (0, 1]
        Largest share of one's own holding that is redeemed on a dealing date. The share is of the
        holding as it stood, in units, when the redemption began to deal.
    payment_months : ndarray of int
        Months from a redemption's dealing date to its proceeds.
    buy_cost, sell_cost : ndarray
        Decimal shares of the amount dealt: costs, slippage and, for sales, the redemption fee.
    waits : ndarray of bool
        Orders that cannot be dealt wait for the next dealing date. In the other funds, those
        without terms, they lapse.
    """

    redemption_every: IntArray
    subscription_every: IntArray
    notice_days: IntArray
    lockup_months: IntArray
    gate: FloatArray
    payment_months: IntArray
    buy_cost: FloatArray
    sell_cost: FloatArray
    waits: BoolArray

    @classmethod
    def none(cls, n_funds: int, costs: Costs | None = None) -> DealingTerms:
        """Terms of funds that deal in every period, at once and in full."""
        costs = costs or Costs()
        whole, zero = np.ones(n_funds), np.zeros(n_funds, dtype=np.int64)
        waits = np.zeros(n_funds, dtype=bool)
        buy, sell = costs.buy * whole, costs.sell * whole
        return cls(zero, zero, zero, zero, whole, zero, buy, sell, waits)

    @property
    def ordinary(self) -> bool:
        """Whether every fund deals at least at every month end, at once and in full."""
        return bool(
            (self.redemption_every <= 1).all()
            and (self.subscription_every <= 1).all()
            and not self.notice_days.any()
            and not self.lockup_months.any()
            and (self.gate == 1.0).all()
            and not self.payment_months.any()
            and not self.waits.any()
        )

    @property
    def costs(self) -> Costs:
        """Costs of dealing, by fund."""
        return Costs(self.buy_cost, self.sell_cost)

    def select(self, columns: IntArray) -> DealingTerms:
        """The terms of some funds, in that order."""
        return replace(self, **{name: values[columns] for name, values in vars(self).items()})


def dealing_terms(
    funds: pl.DataFrame, ids: tuple[str, ...], settings: BacktestSettings
) -> tuple[DealingTerms, int]:
    """Terms of the funds `ids`, and how many of them state any.

    Parameters
    ----------
    funds : DataFrame
        Columns fund_id and `STATED`; nulls take the defaults of the settings.
    ids : tuple of str
    settings : BacktestSettings

    Raises
    ------
    InputError
        A frequency is none of `FREQUENCIES`, or a gate lets nothing out.
    """
    order = pl.DataFrame({"fund_id": list(ids)}, schema={"fund_id": pl.String})
    table = order.join(
        funds.select("fund_id", *STATED), on="fund_id", how="left", maintain_order="left"
    )
    word = pl.col("redemption_frequency").str.strip_chars().str.to_lowercase()
    named = table.with_columns(word=word).with_columns(
        every=pl.col("word").replace_strict(FREQUENCIES, default=None, return_dtype=pl.Int64)
    )
    _check(named)
    stated = table.select(pl.any_horizontal(pl.col(*STATED).is_not_null())).to_series().to_numpy()
    own, n = settings.dealing, len(ids)

    def whole(column: str, default: int) -> IntArray:
        return named[column].fill_null(default).cast(pl.Int64).to_numpy().astype(np.int64)

    costs = Costs.of_bps(settings.cost_bps, settings.slippage_bps, settings.redemption_fee_bps)
    redemption = whole("every", own.redemption_every)
    ordinary = DealingTerms.none(n, costs)
    terms = replace(
        ordinary,
        redemption_every=redemption,
        subscription_every=np.full(n, own.subscription_every, dtype=np.int64),
        notice_days=whole("notice_days", own.notice_days),
        lockup_months=whole("lockup_months", own.lockup_months),
        gate=named["gate"].fill_null(own.gate).cast(pl.Float64).to_numpy().astype(float),
        payment_months=np.full(n, settings.payment_delay_months, dtype=np.int64),
    )
    bound = (terms.redemption_every > 1) | (terms.subscription_every > 1)
    bound |= (terms.notice_days > 0) | (terms.lockup_months > 0) | (terms.gate < 1.0)
    return replace(terms, waits=stated | bound), int(stated.sum())


def _check(named: pl.DataFrame) -> None:
    strange = named.filter(pl.col("word").is_not_null() & pl.col("every").is_null())
    if strange.height:
        fund, text = strange.select("fund_id", "redemption_frequency").row(0)
        others = f", and {strange.height - 1} others" if strange.height > 1 else ""
        raise InputError(
            f"redemption_frequency {text!r} is none that finembed knows",
            where=f"table funds, fund {fund}{others}",
            remedy=f"write one of {', '.join(FREQUENCIES)}, or leave it empty",
        )
    shut = named.filter((pl.col("gate") <= 0.0) | (pl.col("gate") > 1.0))
    if shut.height:
        fund, gate = shut.select("fund_id", "gate").row(0)
        raise InputError(
            f"a gate of {gate:g} is no share that can be redeemed on a dealing date",
            where=f"table funds, fund {fund}",
            remedy="give a share above 0 and up to 1, or leave it empty where there is no gate",
        )
