"""A file as a table, or one complaint that says what it is instead.

A text is walked through once before it is parsed, in pieces of bounded size: what is not text, not
UTF-8 or without lines is refused by then, whatever its size, and a pipe or device never read.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import polars as pl

from finembed_core.errors import InputError

SUFFIXES = (".csv", ".csv.gz", ".parquet")
NULLS = ("", "NA", "N/A", "null", "NULL", "None", ".")
SEPARATORS = (";", "\t", "|")  # other than the comma that is read
PARQUET = b"PAR1"
OTHERS = (
    (PARQUET, "Parquet", "name it .parquet"),
    (b"PK\x03\x04", "an Excel workbook or another zip archive", "save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "save the sheet as CSV"),
    (b"\x1f\x8b", "compressed", "name it .csv.gz, or unpack it"),
    (b"%PDF", "a PDF", "export the table as CSV"),
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
    (b"<", "HTML or XML", "save the table itself as CSV; a page like this may be an error message"),
    (b"{", "JSON", "save the table as CSV"),
    (b"[", "JSON", "save the table as CSV"),
)
"""How files of other kinds begin, and what helps."""

LONGEST_LINE = 16 * 2**20
"""Bytes in which a line must end: ten thousand funds side by side need less than one of them."""

Opened = Callable[[], AbstractContextManager[BinaryIO]]
UNREADABLE = (
    OSError,
    EOFError,
    zlib.error,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
)
"""What a file that is damaged, or vanishes, raises while it is read."""


class _Text(NamedTuple):
    """What a walk through a text has seen."""

    commas: int
    quotes: bool


def open_table(file: Path) -> pl.DataFrame:
    """Everything in a file; the cells of a CSV as text.

    Raises
    ------
    InputError
        It is no regular file, cannot be read, or is not what its name says.
    """
    try:
        if _is_parquet(regular(file)):
            return _parquet(file)
        return read_text(file, file)
    except UNREADABLE as error:
        raise InputError(
            f"the file cannot be read: {reason(error)}",
            where=str(file),
            remedy="give a CSV with a header and commas, or a Parquet file, complete and readable",
        ) from None


def distinct_values(files: Sequence[Path], column: str) -> list[pl.Series]:
    """What stands in one column of files, Parquet and text apart, without the other columns.

    Raises
    ------
    InputError
        One of the files is not what its name says.
    one of UNREADABLE
        They cannot be read, or have no such column.
    """
    tables = [file for file in files if _is_parquet(file)]
    texts = [file for file in files if not _is_parquet(file)]
    for file in texts:
        _walked(partial(_bytes, regular(file), file.name.lower().endswith(".gz")), file)
    scans = [pl.scan_parquet([regular(file) for file in tables], glob=False)] if tables else []
    if texts:
        scans.append(pl.scan_csv(texts, infer_schema=False, null_values=list(NULLS), glob=False))
    return [scan.select(pl.col(column).unique()).collect()[column] for scan in scans]


def reason(error: BaseException) -> str:
    """Why it failed, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _is_parquet(file: Path) -> bool:
    return file.name.lower().endswith(".parquet")


def regular(file: Path) -> Path:
    """The file itself, which may be a link to one.

    Raises
    ------
    InputError
        It is a folder, a pipe, a device, or not there.
    """
    if not file.is_file():
        raise InputError(
            "this is no regular file",
            where=str(file),
            remedy="give a CSV or Parquet file; folders, pipes and devices are not read",
        )
    return file


def _parquet(file: Path) -> pl.DataFrame:
    with file.open("rb") as stream:
        head = stream.read(4)
        stream.seek(max(file.stat().st_size - 4, 0))
        tail = stream.read(4)
    if head != PARQUET:
        raise InputError(
            "the file cannot be read: it is not Parquet, as its name says",
            where=str(file),
            remedy="name it .csv if it is text, or write it again as Parquet",
        )
    if tail != PARQUET:
        raise InputError(
            "the file cannot be read: it breaks off before its end",
            where=str(file),
            remedy="copy or write it again",
        )
    return pl.read_parquet(file, glob=False)


def read_text(source: Path | bytes, file: Path) -> pl.DataFrame:
    """A CSV with every cell as text; no columns where there is nothing in it.

    Parameters
    ----------
    source : Path or bytes
        The text, gzipped where `file` is named so.
    file : Path
        Named in complaints.

    Raises
    ------
    InputError
        It is no CSV: another kind of file or separator, no UTF-8, rows of unequal length.
    """
    opened = partial(_bytes, source, file.name.lower().endswith(".gz"))
    text = _walked(opened, file)
    names = _header(opened)
    if not any(names):
        return pl.DataFrame()
    _check_separator(names, file)
    _check_header(names, file)
    try:
        table = pl.read_csv(source, infer_schema=False, null_values=list(NULLS), glob=False)
    except pl.exceptions.PolarsError:
        _refuse_uneven(opened, len(names), file)
        raise
    if _may_lack_cells(table, text):
        _refuse_uneven(opened, len(names), file)
    table.columns = [name or f"unnamed {k + 1}" for k, name in enumerate(names)]
    empty = [f"unnamed {k + 1}" for k, name in enumerate(names) if not name]
    return table.drop(name for name in empty if table[name].null_count() == table.height)


