"""Leaks that people plant by mistake, put into the real code one at a time.

Each says which stage it spoils, which asset must be named, and at which month or day first.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest

from finembed_core import histories
from finembed_core.backtest import study
from finembed_core.calendar import Month, retraining_in_force, walk_forward_split
from finembed_core.embeddings import windows
from finembed_core.embeddings.information_set import InformationReader
from finembed_core.embeddings.scale import ChannelScale
from finembed_core.ingest import daily, gates, universe
from finembed_core.ingest import stage as ingesting
from finembed_core.learning import stage as learning
from finembed_core.learning.channels import ChannelScaler
from finembed_core.learning.samples import SampleReader
from finembed_core.macro import stage as macro
from finembed_core.panel import History, Panel
from finembed_core.polymodel.history import LongHistory
from finembed_core.polymodel.stage import InformationSets
from finembed_core.portfolio import signals
from finembed_core.warehouse import sources
from tests.leakage.futures import GAP
from tests.leakage.whole_world import CUT, LAST

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutant:
    """A planted leak.

    Attributes
    ----------
    plant : callable
        Its docstring says what it does.
    stage : str
        ``ingest``, ``backtest``, ``publish`` or a link of the chain: what is built with it.
    asset, first : str
        What must be named, and at which month or day.
    world : str
        Which of the worlds shows it.
    """

    plant: Plant
    stage: str
    asset: str
    first: str
    world: Literal["monthly", "daily"] = "monthly"

    @property
    def name(self) -> str:
        """What it is called."""
        return self.plant.__name__


MUTANTS: list[Mutant] = []


def leak(stage: str, asset: str, first: object, world: Any = "monthly") -> Callable[[Plant], Plant]:
    """Register a planted leak (arguments as in `Mutant`)."""

    def register(plant: Plant) -> Plant:
        MUTANTS.append(Mutant(plant, stage, asset, str(first), world))
        return plant

    return register


# -- what comes in -------------------------------------------------------------------------------


@leak("ingest", "fund_observations", CUT - 1)  # whose return that fund tells in January
def fund_lag_ignored(patch: pytest.MonkeyPatch) -> None:
    """A fund that reports 40 days late is known at once."""
    real = ingesting.fund_months

    def hasty(rows: pl.DataFrame, lag: int, span: int):
        return real(rows.with_columns(available_at=pl.lit(None, dtype=pl.Date)), lag, span)

    patch.setattr(ingesting, "fund_months", hasty)


@leak("ingest", "series_observations", CUT)
def publication_lag_ignored(patch: pytest.MonkeyPatch) -> None:
    """Macro series are known at the end of the month that they are about."""
    real = ingesting.series_months

    def hasty(values, series, dataset, *rest):
        return real(values, series, dataset.model_copy(update={"macro_lag_days": 0}), *rest)

    patch.setattr(ingesting, "series_months", hasty)


@leak("ingest", "series_observations", "1998-03")  # when January's first vintage is known
def revised_value_from_the_start(patch: pytest.MonkeyPatch) -> None:
    """Of each month the last revision counts, as if it had been the first."""
    real = ingesting.series_months

    def revised(values, *rest):
        last = values.sort("vintage", nulls_last=False).unique(
            ["series_id", "date"], keep="last", maintain_order=True
        )
        return real(last.with_columns(vintage=pl.lit(None, dtype=pl.Date)), *rest)

    patch.setattr(ingesting, "series_months", revised)


@leak("ingest", "fund_observations", "1998-01")
def universe_of_survivors(patch: pytest.MonkeyPatch) -> None:
    """Funds that do not report in the last month are not in the data."""
    real = ingesting.fund_months

    def survivors(rows: pl.DataFrame, lag: int, span: int):
        last = pl.col("date").max()
        return real(rows.filter(last.over("fund_id") == last), lag, span)

    patch.setattr(ingesting, "fund_months", survivors)


def _known_at_once(patch: pytest.MonkeyPatch, gate: str) -> None:
    real = getattr(gates, gate)

    def hindsight(funds, *rest):
        found, known = real(funds, *rest)
        return found, np.where(found, funds.available, known)

    patch.setattr(gates, gate, hindsight)


@leak("ingest", "fund_observations", CUT - 2)  # the first month of a run that ends after the cut
def stale_verdict_known_early(patch: pytest.MonkeyPatch) -> None:
    """A NAV that will not have moved for months is put aside in the first of them."""
    _known_at_once(patch, "_stale")


@leak("ingest", "fund_observations", CUT - 9)  # the first month of the twin seen after the cut
def duplicates_judged_with_hindsight(patch: pytest.MonkeyPatch) -> None:
    """A fund that will have repeated another for a year is put aside from the first month."""
    _known_at_once(patch, "_duplicates")


@leak("ingest", "fund_observations", CUT)  # in which one fund does not report
def gap_filled_from_behind(patch: pytest.MonkeyPatch) -> None:
    """A month without a report takes the return of the next."""
    real = ingesting.fund_months

    def filled(rows: pl.DataFrame, lag: int, span: int):
        funds, faults = real(rows, lag, span)
        gap = np.zeros_like(funds.reported)
        gap[:-1] = funds.reported[1:] & ~funds.reported[:-1]
        back = {name: np.roll(getattr(funds, name), -1, axis=0) for name in ("returns", "source")}
        chosen = {n: np.where(gap, late, getattr(funds, n)) for n, late in back.items()}
        here = np.where(gap, np.nanmin(funds.available, axis=1, keepdims=True), funds.available)
        return replace(funds, **chosen, reported=funds.reported | gap, available=here), faults

    patch.setattr(ingesting, "fund_months", filled)


@leak("universe", "universe", "1998-02")  # in which the fund is first heard of
def death_known_from_birth(patch: pytest.MonkeyPatch) -> None:
    """A fund that is liquidated one day is never eligible."""
    real = universe.deaths_of

    def hindsight(*args):
        recorded = pl.col("death_month").is_not_null()
        birth = pl.lit(Month.parse("1998-01").end)
        known = pl.when(recorded).then(birth).otherwise("known_month")
        return real(*args).with_columns(known_month=known)

    patch.setattr(universe, "deaths_of", hindsight)


@leak("universe", "universe", "1998-01")
def closure_known_early(patch: pytest.MonkeyPatch) -> None:
    """A fund that closes one day is closed."""

    def hindsight(day, lag):
        shut = pl.col("open_to_new_money").not_() | pl.col("closed_date").is_not_null()
        return shut.fill_null(False)

    patch.setattr(universe, "_closed", hindsight)


# -- macro factors and features ------------------------------------------------------------------


@dataclass(frozen=True)
class _Rewritten:
    """A history whose every view is changed with a look at what is known months later."""

    history: History
    change: Callable[[Panel, Panel], np.ndarray]
    ahead: int

    def as_of(self, month: Month, months: int | None = None) -> Panel:
        shown = self.history.as_of(month, months)
        return replace(
            shown, values=self.change(shown, self.history.as_of(min(month + self.ahead, LAST)))
        )


def _rewrite_macro(
    patch: pytest.MonkeyPatch, change: Callable[[Panel, Panel], np.ndarray], ahead: int
) -> None:
    def series(store, calendar):
        return _Rewritten(histories.macro_series(store, calendar), change, ahead)

    patch.setattr(macro, "macro_series", series)


@leak("macro_factors", "macro_factors", "1998-03")  # the first month with a macro series
def full_sample_scaler(patch: pytest.MonkeyPatch) -> None:
    """Series are standardized by their mean and deviation over all months."""

    def standardized(shown: Panel, whole: Panel) -> np.ndarray:
        return (shown.values - np.nanmean(whole.values, axis=0)) / np.nanstd(whole.values, axis=0)

    _rewrite_macro(patch, standardized, ahead=LAST - Month.parse("1998-01"))


@leak("macro_factors", "macro_factors", CUT)
def centered_moving_average(patch: pytest.MonkeyPatch) -> None:
    """Series are smoothed with the month before and the month after."""

    def smoothed(shown: Panel, whole: Panel) -> np.ndarray:
        n = len(shown.dates)
        beside = whole.values[: n + 1]
        mean = shown.values.copy()
        mean[1:] = (beside[: n - 1] + beside[1:n] + beside[2 : n + 1]) / 3.0
        return np.where(np.isnan(shown.values) | np.isnan(mean), shown.values, mean)

    _rewrite_macro(patch, smoothed, ahead=1)


@leak("polymodel_features", "polymodel_features", "1998-01")
def stress_range_of_all_months(patch: pytest.MonkeyPatch) -> None:
    """StressVaR and LTA read the quantiles of a factor's whole history."""
    real = InformationSets.gather

    def gather(self, key: str):
        inputs = real(self, key)
        whole = self._factors.as_of(LAST).select(inputs.factors.ids)
        return replace(inputs, history=LongHistory.of(whole.values, self._settings))

    patch.setattr(InformationSets, "gather", gather)


