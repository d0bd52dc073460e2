"""Texts: encodings, separators, ways to write numbers and dates, shapes of rows."""

from __future__ import annotations

import gzip

from tests.faults.corpus import GOOD, HEAD, errors, good, plus, text, values

EURO = f"{HEAD}\n{good(form='%d/%m/%Y')}"


def _wide(cell: str = "0.01", head: str = "date,A") -> str:
    return f"{head}\n2020-01-31,{cell}\n"


ENCODINGS = [
    *errors(
        "encodings",
        ("latin-1", text(GOOD.replace("A,", "Müller,").encode("latin-1")), "not UTF-8: byte 0xfc"),
        ("latin-1 header", text(("währung," + GOOD).encode("latin-1")), "not UTF-8"),
        ("UTF-16 little endian", text(GOOD.encode("utf-16")), "UTF-16", "UTF-8"),
        ("UTF-16 big endian", text(b"\xfe\xff" + GOOD.encode("utf-16-be")), "UTF-16"),
        ("UTF-16 without mark", text(GOOD.encode("utf-16-le")), "NUL bytes"),
        ("NUL in a cell", plus("B\0,2020-01-31,0.1"), "NUL bytes"),
        ("a cut UTF-8 character", text(GOOD.encode() + b"B,2020-01-31,\xc3"), "not UTF-8"),
        ("mark of direction in a name", plus("\u200fB,2020-01-31,0.1"), "U+200F"),
        ("zero width space in a name", plus("B\u200b,2020-01-31,0.1"), "U+200B"),
        ("Arabic digits", plus("B,2020-01-31,\u0660.\u0661"), "is not a number"),
    ),
    *values(
        "encodings",
        ("UTF-8 with byte order mark", text(b"\xef\xbb\xbf" + GOOD.encode()), "A"),
        ("emoji in a name", text(f"{HEAD}\n{good('🚀')}"), "🚀"),
        ("letters in two normal forms", text(GOOD + good("e\u0301") + good("é")), "A", "é"),
    ),
]
SEPARATORS = errors(
    "separators",
    ("semicolons", text(GOOD.replace(",", ";")), "separated by ';'"),
    ("tabs", text(GOOD.replace(",", "\t")), "separated by '\\t'"),
    ("bars", text(GOOD.replace(",", "|")), "separated by '|'"),
    ("blanks", text(GOOD.replace(",", " ")), "no column 'fund_id'"),
    ("semicolons and decimal commas", text("fund_id;date;ret\nA;2020-01-31;0,1\n"), "';'"),
    ("decimal commas", text(f"{HEAD}\nA,2020-01-31,0,1\n"), "4 cells, the header 3", "line 2"),
)
NUMBERS = [
    *errors(
        "numbers",
        ("quoted decimal comma", plus('B,2020-01-31,"0,1"'), "'0,1' is not a number", "row 8"),
        ("thousands", plus('B,2020-01-31,"1,000.5"'), "'1,000.5' is not a number"),
        ("thousands by apostrophe", plus("B,2020-01-31,1'000"), "is not a number"),
        ("percent sign", plus("B,2020-01-31,5%"), "'5%' is not a number", "percent"),
        ("currency sign", plus("B,2020-01-31,€5"), "is not a number"),
        ("accounting parentheses", plus("B,2020-01-31,(0.05)"), "is not a number"),
        ("word", plus("B,2020-01-31,n/v"), "'n/v' is not a number"),
        ("formula error", plus("B,2020-01-31,#DIV/0!"), "'#DIV/0!' is not a number"),
        ("hexadecimal", plus("B,2020-01-31,0x1F"), "is not a number"),
        ("typographic minus", plus("B,2020-01-31,\u22120.05"), "is not a number"),
        ("in a matrix", text(_wide("x"), layout="wide", value_column="ret"), "'x'", "column A"),
    ),
    *values(
        "numbers",
        ("blanks around", text(f"{HEAD}\n{good(write=lambda v: f' {v} ')}"), "A"),
        ("exponents", text(f"{HEAD}\n{good(write=lambda v: f'{v:e}')}"), "A"),
        ("plus signs", text(f"{HEAD}\n{good(write=lambda v: f'{v:+}')}"), "A"),
        (
            "quotes around all",
            text(
                "\n".join(
                    ",".join(f'"{cell}"' for cell in line.split(",")) for line in GOOD.split()
                )
            ),
            "A",
        ),
    ),
]
DATES = [
    *errors(
        "dates",
        ("day before month", text(EURO), "is not a date", "date_format"),
        ("month before day", text(EURO, date_format="%m/%d/%Y"), "is not a date like %m/%d/%Y"),
        ("mixed formats", plus("B,31.01.2020,0.1"), "'31.01.2020' is not a date", "row 8"),
        ("Excel serials", text(f"{HEAD}\nA,45000,0.1\nA,45031,0.1\n"), "Excel serial"),
        ("five digits as a month", plus("B,45012,0.1"), "'45012' is not a date"),
        ("31 February", plus("B,2020-02-31,0.1"), "'2020-02-31' is not a date"),
        ("29 February of 2019", plus("B,2019-02-29,0.1"), "is not a date"),
        ("month 13", plus("B,2020-13-01,0.1"), "is not a date"),
        (
            "two-digit years",
            text(f"{HEAD}\n{good(form='%d.%m.%y')}", date_format="%d.%m.%Y"),
            "from 1700 to 2200",
            "four digits",
        ),
        ("year 9999", plus("B,9999-12-31,0.1"), "'9999-12-31' is not a date from"),
        ("year 0001", plus("B,0001-01-01,0.1"), "'0001-01-01' is not a date from"),
        ("year 10000", plus("B,10000-01-31,0.1"), "is not a date"),
        ("a mistyped year", plus("B,2102-01-31,0.1"), "2102-01-31", "correct the year"),
        ("time zone in text", plus("B,2020-01-31T00:00:00+05:30,0.1"), "is not a date"),
        ("quarters", plus("B,2020Q1,0.1"), "'2020Q1' is not a date"),
        ("names of months", plus("B,31 Jan 2020,0.1"), "is not a date"),
        ("no date", plus("B,,0.1"), "column date is empty in 1 rows"),
        ("a format that is none", text(GOOD, date_format="%Q"), "is not a date like %Q"),
    ),
    *values(
        "dates",
        ("day before month, told", text(EURO, date_format="%d/%m/%Y"), "A"),
        (
            "two-digit years, told",
            text(f"{HEAD}\n{good(form='%d.%m.%y')}", date_format="%d.%m.%y"),
            "A",
        ),
        ("with time of day", text(f"{HEAD}\n{good(form='%Y-%m-%d 00:00:00.000')}"), "A"),
        ("without separators", text(f"{HEAD}\n{good(form='%Y%m%d')}"), "A"),
        ("months", text(f"{HEAD}\n{good(form='%Y-%m')}"), "A"),
    ),
]
ROWS = [
    *errors(
        "rows and headers",
        ("a column twice", plus("B,2020-01-31,0.1,0.2", "fund_id,date,ret,ret"), "stands twice"),
        (
            "a column twice but for blanks",
            text("fund_id,date,ret, ret\nA,2020-01-31,0,0\n"),
            "'ret' stands twice",
        ),
        (
            "a fund twice in a matrix",
            text("date,A,A\n2020-01-31,0.1,0.2\n", layout="wide", value_column="ret"),
            "stands twice",
        ),
        ("no header", text(good()), "no column 'fund_id'", "which has A, 2020-01-31"),
        ("a title above the header", text(f"Monthly returns\n{GOOD}"), "3 cells, the header 1"),
        ("a comment above the header", text(f"# by hand, 2020\n{GOOD}"), "3 cells, the header 2"),
        ("too few cells", plus("B,2020-01-31"), "2 cells, the header 3", "line 8"),
        ("too few cells among quotes", plus('"B",2020-01-31'), "2 cells, the header 3", "line 8"),
        ("too many cells", plus("B,2020-01-31,0.1,7"), "4 cells, the header 3", "line 8"),
        ("a quote never closed", plus('"B,2020-01-31,0.1'), "quote", "line 8"),
        ("a quote inside a cell", plus('B"x,2020-01-31,0.1'), "cannot be read"),
        (
            "trailing commas without header",
            text(GOOD.replace("\n", ",\n").replace("ret,", "ret")),
            "4 cells, the header 3",
        ),
        ("ends of line by CR alone", text(GOOD.replace("\n", "\r")), "CR alone"),
        ("header only", text(f"{HEAD}\n"), "no rows"),
        ("empty", text(""), "no rows"),
        ("blanks only", text("   \n\n \n"), "no rows"),
        ("nothing but line ends", text("\n\n\n"), "no rows"),
        ("a missing column", text("fund_id,ret\nA,0.1\n"), "no column 'date'", "columns: {date:"),
        ("neither returns nor NAVs", text("fund_id,date\nA,2020-01-31\n"), "neither returns nor"),
        ("a line without end", text(b"fund_id,date,ret\n" + b"x" * (34 * 2**20)), "without an end"),
    ),
    *values(
        "rows and headers",
        ("CR and LF", text(GOOD.replace("\n", "\r\n")), "A"),
        ("blank lines at the end", text(GOOD + "\n\n"), "A"),
        ("a line of blanks", text(GOOD + "   \n"), "A"),
        ("trailing commas throughout", text(GOOD.replace("\n", ",\n")), "A"),
        ("two trailing commas", text(GOOD.replace("\n", ",,\n")), "A"),
        ("no last end of line", text(GOOD.rstrip("\n")), "A"),
        ("a line end inside a quoted cell", text("note," + GOOD.replace("A,", '"a\nb",A,')), "A"),
        ("a column without name", text("," + GOOD.replace("A,", "7,A,")), "A"),
        ("blanks in the header", text(GOOD.replace(HEAD, " fund_id , date, ret ")), "A"),
    ),
]
PACKED = [
    *errors(
        "packed",
        ("gzip named .csv", text(gzip.compress(GOOD.encode())), "compressed", ".csv.gz"),
        ("text named .csv.gz", text(GOOD, "data.csv.gz"), "cannot be read"),
        ("gzip cut off", text(gzip.compress(GOOD.encode())[:-12], "data.csv.gz"), "cannot be read"),
        (
            "gzip with broken bytes",
            text(gzip.compress(GOOD.encode())[:20] + b"\x07" * 40, "data.csv.gz"),
            "cannot be read",
        ),
        ("a bomb of zeros", text(gzip.compress(bytes(2**26)), "data.csv.gz"), "NUL bytes"),
    ),
    *values("packed", ("gzip", text(gzip.compress(GOOD.encode()), "data.csv.gz"), "A")),
]
CASES = [*ENCODINGS, *SEPARATORS, *NUMBERS, *DATES, *ROWS, *PACKED]
