"""Who may be bought in a month, and why the others may not; by what was known in that month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.calendar import Month
from finembed_core.errors import MissingPartError
from finembed_core.fingerprint import digest
from finembed_core.ingest.deaths import KnownReports, deaths_of, known_reports
from finembed_core.settings import Settings, UniverseSettings
from finembed_core.stage import Output, Stage
from finembed_core.store import PartStore

SCHEMA: dict[str, pl.DataType] = {
    "month": pl.Date(),
    "fund_id": pl.String(),
    "eligible": pl.Boolean(),
    "reason": pl.String(),
    "n_history": pl.Int64(),
    "last_aum": pl.Float64(),
}


@dataclass(frozen=True)
class KnownFunds:
    """What was known of every fund in one month.

    Attributes
    ----------
    month : str
    funds : polars.DataFrame
        fund_id, n_history, last_aum, dead (reason, "" when alive), duplicate, closed, category,
        currency; one row per fund that had reported by then.
    """

    month: str
    funds: pl.DataFrame

    def digest(self) -> str:
        """Hash of the information."""
        return digest(self.month, self.funds)


def universe_stage(store: PartStore, settings: Settings) -> Stage[KnownFunds]:
    """Eligibility of every fund known by a month.

    Reasons, the first that applies: ``dead: <reason>``, ``duplicate_fund``, ``closed``,
    ``currency``, ``category``, ``aum_missing``, ``aum_below_minimum``, ``history_too_short``.
    """
    facts = _Facts(store, settings)
    return Stage(
        name="universe",
        tables=("universe",),
        sections=(settings.universe, settings.ingest),
        modules=("finembed_core.ingest.universe", "finembed_core.ingest.deaths"),
        gather=facts.known_in,
        compute=partial(decide, settings.universe),
    )


def decide(settings: UniverseSettings, inputs: KnownFunds) -> Mapping[str, Output]:
    """Judge every fund; pure."""
    reason = pl.when(pl.col("dead") != "").then(pl.concat_str(pl.lit("dead: "), "dead"))
    reason = reason.when("duplicate").then(pl.lit("duplicate_fund"))
    if settings.require_open:
        reason = reason.when("closed").then(pl.lit("closed"))
    if settings.currencies is not None:
        outside = ~pl.col("currency").is_in(settings.currencies).fill_null(False)
        reason = reason.when(outside).then(pl.lit("currency"))
    excluded = pl.col("category").is_in(settings.exclude_categories).fill_null(False)
    if settings.categories is not None:
        excluded |= ~pl.col("category").is_in(settings.categories).fill_null(False)
    reason = reason.when(excluded).then(pl.lit("category"))
    if settings.min_aum is not None:
        reason = reason.when(pl.col("last_aum").is_null()).then(pl.lit("aum_missing"))
        small = pl.col("last_aum") < settings.min_aum
        reason = reason.when(small).then(pl.lit("aum_below_minimum"))
    young = pl.col("n_history") < settings.min_history_months
    reason = reason.when(young).then(pl.lit("history_too_short")).otherwise(pl.lit(""))
    frame = (
        inputs.funds.with_columns(month=pl.lit(Month.parse(inputs.month).end), reason=reason)
        .with_columns(eligible=pl.col("reason") == "")
        .select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
    )
    counts = frame["reason"].value_counts().sort("reason")
    notes = {
        "eligible": int(frame["eligible"].sum()),
        "reasons": {reason: count for reason, count in counts.rows() if reason},
    }
    return {"universe": Output(frame, notes=notes)}


class _Facts:
    """Everything in the store that bears on eligibility, read once, looked at by month."""

    def __init__(self, store: PartStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    @cached_property
    def _reports(self) -> KnownReports:
        return known_reports(self._store, self._settings.dataset.calendar)

    @cached_property
    def _attributes(self) -> pl.DataFrame:
        """Attributes of all funds that ever reported, in the order of the reports' ids."""
        own = pl.DataFrame({"fund_id": self._reports.ids}, schema={"fund_id": pl.String})
        table = self._store.read("funds", "all")
        return own.join(table, on="fund_id", how="left", maintain_order="left")

    @cached_property
    def _deaths(self) -> pl.DataFrame:
        return deaths_of(self._reports, self._attributes, self._settings)

    @cached_property
    def _duplicates(self) -> pl.DataFrame:
        quarantine = self._store.read("quarantine", "all")
        return quarantine.filter(pl.col("rule") == "duplicate_fund")

    def known_in(self, key: str) -> KnownFunds:
        """Facts known in the month `key`."""
        month = Month.parse(key)
        reports = self._reports
        if month > reports.last or self._store.manifest("fund_observations", key) is None:
            raise MissingPartError(
                f"fund_observations has no part {key}",
                where="universe",
                remedy="materialize the observations of this month first",
            )
        end = int(np.searchsorted(reports.known, month.ordinal, side="right"))
        fund, when = reports.fund[:end], reports.month[:end]
        last_report = np.full(len(reports.ids), -1)
        np.maximum.at(last_report, fund, when)
        seen = last_report >= 0
        day = self._settings.dataset.calendar.decision_day(month)
        dead = self._deaths.filter(
            (pl.col("known_month") <= month.end)
            & (pl.col("revived_month").is_null() | (pl.col("revived_month") > month.end))
        ).select("fund_id", dead="reason")
        funds = self._attributes.with_columns(
            n_history=_usable_months(reports, end),
            last_aum=pl.Series(_latest_aum(reports, end, month, self._settings.universe)).fill_nan(
                None
            ),
            duplicate=self._is_duplicate(last_report, month),
            closed=_closed(day, self._settings.dataset.fund_lag),
        )
        columns = ["fund_id", "n_history", "last_aum", "dead", "duplicate", "closed"]
        return KnownFunds(
            key,
            funds.filter(pl.Series(seen))
            .join(dead, on="fund_id", how="left", maintain_order="left")
            .with_columns(pl.col("dead").fill_null(""))
            .select(*columns, "category", "currency"),
        )

    def _is_duplicate(self, last_report: NDArray[np.int64], month: Month) -> pl.Series:
        """Whether a fund's latest report is known to repeat another fund's."""
        latest = pl.DataFrame(
            {"id": self._reports.ids, "ordinal": last_report}, schema_overrides={"id": pl.String}
        )
        day = self._settings.dataset.calendar.decision_day(month)
        known = self._duplicates.filter(pl.col("known_at") <= day).select(
            "id",
            ordinal=(pl.col("date").dt.year().cast(pl.Int64) - 1970) * 12
            + pl.col("date").dt.month().cast(pl.Int64)
            - 1,
            duplicate=pl.lit(True),
        )
        joined = latest.join(known, on=["id", "ordinal"], how="left", maintain_order="left")
        return joined["duplicate"].fill_null(False)


