"""Cells of a file in our types, or a complaint about the first that does not fit."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from finembed_core.errors import InputError

DATE_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f")
MONTH_FORMATS = ("%Y-%m", "%Y%m", "%Y/%m")  # a month is read as its first day
WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
LIST_SEPARATORS = r"[|;,\s]+"
YEARS = (1700, 2200)
"""Years that an observation can be about: what lies beyond was misread or stands for never."""

OBSERVED = ("date", "vintage")
EXCEL_SERIAL = re.compile(r"[2-6]\d{4}(\.\d+)?")
SHOWN = 40  # characters of a faulty value in a complaint
EXACT = 2**53  # whole numbers beyond are not told apart as floats


class Place:
    """A column of a file, for complaints."""

    def __init__(self, file: Path, column: str) -> None:
        self.file = file
        self.column = column

    def complaint(self, values: pl.Series, good: pl.Series, wanted: str, remedy: str) -> InputError:
        """Error that shows the first value that did not convert."""
        row = int((values.is_not_null() & good.is_null()).arg_max() or 0)
        header = 0 if self.file.suffix.lower() == ".parquet" else 1
        value = str(values[row])
        shown = repr(value) if len(value) <= SHOWN else f"{value[:SHOWN]!r}..."
        return InputError(
            f"{shown} is not {wanted}",
            where=f"{self.file}, row {row + 1 + header}, column {self.column}",
            remedy=remedy,
        )

    def wrong_type(self, values: pl.Series, wanted: str) -> InputError:
        """Error for a column of which no value can be meant."""
        return InputError(
            f"the column holds {values.dtype}, not {wanted}",
            where=f"{self.file}, column {self.column}",
            remedy="write it with another type, or map another column",
        )


def converted(
    values: pl.Series, kind: pl.DataType, place: Place, date_format: str | None = None
) -> pl.Series:
    """A column in our type; its name is ours.

    Raises
    ------
    InputError
        A value does not fit.
    """
    if kind == pl.Date():
        return _dates(values, date_format, place)
    if kind == pl.String():
        return _text(values, place)
    if isinstance(kind, pl.List):
        return _lists(values, place)
    if kind == pl.Boolean():
        good = values if values.dtype == pl.Boolean else _booleans(_text(values, place))
        if good.null_count() > values.null_count():
            raise place.complaint(values, good, "yes or no", "write true or false")
        return good
    numbers = _numbers(values, place)
    return numbers if kind == pl.Float64() else _whole(numbers, place)


def _numbers(values: pl.Series, place: Place) -> pl.Series:
    if values.dtype.is_numeric() or values.dtype == pl.Null:
        return values.cast(pl.Float64)
    if not _is_text(values):
        raise place.wrong_type(values, "numbers")
    text = _stripped(values)
    good = text.cast(pl.Float64, strict=False)
    if good.null_count() > text.null_count():
        remedy = "write decimals with a point, without thousands or percent"
        raise place.complaint(text, good, "a number", remedy)
    return good


def _whole(numbers: pl.Series, place: Place) -> pl.Series:
    whole = (numbers.is_finite() & (numbers == numbers.round()) & (numbers.abs() < EXACT)) | (
        numbers.is_null()
    )
    if not whole.all():
        good = numbers.set(~whole, None)
        raise place.complaint(numbers, good, "a whole number", "write whole days or months")
    return numbers.cast(pl.Int64)


def _is_text(values: pl.Series) -> bool:
    return values.dtype == pl.String or isinstance(values.dtype, pl.Categorical | pl.Enum)


def _stripped(values: pl.Series) -> pl.Series:
    """Text without space around it; what is empty then is missing."""
    text = values.cast(pl.String).str.strip_chars()
    return text.set(text == "", None)


def _text(values: pl.Series, place: Place) -> pl.Series:
    """Text in its composed form; whole numbers that were read as floats lose their point."""
    if values.dtype.is_nested() or values.dtype in (pl.Binary, pl.Object):
        raise place.wrong_type(values, "text")
    if values.dtype.is_float():
        values = values.fill_nan(None)
        whole = values.drop_nulls()
        if ((whole == whole.round()) & (whole.abs() < EXACT)).all():
            return values.cast(pl.Int64).cast(pl.String)
    text = _stripped(values)
    plain = (text.str.len_bytes() == text.str.len_chars()).all()
    return text if plain else text.str.normalize("NFC")


def _lists(values: pl.Series, place: Place) -> pl.Series:
    """Words between bars, semicolons, commas or spaces."""
    if isinstance(values.dtype, pl.List):
        if values.dtype.inner.is_nested():
            raise place.wrong_type(values, "lists of words")
        return values.cast(pl.List(pl.String))
    words = _text(values, place).fill_null("").str.replace_all(LIST_SEPARATORS, "|")
    return words.str.strip_chars("|").str.split("|").list.filter(pl.element() != "")


def _booleans(text: pl.Series) -> pl.Series:
    return text.str.to_lowercase().replace_strict(WORDS, default=None, return_dtype=pl.Boolean)


def _dates(values: pl.Series, date_format: str | None, place: Place) -> pl.Series:
    if values.dtype == pl.Date:
        return _plausible(values, values, place)
    if isinstance(values.dtype, pl.Datetime):
        return _plausible(values.dt.date(), values, place)  # of its own time zone
    if values.dtype in (pl.Time, pl.Duration, pl.Boolean):
        raise place.wrong_type(values, "dates")
    text = _text(values, place)
    best = pl.Series(values.name, [None] * len(values), dtype=pl.Date)
    for pattern in (date_format,) if date_format else (*DATE_FORMATS, *MONTH_FORMATS):
        parsed = _parsed(text, pattern)
        if parsed.null_count() <= best.null_count():
            best = parsed
        if best.null_count() == text.null_count():
            return _plausible(best, text, place)
    remedy = "write YYYY-MM-DD, or give the file's `date_format`, such as '%d/%m/%Y'"
    if any(EXCEL_SERIAL.fullmatch(value) for value in text.drop_nulls().head(1)):
        remedy = "an Excel serial counts days since 1900: format the column as YYYY-MM-DD"
    wanted = f"a date like {date_format}" if date_format else "a date"
    raise place.complaint(text, best, wanted, remedy)


def _plausible(dates: pl.Series, values: pl.Series, place: Place) -> pl.Series:
    """Refuse years in which nobody observed anything; other dates may stand for never."""
    if values.name in OBSERVED:
        good = dates.set(~dates.dt.year().is_between(*YEARS), None)
        if good.null_count() > dates.null_count():
            wanted = f"a date from {YEARS[0]} to {YEARS[1]}"
            remedy = "correct the year (four digits), or the file's `date_format`"
            raise place.complaint(values.cast(pl.String), good, wanted, remedy)
    return dates


def _parsed(text: pl.Series, pattern: str) -> pl.Series:
    if pattern == "%Y%m":
        text = text.set(text.str.len_chars() != 6, None)  # else five digits are a year and a month
    if pattern in MONTH_FORMATS or "%d" not in pattern:
        text, pattern = text + " 01", pattern + " %d"
    if "%H" in pattern:
        return text.str.to_datetime(pattern, strict=False).cast(pl.Date)
    return text.str.to_date(pattern, strict=False)
