"""Files that are there whole or not at all, also after a power cut; and files as locks."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def written_whole(file: Path, prefix: str = ".") -> Iterator[Path]:
    """A temporary name beside `file` to write to; it takes the place of `file` on success.

    Parameters
    ----------
    file : Path
    prefix : str
        How the temporary name begins: by it a later writer finds what a killed one left.
    """
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=prefix, suffix=file.suffix)
    os.close(descriptor)
    temporary = Path(name)
    temporary.chmod(0o644)
    try:
        yield temporary
        put_in_place(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


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


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
