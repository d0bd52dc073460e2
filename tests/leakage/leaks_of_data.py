"""Planted leaks: what comes in, the daily panel, embeddings."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from finembed_core.calendar import Month
from finembed_core.embeddings import windows
from finembed_core.embeddings.information_set import InformationReader
from finembed_core.embeddings.scale import ChannelScale
from finembed_core.ingest import daily, gates, universe
from finembed_core.ingest import stage as ingesting
from tests.leakage.futures import LATE
from tests.leakage.planting import leak
from tests.leakage.whole_world import CUT


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


# -- the daily panel and embeddings --------------------------------------------------------------


def _rewrite_daily(patch: pytest.MonkeyPatch, change: Callable[..., tuple]) -> None:
    real = daily._matrix

    def matrix(cells, days, *limits):
        values, known, excess = real(cells, days, *limits)
        return *change(values, known), excess

    patch.setattr(daily, "_matrix", matrix)


@leak("ingest", "daily_panel", "2000-06-16", "daily")  # whose late NAV the other future lacks
def missing_days_filled_from_behind(patch: pytest.MonkeyPatch) -> None:
    """A day without a NAV takes the return of the next."""

    def filled(values, known):
        gap = np.isnan(values[:-1]) & ~np.isnan(values[1:])
        values[:-1][gap] = values[1:][gap]
        known[:-1][gap] = np.broadcast_to(np.arange(len(gap))[:, None], gap.shape)[gap]
        return values, known

    _rewrite_daily(patch, filled)


@leak("ingest", "daily_panel", LATE, "daily")
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


@leak("fund_model_rlinear", "fund_model_rlinear", "2000-06", "daily")
def cells_visible_before_they_are_known(patch: pytest.MonkeyPatch) -> None:
    """A window shows cells that are known later."""

    def shown(session, begin, values, known):
        own = np.broadcast_to(np.arange(len(values), dtype=known.dtype)[:, None], values.shape)
        return values, np.where(np.isnan(values), session - begin + 1, own).astype(known.dtype)

    patch.setattr(windows, "_known_by", shown)


@leak("fund_model_rlinear", "fund_model_rlinear", "2000-06", "daily")  # the first trained
def channels_scaled_across_dates(patch: pytest.MonkeyPatch) -> None:
    """Networks are scaled, as by a batch norm over all dates, with windows of every session."""
    read, seen = windows.Windows.read, {}

    def reading(store, settings):
        seen["windows"] = read(store, settings)
        return seen["windows"]

    def fit(shown):
        whole = seen["windows"]
        spread = [np.nanstd(whole.panel.returns), *(1.0 for _ in whole.channels[1:])]
        return ChannelScale(np.array(spread))

    patch.setattr(windows.Windows, "read", reading)
    patch.setattr(ChannelScale, "fit", fit)
