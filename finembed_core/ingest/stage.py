"""Ingest: read the source once, judge everything, then write the parts that changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import polars as pl

from finembed_core.calendar import DecisionCalendar, Month, month_ends, month_range
from finembed_core.errors import InputError
from finembed_core.ingest.contracts import check
from finembed_core.ingest.daily import Daily, daily_panel
from finembed_core.ingest.funds import NEVER, FundMonths, fund_months
from finembed_core.ingest.gates import RULE_CODES, Verdicts, judge
from finembed_core.ingest.parts import Ingested, write
from finembed_core.ingest.quality import data_quality
from finembed_core.ingest.series import monthly_frequency, series_months
from finembed_core.ingest.verdicts import QUARANTINE, RULES
from finembed_core.progress import Progress, Silent
from finembed_core.settings import Settings
from finembed_core.sources import InputTables, load, month_bounds
from finembed_core.sources.tables import empty
from finembed_core.store import PartStore

OBSERVATIONS: dict[str, pl.DataType] = {
    "fund_id": pl.String(),
    "date": pl.Date(),
    "ret": pl.Float64(),
    "aum": pl.Float64(),
    "available_at": pl.Date(),
    "assumed": pl.Boolean(),
    "source": pl.String(),
}


@dataclass(frozen=True)
class IngestReport:
    """What came in.

    Attributes
    ----------
    months : list of Month
        Months that can be decided, the first to the last.
    rows : mapping of str to int
        Rows per table.
    rules : mapping of str to int
        Quarantined rows per rule.
    warnings : list of str
        What shows beside the results.
    written, skipped, deleted : int
        Parts.
    simulated : bool
        No real fund is in it.
    """

    months: list[Month]
    rows: Mapping[str, int]
    rules: Mapping[str, int]
    warnings: list[str]
    written: int
    skipped: int
    deleted: int
    simulated: bool


def ingest(
    store: PartStore,
    settings: Settings,
    progress: Progress | None = None,
    tables: InputTables | None = None,
) -> IngestReport:
    """Read the settings' dataset, or tables that were loaded already, into the store.

    Parts that are as they were are left alone, those that should no longer exist are deleted.

    Raises
    ------
    InputError
        The input breaks its contract; nothing has been written then.
    """
    first, last = month_bounds(settings.dataset)
    result = prepare(tables or load(settings.dataset), settings, first, last)
    written, skipped, deleted = write(store, result, progress or Silent())
    rules = result.whole["quarantine"].group_by("rule").len().sort("len", descending=True)
    frames = {**result.monthly, **result.whole}
    return IngestReport(
        months=month_range(result.first, result.last),
        rows={table: frame.height for table, frame in frames.items()} | _daily_rows(result.daily),
        rules=dict(zip(rules["rule"].to_list(), rules["len"].to_list(), strict=True)),
        warnings=result.warnings,
        written=written,
        skipped=skipped,
        deleted=deleted,
        simulated=result.simulated,
    )


def delivered(settings: Settings) -> Month:
    """Last month that the source covers now; the store may be behind.

    Raises
    ------
    InputError
        The input breaks its contract.
    """
    first, last = month_bounds(settings.dataset)
    return prepare(load(settings.dataset), settings, first, None).last if last is None else last


def brought(settings: Settings) -> Ingested:
    """What the source would bring into a store now; writes nothing.

    Raises
    ------
    InputError
        The input breaks its contract.
    """
    return prepare(load(settings.dataset), settings, *month_bounds(settings.dataset))


def prepare(tables: InputTables, settings: Settings, first: Month, last: Month | None) -> Ingested:
    """Everything between the source and the store; writes nothing.

    Parameters
    ----------
    tables : InputTables
    settings : Settings
    first : Month
        First month to decide; what was known before it lies in one opening part.
    last : Month, optional
        Last month; that of the data when None.

    Raises
    ------
    InputError
        The input breaks its contract, or nothing is known in the months asked for.
    """
    tables = check(tables)
    dataset, limits = settings.dataset, settings.ingest
    funds, row_faults = fund_months(tables.fund_observations, dataset.fund_lag, limits)
    verdicts = judge(funds, _death_days(funds, tables.funds), dataset.fund_lag, limits)
    begin = Month.of(cast(dt.date, tables.fund_observations["date"].min()))
    # The matrix holds them now: nothing of the size of the input stays beside it and its parts.
    tables = replace(tables, fund_observations=empty("fund_observations"))
    last = _check_months(funds, begin, first, last)
    series, series_faults = series_months(
        tables.series_observations, tables.series, dataset, limits.max_abs_return, last
    )
    span = _Span(dataset.calendar, first, last)
    observations = span.cut(_observations(funds, verdicts, span))
    key = ["known", "series_id", "vintage", "date"]
    series = span.cut(span.known_from(series)).sort(*key, "available_at")
    series = series.unique(key, keep="last", maintain_order=True)  # known in the same month
    daily = daily_panel(tables, settings, last)
    faults = [row_faults, series_faults, _quarantine(funds, verdicts)]
    faults += [daily.quarantine] if daily else []
    quarantine = span.until_last(pl.concat(faults), "known_at").sort("table", "rule", "id", "date")
    sound = funds.judged(verdicts.rule > 0, last.ordinal)
    quality = data_quality(quarantine, observations, series, sound, settings)
    return Ingested(
        first,
        last,
        {"fund_observations": observations, "series_observations": series},
        {
            "funds": tables.funds,
            "series": monthly_frequency(tables.series),
            "quarantine": quarantine,
            "data_quality": quality,
        },
        daily,
        _warnings(tables, observations, settings) + (daily.warnings if daily else []),
        tables.simulated,
    )


@dataclass(frozen=True)
class _Span:
    """The months of a study, and the part in which a row belongs."""

    calendar: DecisionCalendar
    first: Month
    last: Month

    @property
    def opening(self) -> int:
        """Ordinal of the part that holds what was known before the first month."""
        return (self.first - 1).ordinal

    def part_of(self, dates: np.ndarray, available: np.ndarray) -> np.ndarray:
        """Part of rows with these dates (month ends) and days of availability."""
        return np.maximum(self.calendar.information_month(dates, available), self.opening)

    def known_from(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Add ``known``."""
        known = self.part_of(frame["date"].to_numpy(), frame["available_at"].to_numpy())
        return frame.with_columns(known=pl.Series(known, dtype=pl.Int64))

    def cut(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows that are known by the last month."""
        return frame.filter(pl.col("known") <= self.last.ordinal)

    def until_last(self, frame: pl.DataFrame, day: str) -> pl.DataFrame:
        """Rows whose `day` has come by the last month's decision."""
        return frame.filter(pl.col(day) <= pl.lit(self.calendar.decision_day(self.last)))


def _death_days(funds: FundMonths, attributes: pl.DataFrame) -> np.ndarray:
    dates = pl.DataFrame({"fund_id": funds.ids}, schema={"fund_id": pl.String}).join(
        attributes.select("fund_id", "death_date"), on="fund_id", how="left", maintain_order="left"
    )["death_date"]
    days = dates.to_physical().cast(pl.Int64)
    return days.fill_null(NEVER).to_numpy()


def _observations(funds: FundMonths, verdicts: Verdicts, span: _Span) -> pl.DataFrame:
    """Rows as they became known, and those that withdraw a value after a late verdict."""
    ends = month_ends(funds.ordinals)
    row, column = np.nonzero(funds.reported)
    returns, available = funds.returns[row, column], funds.available[row, column]
    known = span.part_of(ends[row], available.astype("datetime64[D]"))
    judged = np.flatnonzero(verdicts.rule[row, column])
    verdict_day = verdicts.known[row[judged], column[judged]]
    verdict_part = span.part_of(ends[row[judged]], verdict_day.astype("datetime64[D]"))
    at_once = verdict_part <= known[judged]
    undone = ~at_once & ~np.isnan(returns[judged])
    late = judged[undone]
    returns[judged[at_once]] = np.nan
    nothing = np.full(len(late), np.nan)
    frames = [
        _rows(funds, row, column, returns, available, known),
        _rows(funds, row[late], column[late], nothing, verdict_day[undone], verdict_part[undone]),
    ]
    return pl.concat(frames).sort("known", "fund_id", "date")


def _rows(
    funds: FundMonths,
    row: np.ndarray,
    column: np.ndarray,
    returns: np.ndarray,
    available: np.ndarray,
    known: np.ndarray,
) -> pl.DataFrame:
    """Cells of the matrix in the shape of the table, and the parts they belong to."""
    return pl.DataFrame(
        {
            "fund_id": pl.Series(funds.ids, dtype=pl.String).gather(column),
            "date": pl.Series(month_ends(funds.ordinals)).gather(row),
            "ret": returns,
            "aum": funds.aum[row, column],
            "available_at": available.astype("datetime64[D]"),
            "assumed": funds.assumed[row, column],
            "source": pl.Series(funds.sources, dtype=pl.String).gather(funds.source[row, column]),
            "known": known,
        }
    ).with_columns(pl.col("ret", "aum").fill_nan(None))


def _quarantine(funds: FundMonths, verdicts: Verdicts) -> pl.DataFrame:
    """The matrix's verdicts in the shape of the quarantine table."""
    row, column = np.nonzero(verdicts.rule)
    names = pl.Series(["", *RULE_CODES], dtype=pl.String)
    rule = names.gather(verdicts.rule[row, column])
    return (
        pl.DataFrame(
            {
                "table": np.full(len(row), "fund_observations"),
                "id": pl.Series(funds.ids, dtype=pl.String).gather(column),
                "date": month_ends(funds.ordinals)[row],
                "column": np.full(len(row), "ret"),
                "rule": rule,
                "value": funds.returns[row, column],
                "reason": rule.replace_strict(RULES, return_dtype=pl.String),
                "known_at": verdicts.known[row, column].astype("datetime64[D]"),
            }
        )
        .cast(pl.Schema(QUARANTINE))
        .with_columns(pl.col("value").fill_nan(None))
    )


def _check_months(funds: FundMonths, begin: Month, first: Month, last: Month | None) -> Month:
    """The last month, that of the data by default; an error where the data do not reach.

    They begin with their first row, usable or not: a faulty one moves no study.
    """
    reported = funds.ordinals[funds.reported.any(axis=1)]
    if len(reported) == 0:
        raise InputError(
            "no fund observation can be used",
            where="fund_observations",
            remedy="check dates, available_at and units; returns and fees are decimals",
        )
    data_last = Month(int(reported[-1]))
    last = last or data_last
    if first < begin or last > data_last or last < first:
        raise InputError(
            f"the fund observations reach from {begin} to {data_last}, "
            f"the study from {first} to {last}",
            where="settings, dataset.first_month and dataset.last_month",
            remedy="choose months that the data cover",
        )
    return last


def _warnings(tables: InputTables, observations: pl.DataFrame, settings: Settings) -> list[str]:
    roles = set(tables.series["roles"].explode(empty_as_null=False).to_list())
    warnings = []
    if tables.simulated:
        warnings.append("simulated data: no real fund is in these results")
    if "risk_free" not in roles:
        warnings.append("no risk-free series: 0 is assumed")
    absent = [role for role in ("risk_factor", "macro", "benchmark") if role not in roles]
    warnings.extend(f"no series has role {role}" for role in absent)
    funded = observations.filter(pl.col("aum").is_not_null())["fund_id"].unique()
    currencies = tables.funds.filter(pl.col("fund_id").is_in(funded.to_list()))["currency"]
    several = currencies.drop_nulls().unique().sort().to_list()
    if len(several) > 1:
        if settings.universe.min_aum is not None:
            raise InputError(
                f"assets are in several currencies ({', '.join(several)}) and universe.min_aum "
                "compares them",
                where="funds, column currency; settings, universe.min_aum",
                remedy="convert the assets, restrict universe.currencies, or leave min_aum out",
            )
        warnings.append(f"assets are in several currencies: {', '.join(several)}")
    return warnings


def _daily_rows(daily: Daily | None) -> dict[str, int]:
    """Returns and funds of the daily panel."""
    if daily is None:
        return {}
    cells = int((~np.isnan(daily.panel.returns)).sum())
    return {"daily_panel": cells, "daily_funds": daily.funds.height}
