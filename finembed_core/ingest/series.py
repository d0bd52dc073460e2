"""Series observations: row gates, months, availability."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right

import polars as pl

from finembed_core.calendar import Month, month_range
from finembed_core.ingest.periods import (
    compounded,
    finished_months,
    month_end,
    quarter_end,
)
from finembed_core.ingest.verdicts import empty_quarantine, quarantined
from finembed_core.settings import DatasetSettings

MARKET_KINDS = ("return", "index", "yield")
"""Kinds that are quoted in a market and known at once; a level is a published statistic."""

COLUMNS = ["series_id", "date", "vintage", "value", "available_at", "assumed"]


def series_months(
    values: pl.DataFrame,
    series: pl.DataFrame,
    settings: DatasetSettings,
    max_abs_return: float,
    through: Month,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Judge, convert to months (quarters stay quarters), fill in availability.

    Parameters
    ----------
    values, series : polars.DataFrame
        Checked series observations and attributes.
    settings : DatasetSettings
        Publication lags.
    max_abs_return : float
        Limit for series of kind ``return``.
    through : Month
        Last month of the study: a value that stands until it changes stands until then.

    Returns
    -------
    observations : polars.DataFrame
        Columns of the store's ``series_observations``, dated by month end.
    quarantine : polars.DataFrame
    """
    sound, quarantine = _row_gates(described(values, series, settings), max_abs_return)
    stands = (pl.col("frequency") == "on_change").fill_null(False)
    steps = fill_availability(
        sound.filter(stands).with_columns(day=pl.col("date"), date=month_end())
    )
    monthly = fill_availability(_to_months(sound.filter(~stands)))
    carried = [_carried_forward(own, through) for own in steps.partition_by("series_id", "vintage")]
    every = pl.concat([monthly.select(COLUMNS), *(own.select(COLUMNS) for own in carried)])
    return every, quarantine


def described(
    values: pl.DataFrame, series: pl.DataFrame, settings: DatasetSettings
) -> pl.DataFrame:
    """Observations that hold a value, with kind, frequency and publication lag of their series."""
    lag = (
        pl.when(pl.col("kind").is_in(MARKET_KINDS))
        .then(settings.price_lag_days)
        .otherwise(settings.macro_lag_days)
    )
    rows = values.drop_nulls("value").join(
        series.select("series_id", "kind", "frequency"), on="series_id"
    )
    return rows.with_columns(lag=pl.duration(days=lag))


def monthly_frequency(series: pl.DataFrame) -> pl.DataFrame:
    """Series attributes with the frequency that remains: monthly or quarterly."""
    quarterly = pl.col("frequency") == "quarterly"
    return series.with_columns(
        frequency=pl.when(quarterly).then(pl.lit("quarterly")).otherwise(pl.lit("monthly"))
    )


def _row_gates(rows: pl.DataFrame, max_abs_return: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    is_return = pl.col("kind") == "return"
    first_of_period = (pl.col("date").dt.day() == 1).all().over("series_id")
    meant = pl.when(first_of_period).then(_period_end()).otherwise(pl.col("date"))
    rows = rows.with_columns(known=pl.col("available_at").fill_null(_period_end() + pl.col("lag")))
    gates = (
        ("value", "not_finite", ~pl.col("value").is_finite()),
        ("value", "return_below_minus_100", is_return & (pl.col("value") < -1.0)),
        ("value", "return_above_limit", is_return & (pl.col("value").abs() > max_abs_return)),
        ("available_at", "available_before_date", pl.col("available_at") < meant),
    )
    kept = [empty_quarantine()]
    for column, rule, faulty in gates:
        found = rows.filter(faulty)
        if found.height == 0:
            continue
        if column == "available_at":
            found = found.with_columns(available_at=pl.col("value"), known="available_at")
        kept.append(
            quarantined(
                found,
                table="series_observations",
                id="series_id",
                column=column,
                rule=rule,
                known_at="known",
            )
        )
        rows = rows.filter(faulty.not_() | faulty.is_null())
    return rows, pl.concat(kept)


def _period_end() -> pl.Expr:
    return pl.when(pl.col("frequency") == "quarterly").then(quarter_end()).otherwise(month_end())


def _to_months(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per series, vintage and period: returns compounded, of everything else the last."""
    return (
        finished_months(rows, "series_id")
        .with_columns(day=pl.col("date"), date=_period_end())
        .sort("series_id", "vintage", "day")
        .group_by("series_id", "vintage", "date", maintain_order=True)
        .agg(
            value=pl.when(pl.col("kind").first() == "return")
            .then(compounded("value"))
            .otherwise(pl.col("value").last()),
            available_at=pl.col("available_at").max(),
            lag=pl.col("lag").first(),
        )
    )


def _carried_forward(steps: pl.DataFrame, through: Month) -> pl.DataFrame:
    """What stood at each month's end, as it was known then and as it was known later.

    At every moment the newest step known by then counts: a step that is published late leaves the
    one before it in place, and its own row replaces that one from the publication on.
    """
    steps = steps.sort("day")
    days: list[dt.date] = steps["day"].to_list()
    published: list[dt.date] = steps["available_at"].to_list()
    chosen: list[tuple[int, dt.date, dt.date]] = []
    for month in month_range(Month.of(days[0]), through):
        replaced = dt.date.max
        for step in range(bisect_right(days, month.end) - 1, -1, -1):
            known = max(month.end, published[step])
            if known < replaced:
                chosen.append((step, month.end, known))
                replaced = known
            if replaced == month.end:
                break
    rows = pl.DataFrame(
        chosen, {"step": pl.Int64, "date": pl.Date, "available_at": pl.Date}, orient="row"
    )
    return steps[rows["step"]].with_columns(rows["date"], rows["available_at"])


def fill_availability(rows: pl.DataFrame) -> pl.DataFrame:
    """Where it is missing: the vintage, or the period's end and the lag of its kind.

    Before the first vintage, its values stand for what was published then, with the lag; where the
    source says since when they were to be had, that counts.
    """
    lagged = pl.col("date") + pl.col("lag")
    given = pl.coalesce("available_at", "vintage")
    first_vintage = pl.col("vintage") == pl.col("vintage").min().over("series_id")
    unsaid = pl.col("available_at").is_null()
    early = unsaid & first_vintage.fill_null(False) & (lagged < given)
    return rows.with_columns(
        available_at=pl.when(early).then(lagged).otherwise(given.fill_null(lagged)),
        assumed=given.is_null() | early,
    )
