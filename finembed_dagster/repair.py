"""What is damaged or left over in Dagster's own files, which hold no result."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

import dagster as dg

from finembed_core.home import Home
from finembed_core.repair import Finding
from finembed_dagster.processes import dead_runs, end_dead_runs, leaked_slots

BESIDE = ("", "-wal", "-shm", "-journal")  # files that make up one SQLite database
ASIDE = ".damaged"


def examine_dagster(home: Home) -> list[Finding]:
    """Databases that cannot be read; if all can, runs and slots of killed processes."""
    databases = sorted(home.dagster.rglob("*.db"))
    damaged = [found for path in databases if (found := _damage(path)) is not None]
    known = bool(databases) and (home.dagster / "dagster.yaml").exists()
    if damaged or not known or not os.access(home.dagster, os.W_OK):  # Dagster opens to write
        return damaged
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        return list(_left_behind(home, instance))


def _damage(path: Path) -> Finding | None:
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)
        try:
            answer = connection.execute("PRAGMA quick_check").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.OperationalError:  # another has locked it, or this home can only be read
        return None
    except sqlite3.DatabaseError as error:
        answer = str(error)
    if answer == "ok":
        return None
    what = f"a log of Dagster is damaged: {answer.splitlines()[0]}"
    done = f"put aside under a name that ends with {ASIDE}; Dagster begins a new one"
    return Finding(what, str(path), done, partial(_put_aside, path))


def _put_aside(path: Path) -> None:
    number = sum(1 for _ in path.parent.glob(f"{path.name}{ASIDE}*"))
    for suffix in BESIDE:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(f"{path}{ASIDE}{number or ''}{suffix}")


def _left_behind(home: Home, instance: dg.DagsterInstance) -> Iterator[Finding]:
    for run in dead_runs(instance):
        what = f"Dagster counts run {run.run_id} as going on, whose process was killed"
        yield Finding(what, str(home.dagster), "ended as failed", partial(_end, home))
    for pool, run_id in leaked_slots(instance):
        what = f"run {run_id}, which has ended, holds a slot of the pool {pool}"
        yield Finding(what, str(home.dagster), "freed", partial(_end, home))


def _end(home: Home) -> None:
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        end_dead_runs(instance)
