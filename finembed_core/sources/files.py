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
from finembed_core.sources.tables import REQUIRED, SCHEMAS, InputTables, conform, empty

SUFFIXES = (".csv", ".csv.gz", ".parquet")
DATE_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
MONTH_FORMATS = ("%Y-%m", "%Y%m", "%Y/%m")  # a month is read as its first day
NULLS = ("", "NA", "N/A", "null", "NULL", "None", ".")
WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
LIST_SEPARATORS = r"[|;,\s]+"
SEPARATORS = (";", "\t", "|")  # other than the comma that is read
WIDE_CELLS = {
    "fund_observations": ("ret", "nav", "aum"),
    "series_observations": ("value",),
    "daily_observations": ("ret", "nav"),
}

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
    stamps = tuple(
        (str(file), file.stat().st_mtime_ns, file.stat().st_size)
        for spec in specs
        for file in matching_files(spec)
    )
    first = _first_month(written, stamps)
    if first is None:
        load(settings)  # says what is wrong with the specification
        raise InputError("fund_observations has no date", where="dataset.files.fund_observations")
    return first, None


@lru_cache(maxsize=8)
def _first_month(specs: tuple[str, ...], stamps: tuple[Stamp, ...]) -> Month | None:
    """First month in the files of these specifications (JSON), which are as `stamps` say."""
    tables = [TableFiles.model_validate_json(spec) for spec in specs]
    try:
        days = [_first_day(spec) for spec in tables]
    except (InputError, OSError, pl.exceptions.PolarsError):  # which the whole reading explains
        days = [_read_all("fund_observations", tables)["date"].min()]
    known = [cast(dt.date, day) for day in days if day is not None]
    return Month.of(min(known)) if known else None


def _first_day(spec: TableFiles) -> object:
    """Earliest date in the files of a specification; of long ones no other column is read."""
    stamp = spec.columns.get("date", "date")
    if spec.layout == "wide" or "date" in spec.constants:  # a date without any value is none
        return _read_all("fund_observations", [spec])["date"].min()
    files = matching_files(spec)
    tables = [file for file in files if file.suffix == ".parquet"]
    texts = [file for file in files if file.suffix != ".parquet"]
    scans = [pl.scan_parquet(tables)] if tables else []
    if texts:
        scans.append(pl.scan_csv(texts, infer_schema=False, null_values=list(NULLS)))
    found = [scan.select(pl.col(stamp).unique()).collect()[stamp] for scan in scans]
    dates = pl.concat([_dates(days, spec.date_format, _Place(files[0], stamp)) for days in found])
    return dates.min()


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
    if path.is_dir():
        found = sorted(f for f in path.iterdir() if f.name.endswith(SUFFIXES))
    else:
        root = Path(path.anchor)
        try:
            found = sorted(root.glob(str(path.relative_to(root))))
        except ValueError as error:
            raise SettingsError(
                f"{path.name!r} is no pattern for files: {error}",
                where=f"settings, dataset.files: path {spec.path}",
                remedy="write * for any part of a name, ** alone between slashes for any folders",
            ) from None
    if not found:
        kind = "the folder holds no CSV or Parquet file" if path.is_dir() else "there is no file"
        raise InputError(
            f"{kind} {path.name}" if not path.is_dir() else kind,
            where=spec.path,
            remedy="correct `path`; relative paths start at the settings file's folder",
        )
    return found


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
    raw = _open(file)
    if raw.is_empty():
        raise InputError("the file has no rows", where=str(file), remedy="remove it or fill it")
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
        _convert(raw[theirs].alias(ours), SCHEMAS[table][ours], spec, _Place(file, theirs))
        for ours, theirs in chosen.items()
    ]
    frame = pl.DataFrame(columns).with_columns(
        _constant(name, value, SCHEMAS[table][name]) for name, value in spec.constants.items()
    )
    if table == "fund_observations" and "source" not in frame.columns:
        frame = frame.with_columns(source=pl.lit(feed))
    return conform(table, frame)


def _check_names(table: str, spec: TableFiles) -> None:
    for name in [*spec.columns, *spec.constants]:
        if name not in SCHEMAS[table]:
            raise SettingsError(
                f"{table} has no column {name!r}",
                where=f"settings, dataset.files.{table}: columns or constants",
                remedy=f"our names stand left; they are {', '.join(SCHEMAS[table])}",
            )


