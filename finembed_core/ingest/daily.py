"""The daily panel: from prints (values as somebody published them) to returns by session.

Causal throughout: whether a print counts depends on nothing that becomes known after it, so that
later data add cells and change none.

* Sessions are the days on which the market series has a value.
* The first print of a day stands; a print that becomes known after one of a later day is ignored,
  since everybody has computed the later return without it.
* A session's return needs a value of that very day. A NAV of a day without session is not needed
  (the next NAV holds its move); a quoted return of such a day is compounded into the next session.
* After a gap the return since the last value falls into the session of the report, up to
  ``embeddings.max_gap_sessions``; beyond, there is none and a new history begins.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.calendar import Month
from finembed_core.daily_panel import DailyPanel, Days, Floats32
from finembed_core.errors import InputError, SettingsError
from finembed_core.ingest.series import described, fill_availability
from finembed_core.ingest.verdicts import empty_quarantine, quarantined
from finembed_core.settings import EmbeddingsSettings, Settings
from finembed_core.sources import InputTables

FUNDS_AT_ONCE = 500  # bounds memory: prints take twenty times the room of the panel
TABLE = "daily_observations"
PRINTS = ["id", "date", "ret", "nav", "available_at", "broken"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Daily:
    """The daily panel, attributes of its funds, what was kept aside, what shows beside results."""

    panel: DailyPanel
    funds: pl.DataFrame
    quarantine: pl.DataFrame
    warnings: list[str]


def daily_panel(tables: InputTables, settings: Settings, last: Month) -> Daily | None:
    """Returns by session up to the end of the month `last`; None without daily observations.

    Parameters
    ----------
    tables : InputTables
        Checked.
    settings : Settings
        ``embeddings`` names the market, the lag of daily reports and the largest return.
    last : Month

    Raises
    ------
    InputError
        No daily series has a value, or no fund has a return on its days.
    SettingsError
        The market that the settings name is no daily series.
    """
    reports = tables.daily_observations.filter(pl.col("date") <= last.end)
    if reports.is_empty():
        return None
    series = _series_prints(tables, settings, last)
    market = _market(series, tables, settings)
    days = series.filter(pl.col("id") == market)["date"].unique().sort().to_numpy()
    ids, returns, known, quarantine = _fund_returns(reports, days, settings.embeddings)
    if np.isnan(returns).all():
        raise InputError(
            f"no fund of the daily panel has a return on a day of the market series {market}",
            where=f"daily_observations; {market} has values from {days[0]} to {days[-1]}",
            remedy="name another daily series in embeddings.market, or bring its missing values",
        )
    rest = sorted(set(series["id"].unique()) - {market})
    beside, _ = _cells(series, days, (market, *rest))
    gap = settings.embeddings.max_gap_sessions
    values, values_known, _ = _matrix(beside, days, np.inf, gap)
    panel = DailyPanel(days, ids, returns, known, beside.ids, values, values_known)
    funds = tables.daily_funds.filter(pl.col("fund_id").is_in(ids)).sort("fund_id")
    newest = cast(dt.date, reports["date"].max())
    return Daily(panel, funds, quarantine, _warnings(panel, newest, gap))


def _series_prints(tables: InputTables, settings: Settings, last: Month) -> pl.DataFrame:
    """Prints of the daily series whose changes are returns; a level of zero or less has none."""
    series = tables.series.filter(
        pl.col("frequency") == "daily", pl.col("kind").is_in(["return", "index", "level"])
    )
    rows = described(tables.series_observations, series, settings.dataset).filter(
        pl.col("value").is_finite(), pl.col("date") <= last.end
    )
    is_return = pl.col("kind") == "return"
    rows = fill_availability(rows).filter(is_return | (pl.col("value") > 0))
    rows = rows.select(
        "date",
        id="series_id",
        ret=pl.when(is_return).then("value"),
        nav=pl.when(~is_return).then("value"),
        available_at=pl.max_horizontal("available_at", "date"),
        broken=pl.lit(False),
    )
    first = rows.sort("id", "date", "available_at").unique(["id", "date"], keep="first")
    return first.select(PRINTS).sort("id", "date")


def _market(prints: pl.DataFrame, tables: InputTables, settings: Settings) -> str:
    """The settings' market, the source's, the daily benchmark, or the first daily series."""
    daily = prints["id"].unique().sort().to_list()
    named = settings.embeddings.market
    if daily and named not in (None, *daily):
        raise SettingsError(
            f"the market {named} is no daily series with values",
            where="settings, embeddings.market",
            remedy=f"use one of {', '.join(daily)}, or describe it with frequency daily",
        )
    if not daily:
        raise InputError(
            "funds report by the day, and no daily series says which days are sessions",
            where="series, column frequency",
            remedy="give a market index with frequency daily, as return, index or level",
        )
    benchmarks = tables.series.filter(pl.col("roles").list.contains("benchmark"))["series_id"]
    candidates = [named, tables.market, *sorted(benchmarks.to_list()), daily[0]]
    return next(name for name in candidates if name in daily)


def _fund_returns(
    reports: pl.DataFrame, days: Days, settings: EmbeddingsSettings
) -> tuple[tuple[str, ...], Floats32, NDArray[np.int32], pl.DataFrame]:
    """Ids (N,), returns and knowledge (T, N) of all funds, and what was kept aside."""
    ids = reports["fund_id"].unique().sort()
    place = reports["fund_id"].cast(pl.Enum(ids)).to_physical().cast(pl.UInt32)
    returns, known, kept = [], [], [empty_quarantine()]
    for begin in range(0, len(ids), FUNDS_AT_ONCE):
        end = begin + FUNDS_AT_ONCE
        prints = reports.filter((place >= begin) & (place < end)).rename({"fund_id": "id"})
        prints, faults = _sound_prints(prints, settings.daily_lag_days)
        cells, late = _cells(prints, days, tuple(ids[begin:end]))
        values, since, excess = _matrix(
            cells, days, settings.max_abs_return, settings.max_gap_sessions
        )
        returns.append(values)
        known.append(since)
        kept += [faults, _kept_aside(late, "nav", "out_of_order"), excess]
    return (
        tuple(ids.to_list()),
        np.concatenate(returns, axis=1),
        np.concatenate(known, axis=1),
        pl.concat(kept),
    )


def _sound_prints(rows: pl.DataFrame, lag_days: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Gates that one day's prints show alone: one print per fund and day remains."""
    lagged = pl.col("date") + pl.duration(days=lag_days)
    rows = rows.with_columns(
        available_at=pl.col("available_at").fill_null(lagged), broken=pl.lit(False)
    )
    kept = [empty_quarantine()]
    gates = (
        ("ret", "not_finite", ~pl.col("ret").is_finite()),
        ("nav", "not_finite", ~pl.col("nav").is_finite()),
        ("nav", "nav_not_positive", pl.col("nav") <= 0),
    )
    for column, rule, faulty in gates:
        found = rows.filter(faulty)
        if found.height:
            kept.append(_kept_aside(found, column, rule))
            rows = rows.with_columns(
                pl.when(faulty).then(None).otherwise(pl.col(column)).alias(column),
                broken=pl.col("broken") | (faulty.fill_null(False) & (column == "ret")),
            )
    early = pl.col("available_at") < pl.col("date")
    kept.append(_kept_aside(rows.filter(early), "nav", "available_before_date"))
    rows = rows.filter(
        ~early, pl.any_horizontal(pl.col("ret", "nav").is_not_null(), pl.col("broken"))
    )
    rows, twice = _first_prints(rows)
    return rows.select(PRINTS).sort("id", "date"), pl.concat([*kept, *twice])


