"""Settings of the ledger, of the statistics on its results, and of the report."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from finembed_core.settings.section import Section, Seed
from finembed_core.settings_file import Once

TerminalReturn = Annotated[float, Field(ge=-1.0, le=0.0)]


class TerminalReturns(Section):
    """Return from a dead fund's last reported NAV to what it pays out, by reason of death."""

    liquidated: TerminalReturn = 0.0
    matured: TerminalReturn = 0.0
    merged: TerminalReturn = 0.0
    stopped_reporting: TerminalReturn = -0.2
    unknown: TerminalReturn = -0.2


DealingMonths = Literal[0, 1, 3, 6, 12]
BasisPoints = Annotated[float, Field(ge=0, le=1000)]


class DealingSettings(Section):
    """Terms of funds that state none: months between dealing dates, days of notice, and so on.

    A frequency of 0 deals in every period of the backtest, be it a month or a trading session.
    The defaults are those of a fund that deals at every month end, at once and in full.
    ``subscription_every`` holds for all funds, as the funds table has no column for it.
    """

    redemption_every: DealingMonths = 1
    subscription_every: DealingMonths = 1
    notice_days: Annotated[int, Field(ge=0, le=730)] = 0
    lockup_months: Annotated[int, Field(ge=0, le=120)] = 0
    gate: Annotated[float, Field(gt=0, le=1)] = 1.0


class InferenceSettings(Section):
    """Intervals of the statistics and tests over all strategies (docs/inference.md).

    ``draws`` and ``seed`` are those of the bootstrap (1,000: Efron and Tibshirani 1993). ``size``
    is the probability with which StepM may name a strategy that is no better than the benchmark.
    ``split_blocks`` cut the record for the probability of backtest overfitting (16: Bailey,
    Borwein, Lopez de Prado and Zhu 2017); every two more take four times as long.
    """

    draws: Annotated[int, Field(ge=100, le=100_000)] = 1000
    seed: Seed = 1
    size: Annotated[float, Field(gt=0, lt=1)] = 0.05
    split_blocks: Annotated[int, Field(ge=2, le=20, multiple_of=2)] = 16


class SensitivitySettings(Section):
    """Assumptions to vary, one at a time; an empty list leaves one out.

    ``terminal_return`` is what funds pay that stopped reporting or died for no known reason: from
    the last NAV to nothing. ``cost_bps`` spans what institutions and private investors pay, and
    with it comes the break-even cost. ``delay_months`` deals the same decisions later, as funds
    with a month's notice or a slow committee would. ``seeds`` makes one portfolio per member of a
    model that averages over seeds.
    """

    enabled: bool = True
    terminal_return: Annotated[list[TerminalReturn], Once] = [0.0, -0.2, -0.5, -1.0]
    cost_bps: Annotated[list[BasisPoints], Once] = [0.0, 5.0, 10.0, 25.0, 50.0, 100.0]
    delay_months: Annotated[list[Annotated[int, Field(ge=1, le=12)]], Once] = [1, 2]
    seeds: bool = True


class BacktestSettings(Section):
    """Costs, cash, dealing and the fate of dead funds. Costs in basis points of the amount traded.

    ``slippage_bps`` comes on top of ``cost_bps`` both ways, ``redemption_fee_bps`` on sales only.
    ``payment_delay_months`` is the wait from a redemption's dealing date to its proceeds,
    ``proceeds_delay_months`` that from a death. ``benchmark`` names the series that statistics are
    measured against; by default the one of role ``benchmark`` that covers most of the months.
    ``short_selling`` simulates strategies that sell short, which no fund allows, for a fee of
    ``borrow_bps`` a year: 25 is the mean of D'Avolio (2002, Journal of Financial Economics 66).
    """

    cost_bps: BasisPoints = 10.0
    slippage_bps: BasisPoints = 0.0
    redemption_fee_bps: BasisPoints = 0.0
    payment_delay_months: Annotated[int, Field(ge=0, le=60)] = 0
    dealing: DealingSettings = DealingSettings()
    initial_nav: Annotated[float, Field(gt=0)] = 1.0
    terminal_return: TerminalReturns = TerminalReturns()
    proceeds_delay_months: Annotated[int, Field(ge=0, le=60)] = 0
    benchmark: str | None = None
    short_selling: bool = False
    borrow_bps: BasisPoints = 25.0
    inference: InferenceSettings = InferenceSettings()
    sensitivities: SensitivitySettings = SensitivitySettings()


class ReportSettings(Section):
    """What a report assumes and no result depends on; in no fingerprint.

    ``portfolio_size`` is the money, in the funds' currency, whose share of each fund's assets is
    shown: an institution's mandate by default, set it to your own.
    """

    portfolio_size: Annotated[float, Field(gt=0)] = 100e6