@contextmanager
def _bytes(source: Path | bytes, packed: bool) -> Iterator[BinaryIO]:
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
        if not packed:
            yield stream
            return
        with gzip.GzipFile(fileobj=stream) as unpacked:
            yield cast(BinaryIO, unpacked)


@contextmanager
def _rows(opened: Opened) -> Iterator[Any]:
    """A reader of cells that knows its line."""
    csv.field_size_limit(LONGEST_LINE)
    with opened() as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
        yield csv.reader(text, strict=True)


def _walked(opened: Opened, file: Path) -> _Text:
    """Look at all bytes once and refuse what is no text in lines."""
    commas, quotes, ended, returned = 0, False, False, False
    decoder = codecs.getincrementaldecoder("utf-8")()
    with opened() as stream:
        piece = stream.read(LONGEST_LINE)
        _refuse_others(piece, file)
        while piece:
            if b"\0" in piece:
                raise _no_text("it holds NUL bytes", file, "export it again as UTF-8 text")
            has_end, has_return = b"\n" in piece, b"\r" in piece
            ended, returned = ended or has_end, returned or has_return
            if len(piece) == LONGEST_LINE and not has_end and not has_return:
                size = f"{LONGEST_LINE // 2**20} MB"
                raise _no_text(f"{size} without an end of line", file, "give one row per line")
            _decode(decoder, piece, file)
            commas += piece.count(b",")
            quotes = quotes or b'"' in piece
            piece = stream.read(LONGEST_LINE)
    _decode(decoder, b"", file)
    if returned and not ended:
        raise _no_text("its lines end with CR alone", file, "save it with ends of line of today")
    return _Text(commas, quotes)


def _refuse_others(head: bytes, file: Path) -> None:
    for beginning, kind, remedy in OTHERS:
        own = head.removeprefix(codecs.BOM_UTF8).lstrip() if len(beginning) == 1 else head
        if own.startswith(beginning):
            raise _no_text(f"it is {kind}, not CSV", file, remedy)


def _decode(decoder: codecs.IncrementalDecoder, piece: bytes, file: Path) -> None:
    try:
        decoder.decode(piece, final=not piece)
    except UnicodeDecodeError as error:
        broken = error.object[error.start]
        what = f"it is not UTF-8: byte {broken:#04x}"
        raise _no_text(what, file, "save it as UTF-8; it may be latin-1 or windows-1252") from None


def _no_text(what: str, file: Path, remedy: str) -> InputError:
    return InputError(f"the file cannot be read: {what}", where=str(file), remedy=remedy)


def _header(opened: Opened) -> list[str]:
    with _rows(opened) as rows:
        try:
            lines = ([name.strip() for name in names] for names in rows)
            return next((names for names in lines if any(names)), [])
        except csv.Error as error:
            raise pl.exceptions.ComputeError(f"the header is no row of cells: {error}") from None


def _may_lack_cells(table: pl.DataFrame, text: _Text) -> bool:
    """Whether rows may be shorter than the header: what they lack was read as empty."""
    if table.width == 0 or table[:, -1].null_count() == 0:
        return False
    return text.quotes or text.commas != (table.height + 1) * (table.width - 1)


def _refuse_uneven(opened: Opened, width: int, file: Path) -> None:
    """Complain about the first row that has not as many cells as the header."""
    begins = 1
    with _rows(opened) as rows:
        try:
            for cells in rows:
                blank = not any(cell.strip() for cell in cells) and len(cells) <= 1
                if len(cells) != width and not blank:
                    what = f"the row has {len(cells)} cells, the header {width}"
                    break
                begins = rows.line_num + 1
            else:
                return
        except csv.Error:
            what = "a quote is opened here and not closed as it should be"
    raise InputError(
        f"the file cannot be read: {what}",
        where=f"{file}, line {begins}",
        remedy="give every row one cell per column; a cell that holds a comma stands in quotes",
    )


def blank_rows(raw: pl.DataFrame) -> pl.Series:
    """Rows in which nothing stands at all, such as the last lines of an export."""
    text = pl.col(pl.String).str.strip_chars().replace("", None)
    return raw.with_columns(text).select(pl.all_horizontal(pl.all().is_null())).to_series()


def _check_separator(names: Sequence[str], file: Path) -> None:
    """Refuse one column with another separator than the comma in its name."""
    other = [s for s in SEPARATORS if s in names[0]] if len(names) == 1 else []
    if other:
        raise InputError(
            f"the columns are separated by {other[0]!r}, not by commas",
            where=f"{file}, header",
            remedy="save it with commas, and numbers with a decimal point",
        )


def _check_header(names: Sequence[str], file: Path) -> None:
    """Refuse names that stand twice."""
    seen: set[str] = set()
    for name in filter(None, names):
        if name in seen:
            raise InputError(
                f"column {name!r} stands twice",
                where=f"{file}, header",
                remedy="rename or remove one of the two columns",
            )
        seen.add(name)
