"""Ten analysts query the warehouse while it is published twenty times, each time with other rows.

Every row of a state holds its number: a fund's name, each return, each series value. An answer in
which two numbers meet would be torn from two states; one older than an answer before it, stale.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from finembed_core.calendar import Month, month_range
from finembed_core.settings import Settings
from finembed_core.store import PartStore
from finembed_core.warehouse.publish import publish
from finembed_core.warehouse.query import query

READERS, PUBLICATIONS, FUNDS, MONTHS = 10, 20, 10_000, 60
FIRST = Month.parse("2000-01")
PAUSE = 0.5  # seconds between publications
KEPT_FOR = 7  # answers for which an analyst keeps a connection open
QUESTIONS = {
    "light": """
        SELECT min(name)::INT, max(name)::INT, (SELECT max(value)::INT FROM series_observations)
        FROM funds
    """,
    "heavy": """
        WITH ranked AS (
            SELECT ret, name, row_number() OVER (PARTITION BY date ORDER BY fund_id) AS n
            FROM fund_observations JOIN funds USING (fund_id)
        )
        SELECT min(ret)::INT, max(ret)::INT, min(name)::INT, max(name)::INT
        FROM ranked HAVING sum(ret / n) > 0
    """,
}
Answer = Callable[[str], tuple]


@dataclass
class Seen:
    """What one reader has to tell.

    Attributes
    ----------
    kind : str
        How it asks.
    seconds : dict of str to list of float
        By question.
    states : list of int
        One per answer that named one state alone, in order.
    errors : list of str
        Failures, torn and stale answers.
    """

    kind: str
    seconds: dict[str, list[float]] = field(
        default_factory=lambda: {name: [] for name in QUESTIONS}
    )
    states: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def readers(number=READERS, publications=PUBLICATIONS, funds=FUNDS, months=MONTHS):
    """Publish alone, then among readers; print and return what they saw and the seconds.

    Raises
    ------
    SystemExit
        An error, a torn or a stale answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, store = Path(folder) / "warehouse.duckdb", PartStore(Path(folder) / "store")
        states = count(1)
        alone = [_publish_state(store, path, next(states), funds, months) for _ in range(3)]
        stop = Path(folder) / "stop"
        tasks = [
            (path, stop, Path(folder) / f"{k}.reads", list(WAYS)[k % len(WAYS)])
            for k in range(number)
        ]
        with multiprocessing.get_context("spawn").Pool(number) as pool:
            asked = pool.starmap_async(read, tasks)
            while not asked.ready() and len(list(Path(folder).glob("*.reads"))) < number:
                time.sleep(0.1)
            among = []
            for _ in range(publications):
                among.append(_publish_state(store, path, next(states), funds, months))
                time.sleep(PAUSE)
            stop.touch()
            seen = asked.get()
            pool.close()
            pool.join()
        rest = [file.name for file in Path(folder).glob("*.building*")]
    _show(seen, alone, among, funds * months)
    errors = [error for own in seen for error in own.errors]
    if errors or rest or not all(own.states for own in seen):
        raise SystemExit(f"{len(errors)} errors, the first {errors[:1]}; left behind: {rest}")
    return seen, alone, among


def _publish_state(store: PartStore, path: Path, state: int, funds: int, months: int) -> float:
    """Write every part anew and publish; seconds of the publication."""
    names = [f"fund{k:05d}" for k in range(funds)]
    for month in month_range(FIRST, FIRST + (months - 1)):
        dated = {"date": month.end, "available_at": month.end, "assumed": True}
        key = str(month)
        seen = pl.DataFrame({"fund_id": names, "ret": [float(state)] * funds})
        store.write(
            "fund_observations", key, seen.with_columns(**dated, aum=None, source=pl.lit("load"))
        )
        value = pl.DataFrame({"series_id": ["MKT"], "value": [float(state)]})
        vintage = pl.lit(None, pl.Date)
        store.write("series_observations", key, value.with_columns(**dated, vintage=vintage))
    described = pl.DataFrame({"fund_id": names, "name": [str(state)] * funds})
    store.write("funds", "all", described)
    start = time.perf_counter()
    report = publish(store, path, Settings())
    seconds = time.perf_counter() - start
    assert not report.skipped, "nothing was published"
    return seconds


def read(path: Path, stop: Path, reads: Path, kind: str) -> Seen:
    """Ask until the file `stop` is there; the file `reads` tells of the first answer."""
    seen = Seen(kind)
    for name, answer in zip(_questions(), WAYS[kind](path), strict=False):
        if stop.exists():
            break
        start = time.perf_counter()
        try:
            found = set(answer(QUESTIONS[name]))
        except Exception as error:  # whatever an analyst would see
            seen.errors.append(f"{kind}: {type(error).__name__}: {error}")
            continue
        seen.seconds[name].append(time.perf_counter() - start)
        if len(found) > 1:
            seen.errors.append(f"{kind}: torn between states {sorted(found)}")
        elif seen.states and max(found) < seen.states[-1]:
            seen.errors.append(f"{kind}: {found} after state {seen.states[-1]}")
        seen.states.append(max(found))
        reads.touch()
    return seen


def _questions() -> Iterator[str]:
    while True:
        yield from ("light", "light", "heavy")


def _through_finembed(path: Path) -> Iterator[Answer]:
    while True:
        yield lambda sql: query(path, sql).row(0)


def _reopened(path: Path) -> Iterator[Answer]:
    def answer(sql: str) -> tuple:
        with _opened(path) as connection:
            return connection.execute(sql).fetchall()[0]

    while True:
        yield answer


def _kept_open(path: Path) -> Iterator[Answer]:
    """One connection for some questions: all of them see the state it was opened on."""
    while True:
        with _opened(path) as connection:
            for _ in range(KEPT_FOR):
                yield lambda sql: connection.execute(sql).fetchall()[0]


def _opened(path: Path) -> duckdb.DuckDBPyConnection:
    """As an analyst opens it, without bars of progress."""
    connection = duckdb.connect(str(path), read_only=True)
    return connection.execute("SET enable_progress_bar = false")


WAYS = {
    "finembed query": _through_finembed,
    "reopened": _reopened,
    "kept open": _kept_open,
}


def _show(seen: list[Seen], alone: list[float], among: list[float], rows: int) -> None:
    states = {state for own in seen for state in own.states}
    print(f"{rows:,} rows, {len(among)} publications, {len(states)} states seen")
    print(
        "\n| readers | question | answers | median s | 95% | most | errors |\n" + "|---" * 7 + "|"
    )
    for kind in WAYS:
        own = [one for one in seen if one.kind == kind]
        for name in QUESTIONS if own else ():
            took = np.array([s for one in own for s in one.seconds[name]] or [np.nan])
            low, high = np.quantile(took, [0.5, 0.95])
            errors = sum(len(one.errors) for one in own)
            print(
                f"| {len(own)} {kind} | {name} | {took.size:,} | {low:.3f} | {high:.3f} | "
                f"{took.max():.3f} | {errors} |"
            )
    print(
        f"\npublication: median {np.median(alone):.2f} s alone, {np.median(among):.2f} s "
        f"(most {max(among):.2f}) among the readers"
    )
