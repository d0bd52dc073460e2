"""The user's own tables: CSV or Parquet, a file, a folder or a glob, long or wide.

Every complaint names the file, and where it can the row, the column and the value.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

import polars as pl

from finembed_core.calendar import Month
from finembed_core.errors import InputError, SettingsError
from finembed_core.settings import DatasetSettings, TableFiles
from finembed_core.sources import fred_md
from finembed_core.sources.cells import Place, converted
from finembed_core.sources.opening import (
    SUFFIXES,
    UNREADABLE,
    blank_rows,
    distinct_values,
    open_table,
    regular,
)
from finembed_core.sources.tables import REQUIRED, SCHEMAS, InputTables, conform, empty

WIDE_CELLS = {
    "fund_observations": ("ret", "nav", "aum"),
    "series_observations": ("value",),
    "daily_observations": ("ret", "nav"),
}

LONGEST_PATH = 200  # characters shown

Stamp = tuple[str, int, int]


def load(settings: DatasetSettings) -> InputTables:
    """Read all files of the dataset.

    Raises
    ------
    InputError
        A file is missing or unreadable, a column is missing, a value has the wrong type.
    SettingsError
        No files are named, or a column is mapped that does not exist.
    """
    source = settings.files
    if not source.fund_observations:
        raise SettingsError(
            "the files source has no fund observations",
            where="settings, dataset.files.fund_observations",
            remedy="name at least one file; `finembed init DIR` shows how",
        )
    if source.daily_funds and not source.daily_observations:
        raise SettingsError(
            "funds of a daily panel are described, and it has no observations",
            where="settings, dataset.files.daily_funds",
            remedy="name the files of dataset.files.daily_observations too, or leave it out",
        )
    funds, series = _read_one("funds", source.funds), _read_one("series", source.series)
    vintages = [spec for spec in source.series_observations if spec.layout == fred_md.LAYOUT]
    series = fred_md.described(series, [(spec, matching_files(spec)) for spec in vintages])
    described = source.daily_funds or not source.daily_observations
    return InputTables(
        _read_all("fund_observations", source.fund_observations),
        funds,
        _read_all("series_observations", source.series_observations),
        series,
        daily_observations=_read_all("daily_observations", source.daily_observations),
        daily_funds=_read_one("daily_funds", source.daily_funds) if described else funds,
    )


def month_bounds(settings: DatasetSettings) -> tuple[Month, None]:
    """First month from the settings, or else of the earliest fund observation; open-ended."""
    if settings.first_month is not None:
        return Month.parse(settings.first_month), None
    specs = settings.files.fund_observations
    written = tuple(spec.model_dump_json() for spec in specs)
    stamps = tuple(_stamp(file) for spec in specs for file in matching_files(spec))
    first = _first_month(written, stamps)
    if first is None:
        load(settings)  # says what is wrong with the specification
        raise InputError("fund_observations has no date", where="dataset.files.fund_observations")
    return first, None


def _stamp(file: Path) -> Stamp:
    try:
        seen = regular(file).stat()
    except OSError as error:
        raise InputError(
            f"the file cannot be read: {error.strerror}",
            where=str(file),
            remedy="start again once nobody is writing there",
        ) from None
    return str(file), seen.st_mtime_ns, seen.st_size


@lru_cache(maxsize=8)
def _first_month(specs: tuple[str, ...], stamps: tuple[Stamp, ...]) -> Month | None:
    """First month in the files of these specifications (JSON), which are as `stamps` say."""
    tables = [TableFiles.model_validate_json(spec) for spec in specs]
    try:
        days = [_first_day(spec) for spec in tables]
    except (InputError, *UNREADABLE):  # which the whole reading explains
        days = [_read_all("fund_observations", tables)["date"].min()]
    known = [cast(dt.date, day) for day in days if day is not None]
    return Month.of(min(known)) if known else None


def _first_day(spec: TableFiles) -> object:
    """Earliest date in the files of a specification; of long ones no other column is read."""
    stamp = spec.columns.get("date", "date")
    if spec.layout == "wide" or "date" in spec.constants:  # a date without any value is none
        return _read_all("fund_observations", [spec])["date"].min()
    files = matching_files(spec)
    dates = [
        converted(days.alias("date"), pl.Date(), Place(files[0], stamp), spec.date_format)
        for days in distinct_values(files, stamp)
    ]
    return pl.concat(dates).min()


def matching_files(spec: TableFiles) -> list[Path]:
    """Files that a specification names, sorted.

    Raises
    ------
    InputError
        There is none.
    SettingsError
        The path is no glob.
    """
    path = Path(spec.path)
    try:
        found = _found(path)
    except ValueError as error:
        raise SettingsError(
            f"{path.name!r} is no pattern for files: {error}",
            where=f"settings, dataset.files: path {spec.path!r}",
            remedy="write * for any part of a name, ** alone between slashes for any folders",
        ) from None
    except OSError as error:
        raise InputError(
            f"files cannot be looked for: {error.strerror}",
            where=spec.path[:LONGEST_PATH],
            remedy="correct `path`, or make its folder readable",
        ) from None
    if not found:
        kind = "the folder holds no CSV or Parquet file" if path.is_dir() else "there is no file"
        raise InputError(
            f"{kind} {path.name}" if not path.is_dir() else kind,
            where=spec.path,
            remedy="correct `path`; relative paths start at the settings file's folder",
        )
    return found


def _found(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(f for f in path.iterdir() if f.name.lower().endswith(SUFFIXES))
    if path.exists() or path.is_symlink():  # also where its name would be a pattern
        return [path]
    root = Path(path.anchor)
    return sorted(root.glob(str(path.relative_to(root))))


def _read_one(table: str, spec: TableFiles | None) -> pl.DataFrame:
    return empty(table) if spec is None else _read_all(table, [spec])


def _read_all(table: str, specs: Sequence[TableFiles]) -> pl.DataFrame:
    frames = [
        _read(table, spec, file, feed)
        for spec, feed in zip(specs, _feeds(specs), strict=True)
        for file in matching_files(spec)
    ]
    return pl.concat(frames) if frames else empty(table)


def _feeds(specs: Sequence[TableFiles]) -> list[str]:
    """Names of the specifications: as much of their paths as tells them apart.

    A feed breaks off as a whole, a single one of its files ends with its fund.
    """
    paths = [Path(spec.path).parts for spec in specs]
    for n in range(1, max(map(len, paths), default=0)):
        names = ["/".join(parts[-n:]) for parts in paths]
        if len(set(names)) == len(set(paths)):
            return names
    return [spec.path for spec in specs]


def _read(table: str, spec: TableFiles, file: Path, feed: str) -> pl.DataFrame:
    """One file in the table's schema."""
    _check_names(table, spec)
    raw = open_table(file)
    if raw.is_empty():
        raise InputError("the file has no rows", where=str(file), remedy="remove it or fill it")
    if spec.layout == fred_md.LAYOUT:
        raw, spec = fred_md.as_matrix(raw, table, spec, file, matching_files(spec))
    names = spec.columns
    if spec.layout == "wide":
        raw, names = _melt(table, spec, raw, file), {}
    chosen = {
        name: names.get(name, name)
        for name in SCHEMAS[table]
        if names.get(name, name) in raw.columns and name not in spec.constants
    }
    for ours in [*names, *REQUIRED[table]]:
        if ours not in chosen and ours not in spec.constants:
            raise _missing_column(table, ours, names.get(ours, ours), raw, file)
    columns = [
        converted(
            raw[theirs].alias(ours), SCHEMAS[table][ours], Place(file, theirs), spec.date_format
        )
        for ours, theirs in chosen.items()
    ]
    frame = pl.DataFrame(columns).with_columns(
        _constant(name, value, SCHEMAS[table][name]) for name, value in spec.constants.items()
    )
    if table == "fund_observations" and "source" not in frame.columns:
        frame = frame.with_columns(source=pl.lit(feed))
    key = REQUIRED[table][0]
    if frame[key].null_count():
        frame = frame.filter(~blank_rows(raw))
    return conform(table, frame)


