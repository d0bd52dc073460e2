"""Workers of a Ray cluster: the one that RAY_ADDRESS names, else one of this machine alone."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from types import ModuleType
from typing import Any

from finembed_core.errors import FinembedError, SettingsError

Submit = Callable[[Any], Callable[[], Any]]  # one item to workers; the wait for its result
ADDRESS = "RAY_ADDRESS"
PRIVATE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
"""Keeps Ray to loopback, on every system in spite of the name, and from reporting its use."""
PATIENCE = 10.0  # seconds for a cluster to answer; Ray itself goes on trying for minutes


def load_ray() -> ModuleType:
    """Import Ray, which is an optional extra.

    Raises
    ------
    SettingsError
        It is not installed.
    """
    if not os.environ.get(ADDRESS):
        os.environ.update(PRIVATE)  # before the import, which reads it
    try:
        import ray
    except ModuleNotFoundError:
        raise SettingsError(
            "Ray is not installed",
            where="settings, execution.mode: ray",
            remedy="pip install 'finembed[ray]', or set execution.mode to processes or serial",
        ) from None
    return ray


@contextmanager
def ray_workers(function: Callable[[Any], Any], workers: int) -> Iterator[Submit]:
    """Workers that compute `function`, while the context lasts.

    Arrays come from Ray read-only; a copy of what came is what `function` would meet in a process.

    Parameters
    ----------
    function : callable
        Pure; shipped once.
    workers : int
        CPUs of a cluster that is started here.

    Raises
    ------
    FinembedError
        The cluster cannot be reached or started.
    BrokenExecutor
        On waiting: a worker ended in the middle of its work.
    """
    ray = load_ray()
    with _connection(ray, workers):
        shipped = ray.put(function)
        compute = ray.remote(num_cpus=1, max_retries=0)(_computed)

        def result(reference: Any) -> Any:
            try:
                return deepcopy(ray.get(reference))
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except ray.exceptions.RayError as error:
                raise BrokenExecutor from error

        yield lambda item: partial(result, compute.remote(shipped, item))


def _computed(function: Callable[[Any], Any], item: Any) -> Any:
    return deepcopy(function)(deepcopy(item))


@contextmanager
def _connection(ray: ModuleType, workers: int) -> Iterator[None]:
    """Connect and disconnect, which ends a cluster started here; a caller's connection stays."""
    if ray.is_initialized():
        yield
        return
    try:
        _connect(ray, workers)
        yield
    finally:
        ray.shutdown()


def _connect(ray: ModuleType, workers: int) -> None:
    address = os.environ.get(ADDRESS)
    own = {} if address else {"num_cpus": workers, "include_dashboard": False}
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        if address:
            _knock(address)
        ray.init(address or "local", **own, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise FinembedError(
            f"no Ray cluster can be used: {error}",
            where=f"environment, {ADDRESS}={address}" if address else "on this machine",
            remedy=f"check the cluster; without {ADDRESS} one is started on this machine;"
            " execution.mode can also be processes or serial",
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, terminate)  # Ray puts its own in its place


def _knock(address: str) -> None:
    """Open and close a connection, where the address names a port."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
