"""What is damaged or left over in a home, and what can be done about it.

What the next run computes again from the source is deleted; what cannot be computed again is
named and left where it is, for its owner to decide.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from finembed_core.backtest.run import RUN_TABLES, identify
from finembed_core.chain import chain_state, decision_months, first_open_month
from finembed_core.errors import FinembedError
from finembed_core.files import remove
from finembed_core.home import Home
from finembed_core.ingest.changes import changes
from finembed_core.ingest.stage import brought
from finembed_core.progress import Progress, Silent
from finembed_core.settings import Settings
from finembed_core.store import PART_FILE, Manifest, PartStore
from finembed_core.warehouse.query import reading
from finembed_core.warehouse.quoting import identifier

ORDINARY_KEY = re.compile(r"\d{4}-\d{2}|[0-9a-f]{16}|all")
HASH_A_ROW = "SELECT bit_xor(hash(COLUMNS(*))) FROM"  # reads every block, whose checksum is kept


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes
    ----------
    what : str
        In a sentence.
    where : str
        File or folder.
    done : str
        What `mend` does, in the past tense; without it, what its owner can do.
    mend : callable or None
        None where nothing may be done without its owner.
    wrong : bool
        Whether anything suffers from it; what does not belong to a home is only named.
    """

    what: str
    where: str
    done: str
    mend: Callable[[], object] | None = None
    wrong: bool = True


@dataclass
class Examination:
    """Everything that was found in a home.

    Attributes
    ----------
    findings : list of Finding
    parts, size : int
        Parts whose files were compared with their manifests, and bytes of these.
    """

    findings: list[Finding]
    parts: int = 0
    size: int = 0


def examine(home: Home, settings: Settings, progress: Progress | None = None) -> Examination:
    """Read every byte of a home that finembed wrote, and tell what is wrong; changes nothing.

    Parameters
    ----------
    home : Home
        Which no other process writes meanwhile.
    settings : Settings
        In force: by them it is told which run would be computed again.
    progress : Progress, optional
    """
    found = Examination([])
    if home.lost_its_stamp():
        what = "the home lost the file that tells its layout, or it is damaged"
        found.findings.append(Finding(what, str(home.root), "written anew", home.stamp))
    _examine_store(home.store, settings, found, progress or Silent())
    told = {finding.where for finding in found.findings}
    for path in home.leftovers(RUN_TABLES):
        if str(path.with_name(path.name.partition("@")[0] + ".json")) in told:
            continue  # goes with its damaged manifest
        what = "a killed writer left this file, which nothing refers to"
        found.findings.append(Finding(what, str(path), "deleted", partial(remove, path)))
    found.findings.extend(_warehouse(home.warehouse))
    return found


def _examine_store(
    store: PartStore, settings: Settings, found: Examination, progress: Progress
) -> None:
    tables = sorted(store.root.iterdir()) if store.root.is_dir() else []
    of_runs: list[tuple[Path, str]] = []
    progress.start("checksums", len(tables))
    try:
        for table in tables:
            for path, fault in _damaged(store, table, found):
                if table.name in RUN_TABLES:
                    of_runs.append((path, fault))
                else:
                    found.findings.append(_dropped(store, path, fault))
            progress.advance(f"{table.name}, {found.size / 1e6:.0f} MB so far")
    finally:
        progress.finish()
    if of_runs:
        unsure = any(finding.wrong for finding in found.findings)  # of what its id is made of
        now = None if unsure else _run_in_force(store, settings)
        found.findings.extend(_of_run(store, path, fault, now) for path, fault in of_runs)


def _damaged(store: PartStore, table: Path, found: Examination) -> Iterator[tuple[Path, str]]:
    """Manifests of a table that do not hold, or whose files do not, and why."""
    for path in sorted(table.iterdir()) if table.is_dir() else [table]:
        if PART_FILE.fullmatch(path.name):
            continue  # named by a manifest, or a leftover
        manifest = Manifest.read(path) if path.suffix == ".json" and path.is_file() else None
        if manifest is not None:
            found.parts += 1
            faults = (_fault(file, sha256, found) for file, sha256 in _promised(store, manifest))
            yield from [(path, fault) for fault in faults if fault][:1]
        elif _is_manifest(path):
            yield path, "its manifest cannot be read"
        else:
            found.findings.append(_foreign(path))


def _is_manifest(path: Path) -> bool:
    """Whether a file was one, by its name and by what lies beside it."""
    key = path.name.removesuffix(".json")
    known = ORDINARY_KEY.fullmatch(key) or any(path.parent.glob(f"{key}@*"))
    return path.is_file() and key != path.name and bool(known)


def _promised(store: PartStore, manifest: Manifest) -> Iterator[tuple[Path, str]]:
    for suffix, path in store.paths(manifest).items():
        yield path, manifest.files[suffix]


def _fault(path: Path, sha256: str, found: Examination) -> str:
    """What is wrong with a file, or an empty string."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found.size += path.stat().st_size
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror})"
    return "" if digest == sha256 else f"the bytes of {path.name} are not those that were written"


def _dropped(store: PartStore, path: Path, fault: str) -> Finding:
    table, key = path.parent.name, path.stem
    done = "dropped: the next run that needs it builds it again"
    return Finding(f"{table} {key}: {fault}", str(path), done, partial(store.delete, table, key))


def _of_run(store: PartStore, path: Path, fault: str, now: str | None) -> Finding:
    """Damage to a run's results, which only the run of `now` gets again."""
    run_id = path.stem
    if run_id == now:
        return _dropped(store, path, fault)
    remedy = f"bring it back from a copy, or forget the run: `finembed runs prune {run_id} --yes`"
    if now is None:
        remedy = "left until what it was computed from is whole: `finembed run`, then this again"
    return Finding(f"{path.parent.name} {run_id}: {fault}", str(path), remedy)


def _run_in_force(store: PartStore, settings: Settings) -> str | None:
    """Run that the next `finembed run` computes where it is not there.

    None if that cannot be told; empty where the source has changed or a part is open: then it will
    be a new one.
    """
    try:
        months = decision_months(store)
        if changes(store, brought(settings)).parts:
            return ""
        opened = first_open_month(chain_state(store, settings, months))
        return "" if opened else identify(store, settings, months[-1]).run_id
    except FinembedError:  # the source cannot be read, or what tells is damaged too
        return None


def _warehouse(path: Path) -> Iterator[Finding]:
    try:
        with reading(path) as connection:
            for (name,) in connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = 'warehouse'"
            ).fetchall():
                connection.execute(f"{HASH_A_ROW} {identifier(name)}").fetchall()
    except duckdb.OutOfMemoryException as error:
        what = f"the warehouse was not examined to its end: {str(error).splitlines()[0]}"
        yield Finding(what, str(path), "close other programs, then ask again", wrong=False)
    except (FinembedError, duckdb.Error) as error:
        if "Could not set lock" in str(error):
            what = "the warehouse is open for writing elsewhere, and was not examined"
            yield Finding(what, str(path), "close it there, then ask again", wrong=False)
        elif path.exists() and os.access(path, os.R_OK):
            what = f"the warehouse is damaged: {str(error).splitlines()[0]}"
            done = "deleted: the next run publishes it again"
            yield Finding(what, str(path), done, partial(remove, path))


def _foreign(path: Path) -> Finding:
    what = "this is not of finembed's making"
    return Finding(what, str(path), "left as it is: move it elsewhere if it is yours", wrong=False)
