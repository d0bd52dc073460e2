"""Deaths of the funds of a daily panel, by session: as recorded, or given up after a silence."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from finembed_core.backtest.market import Death
from finembed_core.calendar import IntArray
from finembed_core.daily_panel import DailyPanel
from finembed_core.sessions import Session, SessionCalendar
from finembed_core.settings import Settings


def daily_deaths(panel: DailyPanel, funds: pl.DataFrame, settings: Settings) -> tuple[Death, ...]:
    """Deaths on the session at which they became known.

    As with monthly data (`ingest.deaths`): a fund is dead from its ``death_date`` plus the lag of
    daily returns on, or once ``ingest.dead_after_missing`` months went by without a newer return.

    Parameters
    ----------
    panel : DailyPanel
    funds : DataFrame
        Table `daily_funds`.
    settings : Settings

    Returns
    -------
    tuple of Death
        ``fund`` is the column of the panel; nothing that became known after the last session.
    """
    calendar = SessionCalendar(panel.days)
    payout, last = settings.backtest.terminal_return, len(panel.days) - 1
    recorded = recorded_deaths(panel, funds, settings).tolist()
    attributes = {row["fund_id"]: row for row in funds.iter_rows(named=True)}
    deaths: list[Death] = []
    for column, fund in enumerate(panel.ids):
        own = attributes.get(fund, {})
        matures = own.get("category") in settings.ingest.maturing_categories
        silent = "matured" if matures else "stopped_reporting"
        silences = _given_up(panel, column, calendar, settings.ingest.dead_after_missing)
        known = [(session, silent) for session in silences if session < recorded[column]]
        known.append((recorded[column], own.get("death_reason") or "unknown"))
        deaths += [
            Death(Session(session, calendar), column, getattr(payout, reason), reason)
            for session, reason in known
            if session <= last
        ]
    return tuple(deaths)


def recorded_deaths(panel: DailyPanel, funds: pl.DataFrame, settings: Settings) -> IntArray:
    """Session from which each fund was known to be dead by its ``death_date``, shape (N,).

    The number of sessions where it was not. What a fund reports from then on is no price at which
    it could be dealt.
    """
    lag = dt.timedelta(settings.embeddings.daily_lag_days)
    died = dict(funds.select("fund_id", "death_date").drop_nulls().iter_rows())
    found = np.full(len(panel.ids), len(panel.days), dtype=np.int64)
    for column, fund in enumerate(panel.ids):
        if fund in died:
            found[column] = np.searchsorted(panel.days, np.datetime64(died[fund] + lag, "D"))
    return found


def _given_up(panel: DailyPanel, column: int, calendar: SessionCalendar, months: int) -> IntArray:
    """Sessions at which no newer return had come for so many months."""
    known, last = panel.known[:, column], len(panel.days) - 1
    seen = np.isfinite(panel.returns[:, column]) & (known <= last)
    news = np.unique(known[seen]).astype(np.int64)
    patience = calendar.later(news, np.full(len(news), months))
    following = np.append(news[1:], last + 1)
    return patience[(patience < following) & (patience <= last)]
