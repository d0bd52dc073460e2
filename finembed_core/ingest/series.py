"""Series observations: row gates, months, availability."""

from __future__ import annotations

import datetime as dt
from typing import cast

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
    values: pl.DataFrame, series: pl.DataFrame, settings: DatasetSettings, max_abs_return: float
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

    Returns
    -------
    observations : polars.DataFrame
        Columns of the store's ``series_observations``, dated by month end.
    quarantine : polars.DataFrame
    """
    described = values.drop_nulls("value").join(
        series.select("series_id", "kind", "frequency"), on="series_id"
    )
    lag = (
        pl.when(pl.col("kind").is_in(MARKET_KINDS))
        .then(settings.price_lag_days)
        .otherwise(settings.macro_lag_days)
    )
    described = described.with_columns(lag=pl.duration(days=lag))
    sound, quarantine = _row_gates(described, max_abs_return)
    monthly = _to_months(sound)
    return _fill_availability(monthly).select(COLUMNS), quarantine


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
            found = found.with_columns(available_at=pl.col("value"), known=_period_end())
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
    data_end = cast(dt.date, rows["date"].max())
    on_change = pl.col("frequency") == "on_change"
    stands = rows.filter(on_change.fill_null(False))
    dated = finished_months(rows.filter(~on_change.fill_null(False)), "series_id")
    grouped = (
        pl.concat([dated, stands])
        .with_columns(day=pl.col("date"), date=_period_end())
        .sort("series_id", "vintage", "day")
        .group_by("series_id", "vintage", "date", maintain_order=True)
        .agg(
            value=pl.when(pl.col("kind").first() == "return")
            .then(compounded("value"))
            .otherwise(pl.col("value").last()),
            available_at=pl.col("available_at").max(),
            lag=pl.col("lag").first(),
            frequency=pl.col("frequency").first(),
        )
    )
    if stands.is_empty():
        return grouped
    steps = grouped.filter(on_change.fill_null(False))
    carried = pl.concat(
        [_carry_forward(part, data_end) for part in steps.partition_by("series_id", "vintage")]
    )
    return pl.concat([grouped.filter(~on_change.fill_null(False)), carried])


def _carry_forward(steps: pl.DataFrame, data_end: dt.date) -> pl.DataFrame:
    """A value that stands until it changes, for every month up to the end of the data."""
    first = Month.of(cast(dt.date, steps["date"].min()))
    months = pl.DataFrame({"date": [m.end for m in month_range(first, Month.of(data_end))]})
    own = pl.col("available_at").is_null() | (pl.col("date") == pl.col("from"))
    return (
        months.filter(pl.col("date") <= data_end)
        .join_asof(steps.with_columns(pl.col("date").alias("from")).sort("date"), on="date")
        .with_columns(available_at=pl.when(own).then("available_at").otherwise("date"))
        .select(steps.columns)
    )


def _fill_availability(rows: pl.DataFrame) -> pl.DataFrame:
    """Where it is missing: the vintage, or the period's end and the lag of its kind.

    Before the first vintage, its values stand for what was published then, with the lag.
    """
    lagged = pl.col("date") + pl.col("lag")
    given = pl.coalesce("available_at", "vintage")
    first_vintage = pl.col("vintage") == pl.col("vintage").min().over("series_id")
    early = first_vintage.fill_null(False) & (lagged < given)
    return rows.with_columns(
        available_at=pl.when(early).then(lagged).otherwise(given.fill_null(lagged)),
        assumed=given.is_null() | early,
    )
