"""Map a pure function over work items: serially or over processes, with the same bytes out."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from typing import TypeVar

from threadpoolctl import threadpool_limits

from finembed_core.settings import ExecutionSettings

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2  # items in flight per worker: enough to keep it busy, little enough to stay small


def map_items(
    function: Callable[[Item], Result], items: Iterable[Item], settings: ExecutionSettings
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`.

    Items are drawn lazily. Serially an item is drawn only after the previous result was
    consumed, so it may depend on it. Every item computes with one thread, in this process or in
    a worker, so that sums are taken in the same order and results are identical to the bit.

    Parameters
    ----------
    function : callable
        Pure; picklable when ``settings.mode`` is ``processes``.
    items : iterable
    settings : ExecutionSettings
        Mode and number of workers.
    """
    source = iter(items)
    if settings.mode == "serial" or settings.workers == 1:
        yield from _serially(function, source)
        return
    first = list(islice(source, 2))
    if len(first) < 2:  # a process would cost more than it saves
        yield from _serially(function, first)
        return
    source = chain(first, source)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.workers, context, initializer=_one_thread) as pool:
        flight: deque[Future[Result]] = deque(
            pool.submit(function, item) for item in islice(source, settings.workers * AHEAD)
        )
        try:
            while flight:
                result = flight.popleft().result()
                flight.extend(pool.submit(function, item) for item in islice(source, 1))
                yield result
        finally:
            pool.shutdown(cancel_futures=True)


def _serially(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    for item in items:
        with threadpool_limits(1):
            result = function(item)
        yield result


def _one_thread() -> None:
    threadpool_limits(1)
