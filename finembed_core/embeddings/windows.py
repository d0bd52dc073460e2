"""Windows of daily returns beside the market and the macro factors, as known at a session.

The window of session s holds the L sessions up to s. A cell is visible where it is known at the
close of s; what is not visible is 0 and masked. Windows are cut from the memory-mapped panel when
they are asked for: nothing is kept per window.

Decisions lie ``every_sessions`` apart, counted from the first session on or after the anchor: data
that begin earlier or end later move none of them. Where the data begin after the anchor, its
distance in sessions is unknown, and a count from the first session would move with any older one
that arrives; there every ``every_sessions``-th *weekday* after the anchor is a decision, or the
first session after it (some 62 sessions apart instead of 64, for holidays).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from finembed_core.daily_panel import DailyPanel, Days, Floats32, read_daily
from finembed_core.embeddings.macro_steps import MacroSteps
from finembed_core.errors import InputError, MissingPartError
from finembed_core.fingerprint import digest
from finembed_core.settings import EmbeddingsSettings, Settings
from finembed_core.store import PartStore

Indices = NDArray[np.int64]
Bools = NDArray[np.bool_]
Shown = tuple[Floats32, Bools]

SILENT_SESSIONS = 5  # a week
FLAT = 1e-8  # returns whose range is below differ by rounding
NEVER = np.iinfo(np.int32).max


@dataclass(frozen=True)
class Listing:
    """Which funds have a usable window.

    Attributes
    ----------
    columns : ndarray of int64, shape (n,)
        Columns of the panel.
    excluded : tuple of (fund_id, reason)
        The other funds that somebody has heard of by then. ``all_hidden``: the window holds no
        visible value; ``silent``: none in the last 5 sessions; ``too_short``: fewer than
        ``min_visible`` of the window; ``constant``: all of them equal. The first that applies.
    """

    columns: Indices
    excluded: tuple[tuple[str, str], ...]


class Windows:
    """Windows of a store's daily panel.

    Parameters
    ----------
    panel : DailyPanel
    settings : EmbeddingsSettings
    macro : MacroSteps

    Attributes
    ----------
    channels : tuple of str
        ``fund``, the market's id, ``macro_1`` and so on: length C.
    """

    def __init__(self, panel: DailyPanel, settings: EmbeddingsSettings, macro: MacroSteps) -> None:
        self.panel = panel
        self.settings = settings
        self.lookback = settings.lookback
        names = (f"macro_{k + 1}" for k in range(len(macro.factors)))
        self.channels = ("fund", panel.market, *names)
        self._macro = macro
        self._shared: dict[int, Shown] = {}

    @classmethod
    def read(cls, store: PartStore, settings: Settings) -> Windows:
        """Windows over a store.

        Raises
        ------
        MissingPartError
            Nothing daily was ingested, or for another market than the settings name.
        """
        panel = read_daily(store)
        named = settings.embeddings.market
        if named not in (None, panel.market):
            raise MissingPartError(
                f"the daily panel was ingested beside {panel.market}, and the market is {named}",
                where="settings, embeddings.market",
                remedy="ingest again (`finembed run` does)",
            )
        return cls(panel, settings.embeddings, MacroSteps.read(store, settings))

    def decisions(self) -> Indices:
        """Sessions of decisions, ascending: those with a full look-back, within the settings."""
        days, limits = self.panel.days, self.settings
        found = decision_sessions(days, np.datetime64(limits.anchor), limits.every_sessions)
        found = found[found >= self.lookback - 1]
        if limits.first_decision is not None:
            found = found[days[found] >= np.datetime64(limits.first_decision)]
        if limits.last_decision is not None:
            found = found[days[found] <= np.datetime64(limits.last_decision)]
        return found

    def listed(self, session: int) -> Listing:
        """Funds with a usable window at a session, and why the others have none."""
        rows = self._rows(session)
        heard_of = np.flatnonzero(self._first_known <= session)
        values = self.panel.returns[rows][:, heard_of]
        seen = (self.panel.known[rows][:, heard_of] <= session) & ~np.isnan(values)
        count = seen.sum(axis=0)
        highest = np.max(values, axis=0, where=seen, initial=-np.inf)
        lowest = np.min(values, axis=0, where=seen, initial=np.inf)
        least = self.settings.min_visible * self.lookback
        reason = np.select(
            [
                count == 0,
                ~seen[-SILENT_SESSIONS:].any(axis=0),
                count < least,
                highest - lowest <= FLAT,
            ],
            ["all_hidden", "silent", "too_short", "constant"],
            default="",
        )
        out = reason != ""
        names = (self.panel.ids[k] for k in heard_of[out])
        return Listing(heard_of[~out], tuple(zip(names, reason[out].tolist(), strict=True)))

    def at(self, session: int, columns: Indices) -> Shown:
        """Windows of some funds at a session (see `of`)."""
        return self.of(np.full(len(columns), session, dtype=np.int64), columns)

    def of(self, sessions: Indices, columns: Indices, *, common: bool = True) -> Shown:
        """Windows of some funds, each at a session of its own.

        Parameters
        ----------
        sessions : ndarray of int64, shape (n,)
        columns : ndarray of int64, shape (n,)
            Columns of the panel.
        common : bool
            Whether the channels that all funds share come along; C is 1 without them.

        Returns
        -------
        values : ndarray of float32, shape (n, C, L)
            Raw decimal returns of fund and market, macro factors in their own units; 0 where not
            visible.
        visible : ndarray of bool, shape (n, C, L)

        Raises
        ------
        InputError
            A session lies outside the data, or its look-back begins before them.
        MissingPartError
            The macro factors of a month in force have not been built.
        """
        distinct, place = np.unique(sessions, return_inverse=True)
        for session in distinct[[0, -1]] if len(distinct) else ():
            self._rows(int(session))
        shape = (len(columns), len(self.channels) if common else 1, self.lookback)
        values, visible = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=bool)
        rows = sessions[:, None] + np.arange(1 - self.lookback, 1)  # (n, L)
        cell = rows, np.asarray(columns)[:, None]
        returns = self.panel.returns[cell]
        visible[:, 0] = (self.panel.known[cell] <= sessions[:, None]) & ~np.isnan(returns)
        values[:, 0] = np.where(visible[:, 0], returns, np.float32(0.0))
        if common and len(distinct):
            shared = [self._common(int(session)) for session in distinct]
            values[:, 1:] = np.stack([channels for channels, _ in shared])[place]
            visible[:, 1:] = np.stack([seen for _, seen in shared])[place]
        return values, visible

    def as_of(self, session: int, back: int) -> Windows:
        """What is known at the close of a session about it and the `back` sessions before.

        The session becomes the last one. Cells that are known later are missing, funds and series
        that nobody has heard of yet are not there, and macro factors are at hand: nothing refers to
        the store.
        """
        rows = slice(max(session - back, 0), session + 1)
        heard_of = np.flatnonzero(self._first_known <= session)
        panel, days = self.panel, self.panel.days[rows]
        returns, known = _known_by(
            session, rows.start, panel.returns[rows][:, heard_of], panel.known[rows][:, heard_of]
        )
        told = np.flatnonzero(self._series_first_known <= session)
        told = np.union1d([0], told)  # the market comes first, whether or not it has a return yet
        series, series_known = _known_by(
            session, rows.start, panel.series[rows][:, told], panel.series_known[rows][:, told]
        )
        names = tuple(panel.series_ids[k] for k in told)
        ids = tuple(panel.ids[k] for k in heard_of)
        cut = DailyPanel(days, ids, returns, known, names, series, series_known)
        macro = self._macro.between(days[min(self.lookback, len(days)) - 1], days[-1])
        return Windows(cut, self.settings, macro)

    def beside(self, series: Collection[str]) -> Windows:
        """Windows over the same funds and market, of the other series these alone."""
        panel = self.panel
        kept = [k for k, name in enumerate(panel.series_ids) if k == 0 or name in series]
        chosen = replace(
            panel,
            series_ids=tuple(panel.series_ids[k] for k in kept),
            series=panel.series[:, kept],
            series_known=panel.series_known[:, kept],
        )
        return Windows(chosen, self.settings, self._macro)

    def digest(self) -> str:
        """Hash of every return and every macro factor."""
        return digest(self.panel, self.channels, self._macro)

    def _rows(self, session: int) -> slice:
        """Rows of the panel in the window of a session."""
        last = len(self.panel.days) - 1
        if not self.lookback - 1 <= session <= last:
            raise InputError(
                f"session {session} has no window of {self.lookback} sessions",
                where=f"the daily panel holds sessions 0 ({self.panel.days[0]}) to {last} "
                f"({self.panel.days[-1]})",
                remedy="choose a later session or a shorter embeddings.lookback",
            )
        return slice(session - self.lookback + 1, session + 1)

    def _common(self, session: int) -> Shown:
        """Channels (C - 1, L) that all funds share: the market and the macro factors."""
        if session not in self._shared:
            rows = self._rows(session)
            market = self.panel.series[rows, 0]
            seen = (self.panel.series_known[rows, 0] <= session) & ~np.isnan(market)
            macro = self._macro.window(self.panel.days[rows])  # (K, L)
            values = np.concatenate([market[None], macro])
            visible = np.concatenate([seen[None], ~np.isnan(macro)])
            self._shared[session] = np.where(visible, values, np.float32(0.0)), visible
        return self._shared[session]

    @cached_property
    def _series_first_known(self) -> NDArray[np.int32]:
        """First session (K,) that knows anything of a series."""
        known = np.where(np.isnan(self.panel.series), NEVER, self.panel.series_known)
        return known.min(axis=0)

    @cached_property
    def _first_known(self) -> NDArray[np.int32]:
        """First session (n,) that knows anything of a fund."""
        found = np.full(len(self.panel.ids), NEVER, dtype=np.int32)
        for known, returns in zip(self.panel.known, self.panel.returns, strict=True):
            np.minimum(found, np.where(np.isnan(returns), NEVER, known), out=found)
        return found


def decision_sessions(days: Days, anchor: np.datetime64, every: int) -> Indices:
    """Sessions of a fixed grid (see the module's text).

    Parameters
    ----------
    days : ndarray of datetime64[D], shape (T,)
        Sessions.
    anchor : datetime64
    every : int

    Examples
    --------
    >>> week = np.arange("2001-01-01", "2001-01-06", dtype="datetime64[D]")
    >>> decision_sessions(week, np.datetime64("2001-01-02"), 2)
    array([1, 3])
    >>> decision_sessions(week, np.datetime64("2000-12-29"), 2)  # a Friday; Tuesday, Thursday
    array([1, 3])
    """
    if days[0] <= anchor:
        return np.arange(np.searchsorted(days, anchor), len(days), every, dtype=np.int64)
    start = np.busday_offset(anchor, 0, roll="forward")
    steps = np.arange(0, np.busday_count(start, days[-1]) + 1, every)
    grid = np.busday_offset(start, steps)
    return np.unique(np.searchsorted(days, grid[grid >= days[0]])).astype(np.int64)


def _known_by(
    session: int, begin: int, values: Floats32, known: NDArray[np.int32]
) -> tuple[Floats32, NDArray[np.int32]]:
    """Values, NaN where known later, and their sessions of knowledge counted from `begin`."""
    later = (known > session) | np.isnan(values)
    length = session - begin + 1
    return (
        np.where(later, np.float32(np.nan), values),
        np.where(later, np.int32(length), np.maximum(known - np.int32(begin), 0)).astype(np.int32),
    )
