"""The table of counts: what was kept aside, what is thin, what was assumed."""

from __future__ import annotations

import numpy as np
import polars as pl

from finembed_core.ingest.funds import FundMonths
from finembed_core.ingest.gates import falls_by_a_face_factor
from finembed_core.settings import Settings

SCHEMA: dict[str, pl.DataType] = {
    "table": pl.String(),
    "rule": pl.String(),
    "kind": pl.String(),
    "rows": pl.Int64(),
    "ids": pl.Int64(),
}


def data_quality(
    quarantine: pl.DataFrame,
    observations: pl.DataFrame,
    series: pl.DataFrame,
    funds: FundMonths,
    settings: Settings,
) -> pl.DataFrame:
    """Counts per rule.

    Parameters
    ----------
    quarantine : polars.DataFrame
        All rows kept aside.
    observations, series : polars.DataFrame
        Fund and series observations as written to the store.
    funds : FundMonths
        Returns after the gates (quarantined ones NaN).
    settings : Settings
        ``ingest`` has the thresholds, ``universe.min_history_months`` says what is short.

    Returns
    -------
    polars.DataFrame
        table, rule, kind (``quarantine``, ``reason``: thin data, ``assumed``: availability,
        ``info``), rows, ids.
    """
    kept_aside = quarantine.group_by("table", "rule").agg(
        kind=pl.lit("quarantine"),
        rows=pl.len().cast(pl.Int64),
        ids=pl.col("id").n_unique().cast(pl.Int64),
    )
    counts = [
        *_fund_reasons(funds, settings),
        *_series_reasons(series),
        *_totals("fund_observations", observations, "fund_id"),
        *_totals("series_observations", series, "series_id"),
    ]
    counted = pl.DataFrame(
        [c for c in counts if c[3] > 0 or c[2] == "info"], schema=SCHEMA, orient="row"
    )
    return pl.concat([kept_aside.select(list(SCHEMA)), counted]).sort("table", "kind", "rule")


def _fund_reasons(funds: FundMonths, settings: Settings) -> list[tuple[str, str, str, int, int]]:
    reported = funds.reported
    inside = (
        np.maximum.accumulate(reported, axis=0)
        & np.maximum.accumulate(reported[::-1], axis=0)[::-1]
    )
    gaps = inside & ~reported
    over_gap = (funds.span > 1) & ~np.isnan(funds.returns)
    history = (~np.isnan(funds.returns)).sum(axis=0)
    short = history < settings.universe.min_history_months
    no_aum = np.isnan(funds.aum) & reported
    smooth = _first_autocorrelation(funds.returns) > settings.ingest.heavy_autocorrelation

    def count(rule: str, cells: np.ndarray) -> tuple[str, str, str, int, int]:
        ids = int(cells.any(axis=0).sum())
        return ("fund_observations", rule, "reason", int(cells.sum()), ids)

    return [
        count("gap", gaps),
        count("return_over_gap", over_gap),
        count("fall_by_face_factor", falls_by_a_face_factor(funds, settings.ingest.nav)),
        count("missing_aum", no_aum),
        count("short_history", reported & short),
        count("heavy_autocorrelation", reported & smooth & ~short),
    ]


def _first_autocorrelation(returns: np.ndarray) -> np.ndarray:
    """Correlation of each fund's return with that of the month before."""
    now, before = returns[1:], returns[:-1]
    both = ~(np.isnan(now) | np.isnan(before))
    n = np.maximum(both.sum(axis=0), 1)

    def centered(values: np.ndarray) -> np.ndarray:
        kept = np.where(both, values, 0.0)
        return np.where(both, values - kept.sum(axis=0) / n, 0.0)

    x, y = centered(now), centered(before)
    scale = np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(axis=0) / scale


def _series_reasons(series: pl.DataFrame) -> list[tuple[str, str, str, int, int]]:
    constant = series.filter(pl.col("value").n_unique().over("series_id") == 1)
    ids = constant["series_id"].n_unique()
    return [("series_observations", "constant_series", "reason", constant.height, ids)]


def _totals(table: str, rows: pl.DataFrame, name: str) -> list[tuple[str, str, str, int, int]]:
    assumed = rows.filter("assumed")
    return [
        (table, "stored", "info", rows.height, rows[name].n_unique()),
        (table, "availability", "assumed", assumed.height, assumed[name].n_unique()),
    ]
