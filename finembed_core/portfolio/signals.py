"""What policies may know: the parts of each month, laid out over the funds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core import histories
from finembed_core.calendar import DecisionCalendar, Month, month_ordinals, month_range
from finembed_core.errors import MissingPartError
from finembed_core.panel import FloatArray, History
from finembed_core.portfolio.orders import BoolArray, Signals
from finembed_core.store import PartStore


class KnownReturns:
    """Past returns of some funds, each month as known then; read when first asked for.

    Parameters
    ----------
    store : PartStore
    calendar : DecisionCalendar
    ids : sequence of str
        The funds to look at; one without any return has none here either.
    """

    def __init__(self, store: PartStore, calendar: DecisionCalendar, ids: Sequence[str]) -> None:
        self._store, self._calendar, self._ids = store, calendar, ids

    @cached_property
    def _history(self) -> History:
        return histories.fund_returns(self._store, self._calendar)

    @cached_property
    def _column(self) -> NDArray[np.int64]:
        place = {name: column for column, name in enumerate(self._history.ids)}
        return np.array([place.get(name, -1) for name in self._ids], dtype=np.int64)

    def __call__(self, month: Month, months: int) -> FloatArray:
        """Returns of the `months` months up to `month`, shape (months, N); NaN where missing."""
        values = self._history.as_of(month, months).values
        return np.where(self._column >= 0, values[:, self._column], np.nan)


@dataclass(frozen=True)
class SignalTable:
    """Universe, predictions and AUM of consecutive months, each as known in its own month.

    Attributes
    ----------
    months : tuple of Month, length M
        From the first month with predictions on.
    eligible : ndarray of bool, shape (M, N)
    aum : ndarray, shape (M, N)
    p_up : dict of str to ndarray of shape (M, N)
        By model; a model without any prediction is not in it.
    ids : tuple of str, length N
    history : KnownReturns
    by_seed : dict of str to dict of int to ndarray of shape (M, N)
        P(up) of each member of the models that average over several, by model and seed.
    """

    months: tuple[Month, ...]
    eligible: BoolArray
    aum: FloatArray
    p_up: dict[str, FloatArray]
    ids: tuple[str, ...]
    history: KnownReturns
    by_seed: dict[str, dict[int, FloatArray]] = field(default_factory=dict)

    def of(self, model: str | None) -> dict[Month, Signals]:
        """Signals by month; without predictions where `model` is None."""
        nothing = np.full(self.aum.shape, np.nan)
        p_up = nothing if model is None else self.p_up[model]
        return {
            month: Signals(month, self.eligible[k], p_up[k], self.aum[k], self.ids, self.history)
            for k, month in enumerate(self.months)
        }


def first_predicted(store: PartStore, through: Month) -> Month | None:
    """First month with a prediction of any model, up to `through`.

    Raises
    ------
    MissingPartError
        No predictions have been made up to there, not even empty ones.
    """
    manifests = [m for m in store.manifests("predictions") if Month.parse(m.key) <= through]
    if not manifests:
        raise MissingPartError(
            f"there are no predictions up to {through}",
            where="table predictions",
            remedy="run `finembed run` first: the backtest starts where the predictions do",
        )
    return next((Month.parse(m.key) for m in manifests if m.rows), None)


def read_signals(
    store: PartStore,
    first: Month,
    through: Month,
    ids: Sequence[str],
    models: Sequence[str],
    calendar: DecisionCalendar,
    *,
    seeds: bool = False,
) -> SignalTable:
    """Signals of the months from `first` to `through`.

    Parameters
    ----------
    store : PartStore
    first, through : Month
    ids : sequence of str
        Funds, sorted; others are left out.
    models : sequence of str
    calendar : DecisionCalendar
    seeds : bool
        Whether the members of averaged models are read too.

    Raises
    ------
    MissingPartError
        A month in between has not been built.
    """
    months = month_range(first, through)
    keys = [str(month) for month in months]
    columns = pl.DataFrame({"fund_id": list(ids)}, schema={"fund_id": pl.String})
    columns = columns.with_row_index("column")

    def placed(frame: pl.DataFrame) -> pl.DataFrame:
        row = month_ordinals(frame["month"].to_numpy()) - first.ordinal
        return frame.with_columns(row=pl.Series(row, dtype=pl.Int64)).join(
            columns, on="fund_id", how="inner"
        )

    shape = (len(months), len(ids))
    universe = placed(store.read_many("universe", keys))
    cell = universe["row"].to_numpy(), universe["column"].to_numpy()
    eligible, aum = np.zeros(shape, dtype=bool), np.full(shape, np.nan)
    eligible[cell] = universe["eligible"].to_numpy()
    aum[cell] = universe["last_aum"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    predictions = placed(
        store.read_many("predictions", keys).select("month", "fund_id", "model", "p_up")
    )

    def dense(rows: pl.DataFrame) -> FloatArray:
        values = np.full(shape, np.nan)
        values[rows["row"].to_numpy(), rows["column"].to_numpy()] = rows["p_up"].to_numpy()
        return values

    p_up = {
        model: dense(own)
        for model in models
        if not (own := predictions.filter(pl.col("model") == model)).is_empty()
    }
    by_seed: dict[str, dict[int, FloatArray]] = {}
    stored = sorted(set(keys).intersection(store.keys("seed_predictions"))) if seeds else []
    if stored:
        members = placed(store.read_many("seed_predictions", stored)).sort("model", "seed")
        for (model, seed), own in members.group_by("model", "seed", maintain_order=True):
            if model in p_up:
                by_seed.setdefault(str(model), {})[int(str(seed))] = dense(own)
    history = KnownReturns(store, calendar, ids)
    return SignalTable(tuple(months), eligible, aum, p_up, tuple(ids), history, by_seed)