@leak("polymodel_features", "polymodel_features", CUT)
def significance_with_a_future_month(patch: pytest.MonkeyPatch) -> None:
    """P-value scores rest on a window that ends a month later."""
    real = InformationSets.gather

    def gather(self, key: str):
        inputs, later = real(self, key), Month.parse(key) + 1
        funds = self._funds.as_of(later, self._settings.window).select(inputs.funds.ids)
        factors = self._factors.as_of(later, self._settings.window).select(inputs.factors.ids)
        return replace(inputs, funds=replace(inputs.funds, values=funds.values), factors=factors)

    patch.setattr(InformationSets, "gather", gather)


@leak("polymodel_features", "polymodel_features", "1998-01")
def factors_selected_on_all_months(patch: pytest.MonkeyPatch) -> None:
    """Only the factor that moves most with the funds over all months is tested."""
    real = InformationSets.gather

    def gather(self, key: str):
        inputs = real(self, key)
        mean = np.nanmean(self._funds.as_of(LAST, 12).values, axis=1)
        whole = np.nan_to_num(self._factors.as_of(LAST, 12).select(inputs.factors.ids).values)
        best = [int(np.abs(mean @ whole).argmax())] if inputs.factors.ids else []
        factors = inputs.factors.select([inputs.factors.ids[k] for k in best])
        return replace(inputs, factors=factors, history=inputs.history.select(np.array(best, int)))

    patch.setattr(InformationSets, "gather", gather)


