"""Runs whose process is gone.

A run of the command line lives in the command's own process. Killed, it can no longer say that it
ended: Dagster would count it as going on, and queue every other run behind it.
"""

from __future__ import annotations

import os
import socket

import dagster as dg

PROCESS_TAG = "finembed/process"
IN_PROGRESS = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def this_process() -> str:
    """Host and process id, by which a later command can tell whether this one is still alive."""
    return f"{socket.gethostname()}:{os.getpid()}"


def end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Fail the runs of this host whose process was killed, and free their pool slots."""
    for run in instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS)):
        if _is_dead(run.tags.get(PROCESS_TAG, "")):
            instance.report_run_failed(run, "its process was killed")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _is_dead(process: str) -> bool:
    host, _, number = process.partition(":")
    if host != socket.gethostname() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
