"""Contracts of the input tables: a structural fault rejects the whole input, nothing is written.

`check` looks at the tables as they came; the other checks need the months that reports are for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import polars as pl

from finembed_core.calendar import month_ordinals
from finembed_core.errors import InputError
from finembed_core.sources.tables import (
    DEATH_REASONS,
    FREQUENCIES,
    KINDS,
    REQUIRED,
    ROLES,
    SCHEMAS,
    TRANSFORMS,
    InputTables,
)

LIMITS: dict[str, tuple[float, float]] = {
    "notice_days": (0, np.inf),
    "lockup_months": (0, np.inf),
    "gate": (0, 1),
    "management_fee": (0, 1),
    "performance_fee": (0, 1),
}
"""What a fund's terms can be; shares and fees are decimals."""

UNSEEN = "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff]"
"""Controls, ends of line, marks of direction and of width 0, in a name."""

LONGEST_NAME = 60  # characters shown


def check(tables: InputTables) -> InputTables:
    """Check everything that must hold before a single value is judged.

    Returns
    -------
    InputTables
        The same tables with series aliases resolved, rows that repeat a key merged into one, and
        an attribute row for every fund.

    Raises
    ------
    InputError
        A column is missing or has the wrong type, a key is empty or stands twice with different
        values, a table is empty, a word is none of its vocabulary, a fund's terms are impossible,
        it dies before it begins, a series is not described or two series claim one name.
    """
    for table in SCHEMAS:
        _check_schema(table, getattr(tables, table))
        _check_ids(table, getattr(tables, table))
    _check_not_empty(tables.fund_observations)
    _check_vocabularies(tables)
    observations = merge_keys(
        "fund_observations",
        tables.fund_observations,
        ["fund_id", "date"],
        labels=["source"],
        latest=["available_at"],
    )
    _check_values_given("fund_observations", observations)
    if tables.daily_observations.height:
        _check_values_given("daily_observations", tables.daily_observations)
    funds, daily_funds = (
        merge_keys(table, frame, ["fund_id"])
        for table, frame in (("funds", tables.funds), ("daily_funds", tables.daily_funds))
    )
    for table, frame in (("funds", funds), ("daily_funds", daily_funds)):
        _check_terms(table, frame)
        _check_lives(table, frame)
    series = merge_keys("series", tables.series, ["series_id"], ["roles", "aliases"])
    values = merge_keys(
        "series_observations",
        _resolve_aliases(tables.series_observations, series),
        ["series_id", "date", "vintage"],
    )
    _check_described(values, series)
    return InputTables(
        observations.sort("fund_id", "date"),
        _describe_all(funds, observations),
        values.sort("series_id", "vintage", "date"),
        series.sort("series_id"),
        tables.simulated,
        tables.truth,
        tables.daily_observations,
        _describe_all(daily_funds, tables.daily_observations),
        tables.market,
    )


def merge_keys(
    table: str,
    frame: pl.DataFrame,
    key: Sequence[str],
    labels: Sequence[str] = (),
    latest: Sequence[str] = (),
) -> pl.DataFrame:
    """One row per key; rows of the same key may complete but not contradict each other.

    Parameters
    ----------
    table : str
        Named in the error.
    frame : polars.DataFrame
    key : sequence of str
    labels : sequence of str
        Columns whose differences do not matter: the first value stays.
    latest : sequence of str
        Columns of which the greatest value stays: a row is known once all that it joins is.

    Raises
    ------
    InputError
        A key stands twice with different values.
    """
    keys = list(key)
    twice = frame.select(keys).is_duplicated()
    if not twice.any():
        return frame
    repeated = frame.filter(twice)
    facts = [c for c in frame.columns if c not in {*keys, *labels, *latest}]
    groups = repeated.group_by(keys, maintain_order=True)
    counts = groups.agg(pl.col(c).drop_nulls().n_unique() for c in facts)
    for column in facts:
        clash = counts.filter(pl.col(column) > 1)
        if clash.height:
            _raise_clash(table, repeated, clash.row(0, named=True), keys, column)
    merged = groups.agg(
        *(pl.col(c).drop_nulls().first() for c in [*facts, *labels]), pl.col(latest).max()
    )
    return pl.concat([frame.filter(~twice), merged.select(frame.columns)])


