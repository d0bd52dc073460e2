"""What is damaged or left over in a home, and what can be done about it.

What the next run computes again from the source is deleted; what cannot be computed again is
named and left where it is, for its owner to decide.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from finembed_core.backtest.run import RUN_TABLES, identify
from finembed_core.calendar import Month
from finembed_core.chain import decision_months
from finembed_core.errors import FinembedError
from finembed_core.home import Home
from finembed_core.progress import Progress, Silent
from finembed_core.settings import Settings
from finembed_core.store import PART_FILE, Manifest, PartStore
from finembed_core.warehouse.query import reading

ORDINARY_KEY = re.compile(r"\d{4}-\d{2}|[0-9a-f]{16}|all")
REBUILT = "dropped: the next run builds it again"
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
    for path in home.leftovers():
        what = "a killed writer left this file, which nothing refers to"
        found.findings.append(Finding(what, str(path), "deleted", partial(_delete, path)))
    found.findings.extend(_warehouse(home.warehouse))
    return found


def _examine_store(
    store: PartStore, settings: Settings, found: Examination, progress: Progress
) -> None:
    tables = sorted(store.root.iterdir()) if store.root.is_dir() else []
    progress.start("checksums", len(tables))
    try:
        for table in tables:
            if table.is_dir():
                _examine_table(store, table, settings, found)
            else:
                found.findings.append(_foreign(table))
            progress.advance(f"{table.name}, {found.size / 1e6:.0f} MB so far")
    finally:
        progress.finish()


def _examine_table(store: PartStore, table: Path, settings: Settings, found: Examination) -> None:
    for path in sorted(table.iterdir()):
        if PART_FILE.search(path.name):
            continue  # named by a manifest, or a leftover
        if path.suffix != ".json" or not path.is_file():
            found.findings.append(_foreign(path))
            continue
        manifest = _readable(path)
        if manifest is None:
            found.findings.append(_bad_manifest(store, settings, path))
            continue
        found.parts += 1
        faults = [f for p, h in _promised(store, manifest) if (f := _fault(p, h, found))]
        if faults:
            found.findings.append(_damaged(store, settings, path, faults[0]))


def _readable(path: Path) -> Manifest | None:
    """The manifest in a file, None unless it is whole and in its place."""
    try:
        manifest = Manifest.parse(path.read_bytes())
    except (ValueError, TypeError, AttributeError):
        return None
    return manifest if (manifest.table, manifest.key) == (path.parent.name, path.stem) else None


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


def _bad_manifest(store: PartStore, settings: Settings, path: Path) -> Finding:
    key = path.stem
    if not ORDINARY_KEY.fullmatch(key) and not any(path.parent.glob(f"{key}@*")):
        return _foreign(path)
    return _damaged(store, settings, path, "its manifest cannot be read")


def _damaged(store: PartStore, settings: Settings, path: Path, fault: str) -> Finding:
    table, key = path.parent.name, path.stem
    what = f"{table} {key}: {fault}"
    if _is_run(table, key) and key != _run_in_force(store, settings):
        return _lost_run(what, path, key)
    return Finding(what, str(path), REBUILT, partial(store.delete, table, key))


def _is_run(table: str, key: str) -> bool:
    return table in RUN_TABLES and key != "all"


def _lost_run(what: str, path: Path, run_id: str) -> Finding:
    """Damage to a run that other settings or other data made."""
    remedy = f"bring it back from a copy, or forget the run: `finembed runs prune {run_id} --yes`"
    return Finding(f"{what}; the next run does not compute it again", str(path), remedy)


def _run_in_force(store: PartStore, settings: Settings) -> str | None:
    """Run that the next `finembed run` computes where it is not there."""
    try:
        months: list[Month] = decision_months(store)
        return identify(store, settings, months[-1]).run_id if months else None
    except FinembedError:  # the parts that tell are damaged too
        return None


def _warehouse(path: Path) -> Iterator[Finding]:
    try:
        with reading(path) as connection:
            for (name,) in connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = 'warehouse'"
            ).fetchall():
                connection.execute(f'{HASH_A_ROW} "{name}"').fetchall()
    except (FinembedError, duckdb.Error) as error:
        if path.exists():
            what = f"the warehouse is damaged: {str(error).splitlines()[0]}"
            done = "deleted: the next run publishes it again"
            yield Finding(what, str(path), done, partial(_delete, path))


def _foreign(path: Path) -> Finding:
    what = "this is not of finembed's making"
    return Finding(what, str(path), "left as it is: move it elsewhere if it is yours", wrong=False)


def _delete(path: Path) -> None:
    path.unlink(missing_ok=True)
