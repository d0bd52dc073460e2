"""Books through the daily ledger: dealt at the lag, held until the next decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.backtest.market import Death, Market, Terms
from finembed_core.backtest.simulator import simulate
from finembed_core.calendar import IntArray
from finembed_core.daily_panel import DailyPanel
from finembed_core.embeddings.evaluation.deaths import daily_deaths, recorded_deaths
from finembed_core.embeddings.evaluation.predictions import Predictions
from finembed_core.errors import NothingToEvaluateError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import (
    BoolArray,
    Costs,
    Orders,
    Signals,
    State,
    TargetWeights,
)
from finembed_core.sessions import Session, SessionCalendar
from finembed_core.settings import Settings

SESSIONS_PER_MONTH = 21


@dataclass(frozen=True)
class Held:
    """What a portfolio earned, session by session from the first after its first dealing.

    Attributes
    ----------
    net, turnover, cost : ndarray, shape (n,)
        Return after costs; half of what was dealt at the close before, and its costs: shares of the
        NAV.
    decided : ndarray of bool, shape (D,)
        Decisions that had weights.
    reason : str
        Why the first one that had none had none, where that is known.
    """

    net: FloatArray
    turnover: FloatArray
    cost: FloatArray
    decided: BoolArray
    reason: str = ""


@dataclass(frozen=True)
class DailyLedger:
    """What all portfolios of the study go through alike.

    Attributes
    ----------
    calendar : SessionCalendar
        Of the panel's days, with the dealing lag.
    decisions : ndarray of int64, shape (D,)
        Sessions.
    last : int
        Last session that is earned: one holding period after the last dealing, or the panel's last.
    returns : ndarray, shape (T, N)
        Final returns of the funds of the predictions, from the first decision to `last`; NaN at the
        session of a death, and after one that was recorded: nothing is dealt with the dead.
    risk_free : ndarray, shape (T,)
    ids : tuple of str
    deaths : tuple of Death
        ``fund`` is a column of `returns`.
    terms : Terms
    """

    calendar: SessionCalendar
    decisions: IntArray
    last: int
    returns: FloatArray
    risk_free: FloatArray
    ids: tuple[str, ...]
    deaths: tuple[Death, ...]
    terms: Terms

    @classmethod
    def of(
        cls,
        panel: DailyPanel,
        predictions: Predictions,
        funds: pl.DataFrame,
        settings: Settings,
        risk_free: FloatArray | None = None,
    ) -> Self:
        """Cut the panel to the sessions that the decisions earn.

        Parameters
        ----------
        panel : DailyPanel
        predictions : Predictions
        funds : DataFrame
            Table `daily_funds`.
        settings : Settings
        risk_free : ndarray, shape (T of the panel,), optional
            Return of cash by session; 0 when None.

        Raises
        ------
        NothingToEvaluateError
            Fewer than two sessions are earned after the first dealing.
        """
        own = settings.embeddings
        lag = own.dealing_lag_sessions
        first, newest = int(predictions.sessions[0]), int(predictions.sessions[-1])
        last = min(newest + lag + own.every_sessions, len(panel.days) - 1)
        if first + lag + 2 > last:
            raise NothingToEvaluateError(
                "fewer than two sessions are earned after the first dealing",
                where=f"decided at {panel.days[first]}, the daily returns end {panel.days[-1]}",
                remedy="bring newer daily returns, or decide earlier",
            )
        rows = slice(first, last + 1)
        place = {int(column): k for k, column in enumerate(predictions.columns)}
        deaths = tuple(
            replace(death, fund=place[death.fund])
            for death in daily_deaths(panel, funds, settings)
            if death.fund in place
        )
        returns = panel.returns[rows][:, predictions.columns].astype(np.float64)
        for death in deaths:
            if first <= death.month.ordinal <= last:
                returns[death.month.ordinal - first, death.fund] = np.nan
        recorded = recorded_deaths(panel, funds, settings)[predictions.columns]
        returns[np.arange(first, last + 1)[:, None] >= recorded] = np.nan
        cash = np.zeros(len(panel.days)) if risk_free is None else risk_free
        return cls(
            calendar=SessionCalendar(panel.days, lag),
            decisions=predictions.sessions,
            last=last,
            returns=returns,
            risk_free=cash[rows],
            ids=predictions.ids,
            deaths=deaths,
            terms=_terms(settings),
        )

    @property
    def dates(self) -> NDArray[np.datetime64]:
        """Days of the returns of every portfolio, shape (n,)."""
        opening = int(self.decisions[0]) + self.calendar.lag
        return self.calendar.days[opening + 1 : self.last + 1]

    @property
    def starts(self) -> IntArray:
        """Row of these days that the book of each decision is the first to earn, shape (D,)."""
        return self.decisions - self.decisions[0]

    @property
    def earned_risk_free(self) -> FloatArray:
        """Return of cash on these days, shape (n,)."""
        return self.risk_free[len(self.risk_free) - len(self.dates) :]

    def hold(self, book: FloatArray, reason: str = "") -> Held | None:
        """Simulate one book; None where it never decides.

        Parameters
        ----------
        book : ndarray, shape (D, N)
            Target weights; a row of NaN holds on.
        reason : str
            Why the first of these does.
        """
        used = np.flatnonzero((book > 0.0).any(axis=0))
        if len(used) == 0:
            return None
        place = {int(fund): k for k, fund in enumerate(used)}
        market = Market(
            Session(int(self.decisions[0]), self.calendar),
            tuple(self.ids[k] for k in used),
            self.returns[:, used],
            self.risk_free,
            tuple(replace(d, fund=place[d.fund]) for d in self.deaths if d.fund in place),
        )
        weights = dict(zip(self.decisions.tolist(), book[:, used], strict=True))
        held = self._run(market, weights, self.terms)
        return replace(held, decided=~np.isnan(book).any(axis=1), reason=reason)

    def hold_series(self, name: str, returns: FloatArray) -> Held:
        """Simulate a series that is bought once, for nothing.

        Parameters
        ----------
        name : str
        returns : ndarray, shape (T,)
            From the first decision on, as `returns`.
        """
        first = Session(int(self.decisions[0]), self.calendar)
        market = Market(first, (name,), returns[:, None], self.risk_free)
        weights = {int(self.decisions[0]): np.ones(1)}
        return self._run(market, weights, Terms(self.terms.initial_nav))

    def _run(self, market: Market, weights: Mapping[int, FloatArray], terms: Terms) -> Held:
        def policy(state: State, signals: Signals) -> Orders | None:
            target = weights.get(signals.month.ordinal)
            return None if target is None or np.isnan(target).any() else TargetWeights(target)

        everything, nothing = np.ones(len(market.ids), bool), np.full(len(market.ids), np.nan)
        signals = {s: Signals(s, everything, nothing, nothing) for s in self._sessions}
        track = simulate(market, signals, policy, terms, self.calendar)
        return Held(track.net, track.turnover, track.cost, np.ones(len(self.decisions), bool))

    @cached_property
    def _sessions(self) -> list[Session]:
        return [Session(k, self.calendar) for k in self.decisions.tolist()]


def _terms(settings: Settings) -> Terms:
    own = settings.backtest
    costs = Costs.of_bps(own.cost_bps, own.slippage_bps, own.redemption_fee_bps)
    return Terms(own.initial_nav, costs, own.proceeds_delay_months * SESSIONS_PER_MONTH)
