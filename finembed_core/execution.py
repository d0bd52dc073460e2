"""Map a pure function over work items: serially or over processes, with the same bytes out."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice
from typing import TypeVar

from threadpoolctl import threadpool_limits

from finembed_core.errors import FinembedError
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
        Pure; picklable when ``settings.mode`` is ``processes``.
    items : iterable
    settings : ExecutionSettings
        Mode and number of workers.

    Raises
    ------
    FinembedError
        A worker process ended in the middle of its work.
    """
    if settings.mode == "serial" or settings.workers == 1:
        yield from _serially(function, items)
        return
    drawn = _drawn(items)
    first = list(islice(drawn, 2))
    if len(first) < 2:  # a process would cost more than it saves
        yield from _serially(function, map(_item, first))
        return
    drawn = chain(first, drawn)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.workers, context) as pool:

        def submitted(count: int) -> Iterator[Future[Result]]:
            for each in islice(drawn, count):
                try:
                    yield pool.submit(_on_one_thread, function, _item(each))
                except Exception as error:
                    failed: Future[Result] = Future()
                    failed.set_exception(error)
                    yield failed

        try:
            flight = deque(submitted(settings.workers * AHEAD))
            while flight:
                result = flight.popleft().result()
                flight.extend(submitted(1))
                yield result
        except BrokenProcessPool:
            raise FinembedError(
                "a worker process ended in the middle of its work",
                where=f"one of {settings.workers} processes",
                remedy="often memory runs out: lower execution.workers or set execution.mode to"
                " serial; run again to go on from the last finished part",
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


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
