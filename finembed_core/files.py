"""Files that are there whole or not at all, also after a power cut; and files as locks."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

WRITING = ".writing-"
"""How a temporary name begins unless its writer knows better."""


@contextmanager
def written_whole(file: Path, prefix: str = WRITING) -> Iterator[Path]:
    """A temporary name beside `file` to write to; it takes the place of `file` on success.

    Parameters
    ----------
    file : Path
    prefix : str
        How the temporary name begins: by it a later writer finds what a killed one left.
    """
    temporary, descriptor = _temporary(file, prefix)
    try:
        yield temporary
        put_in_place(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


def abandoned(folder: Path, prefix: str = WRITING) -> list[Path]:
    """Temporary files in a folder whose writers were killed."""
    found = (p for p in folder.glob("*") if p.name.startswith(prefix) and not p.is_dir())
    return sorted(path for path in found if _without_writer(path))


def clear_abandoned(folder: Path, prefix: str = WRITING) -> None:
    """Delete the temporary files of killed writers, and of no other."""
    for path in folder.glob("*"):
        if path.name.startswith(prefix) and not path.is_dir():
            _without_writer(path, delete=True)


def put_in_place(temporary: Path, file: Path) -> None:
    """Flush a finished file to disk and rename it; readers of the old one keep it."""
    _flush(temporary)
    temporary.replace(file)
    _flush(file.parent)


def lock(file: Path, *, wait: bool) -> TextIO:
    """Open `file` as a lock; closing it, or the end of the process in any way, lets go of it.

    Raises
    ------
    BlockingIOError
        Another holds it, and `wait` is off.
    """
    handle = file.open("a")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise
    return handle


def lock_file(file: Path) -> Path:
    """The lock beside a file that whoever replaces it holds."""
    return file.with_name(f"{file.name}.lock")


def remove(path: Path) -> None:
    """Delete a file or a folder with all in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _temporary(file: Path, prefix: str) -> tuple[Path, int]:
    """A new file, locked by this process as long as its descriptor is open."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=prefix, suffix=file.suffix)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.fchmod(descriptor, 0o644)
        if os.fstat(descriptor).st_nlink:  # or else it was taken for abandoned before the lock
            return Path(name), descriptor
        os.close(descriptor)


def _without_writer(path: Path, *, delete: bool = False) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if delete:
                path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    except FileNotFoundError:  # a link that leads nowhere, or gone by now
        if delete:
            path.unlink(missing_ok=True)
        return path.is_symlink()
    return True


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
