"""The input tables: the only way data enters. Four are always there, two may bring a daily panel.

Every source yields `InputTables`; column names, types and vocabularies are defined here once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

FUND_OBSERVATIONS: dict[str, pl.DataType] = {
    "fund_id": pl.String(),
    "date": pl.Date(),
    "ret": pl.Float64(),
    "nav": pl.Float64(),
    "aum": pl.Float64(),
    "available_at": pl.Date(),
    "source": pl.String(),
}
FUNDS: dict[str, pl.DataType] = {
    "fund_id": pl.String(),
    "name": pl.String(),
    "category": pl.String(),
    "domicile": pl.String(),
    "currency": pl.String(),
    "inception": pl.Date(),
    "death_date": pl.Date(),
    "death_reason": pl.String(),
    "notice_days": pl.Int64(),
    "lockup_months": pl.Int64(),
    "redemption_frequency": pl.String(),
    "gate": pl.Float64(),
    "management_fee": pl.Float64(),
    "performance_fee": pl.Float64(),
    "open_to_new_money": pl.Boolean(),
    "closed_date": pl.Date(),
    "description": pl.String(),
}
DAILY_OBSERVATIONS: dict[str, pl.DataType] = {
    "fund_id": pl.String(),
    "date": pl.Date(),
    "ret": pl.Float64(),
    "nav": pl.Float64(),
    "available_at": pl.Date(),
}
SERIES_OBSERVATIONS: dict[str, pl.DataType] = {
    "series_id": pl.String(),
    "date": pl.Date(),
    "vintage": pl.Date(),
    "value": pl.Float64(),
    "available_at": pl.Date(),
}
SERIES: dict[str, pl.DataType] = {
    "series_id": pl.String(),
    "name": pl.String(),
    "roles": pl.List(pl.String()),
    "kind": pl.String(),
    "transform": pl.String(),
    "frequency": pl.String(),
    "aliases": pl.List(pl.String()),
}
SCHEMAS: dict[str, dict[str, pl.DataType]] = {
    "fund_observations": FUND_OBSERVATIONS,
    "funds": FUNDS,
    "series_observations": SERIES_OBSERVATIONS,
    "series": SERIES,
    "daily_observations": DAILY_OBSERVATIONS,
    "daily_funds": FUNDS,
}
REQUIRED: dict[str, tuple[str, ...]] = {
    "fund_observations": ("fund_id", "date"),
    "funds": ("fund_id",),
    "series_observations": ("series_id", "date", "value"),
    "series": ("series_id", "roles", "kind"),
    "daily_observations": ("fund_id", "date"),
    "daily_funds": ("fund_id",),
}

ROLES = ("risk_factor", "macro", "benchmark", "risk_free")
KINDS = ("return", "level", "yield", "index")
FREQUENCIES = ("daily", "weekly", "monthly", "quarterly", "on_change")
DEATH_REASONS = ("liquidated", "matured", "merged", "stopped_reporting", "unknown")
TRANSFORMS = (
    *("none", "diff", "diff2", "log", "log_diff", "log_diff2", "pct_change", "pct_change_diff"),
    *("1", "2", "3", "4", "5", "6", "7"),  # FRED-MD codes
)


@dataclass(frozen=True)
class InputTables:
    """What a source yields.

    Attributes
    ----------
    fund_observations, funds, series_observations, series : polars.DataFrame
        With the columns and types of this module's schemas.
    simulated : bool
        No real fund is in it; shown wherever its results are.
    truth : mapping of str to polars.DataFrame
        What the simulated source knows and the user of real data does not.
    daily_observations, daily_funds : polars.DataFrame
        NAVs or returns by the day, and whose they are; without rows where there is no daily panel.
    market : str or None
        Series on whose days the source means its daily panel to be read.
    """

    fund_observations: pl.DataFrame
    funds: pl.DataFrame
    series_observations: pl.DataFrame
    series: pl.DataFrame
    simulated: bool = False
    truth: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    daily_observations: pl.DataFrame = field(default_factory=lambda: empty("daily_observations"))
    daily_funds: pl.DataFrame = field(default_factory=lambda: empty("daily_funds"))
    market: str | None = None


def conform(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Put a frame into a table's schema: absent columns become null, others are dropped.

    Parameters
    ----------
    table : str
        A key of `SCHEMAS`.
    frame : polars.DataFrame
        Columns that are present must cast to the schema's types.
    """
    schema = SCHEMAS[table]
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in schema.items()
    )


def empty(table: str) -> pl.DataFrame:
    """A table without rows."""
    return pl.DataFrame(schema=SCHEMAS[table])
