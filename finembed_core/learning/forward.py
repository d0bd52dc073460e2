"""Labels of daily windows: what funds earned after a session. The only place that looks ahead.

A decision at the close of session s deals at the close of s + lag and earns the sessions

    s + lag + 1, ..., s + lag + S,

so its label is known from s + lag + S on. A session of the window without a value that is known
when the label is read earns 0: the return over a gap lies in the session of the next report. A
value that comes later changes the label from then on; to wait for it would take knowing that it
comes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finembed_core.daily_panel import DailyPanel, Floats32

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]

SESSIONS_PER_YEAR = 252
LEAST_OBSERVED = 0.5  # of the label window
FLAT = 1e-8  # volatility of a session that is rounding


@dataclass(frozen=True)
class Forward:
    """Labels of one session for some funds; NaN where they are not known or there are none.

    Attributes
    ----------
    session : int
    known_from : ndarray of int64, shape (n,)
        First session that knows the label as it is here; where it is not known yet, the session
        after whose close it may be asked for.
    path : ndarray of float32, shape (n, S)
        Returns of the label window, 0 where missing; NaN where less than half is known.
    total : ndarray of float64, shape (n,)
        Compounded return.
    volatility, sharpe : ndarray of float64, shape (n,)
        Annualized (252); the ratio of mean to volatility without a risk-free rate, NaN where the
        path does not move.
    drawdown : ndarray of float64, shape (n,)
        Largest fall from the highest wealth so far (1 at the start), as a positive share.
    """

    session: int
    known_from: Indices
    path: Floats32
    total: Floats
    volatility: Floats
    sharpe: Floats
    drawdown: Floats


def forward_labels(
    panel: DailyPanel, session: int, columns: Indices, *, lag: int, horizon: int, known: int
) -> Forward:
    """Labels of a session, as known at the close of session `known`.

    Parameters
    ----------
    panel : DailyPanel
    session : int
        At whose close one decides.
    columns : ndarray of int64, shape (n,)
        Columns of the panel.
    lag : int
        Sessions from decision to dealing.
    horizon : int
        Sessions that are earned, S.
    known : int
        Whoever reads the labels stands at the close of this session.
    """
    columns, last = np.asarray(columns, dtype=np.int64), session + lag + horizon
    if last > min(known, len(panel.days) - 1):
        path = np.full((len(columns), horizon), np.nan, dtype=np.float32)
        return _summary(session, np.full(len(columns), last, dtype=np.int64), path)
    rows = slice(session + lag + 1, last + 1)
    path, since = panel.returns[rows][:, columns].T, panel.known[rows][:, columns].T
    told = ~np.isnan(path) & (since <= known)
    known_from = np.where(told, since, last).max(axis=1, initial=last).astype(np.int64)
    path = np.where(told, path, np.float32(0.0))
    path[told.mean(axis=1) < LEAST_OBSERVED] = np.nan
    return _summary(session, known_from, path)


def label_sessions(
    known: int,
    *,
    lag: int,
    horizon: int,
    every: int,
    train: int,
    valid: int,
    first: int = 0,
) -> tuple[Indices, Indices]:
    """Sessions to train and to validate on at the close of session `known`.

    Both lie `every` sessions apart on a grid through `known`. The latest `valid` sessions whose
    labels can be known validate; the latest `train` sessions train whose labels were known before
    the first validation session (purging: Lopez de Prado 2018, Advances in Financial Machine
    Learning, section 7.4.1). Funds that report late stay purged where their training labels are
    read with ``known`` at the session before the first validation session.

    Parameters
    ----------
    known, lag, horizon : int
        As in `forward_labels`.
    every, train, valid : int
        In sessions.
    first : int
        First session that may be taken (the first with a full look-back).

    Returns
    -------
    train, valid : ndarray of int64
        Ascending; either may be empty.

    Examples
    --------
    >>> label_sessions(20, lag=1, horizon=4, every=2, train=8, valid=3)
    (array([2, 4, 6, 8]), array([14]))
    """
    delay = lag + horizon
    last = known - delay
    validation = _grid(max(last - valid + 1, first), last, every, known)
    begins = int(validation[0]) if len(validation) else last + 1
    purged = begins - delay - 1
    return _grid(max(purged - train + 1, first), purged, every, known), validation


def _grid(begin: int, end: int, every: int, through: int) -> Indices:
    """Sessions from `begin` to `end`, both included, of the grid through a session."""
    return np.arange(begin + (through - begin) % every, end + 1, every, dtype=np.int64)


def _summary(session: int, known_from: Indices, path: Floats32) -> Forward:
    returns = path.astype(np.float64)
    wealth: Floats = np.cumprod(1.0 + returns, axis=1, dtype=np.float64)  # (n, S)
    peak = np.maximum.accumulate(np.maximum(wealth, 1.0), axis=1)
    spread = returns.std(axis=1, ddof=1)
    moves = np.where(spread > FLAT, spread, np.nan)
    return Forward(
        session,
        known_from,
        path,
        wealth[:, -1] - 1.0,
        spread * SESSIONS_PER_YEAR**0.5,
        returns.mean(axis=1) / moves * SESSIONS_PER_YEAR**0.5,
        (1.0 - wealth / peak).max(axis=1),
    )
