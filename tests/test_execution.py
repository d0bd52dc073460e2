"""However work is spread, the same results come in the same order, faults in their places."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from scipy import linalg  # a library with threads of its own, here and in each worker
from threadpoolctl import threadpool_info

from finembed_core.errors import FinembedError, InputError
from finembed_core.execution import AHEAD, map_items
from finembed_core.execution_ray import ray_workers
from finembed_core.settings import ExecutionSettings

SERIAL = ExecutionSettings(mode="serial", workers=4)
SPREAD = ExecutionSettings(mode="processes", workers=2)
RAY = ExecutionSettings(mode="ray", workers=2)
ONE_WORKER = ExecutionSettings(mode="processes", workers=1)


def in_modes(*settings: ExecutionSettings) -> pytest.MarkDecorator:
    ids = [each.mode for each in settings]
    return pytest.mark.parametrize("settings", settings, ids=ids, indirect=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One for all tests that need it: `map_items` uses a cluster that this process has joined."""
    with ray_workers(abs, RAY.workers):
        yield


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> ExecutionSettings:
    if request.param is RAY:
        request.getfixturevalue("cluster")
    return request.param


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


def doubled_in_place(values: np.ndarray) -> np.ndarray:
    values *= 2
    return values


def leaves_a_trace_and_dies(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    os._exit(1)


def breaks_off_after(items: int) -> Iterator[int]:
    yield from range(items)
    raise InputError("there is no next item")


@in_modes(SPREAD, RAY)
def test_workers_give_the_same_bytes_in_the_same_order_on_one_thread_each(
    settings: ExecutionSettings,
) -> None:
    before = threadpool_info()
    serial = list(map_items(factorized, range(6), SERIAL))
    assert threadpool_info() == before
    spread = list(map_items(factorized, range(6), settings))
    assert [result for result, _, _ in spread] == [result for result, _, _ in serial]
    assert {process for _, process, _ in serial} == {os.getpid()}
    assert os.getpid() not in {process for _, process, _ in spread}
    assert {threads for _, _, threads in [*serial, *spread]} == {1}


@in_modes(SERIAL, SPREAD, RAY)
def test_an_exception_comes_in_the_place_of_its_item(settings: ExecutionSettings) -> None:
    results = map_items(fails_at_three, range(8), settings)
    assert [next(results) for _ in range(3)] == [0, 10, 20]
    with pytest.raises(InputError, match="three is odd") as caught:
        next(results)
    assert type(caught.value) is InputError
    assert (caught.value.where, caught.value.remedy) == ("item 3", "leave it out")
    assert list(results) == []


@in_modes(SERIAL, SPREAD, RAY)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_fault_in_drawing_comes_after_the_results_before_it(
    settings: ExecutionSettings, place: int
) -> None:
    results = map_items(abs, breaks_off_after(place), settings)
    assert [next(results) for _ in range(place)] == list(range(place))
    with pytest.raises(InputError, match="no next item"):
        next(results)


@pytest.mark.parametrize("settings", [SERIAL, SPREAD, RAY, ONE_WORKER])
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


@in_modes(SERIAL, SPREAD, RAY)
def test_an_item_may_be_written_to(settings: ExecutionSettings) -> None:
    items = (np.full(100_000, float(k)) for k in range(3))
    for k, result in enumerate(map_items(doubled_in_place, items, settings)):
        assert (result == 2 * k).all()
        assert result.flags.writeable


@pytest.mark.parametrize("interruption", [GeneratorExit, KeyboardInterrupt])
@in_modes(SPREAD, RAY)
def test_items_without_end_are_drawn_a_few_ahead_and_can_be_stopped(
    settings: ExecutionSettings, interruption: type[BaseException]
) -> None:
    numbers = count()
    with closing(map_items(abs, numbers, settings)) as results:
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        assert next(numbers) <= 3 + settings.workers * AHEAD
        assert bool(multiprocessing.active_children()) == (settings is SPREAD)
        with pytest.raises(interruption):
            results.throw(interruption)
    assert not multiprocessing.active_children()


@in_modes(SERIAL, SPREAD, RAY)
def test_an_interruption_while_drawing_waits_for_nothing(settings: ExecutionSettings) -> None:
    def interrupted() -> Iterator[int]:
        yield from range(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(map_items(abs, interrupted(), settings))
    assert not multiprocessing.active_children()


@in_modes(SPREAD, RAY)
def test_a_worker_that_dies_is_said_and_its_item_not_tried_again(
    settings: ExecutionSettings, tmp_path: Path
) -> None:
    with pytest.raises(FinembedError, match="worker process ended") as caught:
        list(map_items(leaves_a_trace_and_dies, [tmp_path, tmp_path], settings))
    assert "execution.workers" in str(caught.value.remedy)
    assert 1 <= len(list(tmp_path.iterdir())) <= 2
    assert not multiprocessing.active_children()
