"""Samples: for (month, fund) the look-back of every channel, as known in that month.

Channels in raw units, NaN where missing:

* features: PolyModel features of the fund, each month's value as computed in that month;
* own: the fund's trailing returns, log AUM and flows;
* factors: risk-factor returns, the same for all funds of a month;
* macro: macro factors, the whole look-back from the month's own fit, so that fits never mix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core import histories
from finembed_core.calendar import Month, month_range
from finembed_core.fingerprint import digest
from finembed_core.panel import History, Panel
from finembed_core.settings import Settings
from finembed_core.store import PartStore

Floats32 = NDArray[np.float32]
Indices = NDArray[np.int64]

FEATURES = ("sharpe", "mrar", "svar", "lta", "ltr", "lts", "best_score", "n_selected")
OWN = ("ret", "log_aum", "flow")
COMPUTED = ("sharpe", "mrar", "best_score")  # all null where the fund's window is too thin


@dataclass(frozen=True)
class SampleSet:
    """Samples of consecutive months; windows are cut from shared arrays when asked for.

    Attributes
    ----------
    first : int
        Ordinal of the first sample month.
    lookback : int
        Months per window, L.
    fund_ids : tuple of str, length N
    features : ndarray of float32, shape (M + L - 1, N, F)
        Values of the M sample months and the L - 1 before them.
    own : ndarray of float32, shape (n, L, 3)
    factor_ids : tuple of str, length J
    factors : ndarray of float32, shape (M, L, J)
    macro : ndarray of float32, shape (M, L, K)
    month_index, fund_index : ndarray of int64, shape (n,)
        Place of each sample in the M months and the N funds.
    """

    first: int
    lookback: int
    fund_ids: tuple[str, ...]
    features: Floats32
    own: Floats32
    factor_ids: tuple[str, ...]
    factors: Floats32
    macro: Floats32
    month_index: Indices
    fund_index: Indices

    def __len__(self) -> int:
        return len(self.month_index)

    @property
    def months(self) -> Indices:
        """Month ordinal of each sample, shape (n,)."""
        return self.month_index + self.first

    @property
    def funds(self) -> NDArray[np.str_]:
        """Fund of each sample, shape (n,)."""
        return np.array(self.fund_ids, dtype=np.str_)[self.fund_index]

    @property
    def latest_return(self) -> Floats32:
        """Return of the sample's own month, shape (n,); NaN where it was not known yet."""
        return self.own[:, -1, OWN.index("ret")]

    def take(self, rows: Indices) -> SampleSet:
        """These samples; the shared arrays stay shared."""
        return replace(
            self,
            own=self.own[rows],
            month_index=self.month_index[rows],
            fund_index=self.fund_index[rows],
        )

    def feature_windows(self, rows: Indices) -> Floats32:
        """Windows of the features of these samples, shape (len(rows), L, F)."""
        steps = self.month_index[rows, None] + np.arange(self.lookback)
        return self.features[steps, self.fund_index[rows, None]]

    def digest(self) -> str:
        """Hash of every value."""
        return digest(self)


@dataclass(frozen=True)
class _Block:
    """One month's share of the samples."""

    fund_ids: NDArray[np.str_]  # (n,)
    own: Floats32  # (n, L, 3)
    factors: Floats32  # (L, J of the whole history)
    macro: Floats32  # (L, K)


