"""What was predicted at each decision, and what the daily panel showed then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.calendar import IntArray
from finembed_core.daily_panel import DailyPanel, Days
from finembed_core.errors import InputError, NothingToEvaluateError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import BoolArray

SCORES = ("listnet", "neuralndcg", "forecast")
WEIGHTS = ("gmv", "weight")
PREDICTED = (*SCORES, *WEIGHTS)
KEY = ("encoder", "mode", "seed", "date", "fund_id")


class Model(NamedTuple):
    """One trained network."""

    encoder: str
    mode: str
    seed: int


@dataclass(frozen=True)
class Predictions:
    """Table `fund_predictions` as arrays over decisions and funds.

    Attributes
    ----------
    sessions : ndarray of int64, shape (D,)
        Rows of the daily panel that were decided at.
    days : ndarray of datetime64[D], shape (D,)
        Their dates.
    ids : tuple of str, length N
        Funds listed at any decision, sorted.
    columns : ndarray of int64, shape (N,)
        Theirs in the daily panel.
    listed : ndarray of bool, shape (D, N)
    values : mapping of Model to mapping of str to ndarray, shape (D, N)
        By column of the table (`PREDICTED`); NaN where nothing was predicted.
    """

    sessions: IntArray
    days: Days
    ids: tuple[str, ...]
    columns: IntArray
    listed: BoolArray
    values: Mapping[Model, Mapping[str, FloatArray]]

    @classmethod
    def of(cls, table: pl.DataFrame, panel: DailyPanel) -> Self:
        """Arrange the rows of the table.

        Raises
        ------
        NothingToEvaluateError
            There are none.
        InputError
            One stands twice, or a date or a fund is not in the daily panel.
        """
        if table.height == 0:
            raise NothingToEvaluateError(
                "no decision has predictions: there is nothing to evaluate",
                where="fund_predictions",
                remedy="bring a longer daily history, or ask for decisions that the data cover",
            )
        double = table.filter(table.select(KEY).is_duplicated())
        if double.height:
            raise InputError(
                "a fund has two predictions of one model for one decision",
                where=f"fund_predictions, {dict(zip(KEY, double.select(KEY).row(0), strict=True))}",
            )
        ids = table["fund_id"].unique().sort()
        days = table["date"].unique().sort().to_numpy().astype("datetime64[D]")
        columns = _places(ids.to_numpy().astype(str), np.array(panel.ids, dtype=str), "fund")
        sessions = _places(days, panel.days, "decision")
        shape = (len(sessions), len(ids))
        listed, values = np.zeros(shape, dtype=bool), dict[Model, dict[str, FloatArray]]()
        for key, rows in table.partition_by("encoder", "mode", "seed", as_dict=True).items():
            day = np.searchsorted(days, rows["date"].to_numpy().astype("datetime64[D]"))
            fund = ids.search_sorted(rows["fund_id"]).to_numpy()
            listed[day, fund] = True
            values[Model(*key)] = {
                name: _table(rows[name], (day, fund), shape) for name in PREDICTED
            }
        return cls(sessions, days, tuple(ids), columns, listed, dict(sorted(values.items())))

    @property
    def models(self) -> list[tuple[str, str]]:
        """Pairs of encoder and mode."""
        return list(dict.fromkeys((model.encoder, model.mode) for model in self.values))

    @property
    def weighed(self) -> BoolArray:
        """Listed funds to which a model gave a weight by variance, shape (D, N).

        Those that no model gave one are too young for a forecast to have been held against what
        came. All listed funds where no model gave any.
        """
        answered = [np.isfinite(own["gmv"]) for own in self.values.values()]
        given = np.any(answered, axis=0)
        return self.listed & (given | ~given.any(axis=1, keepdims=True))

    def without(self, dead: IntArray) -> Self:
        """The same, funds listed only before the session (of each fund of the panel) given."""
        alive = self.sessions[:, None] < dead[self.columns]
        return replace(self, listed=self.listed & alive)

    def seeds(self, encoder: str, mode: str) -> list[int]:
        """Seeds that were trained."""
        return [m.seed for m in self.values if (m.encoder, m.mode) == (encoder, mode)]


def visible(panel: DailyPanel, session: int, sessions: int, columns: IntArray) -> FloatArray:
    """Returns of the last sessions as known at the close of one.

    Parameters
    ----------
    panel : DailyPanel
    session, sessions : int
        The last one, and how many of them; fewer where the panel begins later.
    columns : ndarray of int64, shape (n,)

    Returns
    -------
    ndarray of float64, shape (sessions, n)
        NaN where there is none, or none was known.
    """
    rows = slice(max(session - sessions + 1, 0), session + 1)
    returns = panel.returns[rows][:, columns].astype(np.float64)
    return np.where(panel.known[rows][:, columns] <= session, returns, np.nan)


def previous_returns(
    panel: DailyPanel, sessions: IntArray, horizon: int, columns: IntArray
) -> FloatArray:
    """Total return of each fund over the last `horizon` sessions known at each decision.

    Returns
    -------
    ndarray, shape (D, N)
        NaN where less than half of the sessions were visible.
    """
    total = np.full((len(sessions), len(columns)), np.nan)
    for row, session in enumerate(sessions.tolist()):
        window = visible(panel, session, horizon, columns)
        enough = 2 * np.isfinite(window).sum(axis=0) >= horizon
        growth = np.prod(1.0 + np.nan_to_num(window), axis=0) - 1.0
        total[row] = np.where(enough, growth, np.nan)
    return total


def _places(wanted: NDArray, among: NDArray, what: str) -> IntArray:
    found = np.searchsorted(among, wanted)
    there = among[np.minimum(found, len(among) - 1)] == wanted
    if not there.all():
        raise InputError(
            f"{what} {wanted[~there][0]} is not in the daily panel",
            where="fund_predictions",
            remedy="predict again from the daily returns that are in the store",
        )
    return found.astype(np.int64)


def _table(values: pl.Series, place: tuple[NDArray, NDArray], shape: tuple[int, int]) -> FloatArray:
    table = np.full(shape, np.nan)
    table[place] = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return np.where(np.isfinite(table), table, np.nan)
