"""The PolyModel stages: a month's features, and pair statistics where they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cached_property, partial

import numpy as np
import polars as pl

from finembed_core import histories
from finembed_core.calendar import Month
from finembed_core.errors import SettingsError
from finembed_core.panel import History, Panel
from finembed_core.polymodel.features import MonthInputs, polymodel_features
from finembed_core.polymodel.history import SortedHistories
from finembed_core.polymodel.pair_table import pair_table
from finembed_core.settings import (
    ExecutionSettings,
    PairChoice,
    PairsSettings,
    PolyModelSettings,
    Settings,
)
from finembed_core.stage import Output, Stage
from finembed_core.store import PartStore

FEATURES, SELECTED = "polymodel_features", "polymodel_selected"
EXCLUDED, PAIRS = "polymodel_excluded", "polymodel_pairs"
MACRO_PREFIX = "macro_"  # macro factor F1 as a risk factor is macro_F1
LATE = "_lag"  # factor SMB of the month before is SMB_lag1
MODULES = tuple(
    f"finembed_core.polymodel.{name}"
    for name in (
        *("adaptive", "basis", "columns", "device", "features", "fit", "history", "longterm"),
        *("pair_table", "pairs", "performance", "permutation_moments", "selection", "shuffling"),
        *("significance", "stage", "stress"),
    )
)
"""What the stages compute with; a change of the rest of the room makes none of them stale."""


def polymodel_stage(store: PartStore, settings: Settings) -> Stage[MonthInputs]:
    """Stage that writes features, selected pairs and excluded factors, one part each per month."""
    return Stage(
        name="polymodel",
        tables=(FEATURES, SELECTED, EXCLUDED),
        sections=(settings.polymodel,),
        modules=MODULES,
        gather=InformationSets(store, settings).gather,
        compute=partial(compute, settings=settings.polymodel, execution=settings.execution),
        spread=True,
    )


def compute(
    inputs: MonthInputs, settings: PolyModelSettings, execution: ExecutionSettings
) -> Mapping[str, Output]:
    """Features, selected pairs and excluded factors of one month."""
    result = polymodel_features(inputs, settings, execution)
    reasons = result.features["reason"].value_counts().sort("reason").rows()
    notes = {
        "funds": result.features.height,
        "reasons": {reason: count for reason, count in reasons if reason},
        "excluded_factors": {code: len(ids) for code, ids in result.excluded_factors.items()},
    }
    excluded = [(i, code) for code, ids in result.excluded_factors.items() for i in ids]
    return {
        FEATURES: Output(result.features, notes=notes),
        SELECTED: Output(result.selected),
        EXCLUDED: Output(
            pl.DataFrame(
                sorted(excluded),
                schema={"factor_id": pl.String, "reason": pl.String},
                orient="row",
            ).select(pl.lit(inputs.month.end).alias("month"), "factor_id", "reason")
        ),
    }


def pairs_stage(store: PartStore, settings: Settings, pairs: PairsSettings) -> Stage[MonthInputs]:
    """Stage that writes pair statistics, from the information sets that features are made from."""
    information = InformationSets(store, settings)

    def gather(key: str) -> MonthInputs:
        information.require_known(pairs)
        return information.gather(key)

    return Stage(
        name="pairs",
        tables=(PAIRS,),
        sections=(settings.polymodel, pairs.choice),
        modules=MODULES,
        gather=gather,
        compute=partial(
            compute_pairs,
            settings=settings.polymodel,
            choice=pairs.choice,
            execution=settings.execution,
        ),
        spread=True,
    )


def compute_pairs(
    inputs: MonthInputs,
    settings: PolyModelSettings,
    choice: PairChoice,
    execution: ExecutionSettings,
) -> Mapping[str, Output]:
    """Pair statistics of one month."""
    return {PAIRS: Output(pair_table(inputs, settings, choice, execution))}


class InformationSets:
    """Reads the store once, on first use, and cuts each month's information set from it."""

    def __init__(self, store: PartStore, settings: Settings) -> None:
        self._store = store
        self._calendar = settings.dataset.calendar
        self._settings = settings.polymodel

    @cached_property
    def _histories(self) -> SortedHistories:
        return SortedHistories(self._settings)

    @cached_property
    def _funds(self) -> History:
        return histories.fund_returns(self._store, self._calendar)

    @cached_property
    def _factors(self) -> History:
        return histories.risk_factors(self._store, self._calendar)

    @cached_property
    def _cash(self) -> History | None:
        return histories.risk_free(self._store, self._calendar)

    def gather(self, key: str) -> MonthInputs:
        """Inputs of one month, ``YYYY-MM``; nothing that was never observed by then is in them.

        Raises
        ------
        MissingPartError
            Nothing has been ingested, or the month's macro factors are wanted and not built.
        """
        month, window = Month.parse(key), self._settings.window
        funds = _observed(self._funds.as_of(month, window)).window(month, window)
        cash = None if self._cash is None else self._cash.as_of(month, window)
        risk_free = np.zeros(window) if cash is None else cash.values[:, 0]
        factors = self._risk_factors(month)
        history = self._histories.summarize(factors)
        return MonthInputs(month, funds, risk_free, factors.window(month, window), history)

    def require_known(self, choice: PairChoice) -> None:
        """Refuse names that no month has; one that only some months have is none of them.

        Raises
        ------
        SettingsError
        """
        if choice.funds:
            _refuse_unknown("funds", choice.funds, self._funds.ids)
        if choice.factors:
            _refuse_unknown("factors", choice.factors, self._factor_names)

    @cached_property
    def _factor_names(self) -> list[str]:
        names = list(self._factors.ids)
        if self._settings.macro_factors_as_risk_factors:
            macro = self._store.read_many("macro_factors")["factor"].unique().sort()
            names += [MACRO_PREFIX + name for name in macro]
        lags = range(1, self._settings.factor_lags + 1)
        return names + [f"{name}{LATE}{lag}" for lag in lags for name in names]

    def _risk_factors(self, month: Month) -> Panel:
        """Whole histories of all risk factors, with those of the lags."""
        panels = [self._factors.as_of(month)]
        if self._settings.macro_factors_as_risk_factors:
            rows = self._store.read("macro_factors", str(month))
            named = rows.with_columns(factor=MACRO_PREFIX + pl.col("factor"))
            panels.append(Panel.from_long(named, id="factor", value="value").as_of(month.end))
        panels = [_observed(panel) for panel in panels]
        starts = [Month.of(panel.dates[0].item()) for panel in panels if len(panel.ids)]
        length = max([self._settings.window, *(month - start + 1 for start in starts)])
        panels = [panel.window(month, length) for panel in panels]
        panels += [
            _late(panel, lag)
            for lag in range(1, self._settings.factor_lags + 1)
            for panel in panels
        ]
        return Panel(
            panels[0].dates,
            tuple(name for panel in panels for name in panel.ids),
            np.concatenate([panel.values for panel in panels], axis=1),
        )


def _late(panel: Panel, lag: int) -> Panel:
    """What a fund that reacts `lag` months late sees of these factors: those of then, now."""
    values = np.full_like(panel.values, np.nan)
    values[lag:] = panel.values[:-lag]
    return Panel(panel.dates, tuple(f"{name}{LATE}{lag}" for name in panel.ids), values)


def _refuse_unknown(what: str, chosen: list[str], known: Iterable[str]) -> None:
    known = sorted(known)
    unknown = sorted(set(chosen).difference(known))
    if unknown:
        like = ", ".join([*get_close_matches(unknown[0], known, cutoff=0.0), "..."])
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise SettingsError(
            f"there are no {what} called {unknown[0]}{more} in the data",
            where=f"settings, pairs.{what}",
            remedy=f"write the names as the data do ({like}), or null for all",
        )


def _observed(panel: Panel) -> Panel:
    """Without the ids that were never observed and the months before the first observation."""
    seen = np.isfinite(panel.values)
    columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
    first = rows[0] if len(rows) else len(panel.dates)
    ids = tuple(panel.ids[k] for k in columns)
    return Panel(panel.dates[first:], ids, panel.values[first:, columns])
