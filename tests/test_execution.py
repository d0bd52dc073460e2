"""However work is spread, the same results come in the same order, faults in their places."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count

import numpy as np
import pytest
from scipy import linalg  # a library with threads of its own, here and in each worker
from threadpoolctl import threadpool_info

from finembed_core.errors import FinembedError, InputError
from finembed_core.execution import AHEAD, map_items
from finembed_core.settings import ExecutionSettings

SERIAL = ExecutionSettings(mode="serial", workers=4)
SPREAD = ExecutionSettings(mode="processes", workers=2)
ONE_WORKER = ExecutionSettings(mode="processes", workers=1)
BOTH = pytest.mark.parametrize("settings", [SERIAL, SPREAD], ids=["serial", "processes"])


def factorized(seed: int) -> tuple[bytes, int, int]:
    """Bytes of a result that rounds differently when sums are split, process, threads."""
    time.sleep(0.1 * (seed == 0))  # the first is ready last
    values = np.random.default_rng(seed).standard_normal((150, 150))
    threads = max(library["num_threads"] for library in threadpool_info())
    return (values @ linalg.lu_factor(values)[0]).tobytes(), os.getpid(), threads


def process_of(item: object) -> int:
    return os.getpid()


def fails_at_three(item: int) -> int:
    if item == 3:
        raise InputError("three is odd", where="item 3", remedy="leave it out")
    return 10 * item


def dies_at_one(item: int) -> int:
    if item == 1:
        os._exit(1)
    return item


def breaks_off_after(items: int) -> Iterator[int]:
    yield from range(items)
    raise InputError("there is no next item")


def test_processes_give_the_same_bytes_in_the_same_order_on_one_thread_each() -> None:
    before = threadpool_info()
    serial = list(map_items(factorized, range(6), SERIAL))
    assert threadpool_info() == before
    spread = list(map_items(factorized, range(6), SPREAD))
    assert [result for result, _, _ in spread] == [result for result, _, _ in serial]
    assert {process for _, process, _ in serial} == {os.getpid()}
    assert os.getpid() not in {process for _, process, _ in spread}
    assert {threads for _, _, threads in [*serial, *spread]} == {1}


@BOTH
def test_an_exception_comes_in_the_place_of_its_item(settings: ExecutionSettings) -> None:
    results = map_items(fails_at_three, range(8), settings)
    assert [next(results) for _ in range(3)] == [0, 10, 20]
    with pytest.raises(InputError, match="three is odd") as caught:
        next(results)
    assert (caught.value.where, caught.value.remedy) == ("item 3", "leave it out")
    assert list(results) == []


@BOTH
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_fault_in_drawing_comes_after_the_results_before_it(
    settings: ExecutionSettings, place: int
) -> None:
    results = map_items(abs, breaks_off_after(place), settings)
    assert [next(results) for _ in range(place)] == list(range(place))
    with pytest.raises(InputError, match="no next item"):
        next(results)


@pytest.mark.parametrize("settings", [SERIAL, SPREAD, ONE_WORKER])
def test_no_process_is_started_for_nothing(settings: ExecutionSettings) -> None:
    assert list(map_items(process_of, [], settings)) == []
    assert list(map_items(process_of, ["alone"], settings)) == [os.getpid()]


@pytest.mark.parametrize("settings", [SERIAL, ONE_WORKER])
def test_serially_an_item_may_depend_on_the_result_before(settings: ExecutionSettings) -> None:
    consumed = [1]

    def doubling() -> Iterator[int]:
        while len(consumed) < 5:
            yield 2 * consumed[-1]

    consumed.extend(map_items(abs, doubling(), settings))
    assert consumed == [1, 2, 4, 8, 16]


@pytest.mark.parametrize("interruption", [GeneratorExit, KeyboardInterrupt])
def test_items_without_end_are_drawn_a_few_ahead_and_can_be_stopped(
    interruption: type[BaseException],
) -> None:
    numbers = count()
    with closing(map_items(abs, numbers, SPREAD)) as results:
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        assert next(numbers) <= 3 + SPREAD.workers * AHEAD
        assert multiprocessing.active_children()
        with pytest.raises(interruption):
            results.throw(interruption)
    assert not multiprocessing.active_children()


@BOTH
def test_an_interruption_while_drawing_waits_for_nothing(settings: ExecutionSettings) -> None:
    def interrupted() -> Iterator[int]:
        yield from range(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(map_items(abs, interrupted(), settings))
    assert not multiprocessing.active_children()


def test_a_worker_that_dies_is_said() -> None:
    with pytest.raises(FinembedError, match="worker process ended") as caught:
        list(map_items(dies_at_one, range(4), SPREAD))
    assert "execution.workers" in str(caught.value.remedy)
    assert not multiprocessing.active_children()
