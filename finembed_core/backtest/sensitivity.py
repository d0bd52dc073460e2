"""How much a result hangs on what nobody knows: one assumption changed at a time.

Every strategy is simulated again with other payouts of dead funds, other costs, later dealing and
single seeds of its model; what the assumption does not touch stays as it was. The break-even cost
is the proportional cost at which the strategy earns as much as something simpler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import polars as pl
from scipy.interpolate import PchipInterpolator

from finembed_core.backtest.market import Terms
from finembed_core.backtest.metrics import MONTHLY, Series, metrics
from finembed_core.backtest.scenario import Remembered, Scenario
from finembed_core.backtest.study import Entry, Outcome, Study
from finembed_core.backtest.tables import SCHEMAS
from finembed_core.backtest.track import Track
from finembed_core.calendar import DecisionCalendar, Month, Period
from finembed_core.errors import UnpayableError
from finembed_core.portfolio.orders import Costs
from finembed_core.settings import BacktestSettings, SensitivitySettings

METRICS = ("annual_return", "sharpe", "max_drawdown")
EQUAL_WEIGHT = "equal_weight_universe"
RISK_FREE = "risk_free"
BREAK_EVEN, COST = "breakeven_cost_bps", "cost_bps"
ALL_SEEDS = "all"
KNOWN_PAYOUT = ("liquidated", "matured", "merged")
MOST_BPS = 1000.0
UNPAYABLE = "no portfolio of this leverage can pay it"
SAME_RETURN = 1e-5  # decimal per year: a tenth of a basis point
NEARLY_SAME = 1e-3  # what a return that jumps with the cost may be off
STEPS = 5

Statistics = Mapping[str, float]
Row = tuple[str, str, str, float | None, str]  # dimension, value, metric, result, note


@dataclass(frozen=True)
class Delayed(DecisionCalendar):
    """The same decisions, dealt some months later.

    Attributes
    ----------
    delay_months : int
    """

    delay_months: int = 0

    def dealing(self, decided: Period) -> Month:
        """The month at whose end the decision of `decided` deals."""
        return super().dealing(decided) + self.delay_months


@dataclass(frozen=True)
class CostCurve:
    """Statistics of one strategy by proportional cost, simulated where they are asked for.

    Attributes
    ----------
    scenario : Scenario
    settings : BacktestSettings
        Slippage and redemption fee, which stay.
    found : dict of float to Statistics
        By cost in basis points.
    """

    scenario: Scenario
    settings: BacktestSettings
    found: dict[float, Statistics] = field(default_factory=dict)

    def at(self, bps: float) -> Statistics:
        """Statistics at this cost; NaN where it eats all of a leveraged portfolio."""
        if bps not in self.found:
            own = self.settings
            costs = Costs.of_bps(bps, own.slippage_bps, own.redemption_fee_bps)
            terms = with_costs(self.scenario.terms, costs)
            try:
                self.found[bps] = statistics(replace(self.scenario, terms=terms).run())
            except UnpayableError:  # what the run itself could pay
                self.found[bps] = dict.fromkeys(METRICS, np.nan)
        return self.found[bps]

    def annual_return(self, bps: float) -> float:
        """Net return, decimal per year."""
        return self.at(bps)["annual_return"]


@dataclass
class Sensitivities:
    """Varies the assumptions of a study's strategies.

    Attributes
    ----------
    study : Study
    settings : SensitivitySettings
    equal_weight : CostCurve or None
        Of the equal-weight universe; None where it did not run.
    """

    study: Study
    settings: SensitivitySettings
    equal_weight: CostCurve | None

    @classmethod
    def of(cls, study: Study, entries: list[Entry]) -> Sensitivities | None:
        """None where the settings ask for none."""
        settings = study.settings.backtest.sensitivities
        if not settings.enabled:
            return None
        ran = (e for e in entries if e.name == EQUAL_WEIGHT and not e.absent)
        scenarios = (study.scenario(entry) for entry in ran)
        curves = (CostCurve(s, study.settings.backtest) for s in scenarios if s is not None)
        return cls(study, settings, next(curves, None))

    def table(self, outcome: Outcome) -> pl.DataFrame:
        """Rows of one strategy, without run_id; none for an index, which has no assumptions."""
        schema = SCHEMAS["sensitivities"]
        if outcome.entry.series is not None:
            return pl.DataFrame(schema=schema)
        plain = statistics(outcome.track)
        rows = [
            *self._terminal_returns(outcome, plain),
            *self._costs(outcome, plain),
            *self._delays(outcome),
            *self._seeds(outcome, plain),
        ]
        named = [(outcome.entry.name, *row) for row in rows]
        return pl.DataFrame(named, schema=schema, orient="row")

    def _terminal_returns(self, outcome: Outcome, plain: Statistics) -> Iterator[Row]:
        """Other payouts of the deaths that nobody announced; the same where none was held."""
        own = self.study.settings.backtest.terminal_return
        hit = any(p.reason not in KNOWN_PAYOUT for p in outcome.track.payouts)
        note = "" if hit else "the strategy held no such fund when its death became known"
        for value in _grid(self.settings.terminal_return, own.unknown):
            as_run = value == own.unknown == own.stopped_reporting
            if as_run or not hit:
                yield from _rows("terminal_return", value, plain, note)
                continue
            market = outcome.market
            deaths = tuple(
                d if d.reason in KNOWN_PAYOUT else replace(d, terminal=value) for d in market.deaths
            )
            changed = replace(outcome.scenario, market=replace(market, deaths=deaths))
            yield from _rows("terminal_return", value, statistics(changed.run()))

    def _costs(self, outcome: Outcome, plain: Statistics) -> Iterator[Row]:
        own = self.study.settings.backtest
        if not self.settings.cost_bps:
            return
        curve = CostCurve(outcome.scenario, own)
        if self.equal_weight is not None and outcome.entry.name == EQUAL_WEIGHT:
            curve = self.equal_weight
        curve.found[own.cost_bps] = plain
        grid = _grid(self.settings.cost_bps, own.cost_bps)
        for value in grid:
            found = curve.at(value)
            defined = any(map(np.isfinite, found.values()))
            yield from _rows(COST, value, found, "" if defined else UNPAYABLE)
        if outcome.entry.name != EQUAL_WEIGHT:
            yield self._break_even(EQUAL_WEIGHT, curve, grid)
        rate = annual(outcome.track.risk_free[1:])
        yield _break_even_row(RISK_FREE, *break_even(curve.annual_return, lambda _: rate, grid))

    def _break_even(self, against: str, curve: CostCurve, grid: list[float]) -> Row:
        if self.equal_weight is None:
            return _break_even_row(against, None, "the equal-weight universe did not run")
        other = self.equal_weight.annual_return
        return _break_even_row(against, *break_even(curve.annual_return, other, grid))

    def _delays(self, outcome: Outcome) -> Iterator[Row]:
        """Orders dealt later, over the months that the latest of them still earns."""
        delays = [0, *sorted(set(self.settings.delay_months))]
        months = len(outcome.track.net) - delays[-1]
        if len(delays) == 1:
            return
        for delay in delays:
            if months < 2:
                yield _missing("delay_months", str(delay), "too few months are earned")
                continue
            track = outcome.track
            if delay:
                lag = outcome.scenario.calendar.decision_lag_days
                track = replace(outcome.scenario, calendar=Delayed(lag, delay)).run()
            note = f"over the last {months} months"
            yield from _rows("delay_months", delay, statistics(track, months), note)

    def _seeds(self, outcome: Outcome, plain: Statistics) -> Iterator[Row]:
        """One portfolio per seed of the model, beside that of their average."""
        entry, signals = outcome.entry, self.study.signals
        if entry.model is None or signals is None or not self.settings.seeds:
            return
        members = signals.by_seed.get(entry.model, {})
        if not members:
            why = f"{entry.model} has a single member: no seed to vary"
            yield _missing("seed", ALL_SEEDS, why)
            return
        for seed, p_up in members.items():
            policy = outcome.scenario.policy
            asked = Remembered(policy.policy) if isinstance(policy, Remembered) else policy
            known = {
                month: replace(outcome.scenario.signals[month], p_up=p_up[k])
                for k, month in enumerate(signals.months)
            }
            track = replace(outcome.scenario, signals=known, policy=asked).run()
            yield from _rows("seed", seed, statistics(track))
        yield from _rows("seed", ALL_SEEDS, plain, "the average that the run uses")


def statistics(track: Track, months: int | None = None) -> Statistics:
    """`METRICS` of the last `months` earned, of all by default; NaN where one is not defined."""
    last = slice(None if months is None else len(track.net) - months, None)
    dates = np.array([month.end for month in track.months[1:]], dtype="datetime64[D]")
    series = Series.of(dates[last], track.net[last], track.risk_free[1:][last], None, MONTHLY)
    return {m.name: m.value for m in metrics(series) if m.name in METRICS}


def with_costs(terms: Terms, costs: Costs) -> Terms:
    """The terms with other proportional costs, of every fund."""
    dealing = terms.dealing
    if dealing is not None:
        buy, sell = (np.full(len(dealing.waits), side) for side in (costs.buy, costs.sell))
        dealing = replace(dealing, buy_cost=buy, sell_cost=sell)
    return replace(terms, cost=costs, dealing=dealing)


def annual(returns: np.ndarray) -> float:
    """Compounded return, decimal per year; NaN without a month."""
    if len(returns) == 0:
        return np.nan
    return float(np.prod(1.0 + returns) ** (MONTHLY / len(returns)) - 1.0)


def break_even(
    own: Callable[[float], float], other: Callable[[float], float], grid: list[float]
) -> tuple[float | None, str]:
    """The lowest cost at which two annual returns are the same, and what it means.

    Parameters
    ----------
    own, other : callable
        Cost in basis points to net return, decimal per year.
    grid : list of float
        Costs to look between, besides 0 and 1,000.

    Returns
    -------
    float or None, str
        Basis points; None where there is no such cost, and then the text says why. The returns
        there are the same to `SAME_RETURN`, or to what the text says.

    Notes
    -----
    Between the two costs where the difference changes its sign, the root of a monotone cubic
    through all differences known so far is simulated and becomes a further one, until the
    difference there is nothing. Where orders queue, a little more cost can send an order to another
    date, and the return jumps: then the best of `STEPS` costs has to do.
    """
    known = {bps: own(bps) - other(bps) for bps in sorted({0.0, *grid, MOST_BPS})}
    if not np.isfinite(list(known.values())).all():
        return None, "a return is not defined at some cost"
    if max(map(abs, known.values())) <= SAME_RETURN:
        return None, "the same at every cost"
    costs = sorted(known)
    change = next(
        (pair for pair in pairwise(costs) if known[pair[0]] * known[pair[1]] <= 0.0), None
    )
    if change is None:
        side = "earns more" if known[0.0] > 0.0 else "earns less"
        return None, f"{side} at every cost up to {MOST_BPS:,.0f} bp"
    low, high = change
    meaning = "earns more below it" if known[low] > known[high] else "earns more above it"
    for step in range(STEPS):
        bps = _guess(known, low, high, halve=step == 2)
        known[bps] = own(bps) - other(bps)
        if abs(known[bps]) <= SAME_RETURN:
            return bps, meaning
        low, high = (bps, high) if known[bps] * known[low] > 0.0 else (low, bps)
    bps = min(known, key=lambda at: abs(known[at]))
    if abs(known[bps]) <= NEARLY_SAME:
        return bps, f"{meaning}; still {abs(known[bps]):.2%} a year apart, as returns jump"
    return None, f"no cost makes them equal: they cross in a jump near {low:.4g} bp"


def _guess(known: Mapping[float, float], low: float, high: float, *, halve: bool) -> float:
    """Where the difference should be nothing, between two costs with different signs."""
    costs = sorted(known)
    roots = PchipInterpolator(costs, [known[bps] for bps in costs]).solve(0.0, extrapolate=False)
    between = roots[(roots >= low) & (roots <= high)]
    if halve or len(between) == 0:  # now and then, so that a kink cannot hold the steps up
        return 0.5 * (low + high)
    return float(between[0])


def _grid(values: list[float], own: float) -> list[float]:
    """The values to try and the run's own, sorted; nothing where there are none to try."""
    return sorted({*values, own}) if values else []


def _rows(dimension: str, value: float | str, found: Statistics, note: str = "") -> Iterator[Row]:
    text = value if isinstance(value, str) else f"{value:g}"
    for metric in METRICS:
        result = found[metric] if np.isfinite(found[metric]) else None
        yield dimension, text, metric, result, note


def _missing(dimension: str, value: str, why: str) -> Row:
    return dimension, value, METRICS[0], None, why


def _break_even_row(against: str, bps: float | None, note: str) -> Row:
    return BREAK_EVEN, against, COST, bps, note
