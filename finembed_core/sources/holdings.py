"""The user's own book: what is held of which fund, from a CSV."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from finembed_core.errors import InputError
from finembed_core.sources.opening import UNREADABLE, read_text, reason

MOST = 64 * 2**20
"""Bytes of a book; a device that never ends is left alone after as many."""

REMEDY = "give a CSV file with the columns fund_id and value"


def read_holdings(path: Path) -> pl.DataFrame:
    """Columns as they stand there, trimmed; ``value`` as numbers.

    Raises
    ------
    InputError
        The file cannot be read or is no CSV, or a value is no number.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST + 1)  # a pipe can be read too, once
        if len(content) > MOST:
            raise InputError(
                f"the holdings are longer than {MOST // 2**20} MB", where=str(path), remedy=REMEDY
            )
        clean = read_text(content, path).with_columns(pl.all().str.strip_chars())
        return clean.cast({"value": pl.Float64} if "value" in clean.columns else {})
    except OSError as error:
        what = f"the holdings cannot be read: {reason(error)}"
        raise InputError(what, where=str(path), remedy=REMEDY) from None
    except UNREADABLE as error:
        what = f"the holdings are not in order: {reason(error)}"
        raise InputError(what, where=str(path), remedy=REMEDY) from None
