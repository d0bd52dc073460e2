"""Which funds are dead, and since when one could know it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.calendar import DecisionCalendar, Month, month_ends
from finembed_core.settings import Settings
from finembed_core.store import PartStore

DEATHS: dict[str, pl.DataType] = {
    "fund_id": pl.String(),
    "last_observation": pl.Date(),
    "death_month": pl.Date(),
    "reason": pl.String(),
    "known_month": pl.Date(),
    "revived_month": pl.Date(),
}


@dataclass(frozen=True)
class KnownReports:
    """All fund reports in the order in which they became known.

    Attributes
    ----------
    ids : tuple of str
        Sorted fund ids, length N.
    fund : ndarray of int64, shape (n,)
        Position in `ids`.
    month, known : ndarray of int64, shape (n,)
        Ordinals of the month reported and of the first month whose information set holds it.
    usable : ndarray of bool, shape (n,)
        Whether there is a return (withdrawals and quarantined reports have none).
    aum : ndarray of float64, shape (n,)
    last : Month
        Last month of the store.
    """

    ids: tuple[str, ...]
    fund: NDArray[np.int64]
    month: NDArray[np.int64]
    known: NDArray[np.int64]
    usable: NDArray[np.bool_]
    aum: NDArray[np.float64]
    last: Month


def known_reports(store: PartStore, calendar: DecisionCalendar) -> KnownReports:
    """Read all parts of ``fund_observations``.

    Raises
    ------
    MissingPartError
        Nothing has been ingested.
    """
    keys = store.keys("fund_observations")
    columns = ["fund_id", "date", "ret", "aum", "available_at"]
    parts = [store.read("fund_observations", key).select(columns) for key in keys]
    frame = pl.concat(parts) if parts else store.read_many("fund_observations")  # raises
    ids = frame["fund_id"].unique().sort()
    dates = frame["date"].to_numpy()
    part = np.repeat([Month.parse(key).ordinal for key in keys], [p.height for p in parts])
    own = calendar.information_month(dates, frame["available_at"].to_numpy())
    known = np.minimum(part, own)  # the opening part holds many months together
    order = np.argsort(known, kind="stable")
    return KnownReports(
        tuple(ids.to_list()),
        ids.search_sorted(frame["fund_id"]).to_numpy().astype(np.int64)[order],
        dates.astype("datetime64[M]").astype(np.int64)[order],
        known[order],
        frame["ret"].is_not_null().to_numpy()[order],
        frame["aum"].fill_null(np.nan).to_numpy()[order],
        Month.parse(keys[-1]),
    )


def fund_deaths(store: PartStore, settings: Settings) -> pl.DataFrame:
    """Deaths as they became known, in the order of fund and month.

    A fund is dead from its ``death_date`` plus the fund's publication lag on, or once
    ``ingest.dead_after_missing`` months went by without a newer report, whichever is first. A fund
    that was given up and reports again has a row per silence, with the month of its return.

    Parameters
    ----------
    store : PartStore
        With ``fund_observations`` and ``funds``.
    settings : Settings

    Returns
    -------
    polars.DataFrame
        ``fund_id``; ``last_observation`` (last month reported before, Date); ``death_month`` (of
        the attribute, null for a fund that fell silent); ``reason``; ``known_month`` (first month
        whose decision can take it into account); ``revived_month`` (null: never). All months by
        their last day. Deaths that become known after the store's last month are absent.
    """
    calendar = settings.dataset.calendar
    reports = known_reports(store, calendar)
    attributes = store.read("funds", "all")
    return deaths_of(reports, attributes, settings)


def deaths_of(reports: KnownReports, attributes: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """`fund_deaths` of reports and attributes at hand."""
    silences = _silences(reports, settings.ingest.dead_after_missing)
    recorded = _recorded(reports, attributes, settings)
    own = attributes.select("fund_id", "category")
    maturing = pl.col("category").is_in(settings.ingest.maturing_categories)
    silent = (
        silences.join(own, on="fund_id", how="left")
        .join(recorded.select("fund_id", recorded_at="known"), on="fund_id", how="left")
        .filter(pl.col("recorded_at").is_null() | (pl.col("known") < pl.col("recorded_at")))
        .with_columns(
            reason=pl.when(maturing.fill_null(False))
            .then(pl.lit("matured"))
            .otherwise(pl.lit("stopped_reporting")),
            death=pl.lit(None, dtype=pl.Int64),
        )
    )
    dead_already = silent.join(recorded.select("fund_id", at="known"), on="fund_id").filter(
        pl.col("revived").is_null() | (pl.col("revived") > pl.col("at"))
    )
    recorded = recorded.join(dead_already, on="fund_id", how="anti")
    columns = ["fund_id", "last", "death", "reason", "known", "revived"]
    rows = pl.concat([silent.select(columns), recorded.select(columns)]).sort("fund_id", "known")
    return rows.select(
        "fund_id",
        last_observation=_end("last"),
        death_month=_end("death"),
        reason="reason",
        known_month=_end("known"),
        revived_month=_end("revived"),
    )


def _silences(reports: KnownReports, patience: int) -> pl.DataFrame:
    """Every time that no newer report came for `patience` months."""
    order = np.argsort(reports.fund, kind="stable")
    rows = pl.DataFrame(
        {
            "fund": reports.fund[order],
            "known": reports.known[order],
            "month": reports.month[order],
        }
    )
    news = (
        rows.group_by("fund", "known", maintain_order=True)
        .agg(pl.col("month").max())
        .with_columns(before=pl.col("month").cum_max().shift(1).over("fund"))
        .filter(pl.col("before").is_null() | (pl.col("month") > pl.col("before")))
        .with_columns(revived=pl.col("known").shift(-1).over("fund"))
    )
    given_up = pl.col("known") + patience
    silent = news.filter(
        (given_up < pl.col("revived").fill_null(np.iinfo(np.int64).max))
        & (given_up <= reports.last.ordinal)
    )
    return silent.select(
        fund_id=pl.Series(reports.ids, dtype=pl.String).gather(silent["fund"]),
        last="month",
        known=given_up,
        revived="revived",
    )


def _recorded(reports: KnownReports, attributes: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Deaths by the attribute, from its own date plus the fund's lag on."""
    dated = attributes.drop_nulls("death_date").filter(pl.col("fund_id").is_in(list(reports.ids)))
    day = dated["death_date"].to_numpy().astype("datetime64[D]")
    lag = np.timedelta64(settings.dataset.fund_lag, "D")
    known = settings.dataset.calendar.information_month(day, day + lag)
    last = pl.DataFrame({"fund": reports.fund, "month": reports.month})
    last = last.group_by("fund").agg(last=pl.col("month").max()).sort("fund")
    return (
        dated.select("fund_id", reason=pl.col("death_reason").fill_null("unknown"))
        .with_columns(
            death=pl.Series(day.astype("datetime64[M]").astype(np.int64), dtype=pl.Int64),
            known=pl.Series(known, dtype=pl.Int64),
            revived=pl.lit(None, dtype=pl.Int64),
        )
        .join(pl.DataFrame({"fund_id": list(reports.ids), "last": last["last"]}), on="fund_id")
        .with_columns(last=pl.min_horizontal("last", "death"))
        .filter(pl.col("known") <= reports.last.ordinal)
    )


def _end(column: str) -> pl.Expr:
    """Month ordinals as month ends."""
    return pl.col(column).map_batches(_ends, return_dtype=pl.Date)


def _ends(ordinals: pl.Series) -> pl.Series:
    ends = pl.Series(month_ends(ordinals.fill_null(0).to_numpy()), dtype=pl.Date)
    return ends.zip_with(ordinals.is_not_null(), pl.Series([None], dtype=pl.Date))