class SampleReader:
    """Reads samples from the store on first use; each month is read once.

    Stages that run after each other on an unchanged store share one; after features have been
    built again, take a new one.

    Parameters
    ----------
    store : PartStore
    settings : Settings
    """

    def __init__(self, store: PartStore, settings: Settings) -> None:
        self._store = store
        self._lookback = settings.learning.lookback
        self._calendar = settings.dataset.calendar
        macro = settings.macro
        count = macro.n_components if macro.rule == "fixed" else macro.max_components
        self._macro_names = tuple(f"F{k}" for k in range(1, count + 1))
        self._blocks: dict[Month, _Block] = {}
        self._features: dict[Month, tuple[NDArray[np.str_], Floats32]] = {}

    @cached_property
    def fund_returns(self) -> History:
        """Returns of the funds, as they became known."""
        return histories.fund_returns(self._store, self._calendar)

    @cached_property
    def _aum(self) -> History:
        return histories.fund_aum(self._store, self._calendar)

    @cached_property
    def _factors(self) -> History:
        return histories.risk_factors(self._store, self._calendar)

    @cached_property
    def first_month(self) -> Month | None:
        """First month that has features at all."""
        months = histories.ingested_months(self._store)
        return months[0] if months else None

    def read(self, first: Month, last: Month) -> SampleSet:
        """Samples of all funds with enough history, month by month, funds in order.

        Raises
        ------
        MissingPartError
            A month's features or macro factors have not been built.
        """
        months = month_range(first, last)
        blocks = [self._block(month) for month in months]
        names = [block.fund_ids for block in blocks]
        fund_ids, fund_index = np.unique(np.concatenate(names), return_inverse=True)
        sizes = [len(n) for n in names]
        factors = np.stack([block.factors for block in blocks])
        seen = ~np.isnan(factors).all(axis=(0, 1))  # series born later must leave no trace
        return SampleSet(
            first=first.ordinal,
            lookback=self._lookback,
            fund_ids=tuple(fund_ids.tolist()),
            features=self._feature_cube(month_range(first - (self._lookback - 1), last), fund_ids),
            own=np.concatenate([block.own for block in blocks]),
            factor_ids=tuple(np.array(self._factors.ids, dtype=object)[seen].tolist()),
            factors=factors[:, :, seen],
            macro=np.stack([block.macro for block in blocks]),
            month_index=np.repeat(np.arange(len(months)), sizes),
            fund_index=fund_index.astype(np.int64),
        )

    def _feature_cube(self, months: list[Month], fund_ids: NDArray[np.str_]) -> Floats32:
        cube = np.full((len(months), len(fund_ids), len(FEATURES)), np.nan, dtype=np.float32)
        for row, month in enumerate(months):
            names, values = self._feature_part(month)
            _, place, own = np.intersect1d(fund_ids, names, True, return_indices=True)
            cube[row, place] = values[own]
        return cube

    def _feature_part(self, month: Month) -> tuple[NDArray[np.str_], Floats32]:
        """Funds and features of a month; none before the first month of the data set."""
        if self.first_month is None or month < self.first_month:
            return np.empty(0, dtype=np.str_), np.empty((0, len(FEATURES)), np.float32)
        if month not in self._features:
            frame = self._store.read("polymodel_features", str(month))
            self._features[month] = _feature_values(frame)
        return self._features[month]

    def _block(self, month: Month) -> _Block:
        if month not in self._blocks:
            self._blocks[month] = self._build(month)
        return self._blocks[month]

    def _build(self, month: Month) -> _Block:
        names, values = self._feature_part(month)
        computed = [FEATURES.index(name) for name in COMPUTED]
        sampled = ~np.isnan(values[:, computed]).all(axis=1)
        factors = self._factors.as_of(month, self._lookback)
        return _Block(
            fund_ids=names[sampled],
            own=self._own_windows(month, names[sampled]),
            factors=factors.values.astype(np.float32),
            macro=self._macro_window(month),
        )

    def _own_windows(self, month: Month, fund_ids: NDArray[np.str_]) -> Floats32:
        """Trailing returns, log AUM, and flows AUM_t / AUM_{t-1} - (1 + r_t)."""
        returns = _columns(self.fund_returns, month, self._lookback, fund_ids)  # (L, n)
        aum = _columns(self._aum, month, self._lookback + 1, fund_ids)  # (L + 1, n)
        aum = np.where(aum > 0, aum, np.nan)
        flow = aum[1:] / aum[:-1] - (1 + returns)
        own = np.stack([returns, np.log(aum[1:]), flow], axis=2)  # (L, n, 3)
        return own.transpose(1, 0, 2).astype(np.float32)

    def _macro_window(self, month: Month) -> Floats32:
        names, months = self._macro_names, self._lookback
        if self.first_month is None or month < self.first_month:
            return np.full((months, len(names)), np.nan, dtype=np.float32)
        frame = self._store.read("macro_factors", str(month))
        panel = Panel.from_long(frame, id="factor", value="value")
        return panel.select(names).window(month, months).values.astype(np.float32)


def _columns(history: History, month: Month, months: int, ids: NDArray[np.str_]):
    return history.as_of(month, months).select(ids.tolist()).values


def _feature_values(frame: pl.DataFrame) -> tuple[NDArray[np.str_], Floats32]:
    tested = pl.col("best_score").is_not_null()  # a count of selections is 0 otherwise, not null
    frame = frame.sort("fund_id").with_columns(n_selected=pl.when(tested).then("n_selected"))
    columns = [frame[name].cast(pl.Float32).fill_null(np.nan).to_numpy() for name in FEATURES]
    values = np.stack(columns, axis=1)
    return frame["fund_id"].to_numpy().astype(np.str_), np.where(
        np.isfinite(values), values, np.nan
    )
