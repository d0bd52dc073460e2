"""Another future: all that nobody could know by a month's decision is replaced in the input tables.

The rows that were known by then, by the dataset's calendar and lags, are left as they are. Of the
others, a share is gone, a share is absurd, and the rest is noise; some funds and series fall silent
altogether, others are born, with ids that sort before and after all that there are.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from finembed_core.calendar import Month
from finembed_core.ingest.contracts import check
from finembed_core.ingest.periods import month_end, quarter_end
from finembed_core.ingest.series import described, fill_availability
from finembed_core.settings import Settings
from finembed_core.sources.tables import SERIES_OBSERVATIONS, InputTables

SILENT, GONE, HUGE, NEGATIVE = 0.2, 0.15, 0.05, 0.05
"""Shares: of funds and series that fall silent, of rows that are deleted or absurd."""
ABSURD = (1e9, -5.0)
FIRST, LAST = "!born", "~born"
"""Ids of those born later sort before and after what people call their funds."""
CHANGED = 0.3
"""Share of the funds that were alive and open by then and that die, or close, later."""
SPAN = 600  # days within which they do


@dataclass(frozen=True)
class Cut:
    """The moment between what is known and what is not.

    Attributes
    ----------
    end : date
        End of the month: rows dated later are not known.
    day : date
        The day of decision: rows available later are not known.
    """

    end: dt.date
    day: dt.date

    def unknown(self, date: pl.Expr, known: pl.Expr) -> pl.Expr:
        """Rows that the information set does not hold."""
        return (date > pl.lit(self.end)) | (known > pl.lit(self.day))


def another_future(tables: InputTables, settings: Settings, month: Month, seed: int) -> InputTables:
    """The input tables with another future after the decision of a month.

    Parameters
    ----------
    tables : InputTables
    settings : Settings
        ``dataset`` says by when a row is known, ``embeddings.daily_lag_days`` for daily reports.
    month : Month
    seed : int
        Another seed, another future.

    Notes
    -----
    Daily reports count by the session, so that of them nothing after the month's end is left,
    whatever the decision lag. Attributes without a date (name, category, terms) are replaced only
    of funds that nobody had heard of.
    """
    tables = check(tables)  # of rows that repeat each other one is left, names are resolved
    draw = np.random.default_rng((seed, month.ordinal))
    dataset = settings.dataset
    cut = Cut(month.end, dataset.calendar.decision_day(month))
    close = Cut(month.end, month.end)
    daily_known = pl.coalesce(
        "available_at", pl.col("date") + pl.duration(days=settings.embeddings.daily_lag_days)
    )
    funds = _fund_rows(tables.fund_observations, dataset.fund_lag, cut)
    daily = tables.daily_observations.with_columns(
        group=pl.col("date"), unknown=close.unknown(pl.col("date"), daily_known)
    )
    series = _series_rows(tables, settings, cut)
    described_series, born = _born_series(tables.series, series, cut.end)
    scales = {"ret": 0.2, "nav": None, "aum": None}
    return replace(
        tables,
        fund_observations=_replaced(
            funds, "fund_id", scales, draw, _donors(funds, "fund_id", cut.end), cut.end
        ),
        daily_observations=_replaced(
            daily,
            "fund_id",
            {"ret": 0.02, "nav": None},
            draw,
            _donors(daily, "fund_id", cut.end),
            cut.end,
        ),
        funds=_attributes(tables.funds, funds, dataset.fund_lag, cut, draw),
        daily_funds=_attributes(tables.daily_funds, daily, dataset.fund_lag, close, draw),
        series_observations=_replaced(series, "series_id", {"value": None}, draw, born, cut.end),
        series=described_series,
    )


def _fund_rows(rows: pl.DataFrame, lag_days: int, cut: Cut) -> pl.DataFrame:
    """Fund observations with ``unknown``, and the month as ``group``."""
    known = pl.coalesce("available_at", month_end() + pl.duration(days=lag_days))
    return rows.with_columns(group=month_end(), unknown=cut.unknown(month_end(), known))


def _series_rows(tables: InputTables, settings: Settings, cut: Cut) -> pl.DataFrame:
    """Series observations with ``unknown``, and the month or quarter as ``group``.

    Two kinds of rows must not go (``keep``), whatever their values: that a market was open on a day
    is known on that day, and the first vintage of a series stands for what was published before it.
    """
    rows = described(
        tables.series_observations.with_row_index("row"), tables.series, settings.dataset
    )
    period = pl.when(pl.col("frequency") == "quarterly").then(quarter_end()).otherwise(month_end())
    told = fill_availability(rows.with_columns(group=period, day=pl.col("date"), date=period))
    open_day = (pl.col("frequency") == "daily") & (pl.col("day") <= pl.lit(cut.end))
    first = pl.col("vintage") == pl.col("vintage").min().over("series_id")
    unseen = ~(first & ~pl.col("unknown")).any().over("series_id")
    return (
        told.with_columns(unknown=cut.unknown(pl.col("group"), pl.col("available_at")))
        .with_columns(
            date=pl.col("day"),
            available_at=rows["available_at"],
            keep=open_day.fill_null(False) | (first & unseen).fill_null(False),
        )
        .select(*SERIES_OBSERVATIONS, "group", "unknown", "keep")
    )


def _replaced(
    rows: pl.DataFrame,
    id: str,
    scales: dict[str, float | None],
    draw: np.random.Generator,
    born: dict[str, str],
    end: dt.date,
) -> pl.DataFrame:
    """Rows with other values, without some, and with those of the newly born.

    A period of which a row is known stays whole: that more of it is to come is known too.

    Parameters
    ----------
    rows : DataFrame
        With ``unknown``, ``group`` and perhaps ``keep``.
    scales : dict of str to float or None
        Standard deviation of the noise that replaces a column; None multiplies its values.
    born : dict of str to str
        Id of each one that is born to that of the one whose later rows it has.
    end : date
        The newly born have nothing to tell of days up to here.
    """
    columns = [name for name in rows.columns if name not in ("unknown", "group", "keep")]
    if not rows["unknown"].any():
        return rows.select(columns)
    begun = (~pl.col("unknown")).any().over(id, "group")
    kept = begun | pl.col("keep") if "keep" in rows.columns else begun
    names = rows[id].unique().sort()
    silent = names.filter(pl.Series(draw.random(len(names)) < SILENT))
    rows = rows.with_columns(luck=pl.Series(draw.random(rows.height)), kept=kept)
    noisy = rows.with_columns(_noise(name, scale, rows, draw) for name, scale in scales.items())
    later = pl.col("unknown") & (pl.col("date") > pl.lit(end))
    fresh = [
        noisy.filter((pl.col(id) == donor) & later).with_columns(pl.lit(new).alias(id))
        for new, donor in born.items()
    ]
    gone = (pl.col("luck") < GONE) | pl.col(id).is_in(silent.implode())
    left = noisy.filter(~(pl.col("unknown") & ~pl.col("kept") & gone))
    return pl.concat([left, *fresh]).select(columns)


def _noise(
    name: str, scale: float | None, rows: pl.DataFrame, draw: np.random.Generator
) -> pl.Expr:
    """A column whose unknown values are noise or absurd; missing ones stay missing."""
    if scale is None:
        other = pl.col(name) * pl.Series(draw.uniform(0.5, 1.5, rows.height))
        other += pl.Series(draw.normal(0.0, 0.01, rows.height))
    else:
        other = pl.lit(pl.Series(np.maximum(draw.normal(0.0, scale, rows.height), -0.9)))
    luck = pl.col("luck")
    other = (
        pl.when(luck > 1.0 - HUGE)
        .then(ABSURD[0])
        .when(luck > 1.0 - HUGE - NEGATIVE)
        .then(ABSURD[1])
        .otherwise(other)
    )
    replaced = pl.col("unknown") & pl.col(name).is_not_null()
    return pl.when(replaced).then(other).otherwise(pl.col(name)).alias(name)


def _donors(rows: pl.DataFrame, id: str, end: dt.date) -> dict[str, str]:
    """Those born later, each with the later rows of one that has many."""
    counts = (
        rows.filter(pl.col("unknown") & (pl.col("date") > pl.lit(end)))
        .group_by(id)
        .len()
        .sort("len", id, descending=[True, False])
    )
    return dict(zip((FIRST, LAST), counts[id].head(2).to_list(), strict=False))


def _born_series(
    series: pl.DataFrame, rows: pl.DataFrame, end: dt.date
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Attributes with those of risk factors and macro series born later, and their donors.

    The one of each role that lives longest; of the other roles another series would be a mistake.
    """
    later = pl.col("unknown") & (pl.col("date") > pl.lit(end))
    living = rows.filter(later).group_by("series_id").len()
    ranked = series.join(living, on="series_id").sort("len", "series_id", descending=[True, False])
    born: dict[str, str] = {}
    frames = [series]
    for name, role in ((FIRST, "risk_factor"), (LAST, "macro")):
        found = ranked.filter(pl.col("roles").list.contains(role)).head(1)
        if found.height:
            born[name] = found["series_id"][0]
            fresh = found.with_columns(
                series_id=pl.lit(name),
                roles=pl.lit([role], dtype=pl.List(pl.String)),
                aliases=pl.lit(None, dtype=series.schema["aliases"]),
            )
            frames.append(fresh.select(series.columns))
    return pl.concat(frames), born


