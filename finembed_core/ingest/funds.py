"""Fund observations: from the source's rows to a dense matrix of months x funds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.calendar import month_ordinals
from finembed_core.ingest.contracts import check_no_double_reports, check_no_long_silence
from finembed_core.ingest.periods import compounded, finished_months, month_end
from finembed_core.ingest.verdicts import empty_quarantine, quarantined
from finembed_core.settings import IngestSettings

FloatArray = NDArray[np.float64]
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class FundMonths:
    """Monthly reports of all funds.

    Attributes
    ----------
    first : int
        Ordinal of the first row's month; rows are consecutive months.
    ids, sources : tuple of str
        Sorted fund ids, length N; names that ``source`` counts in.
    reported : ndarray of bool, shape (T, N)
        Whether the fund reported for the month at all.
    returns, aum : ndarray of float64, shape (T, N)
        Simple total return, assets; NaN where there is none.
    nav : ndarray of float64, shape (T, N)
        NAV, where the return was made from it or agrees with it.
    span : ndarray of int64, shape (T, N)
        Months that a return covers: more than 1 after a gap.
    available : ndarray of int64, shape (T, N)
        Day (since 1970) of availability; of a return made from two NAVs, that of the later known.
    assumed : ndarray of bool, shape (T, N)
    source : ndarray of int32, shape (T, N)
    """

    first: int
    ids: tuple[str, ...]
    sources: tuple[str, ...]
    reported: NDArray[np.bool_]
    returns: FloatArray
    aum: FloatArray
    nav: FloatArray
    span: NDArray[np.int64]
    available: NDArray[np.int64]
    assumed: NDArray[np.bool_]
    source: NDArray[np.int32]

    @property
    def ordinals(self) -> NDArray[np.int64]:
        """Month ordinals of the rows."""
        return self.first + np.arange(len(self.returns))

    def judged(self, faulty: NDArray[np.bool_], last: int) -> FundMonths:
        """The months up to the ordinal `last`, faulty returns as NaN."""
        rows = slice(0, max(last - self.first + 1, 0))
        cut = {
            field.name: value[rows]
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
        }
        cut["returns"] = np.where(faulty[rows], np.nan, cut["returns"])
        return dataclasses.replace(self, **cut)


def fund_months(
    observations: pl.DataFrame, lag_days: int, settings: IngestSettings
) -> tuple[FundMonths, pl.DataFrame]:
    """Judge each row by itself, convert days to months and NAVs to returns.

    Parameters
    ----------
    observations : polars.DataFrame
        Checked fund observations, by fund and date.
    lag_days : int
        Publication lag assumed where ``available_at`` is missing, in days after the month's end.
    settings : IngestSettings
        A NAV after more than ``dead_after_missing`` months starts a new history: the fund was taken
        for dead meanwhile. After fewer, the return over the gap falls into the month of the report,
        as it does for whoever held the fund.

    Returns
    -------
    FundMonths
    quarantine : polars.DataFrame
        Rows that cannot be used whatever came before or after.

    Raises
    ------
    InputError
        A fund of monthly returns reports two for a month; a report stands alone, years away from
        all the others.
    """
    sound, quarantine = _row_gates(observations, lag_days)
    finished = finished_months(sound, "source")
    monthly = _to_months(finished, lag_days, settings.max_double_reports)
    check_no_long_silence(monthly, settings.max_silent_months)
    return _dense(monthly, settings), quarantine


def _row_gates(rows: pl.DataFrame, lag_days: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Faults that one row shows alone; the faulty value becomes null, or the row goes."""
    rows = rows.with_columns(source=pl.col("source").fill_null("unnamed"))
    firsts = (pl.col("date").dt.day() == 1).all().over("source")
    meant = pl.when(firsts).then(month_end()).otherwise(pl.col("date"))
    assumed_at = month_end() + pl.duration(days=lag_days)
    rows = rows.with_columns(
        known=pl.col("available_at").fill_null(assumed_at), broken=pl.lit(False)
    )
    kept: list[pl.DataFrame] = [empty_quarantine()]

    def judge(column: str, rule: str, faulty: pl.Expr) -> None:
        nonlocal rows
        found = rows.filter(faulty)
        if found.height:
            kept.append(
                quarantined(
                    found,
                    table="fund_observations",
                    id="fund_id",
                    column=column,
                    rule=rule,
                    known_at="known",
                )
            )
            rows = rows.with_columns(
                pl.when(faulty).then(None).otherwise(pl.col(column)).alias(column),
                broken=pl.col("broken") | (faulty.fill_null(False) & (column == "ret")),
            )

    for column in ("ret", "nav", "aum"):
        judge(column, "not_finite", ~pl.col(column).is_finite())
    judge("nav", "nav_not_positive", pl.col("nav") <= 0)
    judge("aum", "aum_negative", pl.col("aum") < 0)
    early = pl.col("available_at") < meant
    value = pl.coalesce("ret", "nav", "aum")
    impossible = rows.filter(early).with_columns(known="available_at", available_at=value)
    if impossible.height:
        kept.append(
            quarantined(
                impossible,
                table="fund_observations",
                id="fund_id",
                column="available_at",
                rule="available_before_date",
                known_at="known",
            )
        )
    return rows.filter(early.not_() | early.is_null()), pl.concat(kept)


