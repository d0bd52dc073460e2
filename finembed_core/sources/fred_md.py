"""FRED-MD files as they are downloaded: one CSV per vintage, the transform codes in its second row.

Source: McCracken and Ng (2016), *FRED-MD: A Monthly Database for Macroeconomic Research*,
Journal of Business & Economic Statistics 34(4).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from finembed_core.calendar import Month
from finembed_core.errors import InputError, SettingsError
from finembed_core.settings import TableFiles
from finembed_core.sources.opening import open_table
from finembed_core.sources.tables import conform

LAYOUT = "fred_md"
DATE = "sasdate"
DATE_FORMAT = "%m/%d/%Y"
CODES = ("1", "2", "3", "4", "5", "6", "7")
SUCCESSORS = {"VXOCLSx": "VIXCLSx", "AMBSL": "BOGMBASE", "TWEXMMTH": "TWEXAFEGSMTHx"}
"""Series that a later vintage holds under another name. Over the months that the vintages 2019-10
and 2023-06 share, the levels of old and new correlate by 0.998, 0.9999 and 0.9997."""

_STAMP = re.compile(r"(?<!\d)\d{4}-(?:0[1-9]|1[0-2])(?:-\d{2})?(?!\d)")


def vintage(file: Path, spec: TableFiles) -> dt.date:
    """Day on which a file could be had.

    The constant ``vintage`` of its entry, or else what its name says: ``2019-10.csv`` is taken for
    known on the last day of October.

    Raises
    ------
    InputError
        Neither tells.
    SettingsError
        The constant is no day.
    """
    given = spec.constants.get("vintage")
    stamp = _STAMP.search(file.name) if given is None else None
    try:
        if given is not None:
            return dt.date.fromisoformat(str(given))
        if stamp is not None:
            text = stamp.group()
            return Month.parse(text).end if len(text) == 7 else dt.date.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"{given or file.name!r} names no day of a vintage",
            where=f"settings, dataset.files.series_observations: {spec.path}",
            remedy="write it as YYYY-MM-DD",
        ) from None
    raise InputError(
        "the name of the file does not tell its vintage",
        where=str(file),
        remedy="name it by its month, such as 2019-10.csv, or give `constants: {vintage: DAY}`",
    )


def as_matrix(
    raw: pl.DataFrame, table: str, spec: TableFiles, file: Path, files: Sequence[Path]
) -> tuple[pl.DataFrame, TableFiles]:
    """The values of one file as a plain matrix of months x series, and how to read it.

    Parameters
    ----------
    raw : polars.DataFrame
        Everything in `file`, as text.
    table : str
        What it is read for.
    spec : TableFiles
        The entry that names it.
    file : Path
    files : sequence of Path
        All vintages of the entry. The first stands for what was known before it (date + lag); of a
        later one nothing is known before its own day, a series that it is the first to hold
        included.

    Raises
    ------
    InputError
        It is no FRED-MD file, or a cell is no number.
    SettingsError
        The entry is of another table, or names columns.
    """
    if table != "series_observations" or spec.columns or spec.value_column:
        raise SettingsError(
            f"layout {LAYOUT} is for series_observations, and its files name their columns",
            where=f"settings, dataset.files.{table}: {spec.path}",
            remedy="leave out `columns` and `value_column`, or choose layout long or wide",
        )
    codes = _codes(raw, file)
    months = raw.slice(1).drop_nulls(DATE)
    cells = months.with_columns(pl.col(list(codes)).cast(pl.Float64, strict=False))
    for name in codes:
        faulty = months.filter(months[name].is_not_null() & cells[name].is_null())
        if faulty.height:
            raise InputError(
                f"{faulty[name][0]!r} is not a number",
                where=f"{file}, {name} of {faulty[DATE][0]}",
                remedy="download the file again",
            )
    day = vintage(file, spec)
    later = day > min(vintage(each, spec) for each in files)
    known = {"vintage": day} | ({"available_at": day} if later else {})
    how = {
        "layout": "wide",
        "columns": {"date": DATE},
        "value_column": "value",
        "date_format": spec.date_format or DATE_FORMAT,
        "constants": known | {k: v for k, v in spec.constants.items() if k != "vintage"},
    }
    return cells.select(DATE, *codes), spec.model_copy(update=how)


def described(
    own: pl.DataFrame, entries: Iterable[tuple[TableFiles, Sequence[Path]]]
) -> pl.DataFrame:
    """The user's `series` table, completed by the series of FRED-MD files.

    A series that the user describes is as the user says. The others are monthly macro levels with
    the transform code of the first vintage that holds them, so that a new file changes no past.
    What a successor was called before is an alias of it, whoever describes it.

    Parameters
    ----------
    own : polars.DataFrame
        Rows of the user, in the schema of `series`.
    entries : iterable of (TableFiles, sequence of Path)
        Entries of FRED-MD files, and the files that they name.
    """
    vintages = sorted((vintage(file, spec), file) for spec, files in entries for file in files)
    if not vintages:
        return own
    claimed = {*own["series_id"], *own["aliases"].explode(empty_as_null=False)}
    successors = {old: new for old, new in SUCCESSORS.items() if old not in claimed}
    former: dict[str, list[str]] = {}
    for old, new in successors.items():
        former.setdefault(new, []).append(old)
    codes: dict[str, str] = {}
    for _, file in vintages:
        for name, code in _codes(open_table(file), file).items():
            codes.setdefault(successors.get(name, name), code)
    rows = [
        {
            "series_id": name,
            "roles": ["macro"],
            "kind": "level",
            "transform": code,
            "frequency": "monthly",
            "aliases": former.get(name, []),
        }
        for name, code in codes.items()
        if name not in claimed
    ]
    aliases = [
        [*(said or []), *former[name]] if name in former else said
        for name, said in own.select("series_id", "aliases").iter_rows()
    ]
    own = own.with_columns(pl.Series("aliases", aliases, own.schema["aliases"]))
    return pl.concat([own, conform("series", pl.DataFrame(rows))]) if rows else own


def _codes(raw: pl.DataFrame, file: Path) -> dict[str, str]:
    """Transform code of each series, from the row under the header."""
    head = raw.row(0, named=True) if raw.height else {}
    if raw.columns[:1] != [DATE] or not str(head[DATE]).startswith("Transform"):
        raise InputError(
            "this is no FRED-MD file: it begins with sasdate, and under it Transform: and codes",
            where=str(file),
            remedy="give the monthly file as it is downloaded, or choose layout long or wide",
        )
    codes = {
        name: str(code or "").removesuffix(".0") for name, code in head.items() if name != DATE
    }
    for name, code in codes.items():
        if code not in CODES:
            raise InputError(
                f"{code!r} is no transform code",
                where=f"{file}, {name}",
                remedy="download the file again; the codes are 1 to 7",
            )
    return codes
