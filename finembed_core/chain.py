"""The chain of stages from observations to predictions, and the state that each part is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from finembed_core.calendar import Month, retraining_months
from finembed_core.errors import MissingPartError
from finembed_core.histories import ingested_months
from finembed_core.ingest.universe import universe_stage
from finembed_core.learning.samples import SampleReader
from finembed_core.learning.stage import model_table, prediction_stage, training_stage
from finembed_core.macro.stage import macro_stage
from finembed_core.polymodel.stage import PAIRS, pairs_stage, polymodel_stage
from finembed_core.progress import Progress, Silent
from finembed_core.settings import Settings
from finembed_core.stage import Stage
from finembed_core.store import PartStore

State = Literal["current", "stale", "missing"]


@dataclass(frozen=True)
class Link:
    """One stage and how its parts are keyed.

    Attributes
    ----------
    stage : Stage
    keyed_by : str
        ``month``; ``retraining``: the months at which a model is trained; ``kept``: the months of
        the settings' section `pairs`.
    """

    stage: Stage[Any]
    keyed_by: Literal["month", "retraining", "kept"] = "month"

    @property
    def dead_end(self) -> bool:
        """Whether nothing else is computed from it: it is kept to be looked at."""
        return self.keyed_by == "kept"

    def keys(self, months: Sequence[Month], settings: Settings) -> list[str]:
        """Keys of the parts that these months need."""
        if not months:
            return []
        if self.keyed_by == "month":
            return [str(month) for month in months]
        if self.keyed_by == "kept":
            return [str(m) for m in months if settings.pairs and settings.pairs.holds(str(m))]
        every = settings.learning.retrain_every
        return [str(month) for month in retraining_months(months[0], months[-1], every)]


@dataclass(frozen=True)
class LinkState:
    """Where a stage stands.

    Attributes
    ----------
    name : str
    keys : dict of str to State
    dead_end : bool
        Nothing else is computed from it.
    """

    name: str
    keys: dict[str, State]
    dead_end: bool = False

    @property
    def first_open(self) -> str | None:
        """First key that is not current."""
        return next((key for key, state in self.keys.items() if state != "current"), None)


def chain(store: PartStore, settings: Settings) -> dict[str, Link]:
    """All stages between observations and predictions by name, in the order of computation.

    The learning stages share a reader that reads each month once: take a new chain after
    features have been built.
    """
    reader = SampleReader(store, settings)
    training = {
        model_table(kind): Link(training_stage(store, settings, kind, reader), "retraining")
        for kind in settings.learning.models
    }
    pairs = settings.pairs
    return {
        "universe": Link(universe_stage(store, settings)),
        "macro_factors": Link(macro_stage(store, settings)),
        "polymodel_features": Link(polymodel_stage(store, settings)),
        **({PAIRS: Link(pairs_stage(store, settings, pairs), "kept")} if pairs else {}),
        **training,
        "predictions": Link(prediction_stage(store, settings, reader)),
    }


def decision_months(store: PartStore, through: Month | None = None) -> list[Month]:
    """Months that can be decided with what has been ingested, up to `through`.

    Raises
    ------
    MissingPartError
        `through` lies outside what the data cover.
    """
    months = ingested_months(store)
    if through is None:
        return months
    if not months or not months[0] <= through <= months[-1]:
        raise MissingPartError(
            f"there are no data for {through}",
            where=f"months in the store: {months[0]} to {months[-1]}" if months else "the store",
            remedy="ask for one of these months, or bring newer data and run again",
        )
    return [month for month in months if month <= through]


def chain_state(
    store: PartStore,
    settings: Settings,
    months: Sequence[Month],
    progress: Progress | None = None,
) -> list[LinkState]:
    """State of every part that these months need, computed from what stands in the store now.

    A part whose inputs cannot be gathered is missing; from the first open part of a stage on,
    later stages are at best stale, since their inputs are about to change.
    """
    progress = progress or Silent()
    links = chain(store, settings)
    states: list[LinkState] = []
    changed_from: Month | None = None
    for name, link in links.items():
        keys = link.keys(months, settings)
        progress.start(f"checking {name}", len(keys))
        found: dict[str, State] = {}
        for key in keys:
            found[key] = _part_state(link, store, key, changed_from)
            progress.advance(key)
        progress.finish()
        state = LinkState(name, found, link.dead_end)
        states.append(state)
        if state.first_open is not None and not link.dead_end:
            opened = Month.parse(state.first_open)
            changed_from = opened if changed_from is None else min(changed_from, opened)
    return states


def last_current_month(store: PartStore, settings: Settings) -> Month:
    """Last month up to which everything that predictions rest on is current.

    Raises
    ------
    MissingPartError
        Not even the first month is.
    """
    months = decision_months(store)
    states = chain_state(store, settings, months)
    opened = first_open_month([state for state in states if not state.dead_end])
    if not months or (opened is not None and opened <= months[0]):
        raise MissingPartError(
            "no month is current: there is nothing to backtest",
            where=str(store.root),
            remedy="run `finembed run`, or the job full_history",
        )
    return months[-1] if opened is None else opened - 1


def discard_foreign_parts(store: PartStore, settings: Settings) -> int:
    """Delete parts of months that the data or the settings no longer have; returns how many.

    A study that ends earlier or begins later than before must not keep what was made from the
    rest: its months would show in tables and backtests. Pair statistics that nobody asks for any
    more would fill the disk.
    """
    months = decision_months(store)
    wanted: dict[str, list[str]] = {PAIRS: []}
    for link in chain(store, settings).values():
        wanted |= dict.fromkeys(link.stage.tables, link.keys(months, settings))
    foreign = [(t, key) for t, keys in wanted.items() for key in set(store.keys(t)) - set(keys)]
    for table, key in foreign:
        store.delete(table, key)
    return len(foreign)


def _part_state(link: Link, store: PartStore, key: str, changed_from: Month | None) -> State:
    tables = link.stage.tables
    if any(store.manifest(table, key) is None for table in tables):
        return "missing"
    if changed_from is not None and Month.parse(key) >= changed_from:
        return "stale"
    try:
        return link.stage.state(store, key, link.stage.gather(key).digest())
    except MissingPartError:
        return "stale"


def first_open_month(states: Sequence[LinkState]) -> Month | None:
    """Earliest month with anything to do, or None when all is current."""
    opened = [Month.parse(state.first_open) for state in states if state.first_open is not None]
    return min(opened, default=None)