def _attributes(
    funds: pl.DataFrame, rows: pl.DataFrame, lag_days: int, cut: Cut, draw: np.random.Generator
) -> pl.DataFrame:
    """Attributes with other later deaths and closures, and all others of funds yet unheard of."""
    if funds.is_empty():
        return funds
    lag = pl.duration(days=lag_days)
    heard_of = rows.filter(~pl.col("unknown"))["fund_id"].unique()
    luck = pl.Series(draw.random(funds.height))
    later = pl.lit(max(cut.day, cut.end)) + pl.duration(
        days=pl.lit(pl.Series(draw.integers(1, SPAN, funds.height)))
    )
    dead = cut.unknown(pl.col("death_date"), pl.col("death_date") + lag).not_().fill_null(False)
    shut = (pl.col("closed_date") + lag <= pl.lit(cut.day)).fill_null(False)
    undated = pl.col("closed_date").is_null() & pl.col("open_to_new_money").not_().fill_null(False)
    told = shut | undated
    dies, closes = pl.lit(luck < CHANGED), pl.lit(luck > 1.0 - CHANGED)
    changed = funds.with_columns(
        death_date=pl.when(dead).then("death_date").when(dies).then(later),
        death_reason=pl.when(dead).then("death_reason").when(dies).then(pl.lit("merged")),
        closed_date=pl.when(told).then("closed_date").when(closes).then(later),
        open_to_new_money=pl.when(told)
        .then("open_to_new_money")
        .when(closes)
        .then(False)
        .when(pl.col("open_to_new_money") | pl.col("closed_date").is_null())
        .then("open_to_new_money"),
    )
    unheard = ~pl.col("fund_id").is_in(heard_of.implode())
    others = ("name", "category", "description")
    unborn = (pl.col("inception") > pl.col("death_date")).fill_null(False)  # dead before it began
    changed = changed.with_columns(
        inception=pl.when(~unborn).then("inception"),
    ).with_columns(
        pl.when(unheard).then(pl.lit("another")).otherwise(name).alias(name) for name in others
    )
    born = [
        changed.head(1).with_columns(
            fund_id=pl.lit(name), death_date=pl.lit(None, dtype=pl.Date), death_reason=pl.lit(None)
        )
        for name in (FIRST, LAST)
    ]
    return pl.concat([changed, *born], how="vertical_relaxed").cast(pl.Schema(funds.schema))
