"""What the machine did to a command, in words: a full disk, a damaged log, no memory left."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from finembed_core.errors import FinembedError, HomeError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
BROKEN = (errno.EIO, errno.EMFILE, errno.ENFILE)
KEPT = "what was finished is kept; then run again"
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
REFUSED = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
REFUSED += (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PERM)


@contextmanager
def in_words() -> Iterator[None]:
    """Turn what the machine is at fault for, however it is wrapped, into one message.

    Raises
    ------
    HomeError
        The disk is full, closed or broken, a log of Dagster is damaged, or memory ran out.
    """
    try:
        yield
    except FinembedError:
        raise
    except Exception as error:
        told = next((said for each in _causes(error) if (said := _said(each))), None)
        if told is None:
            raise
        raise told from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, getattr(each, "user_exception", None)]


def _said(error: BaseException) -> FinembedError | None:
    if isinstance(error, FinembedError):  # in what Dagster wraps it
        return error
    if isinstance(error, sqlite3.Error):
        return _said_of_log(error)
    if isinstance(error, MemoryError):
        remedy = f"lower execution.workers, or close other programs; {KEPT}"
        return HomeError("memory ran out", remedy=remedy)
    if not isinstance(error, OSError):
        return None
    where = str(error.filename) if error.filename else None
    if error.errno in FULL:
        return _full(error.strerror, where)
    if error.errno in CLOSED:
        remedy = f"see that it can be read and written, or choose another with --home; {KEPT}"
        return HomeError(f"access is denied: {error.strerror}", where=where, remedy=remedy)
    if error.errno in BROKEN:
        return HomeError(f"the system refused: {error.strerror}", where=where, remedy=KEPT)
    return None


def _said_of_log(error: sqlite3.Error) -> FinembedError | None:
    """Dagster keeps its logs in SQLite."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what is particular to it
    where = "the folder dagster/ of the home"
    if code in DAMAGED:
        remedy = "run `finembed doctor --repair`, then the same command again"
        return HomeError(f"a log of Dagster is damaged: {error}", where=where, remedy=remedy)
    if code == sqlite3.SQLITE_FULL:
        return _full(error, where)
    if code in REFUSED:
        what = f"a log of Dagster cannot be used: {error}"
        remedy = f"see that the disk has room and can be written; {KEPT}"
        return HomeError(what, where=where, remedy=remedy)
    return None


def _full(error: object, where: str | None) -> HomeError:
    return HomeError(f"the disk is full: {error}", where=where, remedy=f"free some of it: {KEPT}")