# -- learning ------------------------------------------------------------------------------------


@leak("trend_model_majority", "trend_model_majority", CUT + 1)
def labels_not_purged(patch: pytest.MonkeyPatch) -> None:
    """A model learns from the label that it is about to predict."""

    def later(retraining, *rest):
        return walk_forward_split(retraining + 1, *rest)

    patch.setattr(learning, "walk_forward_split", later)


@leak("trend_model_majority", "trend_model_majority", "2000-10")  # the first with enough history
def band_of_all_returns(patch: pytest.MonkeyPatch) -> None:
    """What counts as unchanged is a quantile of the returns of all months."""
    real, seen = learning._training_inputs, {}

    def inputs(reader, *rest):
        seen["returns"] = reader.fund_returns.as_of(LAST).values
        return real(reader, *rest)

    def band(returns, settings) -> float:
        whole = seen["returns"]
        return float(np.quantile(np.abs(whole[~np.isnan(whole)]), 0.3))

    patch.setattr(learning, "_training_inputs", inputs)
    patch.setattr(learning, "unchanged_band", band)


@leak("trend_model_logistic", "trend_model_logistic", "2000-10")
def channels_scaled_over_all_months(patch: pytest.MonkeyPatch) -> None:
    """Channels are scaled by the medians of all months, not of the training months."""
    real, fit, seen = learning._training_inputs, ChannelScaler.fit, {}

    def inputs(reader, settings, retraining):
        seen["samples"] = reader.read(CUT - 6, LAST)
        return real(reader, settings, retraining)

    patch.setattr(learning, "_training_inputs", inputs)
    patch.setattr(ChannelScaler, "fit", lambda samples, most: fit(seen["samples"], most))


@leak("trend_model_lightgbm", "trend_model_lightgbm", CUT + 1)
def stopped_early_on_later_months(patch: pytest.MonkeyPatch) -> None:
    """Boosting stops where it does best in months after the retraining."""
    real = learning._training_inputs

    def inputs(reader, settings, retraining):
        now = real(reader, settings, retraining)
        if now.samples is None:
            return now
        later = real(reader, settings, retraining + 2)
        last = now.samples.months[~now.valid].max()
        rows = np.flatnonzero(later.valid | (later.samples.months <= last))
        return replace(
            later,
            samples=later.samples.take(rows),
            returns=later.returns[rows],
            valid=later.valid[rows],
        )

    patch.setattr(learning, "_training_inputs", inputs)


@leak("predictions", "predictions", "1998-01")
def last_checkpoint_predicts_all_months(patch: pytest.MonkeyPatch) -> None:
    """Every month is predicted by the model trained last."""
    last = retraining_in_force(LAST, 3)
    patch.setattr(learning, "retraining_in_force", lambda month, every: last)


@leak("predictions", "predictions", CUT)
def features_of_the_next_month_read(patch: pytest.MonkeyPatch) -> None:
    """A stage reads part t + 1 of another table from the store."""
    real = SampleReader.read
    patch.setattr(SampleReader, "read", lambda self, *span: real(self, *(m + 1 for m in span)))


