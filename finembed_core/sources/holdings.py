"""The user's own book: what is held of which fund, from a CSV."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from finembed_core.errors import InputError
from finembed_core.sources.cells import Place, converted
from finembed_core.sources.opening import UNREADABLE, blank_rows, read_text, reason

MOST = 64 * 2**20
"""Bytes of a book; a device that never ends is left alone after as many."""

REMEDY = "give a CSV file with the columns fund_id and value"


def read_holdings(path: Path) -> pl.DataFrame:
    """Columns as they stand there, trimmed, without blank rows; ``value`` as numbers.

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
        raw = read_text(content, path)
        kinds = {name: pl.Float64() if name == "value" else pl.String() for name in raw.columns}
        cells = [converted(raw[name], kind, Place(path, name)) for name, kind in kinds.items()]
        return pl.DataFrame(cells).filter(~blank_rows(raw)) if cells else raw
    except OSError as error:
        what = f"the holdings cannot be read: {reason(error)}"
        raise InputError(what, where=str(path), remedy=REMEDY) from None
    except UNREADABLE as error:
        what = f"the holdings are not in order: {reason(error)}"
        raise InputError(what, where=str(path), remedy=REMEDY) from None