def _to_months(rows: pl.DataFrame, lag_days: int, max_doubles: int) -> pl.DataFrame:
    """One row per fund and month: daily returns compounded, the last NAV and assets."""
    rows = rows.with_columns(
        date=month_end(),
        day=pl.col("date"),
        assumed=pl.col("available_at").is_null(),
        available_at=pl.col("available_at").fill_null(month_end() + pl.duration(days=lag_days)),
    )
    if rows.select(pl.struct("fund_id", "date").is_duplicated().any()).item():
        check_no_double_reports(rows, max_doubles)
        return (
            rows.sort("fund_id", "day")
            .group_by("fund_id", "date", maintain_order=True)
            .agg(
                ret=pl.when((pl.col("ret").count() > 0) & ~pl.col("broken").any()).then(
                    compounded("ret")
                ),
                nav=pl.col("nav").drop_nulls().last(),
                aum=pl.col("aum").drop_nulls().last(),
                available_at=pl.col("available_at").max(),
                assumed=pl.col("assumed").any(),
                source=pl.col("source").last(),
            )
        )
    return rows


def _dense(monthly: pl.DataFrame, settings: IngestSettings) -> FundMonths:
    ids = monthly["fund_id"].unique().sort()
    sources = monthly["source"].unique().sort()
    months = month_ordinals(monthly["date"].to_numpy())
    first = int(months.min()) if len(months) else 0
    shape = (int(months.max()) - first + 1 if len(months) else 0, len(ids))
    cell = (months - first, ids.search_sorted(monthly["fund_id"]).to_numpy())

    def spread(values: NDArray, fill: object, kind: type) -> NDArray:
        matrix = np.full(shape, fill, dtype=kind)
        matrix[cell] = values
        return matrix

    def numbers(column: str) -> FloatArray:
        return spread(monthly[column].fill_null(np.nan).to_numpy(), np.nan, np.float64)

    nav = numbers("nav")
    reported_at = spread(
        monthly["available_at"].to_numpy().astype("datetime64[D]").astype(np.int64), NEVER, np.int64
    )
    from_nav, span, both_known = _returns_of_nav(nav, reported_at, settings.dead_after_missing)
    given = numbers("ret")
    quoted = ~np.isnan(given)  # where both are given, the quoted return counts
    same = (np.abs(given - from_nav) < settings.quoted_tolerance) & (both_known == reported_at)
    nav[quoted & ~same] = np.nan  # adjusted for a split, say
    span[quoted] = 1
    source = sources.search_sorted(monthly["source"]).to_numpy()
    return FundMonths(
        first=first,
        ids=tuple(ids.to_list()),
        sources=tuple(sources.to_list()),
        reported=spread(np.ones(monthly.height, dtype=bool), False, np.bool_),
        returns=np.where(quoted, given, from_nav),
        aum=numbers("aum"),
        nav=nav,
        span=span,
        available=np.where(quoted, reported_at, both_known),
        assumed=spread(monthly["assumed"].to_numpy(), False, np.bool_),
        source=spread(source, -1, np.int32),
    )


def _returns_of_nav(
    nav: FloatArray, available: NDArray[np.int64], max_span: int
) -> tuple[FloatArray, NDArray[np.int64], NDArray[np.int64]]:
    """Returns from one NAV to the next, the months each covers, the day both NAVs are known."""
    returns = np.full_like(nav, np.nan)
    span = np.ones(nav.shape, dtype=np.int64)
    both_known = available.copy()
    previous = np.full(nav.shape[1], np.nan)
    previous_known = np.zeros(nav.shape[1], dtype=np.int64)
    since = np.zeros(nav.shape[1], dtype=np.int64)
    for t, now in enumerate(nav):
        seen = ~np.isnan(now)
        covers = t - since
        usable = seen & ~np.isnan(previous) & (covers <= max_span)
        returns[t, usable] = now[usable] / previous[usable] - 1.0
        span[t, usable] = covers[usable]
        both_known[t, usable] = np.maximum(available[t], previous_known)[usable]
        previous = np.where(seen, now, previous)
        previous_known = np.where(seen, available[t], previous_known)
        since = np.where(seen, t, since)
    return returns, span, both_known