# -- portfolios ----------------------------------------------------------------------------------


@leak("backtest", "target_weights", CUT.end)
def weights_from_next_months_returns(patch: pytest.MonkeyPatch) -> None:
    """The rule ranks funds by the return that they are about to earn."""
    real = study.read_signals

    def clairvoyant(store, first, through, ids, models, calendar, **rest):
        table = real(store, first, through, ids, models, calendar, **rest)
        earned = histories.fund_returns(store, calendar)
        later = [month + 1 for month in table.months]
        rows = [earned.as_of(month, 1).select(ids).at(month) for month in later]
        score = np.where(np.isnan(rows), np.nan, 1.0 / (1.0 + np.exp(-np.clip(rows, -9, 9))))
        return replace(table, p_up=dict.fromkeys(table.p_up, score))

    patch.setattr(study, "read_signals", clairvoyant)


@leak("backtest", "target_weights", "2000-10-31")  # the first decision of the backtest
def covariance_of_all_months(patch: pytest.MonkeyPatch) -> None:
    """Least variance is sought for the covariance of the last months that there are."""
    real = signals.KnownReturns.__call__

    def call(self, month, months):
        return np.nan_to_num(real(self, LAST, months))

    patch.setattr(signals.KnownReturns, "__call__", call)


@leak("publish", "warehouse.universe", (CUT + 1).end)
def later_parts_published(patch: pytest.MonkeyPatch) -> None:
    """The warehouse of a month holds what was computed for later ones."""
    patch.setattr(sources, "_not_in_force", lambda *args: "")


# -- the daily panel and embeddings --------------------------------------------------------------


def _rewrite_daily(patch: pytest.MonkeyPatch, change: Callable[..., tuple]) -> None:
    real = daily._matrix

    def matrix(cells, days, limit):
        values, known, excess = real(cells, days, limit)
        return *change(values, known), excess

    patch.setattr(daily, "_matrix", matrix)


@leak("ingest", "daily_panel", GAP, "daily")
def missing_days_filled_from_behind(patch: pytest.MonkeyPatch) -> None:
    """A day without a NAV takes the return of the next."""

    def filled(values, known):
        gap = np.isnan(values[:-1]) & ~np.isnan(values[1:])
        values[:-1][gap] = values[1:][gap]
        known[:-1][gap] = np.broadcast_to(np.arange(len(gap))[:, None], gap.shape)[gap]
        return values, known

    _rewrite_daily(patch, filled)


@leak("ingest", "daily_panel", GAP, "daily")
def late_navs_known_at_once(patch: pytest.MonkeyPatch) -> None:
    """A NAV that is told weeks later is known on its own day."""

    def hasty(values, known):
        own = np.broadcast_to(np.arange(len(known))[:, None], known.shape)
        return values, np.where(np.isnan(values), known, own).astype(known.dtype)

    _rewrite_daily(patch, hasty)


@leak("fund_model_rlinear", "fund_model_rlinear", "2000-06", "daily")
def window_of_future_sessions(patch: pytest.MonkeyPatch) -> None:
    """What is known at a decision is taken from twenty sessions after it."""
    real = InformationReader._information
    patch.setattr(InformationReader, "_information", lambda self, session: real(self, session + 20))


# Of cells that nobody ever knows the session of knowledge is the number of all sessions.
@leak("fund_model_rlinear", "fund_model_rlinear", "2000-02", "daily")
def cells_visible_before_they_are_known(patch: pytest.MonkeyPatch) -> None:
    """A window shows cells that are known later."""
    patch.setattr(windows, "_known_by", lambda session, begin, values, known: (values, known))


@leak("fund_model_rlinear", "fund_model_rlinear", "2000-06", "daily")  # the first trained
def channels_scaled_across_dates(patch: pytest.MonkeyPatch) -> None:
    """Networks are scaled, as by a batch norm over all dates, with windows of every session."""
    read, seen = windows.Windows.read, {}

    def reading(store, settings):
        seen["windows"] = read(store, settings)
        return seen["windows"]

    def fit(shown):
        whole = seen["windows"]
        every = np.arange(len(whole.panel.ids))
        spread = [
            np.nanstd(whole.panel.returns[:, every]),
            *(1.0 for _ in whole.channels[1:]),
        ]
        return ChannelScale(np.array(spread))

    patch.setattr(windows.Windows, "read", reading)
    patch.setattr(ChannelScale, "fit", fit)