def _raise_clash(table: str, rows: pl.DataFrame, found: dict, keys: list[str], column: str) -> None:
    same = pl.all_horizontal(pl.col(k).eq_missing(pl.lit(found[k])) for k in keys)
    values = rows.filter(same)[column].drop_nulls().unique(maintain_order=True).to_list()
    name = ", ".join(f"{k} {found[k]}" for k in keys if found[k] is not None)
    raise InputError(
        f"{name} stands twice in {table} with different values",
        where=f"{table}, column {column}: {values[0]} and {values[1]}",
        remedy="keep one of the rows; a revised series needs its vintage column",
    )


def _check_schema(table: str, frame: pl.DataFrame) -> None:
    for column, kind in SCHEMAS[table].items():
        if column not in frame.columns:
            raise InputError(
                f"{table} has no column {column}", where=table, remedy="use sources.tables.conform"
            )
        if frame.schema[column] != kind:
            raise InputError(
                f"column {column} is {frame.schema[column]}, not {kind}",
                where=table,
                remedy="use sources.tables.conform",
            )
    for column in REQUIRED[table]:
        if column != "value" and frame[column].null_count():
            row = frame[column].is_null().arg_max()
            raise InputError(
                f"column {column} is empty in {frame[column].null_count()} rows",
                where=f"{table}, first at row {(row or 0) + 1}",
                remedy="fill it or remove these rows",
            )


def _check_ids(table: str, frame: pl.DataFrame) -> None:
    """Names that can be told apart by eye and stand in one line."""
    key = REQUIRED[table][0]
    ids = frame[key].unique()
    odd = ids.filter(ids.str.contains(UNSEEN)).sort()
    if len(odd):
        found = re.search(UNSEEN, odd[0])
        raise InputError(
            f"{odd[0][:LONGEST_NAME]!r} holds the character U+{ord(found[0]) if found else 0:04X}, "
            "which cannot be seen",
            where=f"{table}, column {key}",
            remedy="remove line breaks, control characters and marks of direction from the name",
        )


def _check_not_empty(observations: pl.DataFrame) -> None:
    if observations.is_empty():
        raise InputError(
            "fund_observations has no rows",
            where="fund_observations",
            remedy="check the path and the columns of the dataset's files",
        )


def _check_vocabularies(tables: InputTables) -> None:
    series = tables.series
    _check_words("series", "roles", series["roles"].explode(empty_as_null=False), ROLES)
    _check_words("series", "kind", series["kind"], KINDS)
    _check_words("series", "transform", series["transform"], TRANSFORMS)
    _check_words("series", "frequency", series["frequency"], FREQUENCIES)
    for table, frame in (("funds", tables.funds), ("daily_funds", tables.daily_funds)):
        _check_words(table, "death_reason", frame["death_reason"], DEATH_REASONS)
    cash = series.filter(pl.col("roles").list.contains("risk_free"))["series_id"].unique().sort()
    if len(cash) > 1:
        raise InputError(
            f"two series have role risk_free: {cash[0]} and {cash[1]}",
            where="series, column roles",
            remedy="give the role to one of them",
        )


def _check_words(table: str, column: str, values: pl.Series, words: Sequence[str]) -> None:
    strange = values.drop_nulls().unique().sort()
    strange = strange.filter(~strange.is_in(list(words)))
    if len(strange):
        raise InputError(
            f"{strange[0]!r} is not a {column}",
            where=f"{table}, column {column}",
            remedy=f"use one of {', '.join(words)}",
        )


def _check_values_given(table: str, observations: pl.DataFrame) -> None:
    if observations.select(pl.col("ret", "nav").is_null().all()).row(0) == (True, True):
        raise InputError(
            f"{table} has neither returns nor NAVs",
            where=f"{table}, columns ret and nav",
            remedy="map one of them in the dataset's `columns`",
        )


def _check_terms(table: str, funds: pl.DataFrame) -> None:
    for column, (least, most) in LIMITS.items():
        found = funds.filter(~(pl.col(column).is_between(least, most) & pl.col(column).is_finite()))
        if found.height:
            allowed = "negative" if np.isinf(most) else f"outside {least} to {most}"
            raise InputError(
                f"{column} of fund {found['fund_id'][0]} is {found[column][0]}: "
                f"it cannot be {allowed}",
                where=f"{table}, column {column}, {found.height} rows",
                remedy="shares and fees are decimals (20% is 0.2), days and months whole numbers; "
                "leave the cell empty where nothing is known",
            )


