"""One daily history with two different futures: nothing known before the cut may differ."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from finembed_core.calendar import Month, month_range
from finembed_core.histories import ingested_months
from finembed_core.ingest import stage
from finembed_core.ingest.stage import ingest
from finembed_core.macro.stage import macro_stage
from finembed_core.settings import Settings
from finembed_core.sources.tables import InputTables, conform
from finembed_core.stage import build
from finembed_core.store import PartStore
from tests.ingest.worlds import tables

DAYS = np.busday_offset(np.datetime64("2000-01-03"), np.arange(240))
CUT = 130
GAP = dt.date(2000, 6, 30)  # on which one fund has no NAV and another's is late
LATE, TOLD = dt.date(2000, 6, 12), dt.date(2000, 7, 3)  # a fund tells of these weeks at once
NOW: dt.date = DAYS[CUT].item()
FIRST = Month.parse("2000-01")


def world() -> InputTables:
    """Funds of different lives and delays, with weekends, gaps, revisions and misprints."""
    draw = np.random.default_rng(4)
    every_day = np.arange(DAYS[0], DAYS[-1] + 1)
    rows: list[dict] = []
    for k in range(8):
        days = every_day if k % 3 == 0 else DAYS
        days = days[draw.random(len(days)) > 0.05][20 * (k % 4) :]
        days = days[days != np.datetime64(GAP)] if k == 2 else days
        path = 10.0 * np.cumprod(1.0 + draw.normal(0.0, 0.01, len(days)))
        path[draw.random(len(days)) < 0.02] *= 10.0
        for at, nav in zip(days.tolist(), path.tolist(), strict=True):
            delay = int(draw.choice([0, 1, 3, 40], p=[0.8, 0.1, 0.08, 0.02]))
            delay = 3 if k == 1 and at == GAP else delay
            delay = (TOLD - at).days if k == 4 and LATE <= at < TOLD else delay
            name = "ret" if k == 5 else "nav"
            value = nav / 1000.0 if k == 5 else nav
            row = {"fund_id": f"f{k}", "date": at, name: value}
            rows.append(row | {"available_at": at + dt.timedelta(days=delay)})
            if draw.random() < 0.03:  # revised a month later
                later = at + dt.timedelta(days=delay + 30)
                rows.append(row | {name: 1.1 * value, "available_at": later})
    daily = conform("daily_observations", pl.DataFrame(rows, infer_schema_length=None))
    months = month_range(FIRST - 36, FIRST + 10)
    macro = [
        {
            "series_id": f"m{k}",
            "date": month.end,
            "value": draw.normal(),
            "available_at": month.end + dt.timedelta(days=20),
        }
        for month in months
        for k in range(5)
    ]
    market = [
        {"series_id": "MARKET", "date": at, "value": 100.0 + draw.normal()} for at in DAYS.tolist()
    ]
    described = [
        {"series_id": f"m{k}", "roles": ["macro"], "kind": "level", "frequency": "monthly"}
        for k in range(5)
    ]
    for row in described:
        row["transform"] = "none"
    described.append(
        {"series_id": "MARKET", "roles": ["benchmark"], "kind": "index", "frequency": "daily"}
    )
    funds = [{"fund_id": "M", "date": month.end, "ret": draw.normal(0.0, 0.01)} for month in months]
    monthly = tables(
        pl.DataFrame(funds), series=pl.DataFrame(described), values=pl.DataFrame(macro + market)
    )
    return replace(monthly, daily_observations=daily)


def with_another_future(known: InputTables) -> InputTables:
    """What is known after the cut is replaced by noise, a third of it is gone, a fund is born."""
    draw = np.random.default_rng(9)

    def scrambled(frame: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
        later = pl.col("available_at").fill_null(pl.col("date")) > NOW
        noise = pl.Series(draw.uniform(0.5, 1.5, frame.height))
        gone = pl.Series(draw.random(frame.height) < 1 / 3)
        return frame.with_columns(
            pl.when(later).then(pl.col(c) * noise).otherwise(pl.col(c)).alias(c) for c in columns
        ).filter(~(later & gone))

    after = DAYS[CUT + 1 :].tolist()
    born = pl.DataFrame({"fund_id": "a_new_one", "date": after, "nav": np.ones(len(after))})
    return replace(
        known,
        daily_observations=pl.concat(
            [
                scrambled(known.daily_observations, ["ret", "nav"]),
                conform("daily_observations", born),
            ]
        ),
        series_observations=scrambled(known.series_observations, ["value"]),
    )


def both_futures(factory: pytest.TempPathFactory, settings: Settings) -> list[PartStore]:
    """Stores with the true future and with another, ingested and with macro factors."""
    found, known = [], world()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "month_bounds", lambda dataset: (FIRST, FIRST + 10))
        for name, future in (("true", known), ("noise", with_another_future(known))):
            store = PartStore(factory.mktemp(name))
            patch.setattr(stage, "load", lambda dataset, future=future: future)
            ingest(store, settings)
            months = [str(month) for month in ingested_months(store)]
            list(build(macro_stage(store, settings), months, store))
            found.append(store)
    return found