def _usable_months(reports: KnownReports, end: int) -> pl.Series:
    """Number of months with a return, fund by fund, by the first `end` reports."""
    fund, when = reports.fund[:end], reports.month[:end]
    first = int(when.min()) if end else 0
    usable = np.zeros((len(reports.ids), int(when.max()) - first + 1 if end else 0), dtype=bool)
    usable[fund, when - first] = reports.usable[:end]  # the latest report of a month stands last
    return pl.Series(usable.sum(axis=1), dtype=pl.Int64)


def _latest_aum(
    reports: KnownReports, end: int, month: Month, settings: UniverseSettings
) -> NDArray[np.float64]:
    """Latest assets known, if young enough; NaN without."""
    age = month.ordinal - reports.month[:end]
    young = (age < settings.max_aum_age_months) & (age >= 0)
    recent = np.flatnonzero(young & ~np.isnan(reports.aum[:end]))
    latest = np.full(len(reports.ids), np.nan)
    order = recent[np.argsort(-age[recent], kind="stable")]  # oldest first, the latest wins
    latest[reports.fund[order]] = reports.aum[order]
    return latest


def _closed(day: object, lag_days: int) -> pl.Expr:
    """Closed to new money: from the closing date plus the fund's lag on, always without one."""
    known = pl.col("closed_date") + pl.duration(days=lag_days) <= pl.lit(day)
    return (pl.col("open_to_new_money").not_() | pl.col("closed_date").is_not_null()).fill_null(
        False
    ) & known.fill_null(True)