def _first_prints(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """One print per fund and day: the first; those of one moment must agree."""
    key = ["id", "date"]
    again = rows.select(key).is_duplicated()
    if not again.any():
        return rows, []
    repeated = rows.filter(again)
    first = pl.col("available_at") == pl.col("available_at").min().over(key)
    prints = repeated.filter(first)
    values = [pl.col(name).drop_nulls() for name in ("ret", "nav")]
    clash = pl.any_horizontal((value.n_unique() > 1).over(key) for value in values)
    agreed = (
        prints.filter(~clash)
        .group_by(key)
        .agg(*(value.first() for value in values), pl.col("available_at", "broken").max())
    )
    kept = [
        _kept_aside(repeated.filter(~first), "nav", "later_print"),
        _kept_aside(prints.filter(clash), "nav", "contradictory_prints"),
    ]
    return pl.concat([rows.filter(~again).select(PRINTS), agreed.select(PRINTS)]), kept


def _kept_aside(rows: pl.DataFrame, column: str, rule: str) -> pl.DataFrame:
    """Prints for the quarantine; where the NAV is asked for, those without show their return."""
    if rows.is_empty():
        return empty_quarantine()
    parts = [(column, rows)]
    if column == "nav":
        quoted = pl.col("nav").is_null() & pl.col("ret").is_not_null()
        parts = [("nav", rows.filter(~quoted)), ("ret", rows.filter(quoted))]
    return pl.concat(
        quarantined(own, table=TABLE, id="id", column=name, rule=rule, known_at="available_at")
        for name, own in parts
    )


@dataclass(frozen=True)
class _Cells:
    """Prints on sessions by fund and day; a fund's returns of other days are compounded in.

    ``ret`` is NaN where none is quoted or one of its days is ``broken``, ``nav`` where there is
    none; ``known`` is T where not before the last session.
    """

    ids: tuple[str, ...]
    column: NDArray[np.int64]
    session: NDArray[np.int64]
    known: NDArray[np.int64]
    ret: Floats
    nav: Floats
    broken: Bools


def _cells(prints: pl.DataFrame, days: Days, ids: tuple[str, ...]) -> tuple[_Cells, pl.DataFrame]:
    """Prints on their sessions, and those that came after one of a later day."""
    prints = prints.filter(pl.col("date").is_between(days[0], days[-1]))
    prints = prints.with_columns(pl.col("id").cast(pl.Enum(ids))).sort("id", "date")
    column = prints["id"].to_physical().cast(pl.Int64).to_numpy()
    known = np.searchsorted(days, prints["available_at"].to_numpy().astype("datetime64[D]"))
    in_order = _in_order(column, known, len(days))
    late = prints.filter(~pl.Series(in_order))
    prints, column, known = prints.filter(pl.Series(in_order)), column[in_order], known[in_order]
    stamps = prints["date"].to_numpy().astype("datetime64[D]")
    session = np.searchsorted(days, stamps)
    own = days[session] == stamps
    ret = prints["ret"].fill_null(np.nan).to_numpy()
    broken = prints["broken"].to_numpy()
    ret, broken = _compounded(ret, broken, column, own)
    nav = prints["nav"].fill_null(np.nan).to_numpy()[own]
    return _Cells(ids, column[own], session[own], known[own], ret, nav, broken), late


def _in_order(column: NDArray[np.int64], known: NDArray[np.int64], never: int) -> Bools:
    """Rows, by column and day, that no later row of their column is known before."""
    step = column * (never + 1) + known  # every column lies above the one before
    return step == np.minimum.accumulate(step[::-1])[::-1]


def _compounded(
    ret: Floats, broken: Bools, column: NDArray[np.int64], own: Bools
) -> tuple[Floats, Bools]:
    """Quoted returns since the column's last row on a session, for each row on one."""
    if own.all():
        return ret, broken
    begins = np.r_[True, own[:-1] | (column[1:] != column[:-1])]
    starts = np.flatnonzero(begins)
    quoted = ~np.isnan(ret)
    growth = np.multiply.reduceat(np.where(quoted, 1.0 + ret, 1.0), starts) - 1.0
    alone = np.add.reduceat(np.ones(len(ret)), starts) == 1  # stays as it is, to the last bit
    any_quoted = np.logical_or.reduceat(quoted, starts)
    whole = np.where(alone, ret[starts], np.where(any_quoted, growth, np.nan))
    segment = np.cumsum(begins) - 1
    return whole[segment[own]], np.logical_or.reduceat(broken, starts)[segment[own]]


def _matrix(
    cells: _Cells, days: Days, limit: float, max_gap: int
) -> tuple[Floats32, NDArray[np.int32], pl.DataFrame]:
    """Returns (T, N), the sessions that know them, and those beyond the limit.

    A fall counts as the rise that makes up for it: of a wrong value neither the way there nor the
    way back may stay without the other.
    """
    change = _changes(cells, max_gap)
    lost = change < -1.0
    with np.errstate(divide="ignore"):  # a total loss is beyond every limit
        beyond = np.abs(np.log1p(np.where(lost, 0.0, change))) > np.log1p(limit)
    shape = (len(days), len(cells.ids))
    returns = np.full(shape, np.nan, dtype=np.float32)
    known = np.full(shape, len(days), dtype=np.int32)
    sound = ~np.isnan(change) & ~beyond & ~lost
    place = cells.session[sound], cells.column[sound]
    returns[place] = change[sound]
    known[place] = cells.known[sound]
    faults = [("return_below_minus_100", lost), ("daily_return_above_limit", beyond)]
    return returns, known, pl.concat(_excess(cells, days, change, *fault) for fault in faults)


def _changes(cells: _Cells, max_gap: int) -> Floats:
    """Quoted returns, or else from the row before to this one, where both are NAVs."""
    gap = np.diff(cells.session, prepend=-1)
    follows = (np.diff(cells.column, prepend=-1) == 0) & (gap <= max_gap)
    with np.errstate(over="ignore"):  # beyond every limit then
        growth = cells.nav / np.r_[np.nan, cells.nav[:-1]] - 1.0
    of_nav = np.where(follows & ~cells.broken, growth, np.nan)
    return np.where(np.isnan(cells.ret), of_nav, np.where(cells.broken, np.nan, cells.ret))


def _excess(cells: _Cells, days: Days, change: Floats, rule: str, faulty: Bools) -> pl.DataFrame:
    known = cells.known[faulty]
    seen = days[np.minimum(known, len(days) - 1)] + (known == len(days)).astype("timedelta64[D]")
    rows = pl.DataFrame(
        {
            "id": pl.Series(cells.ids, dtype=pl.String).gather(cells.column[faulty]),
            "date": days[cells.session[faulty]],
            "ret": change[faulty],
            "known": seen,
        },
        schema_overrides={"ret": pl.Float64},
    )
    return quarantined(rows, table=TABLE, id="id", column="ret", rule=rule, known_at="known")


def _warnings(panel: DailyPanel, newest: dt.date, max_gap: int) -> list[str]:
    warnings = []
    end = cast(dt.date, panel.days[-1].item())
    if newest > end + dt.timedelta(days=max_gap):
        warnings.append(
            f"the market {panel.market} ends on {end}, the daily reports of funds on {newest}: "
            "what lies after is not used"
        )
    silent = int(np.isnan(panel.returns).all(axis=0).sum())
    if silent:
        warnings.append(
            f"{silent} funds of the daily panel have no return on a day of {panel.market}"
        )
    return warnings