def _check_lives(table: str, funds: pl.DataFrame) -> None:
    found = funds.filter(pl.col("death_date") < pl.col("inception"))
    if found.height:
        fund, born, died = found.select("fund_id", "inception", "death_date").row(0)
        raise InputError(
            f"fund {fund} dies on {died}, before its inception on {born}",
            where=f"{table}, columns inception and death_date, {found.height} rows",
            remedy="correct one of the dates, or leave the one that is not known empty",
        )


def _resolve_aliases(values: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    other = series.select("series_id", "aliases").explode("aliases").drop_nulls("aliases").unique()
    _check_claims(pl.concat([other, series.select("series_id", aliases="series_id")]).unique())
    names = dict(zip(other["aliases"].to_list(), other["series_id"].to_list(), strict=True))
    return values.with_columns(pl.col("series_id").replace(names)) if names else values


def _check_described(values: pl.DataFrame, series: pl.DataFrame) -> None:
    known = series["series_id"]
    strangers = values.filter(~pl.col("series_id").is_in(known.to_list()))["series_id"].unique()
    if len(strangers):
        raise InputError(
            f"series {sorted(strangers.to_list())[0]} has observations but is not described",
            where="series_observations, series",
            remedy="add it to the `series` table with its roles and kind, or as an alias there",
        )


def _describe_all(funds: pl.DataFrame, observations: pl.DataFrame) -> pl.DataFrame:
    """Attribute rows of all funds: every attribute but the id may be unknown."""
    seen = observations.select(pl.col("fund_id").unique())
    return pl.concat([funds, seen.join(funds, on="fund_id", how="anti")], how="diagonal").sort(
        "fund_id"
    )


def _check_claims(claims: pl.DataFrame) -> None:
    """No name stands for two series."""
    twice = claims.filter(pl.col("aliases").is_duplicated()).sort("aliases", "series_id")
    if twice.height:
        first, second = twice["series_id"][:2]
        raise InputError(
            f"{twice['aliases'][0]} is a name of two series: {first} and {second}",
            where="series, columns series_id and aliases",
            remedy="leave the alias with the series that its values belong to",
        )


def check_no_double_reports(rows: pl.DataFrame, most: int) -> None:
    """A fund that reports one return a month must not have two for a month in between.

    Daily and weekly returns are compounded; of a month with two or three, between months with one
    each, nobody can tell whether they are parts of it or the same report twice.

    Parameters
    ----------
    rows : polars.DataFrame
        fund_id, date (month end), day, ret.
    most : int
        Returns in a month that may be a double report; more are days or weeks.
    """
    fund, n = pl.col("fund_id"), pl.col("n")
    told = rows.drop_nulls("ret")
    counts = told.group_by("fund_id", "date").agg(n=pl.len()).sort("fund_id", "date")
    beside = [n.shift(step).over("fund_id") for step in (1, -1)]
    double = counts.filter(
        n.is_between(2, most)
        & (n.quantile(0.5, "lower").over("fund_id") == 1)
        & pl.all_horizontal(neighbor.fill_null(1) == 1 for neighbor in beside)
    )
    if double.height:
        name, month = double.row(0)[:2]
        reports = told.filter((fund == name) & (pl.col("date") == month)).sort("day")
        raise InputError(
            f"fund {name}, otherwise with one return a month, has {reports.height} for "
            f"{month:%Y-%m}",
            where="fund_observations, column ret: "
            + ", ".join(f"{ret:g} on {day}" for day, ret in reports.select("day", "ret").rows()),
            remedy="keep one row for the month; parts of a month must be compounded beforehand",
        )


def check_no_long_silence(monthly: pl.DataFrame, most: int) -> None:
    """Somebody reports now and then; who stands alone beyond that has a wrong date.

    Parameters
    ----------
    monthly : polars.DataFrame
        fund_id, date (month end), day.
    most : int
        Months without a report of any fund that may be.
    """
    months = monthly["date"].unique().sort()
    silent = np.diff(month_ordinals(months.to_numpy())) - 1
    gaps = np.flatnonzero(silent > most)
    if len(gaps) == 0:
        return
    gap = int(gaps[0])
    early, late = (
        monthly.filter(side)
        for side in (pl.col("date") <= months[gap], pl.col("date") > months[gap])
    )
    is_late = late.height <= early.height
    odd = late.sort("date", "fund_id")[0] if is_late else early.sort("date", "fund_id")[-1]
    raise InputError(
        f"fund {odd['fund_id'][0]} reports on {odd['day'][0]}, and no fund at all in the "
        f"{silent[gap]} months {'before' if is_late else 'after'}",
        where="fund_observations, column date",
        remedy="correct the year, or leave out what lies on one side of the silence",
    )
