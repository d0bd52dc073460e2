"""From days to months: which month a stamp belongs to, and which months are over.

Two rules that are easy to get wrong:

* A source that stamps the first of the month means the whole month; one that stamps the last
  trading day means the month too. Both become the month's end.
* Data that run into a month do not make it complete. A month is over once the data reach its
  last weekday, or the one before (a holiday); until then its rows wait for more.
"""

from __future__ import annotations

import polars as pl

MISSING_WEEKDAYS = 1  # a public holiday on the month's last weekday


def month_end() -> pl.Expr:
    """End of the month of `date`."""
    return pl.col("date").dt.month_end()


def quarter_end() -> pl.Expr:
    """End of the quarter of `date`."""
    return pl.col("date").dt.truncate("1q").dt.offset_by("2mo").dt.month_end()


def stamped_by_month(dates: pl.Expr) -> pl.Expr:
    """Whether all dates are the same day of the month, or all month ends: no day is meant."""
    return (dates.dt.day().n_unique() == 1) | (dates == dates.dt.month_end()).all()


def unfinished(last_day: pl.Expr) -> pl.Expr:
    """Whether data that end on `last_day` leave its month unfinished."""
    after = last_day + pl.duration(days=1)
    following = last_day.dt.month_end() + pl.duration(days=1)
    return pl.business_day_count(after, following) > MISSING_WEEKDAYS


def finished_months(frame: pl.DataFrame, group: str) -> pl.DataFrame:
    """Rows without those of a last month that is not over.

    Parameters
    ----------
    frame : polars.DataFrame
        With ``date`` as the source gave it.
    group : str
        Rows of the same value share a last month: the source of funds (a fund that stops in the
        middle of a month has still earned what it earned), the series itself for series.
    """
    last = pl.col("date").max().over(group)
    dated_by_day = ~stamped_by_month(pl.col("date")).over(group)
    partial = dated_by_day & unfinished(last) & (month_end() == last.dt.month_end())
    return frame.filter(~partial)


def compounded(column: str) -> pl.Expr:
    """Return over a group's rows; that of a single row is left as it is, to the last bit."""
    value = pl.col(column).drop_nulls()
    return pl.when(value.len() == 1).then(value.first()).otherwise((1.0 + value).product() - 1.0)
