"""Values and types: what Parquet can hold, what funds cannot report, names of funds and series."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl

from tests.faults.corpus import (
    DAYS,
    GOOD,
    HEAD,
    VALUES,
    aside,
    beside,
    errors,
    good,
    plus,
    table,
    text,
    values,
)

N = len(DAYS)


def frame(**columns) -> dict:
    return {"fund_id": ["A"] * N, "date": list(DAYS), "ret": list(VALUES)} | columns


def nav(cell: str) -> str:
    levels = "".join(f"A,{day},1{k}\n" for k, day in enumerate(DAYS))
    return f"fund_id,date,nav\n{levels}B,2020-01-31,10\nB,2020-02-29,{cell}\n"


def late(column: str, cell: str, last: str = "") -> str:
    return f"{HEAD},{column}\n{good(write=lambda v: f'{v},{last}')}B,2020-01-31,0.1,{cell}\n"


KOLKATA = pl.Series([dt.datetime(d.year, d.month, d.day) for d in DAYS]).dt.replace_time_zone(
    "Asia/Kolkata"
)
TYPES = [
    *errors(
        "types",
        ("text in numbers", table(frame(ret=["much"] * N)), "'much' is not a number"),
        ("lists in numbers", table(frame(ret=[[v] for v in VALUES])), "not numbers"),
        ("structs in numbers", table(frame(ret=[{"r": v} for v in VALUES])), "not numbers"),
        ("days in numbers", table(frame(ret=list(DAYS))), "column holds Date, not numbers"),
        ("truth in numbers", table(frame(ret=[True] * N)), "column holds Boolean, not numbers"),
        ("bytes in names", table(frame(fund_id=[b"\xff"] * N)), "not text"),
        ("lists in names", table(frame(fund_id=[["A"]] * N)), "not text"),
        ("times in dates", table(frame(date=[dt.time(9)] * N)), "column holds Time, not dates"),
        (
            "Unix seconds in dates",
            table(frame(date=[1580428800 + k for k in range(N)])),
            "is not a date",
        ),
        ("nothing in names", table(frame(fund_id=[None] * N)), "fund_id is empty in 6 rows"),
        ("nothing in values", table(frame(ret=[None] * N)), "neither returns nor NAVs"),
        ("no columns", table({}), "no rows"),
        ("no rows", table(frame(fund_id=[], date=[], ret=[])), "no rows"),
        (
            "a fund called like the days",
            table(
                {"day": list(DAYS), "fund_id": ["x"] * N},
                layout="wide",
                value_column="ret",
                columns={"date": "day"},
            ),
            "a matrix has a column per name",
        ),
        (
            "half a day of notice",
            beside("funds", "fund_id,notice_days\nA,30.5\n"),
            "is not a whole number",
        ),
        (
            "a word for yes or no",
            beside("funds", "fund_id,open_to_new_money\nA,maybe\n"),
            "'maybe' is not yes or no",
        ),
    ),
    *values(
        "types",
        ("decimals", table(frame(ret=[Decimal(str(v)) for v in VALUES])), "A"),
        ("numbers as text", table(frame(ret=[str(v) for v in VALUES])), "A"),
        ("categories", table(frame(fund_id=pl.Series(["A"] * N, dtype=pl.Categorical))), "A"),
        ("days as whole numbers", table(frame(date=[int(f"{d:%Y%m%d}") for d in DAYS])), "A"),
        ("instants of a time zone", table(frame(date=KOLKATA)), "A"),
        ("whole names as floats", table(frame(fund_id=[7.0] * N)), "7"),
        ("names beyond exact floats", table(frame(fund_id=[1e300] * N)), "1e+300"),
    ),
]
FACTS = [
    *aside(
        "values",
        {"A": VALUES, "B": (None,)},
        ("NaN", plus("B,2020-01-31,NaN"), "not_finite"),
        ("Infinity", plus("B,2020-01-31,Infinity"), "not_finite"),
        ("-Infinity", plus("B,2020-01-31,-inf"), "not_finite"),
        ("1e400", plus("B,2020-01-31,1e400"), "not_finite"),
        ("loses 250%", plus("B,2020-01-31,-2.5"), "return_below_minus_100"),
        ("percent instead of decimals", plus("B,2020-01-31,3.5"), "return_above_limit"),
    ),
    *aside(
        "values",
        {"A": (None, *(1 / level for level in range(10, 15))), "B": (None, None)},
        ("NAV of 0", text(nav("0")), "nav_not_positive"),
        ("NAV below 0", text(nav("-10")), "nav_not_positive"),
        ("infinite NAV", text(nav("inf")), "not_finite"),
        ("NAV a hundredfold", text(nav("1000")), "face_value_change"),
    ),
    *aside(
        "values",
        {"A": VALUES, "B": (0.1,)},  # the return counts, the assets do not
        ("negative assets", text(late("aum", "-5")), "aum_negative"),
        ("assets that are no number", text(late("aum", "NaN")), "not_finite"),
    ),
    *aside(
        "values",
        {"A": VALUES},
        (
            "available before its date",
            text(late("available_at", "2020-01-15")),
            "available_before_date",
        ),
        ("available in year 1", text(late("available_at", "0001-01-01")), "available_before_date"),
    ),
    *aside(
        "values",
        {"A": (*VALUES[:4], None, None)},
        ("after its death", beside("funds", "fund_id,death_date\nA,2020-04-15\n"), "after_death"),
    ),
    *aside(
        "values",
        {"A": (*VALUES[:5], None)},
        ("NaN in Parquet", table(frame(ret=[*VALUES[:5], float("nan")])), "not_finite"),
    ),
    *values(
        "values",
        ("dies in year 9999", beside("funds", "fund_id,death_date\nA,9999-12-31\n"), "A"),
        ("the same row twice", text(GOOD + good()), "A"),
    ),
    *errors(
        "values",
        ("one key, two values", plus("A,2020-01-31,0.5"), "stands twice", "0.01 and 0.5"),
        ("two returns in a month", plus("A,2020-03-15,0.5"), "otherwise with one return a month"),
        (
            "dies before it begins",
            beside("funds", "fund_id,inception,death_date\nA,2020-02-01,2019-02-01\n"),
            "dies on 2019-02-01, before its inception",
        ),
        ("notice of -5 days", beside("funds", "fund_id,notice_days\nA,-5\n"), "cannot be negative"),
        ("a fee of 20", beside("funds", "fund_id,performance_fee\nA,20\n"), "20% is 0.2"),
        ("a gate of infinity", beside("funds", "fund_id,gate\nA,inf\n"), "gate of fund A is inf"),
        (
            "nothing usable",
            text(f"{HEAD},available_at\nA,2020-01-31,0.1,2019-01-01\n"),
            "no fund observation can be used",
        ),
        ("years of silence", plus("A,2031-06-30,0.1"), "correct the year"),
    ),
]
NAMES = [
    *errors(
        "names",
        ("empty name", plus(",2020-01-31,0.1"), "fund_id is empty in 1 rows"),
        ("empty text as name", table(frame(fund_id=["A"] * 5 + [""])), "fund_id is empty"),
        ("blank name", plus("  ,2020-01-31,0.1"), "fund_id is empty in 1 rows"),
        ("name of nothing", plus("NA,2020-01-31,0.1"), "fund_id is empty in 1 rows"),
        ("names that differ by blanks", plus("A ,2020-01-31,0.5"), "fund_id A", "stands twice"),
        (
            "names that differ by normal form",
            text(f"{GOOD}{good('é')}e\u0301,2020-01-31,0.5\n"),
            "stands twice",
        ),
        ("line end in a name", plus('"B\nC",2020-01-31,0.1'), "U+000A"),
        ("bell in a name", plus("B\a,2020-01-31,0.1"), "U+0007"),
        ("escape sequence in a name", plus("\x1b[31mB,2020-01-31,0.1"), "U+001B"),
        (
            "a fund twice in attributes",
            beside("funds", "fund_id,currency\nA,EUR\nA,USD\n"),
            "stands twice in funds",
        ),
        (
            "unknown kind",
            beside("series", "series_id,roles,kind\nX,macro,price\n"),
            "'price' is not a kind",
            "use one of",
        ),
        (
            "unknown role",
            beside("series", "series_id,roles,kind\nX,factor,level\n"),
            "'factor' is not a roles",
        ),
        (
            "unknown frequency",
            beside("series", "series_id,roles,kind,frequency\nX,macro,level,hourly\n"),
            "'hourly'",
        ),
        (
            "unknown reason of death",
            beside("funds", "fund_id,death_reason\nA,bankrupt\n"),
            "'bankrupt' is not a death_reason",
        ),
        (
            "a name of two series",
            beside(
                "series", "series_id,roles,kind,aliases\nX,macro,level,OLD\nY,macro,level,OLD\n"
            ),
            "OLD is a name of two series",
        ),
        (
            "a series nobody describes",
            beside("series_observations", "series_id,date,value\nX,2020-01-31,1\n"),
            "is not described",
        ),
    ),
    *values(
        "names",
        ("names that differ by case", text(GOOD + good("a")), "A", "a"),
        (
            "quotes, slashes, SQL",
            text(f"{HEAD}\n" + good("""../'; DROP TABLE funds; --/\\""")),
            "../'; DROP TABLE funds; --/\\",
        ),
        ("a comma in quotes", text(f"{HEAD}\n" + good('"Alpha, Ltd."')), "Alpha, Ltd."),
        ("300 characters", text(f"{HEAD}\n" + good("x" * 300)), "x" * 300),
        ("leading zeros", text(f"{HEAD}\n" + good("007")), "007"),
    ),
]
CASES = [*TYPES, *FACTS, *NAMES]
