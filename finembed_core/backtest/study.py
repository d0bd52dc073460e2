"""What the strategies of a run have in common: market, signals, benchmarks; and who is absent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from finembed_core import histories
from finembed_core.backtest.bookings import booked_returns
from finembed_core.backtest.metrics import Series
from finembed_core.backtest.scenario import Remembered, Scenario
from finembed_core.backtest.simulator import Death, Market, Terms, Track
from finembed_core.backtest.solving import LoggedPolicy, SolverLine, solver_log
from finembed_core.backtest.tables import has_hole, return_series, strategy_tables
from finembed_core.backtest.terms import dealing_terms
from finembed_core.calendar import Month, month_ordinals, month_range
from finembed_core.errors import InputError, SettingsError
from finembed_core.ingest.deaths import fund_deaths
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import Costs, Signals
from finembed_core.portfolio.register import Strategy, chosen_strategies
from finembed_core.portfolio.signals import SignalTable, first_predicted, read_signals
from finembed_core.settings import Settings
from finembed_core.store import PartStore


@dataclass(frozen=True)
class Entry:
    """One strategy of a run: what it runs on, or why it is absent."""

    name: str
    strategy: Strategy
    model: str | None = None
    series: str | None = None
    absent: str = ""


@dataclass(frozen=True)
class Outcome:
    """What one strategy did in the scenario that it went through."""

    entry: Entry
    scenario: Scenario
    track: Track
    solved: tuple[SolverLine, ...] = ()

    @property
    def market(self) -> Market:
        """What could be held."""
        return self.scenario.market


@dataclass
class Study:
    """Everything the strategies of a run have in common.

    Attributes
    ----------
    settings : Settings
    market : Market
        Of all funds.
    terms : Terms
        Costs, delays and dealing terms of all funds.
    signals : SignalTable or None
        None where no month has predictions.
    earned : tuple of Month
        Months that every strategy earns.
    benchmarks : dict of str to ndarray
        Returns of each benchmark series in those months, NaN where it has none.
    benchmark : str or None
        The one that statistics are measured against.
    currencies : tuple of str
        Of the funds with AUM.
    warnings : list of str
    unreported : dict of str to float
        By strategy that was simulated, the share of its fund-months that had no report.
    """

    settings: Settings
    market: Market
    terms: Terms
    signals: SignalTable | None
    earned: tuple[Month, ...]
    benchmarks: dict[str, FloatArray]
    benchmark: str | None
    currencies: tuple[str, ...]
    warnings: list[str] = field(default_factory=list)
    unreported: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, store: PartStore, settings: Settings, through: Month) -> Study:
        """Read the store as it is known in `through`."""
        calendar = settings.dataset.calendar
        start = first_predicted(store, through)
        first = through if start is None else start
        months = through - first + 1
        panel = booked_returns(store, settings, through, months)
        warnings: list[str] = []
        if settings.dataset.source == "simulated":
            warnings.append("simulated data: no real fund is in these results")
        risk_free = _risk_free(store, settings, through, months, warnings)
        deaths = _deaths(store, settings, panel.ids, first, through)
        market = Market(first, panel.ids, panel.values, risk_free, deaths)
        signals = None
        if start is not None:
            models = settings.portfolio.models
            varied = settings.backtest.sensitivities
            seeds = varied.enabled and varied.seeds
            signals = read_signals(store, start, through, panel.ids, models, calendar, seeds=seeds)
        opening = Month.of(calendar.dealing_date(first))
        earned = tuple(month_range(opening + 1, through)) if start is not None else ()
        benchmarks = _benchmarks(store, settings, through, len(earned))
        study = cls(
            settings=settings,
            market=market,
            terms=_terms(store, settings, panel.ids, warnings),
            signals=signals,
            earned=earned,
            benchmarks=benchmarks,
            benchmark=_main_benchmark(settings, benchmarks),
            currencies=_currencies(store, panel.ids, signals),
            warnings=warnings,
        )
        study._warn()
        return study

    def _warn(self) -> None:
        if self.benchmark is None:
            self.warnings.append("no benchmark series covers these months: no relative statistics")
        elif np.isnan(self.benchmarks[self.benchmark]).any():
            text = f"benchmark {self.benchmark} does not cover all months"
            hole = has_hole(self.benchmarks[self.benchmark])
            end = "no relative statistics" if hole else "relative statistics leave out the rest"
            self.warnings.append(f"{text}: {end}")
        if self.signals is None:
            self.warnings.append("no month has predictions: nothing was simulated")
            return
        known = self.signals.aum > 0.0
        share = float(np.mean(known[self.signals.eligible])) if self.signals.eligible.any() else 0.0
        if 0.0 < share < 1.0:
            self.warnings.append(
                f"AUM is known for {share:.0%} of the eligible fund-months: "
                "portfolios by AUM hold none of the others"
            )

    def entries(self) -> list[Entry]:
        """All strategies of the register, for each model and each benchmark series."""
        entries = [replace(entry, absent=self._absence(entry)) for entry in self._candidates()]
        reasons = dict.fromkeys(entry.absent for entry in entries if entry.absent)
        for reason in reasons:
            names = ", ".join(entry.name for entry in entries if entry.absent == reason)
            self.warnings.append(f"absent: {names}: {reason}")
        return entries

    def _candidates(self) -> Iterator[Entry]:
        for strategy in chosen_strategies(self.settings):
            if strategy.over == "universe":
                yield Entry(strategy.name, strategy)
            elif strategy.over == "models":
                for model in self.settings.portfolio.models:
                    yield Entry(f"{strategy.name}_{model}", strategy, model=model)
            else:
                for series in self.benchmarks:
                    yield Entry(f"{strategy.name}_{series}", strategy, series=series)

    def _absence(self, entry: Entry) -> str:
        if self.signals is None:
            return "no month has predictions"
        if entry.strategy.sells_short and not self.settings.backtest.short_selling:
            return "funds cannot be sold short (backtest.short_selling simulates it)"
        if entry.strategy.sells_short and self.terms.dealing is not None:
            return "funds with dealing terms cannot be sold short"
        ruled_out = entry.strategy.ruled_out
        if ruled_out is not None and (reason := ruled_out(self.settings, self.market.ids)):
            return reason
        if entry.model is not None and entry.model not in self.signals.p_up:
            return f"model {entry.model} has made no predictions"
        if entry.strategy.needs_aum and not (self.signals.aum > 0.0).any():
            return "no fund reports AUM"
        if entry.strategy.needs_aum and len(self.currencies) > 1:
            return f"AUM is in several currencies: {', '.join(self.currencies)}"
        if entry.series is not None:
            values = self.benchmarks[entry.series]
            seen = np.flatnonzero(~np.isnan(values))
            if len(seen) == 0:
                return "the series has no return in these months"
            if len(seen) < len(values):
                span = f"{self.earned[seen[0]]} to {self.earned[seen[-1]]}"
                return f"the series has {len(seen)} of {len(values)} months, {span}"
        return ""

    def simulate(self, entry: Entry) -> Outcome | None:
        """Run one strategy; None where it is absent."""
        policy = LoggedPolicy(entry.strategy.policy, self.settings.portfolio)
        scenario = self._scenario(entry, policy)
        if scenario is None:
            return None
        try:
            track = scenario.run()
        except InputError as error:
            where = f"strategy {entry.name}" + (f", {error.where}" if error.where else "")
            raise InputError(error.what, where=where, remedy=error.remedy) from error
        self._warn_of(entry, track, policy.lines)
        return Outcome(entry, scenario, track, tuple(policy.lines))

    def scenario(self, entry: Entry) -> Scenario | None:
        """What one strategy goes through; None where it is absent."""
        return self._scenario(entry, LoggedPolicy(entry.strategy.policy, self.settings.portfolio))

    def _scenario(self, entry: Entry, policy: LoggedPolicy) -> Scenario | None:
        if entry.absent or self.signals is None:
            return None
        if entry.series is None:
            market, signals = self.market, self.signals.of(entry.model)
            terms = self._short(self.terms) if entry.strategy.sells_short else self.terms
        else:
            market, signals = self._index(entry.series, self.signals.months)
            terms = Terms(self.settings.backtest.initial_nav)

        calendar = self.settings.dataset.calendar
        return Scenario(market, signals, Remembered(policy), terms, calendar)

    def _short(self, terms: Terms) -> Terms:
        """Terms that let a strategy sell short."""
        return replace(terms, shorts=True, borrow_bps=self.settings.backtest.borrow_bps)

    def tables(self, outcome: Outcome) -> dict[str, pl.DataFrame]:
        """Tables of one strategy, without run_id."""
        name, calendar = outcome.entry.name, self.settings.dataset.calendar
        tables = strategy_tables(name, outcome.track, outcome.market, calendar, self._relative)
        return tables | {"solver_log": solver_log(name, outcome.solved)}

    def series(self, outcome: Outcome) -> tuple[Series, Series | None]:
        """Net returns of one strategy, without and with the benchmark (`return_series`)."""
        name, calendar = outcome.entry.name, self.settings.dataset.calendar
        return return_series(name, outcome.track, calendar, self._relative)

    @property
    def _relative(self) -> FloatArray | None:
        return None if self.benchmark is None else self.benchmarks[self.benchmark]

    def _warn_of(self, entry: Entry, track: Track, solved: list[SolverLine]) -> None:
        failed = sum(line.solved is None for line in solved)
        if failed:
            self.warnings.append(
                f"{entry.name} kept its last weights in {failed} months that could not be solved "
                "(table solver_log)"
            )
        if track.declined > failed:
            self.warnings.append(
                f"{entry.name} had nothing to decide on in {track.declined - failed} months and "
                "held on"
            )
        if track.ruin is not None:
            self.warnings.append(
                f"{entry.name} was ruined in {track.ruin.month}, with a NAV of "
                f"{track.ruin.nav:g}: closed, and 0 from then on"
            )
        if track.unreported:
            held = np.count_nonzero(track.holdings[:-1])
            self.unreported[entry.name] = track.unreported / held

    @property
    def silence(self) -> list[str]:
        """What stood at its last NAV for want of a report, in words."""
        if not self.unreported:
            return []
        most = max(sorted(self.unreported), key=self.unreported.__getitem__)
        return [
            "funds that did not report stood at their last NAV: up to "
            f"{self.unreported[most]:.2%} of the fund-months held, in {most}"
        ]

    def _index(self, series: str, months: tuple[Month, ...]) -> tuple[Market, dict[Month, Signals]]:
        """A market of one series, always there to be bought."""
        returns = np.zeros((len(self.market.returns), 1))
        if self.earned:
            returns[-len(self.earned) :, 0] = self.benchmarks[series]
        market = Market(self.market.first, (series,), returns, self.market.risk_free)
        nothing = np.array([np.nan])
        yes = np.array([True])
        return market, {m: Signals(m, yes, nothing, nothing) for m in months}


def _terms(
    store: PartStore, settings: Settings, ids: tuple[str, ...], warnings: list[str]
) -> Terms:
    own = settings.backtest
    dealing, stating = dealing_terms(store.read("funds", "all"), ids, own)
    if stating:
        silent = len(ids) - stating
        others = f", the other {silent} deal as backtest.dealing says" if silent else ""
        warnings.append(
            f"{stating} of {len(ids)} funds state dealing terms, and orders in them wait for their "
            f"dates{others}"
        )
    costs = Costs.of_bps(own.cost_bps, own.slippage_bps, own.redemption_fee_bps)
    on_terms = None if dealing.ordinary else dealing
    return Terms(own.initial_nav, costs, own.proceeds_delay_months, on_terms)


def _risk_free(
    store: PartStore, settings: Settings, through: Month, months: int, warnings: list[str]
) -> FloatArray:
    history = histories.risk_free(store, settings.dataset.calendar)
    if history is None:
        warnings.append("no risk-free series: 0 is assumed")
        return np.zeros(months)
    rate = history.as_of(through, months).values[:, 0]
    missing = int(np.isnan(rate).sum())
    if missing:
        warnings.append(f"the risk-free series has no value in {missing} months: 0 there")
    return np.nan_to_num(rate)


def _benchmarks(
    store: PartStore, settings: Settings, through: Month, months: int
) -> dict[str, FloatArray]:
    panel = histories.benchmarks(store, settings.dataset.calendar).as_of(through, months)
    return {name: panel.values[:, k] for k, name in enumerate(panel.ids)}


def _main_benchmark(settings: Settings, benchmarks: dict[str, FloatArray]) -> str | None:
    chosen = settings.backtest.benchmark
    if chosen is not None and chosen not in benchmarks:
        raise SettingsError(
            f"backtest.benchmark is {chosen!r}, which is no series with the role benchmark",
            where=f"series with that role: {', '.join(benchmarks) or 'none'}",
            remedy="name one of them, or give the series the role",
        )
    if chosen is not None:
        return chosen
    covered = {name: int((~np.isnan(v)).sum()) for name, v in benchmarks.items()}
    best = max(sorted(covered), key=lambda name: covered[name], default=None)
    return best if best is not None and covered[best] else None


def _currencies(
    store: PartStore, ids: tuple[str, ...], signals: SignalTable | None
) -> tuple[str, ...]:
    if signals is None:
        return ()
    with_aum = [ids[k] for k in np.flatnonzero(np.nan_to_num(signals.aum).max(axis=0) > 0.0)]
    funds = store.read("funds", "all").filter(pl.col("fund_id").is_in(with_aum))
    return tuple(sorted(funds["currency"].drop_nulls().unique().to_list()))


def _deaths(
    store: PartStore, settings: Settings, ids: tuple[str, ...], first: Month, through: Month
) -> tuple[Death, ...]:
    """Deaths as the ledger books them: on the first dealing date after they became known."""
    place = {name: k for k, name in enumerate(ids)}
    terminal = settings.backtest.terminal_return
    table = fund_deaths(store, settings).sort("fund_id", "known_month")
    known = month_ordinals(table["known_month"].to_numpy())
    deaths: list[Death] = []
    for fund, reason, ordinal in zip(table["fund_id"], table["reason"], known, strict=True):
        month = Month(int(ordinal))
        if fund in place and first <= month <= through:
            booked = Month.of(settings.dataset.calendar.dealing_date(month))
            back = getattr(terminal, reason, terminal.unknown)
            deaths.append(Death(booked, place[fund], back, reason))
    return tuple(deaths)