def _check_names(table: str, spec: TableFiles) -> None:
    for name in [*spec.columns, *spec.constants]:
        if name not in SCHEMAS[table]:
            raise SettingsError(
                f"{table} has no column {name!r}",
                where=f"settings, dataset.files.{table}: columns or constants",
                remedy=f"our names stand left; they are {', '.join(SCHEMAS[table])}",
            )


def _melt(table: str, spec: TableFiles, raw: pl.DataFrame, file: Path) -> pl.DataFrame:
    """Rows (date, id, value) of a matrix of dates x ids; empty cells and days are absent."""
    cell = spec.value_column
    if cell not in WIDE_CELLS.get(table, ()):
        raise SettingsError(
            f"a wide file of {table} cannot hold {cell!r}",
            where=f"settings, dataset.files.{table}: value_column, for {file.name}",
            remedy=f"give value_column: {' or '.join(WIDE_CELLS.get(table, ('(long only)',)))}",
        )
    stamp = spec.columns.get("date", "date")
    if stamp not in raw.columns:
        raise _missing_column(table, "date", stamp, raw, file)
    key = "fund_id" if "fund_id" in SCHEMAS[table] else "series_id"
    if key in raw.columns:
        raise InputError(
            f"a matrix has a column per name, and this file has a column {key!r}",
            where=str(file),
            remedy="choose layout: long",
        )
    days = converted(raw[stamp].alias("date"), pl.Date(), Place(file, stamp), spec.date_format)
    cells = [_cells(raw[name], Place(file, name)) for name in raw.columns if name != stamp]
    wide = pl.DataFrame([days.alias(stamp), *cells])
    long = wide.unpivot(index=stamp, variable_name=key, value_name=cell).drop_nulls(cell)
    return long.rename({stamp: "date"})


def _cells(values: pl.Series, place: Place) -> pl.Series:
    """Numbers; in a file of numbers NaN is an empty cell."""
    numbers = converted(values, pl.Float64(), place)
    return numbers.fill_nan(None) if values.dtype.is_float() else numbers


def _missing_column(
    table: str, ours: str, theirs: str, raw: pl.DataFrame, file: Path
) -> InputError:
    names = ", ".join(raw.columns[:12]) + (", ..." if len(raw.columns) > 12 else "")
    return InputError(
        f"there is no column {theirs!r} for {table}.{ours}",
        where=f"{file}, which has {names}",
        remedy=f"map it in the dataset's settings: columns: {{{ours}: THEIR_NAME}}",
    )


def _constant(name: str, value: object, kind: pl.DataType) -> pl.Expr:
    try:
        if isinstance(kind, pl.List):
            words = value if isinstance(value, list) else [value]
            return pl.lit(pl.Series([words], dtype=kind)).first().alias(name)
        return pl.lit(pl.Series([value]).cast(kind)).first().alias(name)
    except (pl.exceptions.PolarsError, TypeError):
        raise SettingsError(
            f"{value!r} cannot be a {kind}",
            where=f"settings, dataset.files: constants, {name}",
            remedy="give a value of that type",
        ) from None
