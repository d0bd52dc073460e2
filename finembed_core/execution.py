"""Map a pure function over work items: here, over processes or Ray, with the same bytes out."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from multiprocessing.connection import wait
from threading import Thread
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from finembed_core.errors import FinembedError
from finembed_core.execution_ray import Submit, load_ray, ray_workers
from finembed_core.settings import ExecutionSettings

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2  # items in flight per worker: enough to keep it busy, little enough to stay small


@dataclass(frozen=True)
class _Fault:
    """What went wrong in drawing the next item; its turn comes after the items before it."""

    error: Exception


def map_items(
    function: Callable[[Item], Result], items: Iterable[Item], settings: ExecutionSettings
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`.

    Items are drawn lazily. Serially an item is drawn only after the previous result was
    consumed, so it may depend on it. Every item computes with one thread, in this process or in
    a worker, so that sums are taken in the same order and results are identical to the bit.

    An exception, of `function` or of `items`, comes in the place of its item: the results before
    it have been yielded, those after it are dropped.

    Parameters
    ----------
    function : callable
        Pure; picklable unless ``settings.mode`` is ``serial``.
    items : iterable
    settings : ExecutionSettings
        Mode and number of workers.

    Raises
    ------
    FinembedError
        A worker process ended in the middle of its work or ran out of memory, or there is no Ray
        to be used.
    """
    if settings.mode == "ray":
        load_ray()  # whether it is installed should not depend on how many items are stale
    if settings.mode == "serial" or settings.workers == 1:
        yield from _serially(function, items)
        return
    drawn = _drawn(items)
    first = list(islice(drawn, 2))
    if len(first) < 2:  # a process would cost more than it saves
        yield from _serially(function, map(_item, first))
        return
    work = partial(_on_one_thread, function)
    spread = ray_workers if settings.mode == "ray" else _processes
    try:
        with spread(work, settings.workers) as submit:
            yield from _in_order(submit, chain(first, drawn), settings.workers * AHEAD)
    except (BrokenExecutor, MemoryError) as error:
        starved = isinstance(error, MemoryError)
        raise FinembedError(
            "memory ran out" if starved else "a worker process ended in the middle of its work",
            where=f"execution.mode {settings.mode}, {settings.workers} workers",
            remedy="often memory runs out: lower execution.workers or set execution.mode to"
            " serial; run again to go on from the last finished part",
        ) from None


@contextmanager
def _processes(function: Callable[[Any], Any], workers: int) -> Iterator[Submit]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _end_with_parent) as pool:
        try:
            yield lambda item: pool.submit(function, item).result
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Watch the parent from a worker: one that is killed cannot tell its workers to end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_outlive_by_nothing, args=(parent.sentinel,), daemon=True).start()


def _outlive_by_nothing(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _in_order(submit: Submit, drawn: Iterator[Any], ahead: int) -> Iterator[Any]:
    """Have `ahead` items with the workers, and wait for each in its turn."""

    def submitted(count: int) -> Iterator[Callable[[], Any]]:
        for each in islice(drawn, count):
            try:
                yield submit(_item(each))
            except Exception as error:
                yield partial(_item, _Fault(error))

    flight = deque(submitted(ahead))
    while flight:
        result = flight.popleft()()
        flight.extend(submitted(1))
        yield result


def _drawn(items: Iterable[Item]) -> Iterator[Item | _Fault]:
    try:
        yield from items
    except Exception as error:
        yield _Fault(error)


def _item(drawn: Item | _Fault) -> Item:
    if isinstance(drawn, _Fault):
        raise drawn.error
    return drawn


def _serially(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    for item in items:
        result = _on_one_thread(function, item)
        yield result


def _on_one_thread(function: Callable[[Item], Result], item: Item) -> Result:
    """Limit libraries that are loaded by now; in a worker `function` has brought its own."""
    with threadpool_limits(1):
        return function(item)