def _open(file: Path) -> pl.DataFrame:
    """Everything in a file; the cells of a CSV as text."""
    try:
        if file.suffix == ".parquet":
            return pl.read_parquet(file)
        check_separator(pl.read_csv(file, infer_schema=False, n_rows=0).columns, file)
        frame = pl.read_csv(file, infer_schema=False, null_values=list(NULLS))
    except pl.exceptions.NoDataError:
        return pl.DataFrame()
    except (OSError, pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise InputError(
            f"the file cannot be read: {str(error).splitlines()[0]}",
            where=str(file),
            remedy="give a CSV with a header and commas, or a Parquet file",
        ) from None
    check_header(frame.columns, file)
    return frame


def check_separator(columns: Sequence[str], file: Path) -> None:
    """Refuse a header that something other than commas separates.

    Raises
    ------
    InputError
        It is one column, with another separator in its name.
    """
    other = [s for s in SEPARATORS if s in columns[0]] if len(columns) == 1 else []
    if other:
        raise InputError(
            f"the columns are separated by {other[0]!r}, not by commas",
            where=f"{file}, header",
            remedy="save it with commas, and numbers with a decimal point",
        )


def check_header(columns: Sequence[str], file: Path) -> None:
    """Refuse names that stand twice, which polars keeps apart as ``name_duplicated_0``.

    Raises
    ------
    InputError
        One does.
    """
    seen: set[str] = set()
    for column in columns:
        name, again, number = column.rpartition("_duplicated_")
        if not (again and number.isdigit()):
            name = column
        if name in seen:
            raise InputError(
                f"column {name!r} stands twice",
                where=f"{file}, header",
                remedy="rename or remove one of the two columns",
            )
        seen.add(column)


def _melt(table: str, spec: TableFiles, raw: pl.DataFrame, file: Path) -> pl.DataFrame:
    """Rows (date, id, value) of a matrix of dates x ids; empty cells are absent."""
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
    kinds = {name: kind for name, kind in raw.schema.items() if name != stamp}
    ids = list(kinds)
    key = "fund_id" if "fund_id" in SCHEMAS[table] else "series_id"
    floats = [name for name, kind in kinds.items() if kind.is_float()]
    raw = raw.with_columns(pl.col(floats).fill_nan(None))
    if pl.String not in kinds.values():
        raw = raw.with_columns(pl.col(ids).cast(pl.Float64))
    long = raw.unpivot(on=ids, index=stamp, variable_name=key, value_name=cell)
    return long.drop_nulls(cell).rename({stamp: "date"} if stamp != "date" else {})


def _missing_column(
    table: str, ours: str, theirs: str, raw: pl.DataFrame, file: Path
) -> InputError:
    names = ", ".join(raw.columns[:12]) + (", ..." if len(raw.columns) > 12 else "")
    return InputError(
        f"there is no column {theirs!r} for {table}.{ours}",
        where=f"{file}, which has {names}",
        remedy=f"map it in the dataset's settings: columns: {{{ours}: THEIR_NAME}}",
    )


class _Place:
    """A column of a file, for complaints."""

    def __init__(self, file: Path, column: str) -> None:
        self.file = file
        self.column = column

    def complaint(self, values: pl.Series, good: pl.Series, wanted: str, remedy: str) -> InputError:
        """Error that shows the first value that did not convert."""
        row = int((values.is_not_null() & good.is_null()).arg_max() or 0)
        header = 0 if self.file.suffix == ".parquet" else 1
        return InputError(
            f"{values[row]!r} is not {wanted}",
            where=f"{self.file}, row {row + 1 + header}, column {self.column}",
            remedy=remedy,
        )


def _convert(values: pl.Series, kind: pl.DataType, spec: TableFiles, place: _Place) -> pl.Series:
    """A column in our type, or a complaint about the first value that does not fit."""
    if kind == pl.Date():
        return _dates(values, spec.date_format, place)
    if kind == pl.String():
        return _text(values)
    if isinstance(kind, pl.List):
        return values if isinstance(values.dtype, pl.List) else _lists(values)
    if kind == pl.Boolean():
        wanted, remedy = "yes or no", "write true or false"
        good = values if values.dtype == pl.Boolean else _booleans(values)
    else:
        wanted, remedy = "a number", "write decimals with a point, without thousands or percent"
        stripped = values.str.strip_chars() if values.dtype == pl.String else values
        good = stripped.cast(pl.Float64 if kind == pl.Float64() else pl.Int64, strict=False)
    if good.null_count() > values.null_count():
        raise place.complaint(values, good, wanted, remedy)
    return good


def _text(values: pl.Series) -> pl.Series:
    """Text; whole numbers that were read as floats lose their point."""
    if values.dtype.is_float():
        whole = values.drop_nulls()
        if (whole == whole.round()).all():
            return values.cast(pl.Int64).cast(pl.String)
    return values.cast(pl.String).str.strip_chars()


def _lists(values: pl.Series) -> pl.Series:
    """Words between bars, semicolons, commas or spaces."""
    words = values.cast(pl.String).fill_null("").str.replace_all(LIST_SEPARATORS, "|")
    return words.str.strip_chars("|").str.split("|").list.filter(pl.element() != "")


def _booleans(values: pl.Series) -> pl.Series:
    text = values.cast(pl.String).str.strip_chars().str.to_lowercase()
    return text.replace_strict(WORDS, default=None, return_dtype=pl.Boolean)


def _dates(values: pl.Series, date_format: str | None, place: _Place) -> pl.Series:
    if values.dtype == pl.Date:
        return values
    if isinstance(values.dtype, pl.Datetime):
        return values.cast(pl.Date)
    text = _text(values)
    best = pl.Series(values.name, [None] * len(values), dtype=pl.Date)
    for pattern in (date_format,) if date_format else (*DATE_FORMATS, *MONTH_FORMATS):
        parsed = _parse(text, pattern)
        if parsed.null_count() <= best.null_count():
            best = parsed
        if best.null_count() == values.null_count():
            return best
    raise place.complaint(
        text,
        best,
        f"a date like {date_format}" if date_format else "a date",
        "write YYYY-MM-DD, or give the file's `date_format`, such as '%d/%m/%Y'",
    )


def _parse(text: pl.Series, pattern: str) -> pl.Series:
    if pattern in MONTH_FORMATS or "%d" not in pattern:
        text, pattern = text + " 01", pattern + " %d"
    if "%H" in pattern:
        return text.str.to_datetime(pattern, strict=False).cast(pl.Date)
    return text.str.to_date(pattern, strict=False)


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
