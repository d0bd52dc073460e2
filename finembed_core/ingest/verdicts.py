"""Verdicts of the quality gates: rows kept aside with rule, value, reason and date of knowledge."""

from __future__ import annotations

import polars as pl

QUARANTINE: dict[str, pl.DataType] = {
    "table": pl.String(),
    "id": pl.String(),
    "date": pl.Date(),
    "column": pl.String(),
    "rule": pl.String(),
    "value": pl.Float64(),
    "reason": pl.String(),
    "known_at": pl.Date(),
}

RULES: dict[str, str] = {
    "not_finite": "NaN or infinite",
    "nav_not_positive": "a NAV must be positive",
    "aum_negative": "assets cannot be negative",
    "available_before_date": "available before the day it is about",
    "after_death": "observed after the fund's death",
    "instant_history": "within the first ingest.drop_first_months months of the fund's history",
    "face_value_change": "the NAV rises by a factor of a split, or restarts at a face value",
    "return_below_minus_100": "loses more than everything",
    "return_above_limit": "beyond ingest.max_abs_return",
    "nav_jump_undone": "the NAV jumps and is back a month later",
    "stale_nav": "unchanged for ingest.stale_months reports or more",
    "duplicate_fund": "equal to another fund's for ingest.duplicate_months months",
    "contradictory_prints": "two values for one day, known on the same day",
    "later_print": "the day had a value already: the first print stands",
    "out_of_order": "known only after a later day's value was",
    "daily_return_above_limit": "beyond 1 + embeddings.max_abs_return as a ratio, up or down",
}
"""Every rule that quarantines, with its reason, in the order in which ties are decided."""


def quarantined(
    rows: pl.DataFrame, *, table: str, id: str, column: str, rule: str, known_at: str
) -> pl.DataFrame:
    """Rows in the shape of the quarantine table.

    Parameters
    ----------
    rows : polars.DataFrame
        With `id`, ``date``, `column` and `known_at` among its columns.
    table, id, column, rule, known_at : str
        Name of the table; names of its id, of the faulty value and of the date of knowledge.
    """
    return rows.select(
        table=pl.lit(table),
        id=pl.col(id),
        date=pl.col("date"),
        column=pl.lit(column),
        rule=pl.lit(rule),
        value=pl.col(column).cast(pl.Float64, strict=False),
        reason=pl.lit(RULES[rule]),
        known_at=pl.col(known_at),
    ).cast(pl.Schema(QUARANTINE))


def empty_quarantine() -> pl.DataFrame:
    """A quarantine table without rows."""
    return pl.DataFrame(schema=QUARANTINE)
