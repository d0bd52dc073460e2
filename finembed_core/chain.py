"""The chain of stages from observations to predictions, and the state that each part is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from finembed_core.calendar import Month, retraining_months
from finembed_core.embeddings.description import description_stage
from finembed_core.embeddings.evaluation.study import KEY, evaluation_stage
from finembed_core.embeddings.information_set import InformationReader
from finembed_core.embeddings.stages import embedding_stage, encoder_stage
from finembed_core.embeddings.stages import prediction_stage as fund_prediction_stage
from finembed_core.embeddings.tables import EMBEDDINGS, EXCLUSIONS
from finembed_core.embeddings.tables import PREDICTIONS as FUND_PREDICTIONS
from finembed_core.embeddings.tables import model_table as fund_model_table
from finembed_core.errors import MissingPartError
from finembed_core.histories import ingested_months
from finembed_core.ingest.universe import universe_stage
from finembed_core.learning.samples import SampleReader
from finembed_core.learning.stage import model_table, prediction_stage, training_stage
from finembed_core.macro.stage import macro_stage
from finembed_core.polymodel.stage import PAIRS, pairs_stage, polymodel_stage
from finembed_core.progress import Progress, Silent
from finembed_core.settings import ENCODERS, Settings
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
        ``month``; ``retraining``: the months at which a trend model is trained; ``kept``: the
        months of the settings' section `pairs`; ``decision``: the months that hold a decision
        about the daily panel.
    branch : str
        What is computed beside the chain that portfolios rest on; empty for that chain itself.
    leaf : bool
        Whether no other link reads its parts.
    reader : InformationReader or None
        Knows the decisions.
    """

    stage: Stage[Any]
    keyed_by: Literal["month", "retraining", "kept", "decision"] = "month"
    branch: Literal["", "pairs", "embeddings"] = ""
    leaf: bool = False
    reader: InformationReader | None = None

    @property
    def dead_end(self) -> bool:
        """Whether no portfolio of the chain rests on it."""
        return self.branch != ""

    def keys(self, months: Sequence[Month], settings: Settings) -> list[str]:
        """Keys of the parts that these months need."""
        if not months:
            return []
        if self.keyed_by == "month":
            return [str(month) for month in months]
        if self.keyed_by == "kept":
            return [str(m) for m in months if settings.pairs and settings.pairs.holds(str(m))]
        if self.keyed_by == "decision":
            decided = self.reader.decision_months if self.reader else []
            return [str(month) for month in decided if months[0] <= month <= months[-1]]
        every = settings.learning.retrain_every
        return [str(month) for month in retraining_months(months[0], months[-1], every)]


@dataclass(frozen=True)
class LinkState:
    """Where a stage stands.

    Attributes
    ----------
    name : str
    keys : dict of str to State
    keyed_by : str
        What one of them stands for: as in `Link`, or ``whole``.
    dead_end : bool
        No portfolio of the chain rests on it.
    """

    name: str
    keys: dict[str, State]
    keyed_by: str = "month"
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
    return {
        "universe": Link(universe_stage(store, settings), leaf=True),
        "macro_factors": Link(macro_stage(store, settings)),
        "polymodel_features": Link(polymodel_stage(store, settings)),
        **_pairs_link(store, settings),
        **training,
        "predictions": Link(prediction_stage(store, settings, reader)),
        **(_embedding_links(store, settings) if settings.embeds else {}),
    }


def _pairs_link(store: PartStore, settings: Settings) -> dict[str, Link]:
    """Pair statistics, where any are kept."""
    pairs = settings.pairs
    if pairs is None:
        return {}
    return {PAIRS: Link(pairs_stage(store, settings, pairs), "kept", "pairs", leaf=True)}


def _embedding_links(store: PartStore, settings: Settings) -> dict[str, Link]:
    """Stages from the daily panel to embeddings and what is predicted from them."""
    reader = InformationReader(store, settings)
    at_decision = partial(Link, keyed_by="decision", branch="embeddings", reader=reader)
    return {
        **{
            fund_model_table(name): at_decision(encoder_stage(store, settings, name, reader))
            for name in settings.embeddings.encoders
        },
        FUND_PREDICTIONS: at_decision(fund_prediction_stage(store, settings, reader), leaf=True),
        EMBEDDINGS: Link(embedding_stage(store, settings, reader), branch="embeddings", leaf=True),
    }


def study_stages(
    store: PartStore, settings: Settings, progress: Progress | None = None
) -> list[tuple[Stage[Any], list[str]]]:
    """What is made of the decisions about the daily panel when all of them stand, with its keys.

    These parts belong to no month; the evaluations are the last.
    """
    described = description_stage(store, settings, InformationReader(store, settings))
    evaluated = evaluation_stage(store, settings, progress)
    return [(described, [*settings.embeddings.encoders]), (evaluated, [KEY])]


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

    From the first open part of a stage on, later stages that may rest on it are at best stale,
    since their inputs are about to change.
    """
    progress = progress or Silent()
    states: list[LinkState] = []
    changed_from: dict[str, Month] = {}  # by branch; what the chain itself changes concerns all
    for name, link in chain(store, settings).items():
        keys = link.keys(months, settings)
        changed = min(
            (changed_from[b] for b in {"", link.branch} & set(changed_from)), default=None
        )
        progress.start(f"checking {name}", len(keys))
        found: dict[str, State] = {}
        for key in keys:
            changing = changed is not None and Month.parse(key) >= changed
            found[key] = part_state(link.stage, store, key, changing=changing)
            progress.advance(key)
        progress.finish()
        state = LinkState(name, found, link.keyed_by, link.dead_end)
        states.append(state)
        if state.first_open is not None and not link.leaf:
            opened = Month.parse(state.first_open)
            changed_from[link.branch] = min(opened, changed_from.get(link.branch, opened))
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
    rest: its months would show in tables and backtests. Pair statistics and embeddings that nobody
    asks for any more would fill the disk, and what was said of them would be published.
    """
    months = decision_months(store)
    unasked = (PAIRS, EMBEDDINGS, EXCLUSIONS, FUND_PREDICTIONS, *map(fund_model_table, ENCODERS))
    wanted: dict[str, list[str]] = {table: [] for table in unasked}
    for link in chain(store, settings).values():
        wanted |= dict.fromkeys(link.stage.tables, link.keys(months, settings))
    for stage, keys in study_stages(store, settings):
        wanted |= dict.fromkeys(stage.tables, keys if settings.embeds else [])
    foreign = [(t, key) for t, keys in wanted.items() for key in set(store.keys(t)) - set(keys)]
    for table, key in foreign:
        store.delete(table, key)
    return len(foreign)


def part_state(stage: Stage[Any], store: PartStore, key: str, *, changing: bool = False) -> State:
    """State of the parts of a key; stale where their inputs are changing or not all there."""
    if any(store.manifest(table, key) is None for table in stage.tables):
        return "missing"
    if changing:
        return "stale"
    try:
        return stage.state(store, key, stage.gather(key).digest())
    except MissingPartError:
        return "stale"


def first_open_month(states: Sequence[LinkState]) -> Month | None:
    """Earliest month with anything to do, or None when all is current."""
    opened = [Month.parse(state.first_open) for state in states if state.first_open is not None]
    return min(opened, default=None)
