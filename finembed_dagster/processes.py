"""Runs whose process is gone.

A run says in a tag which process computes it. Killed, that process can no longer say that the run
ended: Dagster would count it as going on, and queue every other run behind it.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import dagster as dg

PROCESS_TAG = "finembed/process"
IN_PROGRESS = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def this_process() -> str:
    """Host, process id and start, by which a later command can tell whether it is still alive."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def dead_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs of this host that count as going on though their process was killed."""
    runs = instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS))
    return [run for run in runs if _is_dead(run.tags.get(PROCESS_TAG, ""))]


def leaked_slots(instance: dg.DagsterInstance) -> list[tuple[str, str]]:
    """Pool and run of the slots that runs which have ended still hold or wait for."""
    storage = instance.event_log_storage
    found: list[tuple[str, str]] = []
    for pool in sorted(storage.get_concurrency_keys()):
        info = storage.get_concurrency_info(pool)
        wanted = info.active_run_ids | info.pending_run_ids | info.assigned_run_ids
        found += [(pool, run_id) for run_id in sorted(wanted) if _has_ended(instance, run_id)]
    return found


def end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Fail the runs of this host whose process was killed, and free the slots of ended runs."""
    for run in dead_runs(instance):
        instance.report_run_failed(run, "its process was killed")
    for _, run_id in leaked_slots(instance):
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def _has_ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished


def _is_dead(process: str) -> bool:
    host, _, rest = process.partition(":")
    number, _, started = rest.partition(":")
    if host != socket.gethostname() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    now = _started(int(number))
    return bool(started and now) and started != now  # another has got its number


def _started(number: int) -> str:
    """When a process began, in ticks since the system did; empty where the system does not say."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
