"""Contracts of the input tables: a structural fault rejects the whole input, nothing is written."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

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
        values, a table is empty, a word is none of its vocabulary, a series is not described.
    """
    for table in SCHEMAS:
        _check_schema(table, getattr(tables, table))
    _check_not_empty(tables.fund_observations)
    _check_vocabularies(tables)
    observations = merge_keys(
        "fund_observations", tables.fund_observations, ["fund_id", "date"], ["source"]
    )
    _check_values_given(observations)
    funds = merge_keys("funds", tables.funds, ["fund_id"])
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
    )


def merge_keys(
    table: str, frame: pl.DataFrame, key: Sequence[str], labels: Sequence[str] = ()
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
    facts = [c for c in frame.columns if c not in keys and c not in labels]
    groups = repeated.group_by(keys, maintain_order=True)
    counts = groups.agg(pl.col(c).drop_nulls().n_unique() for c in facts)
    for column in facts:
        clash = counts.filter(pl.col(column) > 1)
        if clash.height:
            _raise_clash(table, repeated, clash.row(0, named=True), keys, column)
    merged = groups.agg(pl.col(c).drop_nulls().first() for c in [*facts, *labels])
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


def _check_not_empty(observations: pl.DataFrame) -> None:
    if observations.is_empty():
        raise InputError(
            "fund_observations has no rows",
            where="fund_observations",
            remedy="check the path and the columns of the dataset's files",
        )


def _check_vocabularies(tables: InputTables) -> None:
    series, funds = tables.series, tables.funds
    _check_words("series", "roles", series["roles"].explode(empty_as_null=False), ROLES)
    _check_words("series", "kind", series["kind"], KINDS)
    _check_words("series", "transform", series["transform"], TRANSFORMS)
    _check_words("series", "frequency", series["frequency"], FREQUENCIES)
    _check_words("funds", "death_reason", funds["death_reason"], DEATH_REASONS)
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


def _check_values_given(observations: pl.DataFrame) -> None:
    if observations.select(pl.col("ret", "nav").is_null().all()).row(0) == (True, True):
        raise InputError(
            "fund_observations has neither returns nor NAVs",
            where="fund_observations, columns ret and nav",
            remedy="map one of them in the dataset's `columns`",
        )


def _resolve_aliases(values: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    other = series.select("series_id", "aliases").explode("aliases").drop_nulls("aliases")
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
