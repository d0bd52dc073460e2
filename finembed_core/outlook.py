"""What a run would do now: the source read again, and every part that rests on it.

Nothing is written into the store: an ingest goes into a scratch store whose other tables are links
to those that stand, and the chain is asked for its state there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from finembed_core.calendar import Month
from finembed_core.chain import LinkState, chain_state, decision_months, first_open_month
from finembed_core.embeddings.text import TABLE as TEXTS
from finembed_core.embeddings.text import text_stage
from finembed_core.ingest.changes import Changes, changes
from finembed_core.ingest.parts import DAILY, MONTHLY, WHOLE, Ingested, write
from finembed_core.ingest.stage import brought
from finembed_core.progress import Progress, Silent
from finembed_core.settings import Settings
from finembed_core.stage import build
from finembed_core.store import PartStore


@dataclass(frozen=True)
class Outlook:
    """What has changed at the source, and what that would change.

    Attributes
    ----------
    changes : Changes
    states : list of LinkState
        Of the chain after the source has been read again; empty where it says what the store holds.
        Stages up to the first that is stale are exact; what rests on it is stale from that month
        on: some of it may turn out to be as it was.
    decided_anew : Month or None
        First month whose decision may change; None where none may.
    """

    changes: Changes
    states: list[LinkState]
    decided_anew: Month | None


def outlook(store: PartStore, settings: Settings, progress: Progress | None = None) -> Outlook:
    """Read the source and say what a run would find stale; writes nothing into the store.

    Raises
    ------
    InputError
        The source cannot be read, or breaks its contract.
    MissingPartError
        Nothing has been ingested.
    """
    found = brought(settings)
    differing = changes(store, found)
    if not differing.parts:
        return Outlook(differing, [], None)
    with _after_ingest(store, settings, found) as scratch:
        months = decision_months(scratch)
        states = chain_state(scratch, settings, months, progress)
    return Outlook(differing, states, _decided_anew(differing, states, months))


def _decided_anew(differing: Changes, states: list[LinkState], months: list[Month]) -> Month | None:
    """The first month that knows a changed value, or that rests on a part that is open."""
    opened = first_open_month([state for state in states if not state.dead_end])
    keys = differing.values.drop_nulls("counts_from")["counts_from"]
    touched = [Month.parse(key) for key in keys.unique()]
    undated = differing.values.height > len(keys)  # attributes count from dates of their own
    touched += [months[0]] if undated else []
    touched += [opened] if opened else []
    return max(min(touched), months[0]) if touched else None


@contextmanager
def _after_ingest(store: PartStore, settings: Settings, found: Ingested) -> Iterator[PartStore]:
    """The store as it would stand after an ingest, in a folder that goes again."""
    read_anew = {*WHOLE, *MONTHLY, *DAILY, TEXTS}
    with TemporaryDirectory(prefix="finembed-") as folder:
        scratch = PartStore(Path(folder))
        for table in store.root.resolve().iterdir():
            place = scratch.root / table.name
            if table.name not in read_anew:
                place.symlink_to(table)
                continue
            place.mkdir()
            for file in table.iterdir():
                (place / file.name).symlink_to(file)
        write(scratch, found, Silent())
        if TEXTS in store.tables():
            list(build(text_stage(scratch), ["all"], scratch))
        yield scratch
