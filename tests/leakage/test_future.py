"""The other future replaces what nobody could know, and leaves alone what was known."""

import datetime as dt

import polars as pl
import pytest

from finembed_core.ingest.contracts import check
from finembed_core.proof.future import FIRST, LAST, another_future
from finembed_core.settings import Settings
from finembed_core.sources import load
from finembed_core.sources.tables import InputTables
from tests.leakage.whole_world import CUT, written

KEYS = {"fund_observations": "fund_id", "series_observations": "series_id"}


@pytest.fixture(params=["liquid", "hedge_funds"])
def settings(request: pytest.FixtureRequest, tmp_path) -> Settings:
    return written(tmp_path, request.param)


@pytest.fixture
def known(settings: Settings) -> InputTables:
    return check(load(settings.dataset))


def late(table: str, rows: pl.DataFrame, settings: Settings) -> pl.Expr:
    """What is not known by the decision, told once more in the words of spec/data.md."""
    lag = pl.lit(settings.dataset.fund_lag)
    if table == "series_observations":
        lag = pl.when(pl.col("series_id").str.starts_with("S")).then(30).otherwise(0)
    told = [name for name in ("available_at", "vintage") if name in rows.columns]
    available = pl.coalesce(*told, pl.col("date") + pl.duration(days=lag))
    day = settings.dataset.calendar.decision_day(CUT)
    return (available > pl.lit(day)) | (pl.col("date") > pl.lit(CUT.end))


@pytest.mark.parametrize("table", KEYS)
def test_rows_known_by_the_decision_stay(
    table: str, known: InputTables, settings: Settings
) -> None:
    other = getattr(another_future(known, settings, CUT, seed=1), table)
    rows = getattr(known, table)
    kept = [frame.filter(~late(table, frame, settings)).sort(pl.all()) for frame in (rows, other)]
    assert kept[0].height > 300
    assert kept[0].equals(kept[1])


@pytest.mark.parametrize("table", KEYS)
def test_all_the_others_are_replaced(table: str, known: InputTables, settings: Settings) -> None:
    other = getattr(another_future(known, settings, CUT, seed=1), table)
    key = [KEYS[table], "date", *(["vintage"] if "vintage" in other.columns else [])]
    value = "value" if table == "series_observations" else "ret"
    before = getattr(known, table).filter(late(table, getattr(known, table), settings))
    after = other.filter(late(table, other, settings))
    both = before.join(after, on=key, nulls_equal=True, suffix="_other")
    assert 0 < both.height < before.height  # some are gone
    assert (both[value] != both[f"{value}_other"]).all()
    assert {1e9, -5.0} <= set(after[value])
    ids = set(after[KEYS[table]])
    assert {FIRST, LAST} <= ids
    assert min(ids) == FIRST and max(ids) == LAST
    assert set(before[KEYS[table]]) - ids  # some have fallen silent


def test_later_deaths_and_closures_are_others(known: InputTables, settings: Settings) -> None:
    funds = known.funds.sort("fund_id")
    other = another_future(known, settings, CUT, seed=1).funds
    other = other.filter(pl.col("fund_id").is_in(funds["fund_id"].implode())).sort("fund_id")
    day = settings.dataset.calendar.decision_day(CUT)
    lag = dt.timedelta(days=settings.dataset.fund_lag)
    attributes = ("death_date", "death_reason", "closed_date", "open_to_new_money")
    dead = funds.filter(pl.col("death_date") + lag <= day)
    assert dead.height == 1  # F7, half a year before
    same = other.filter(pl.col("fund_id") == dead["fund_id"][0])
    assert same.select(attributes[:2]).equals(dead.select(attributes[:2]))
    for name in ("death_date", "closed_date"):
        moved = other.filter(pl.col(name) + lag > day)
        assert moved.height > 0
        assert not moved[name].equals(funds.filter(pl.col(name) + lag > day)[name])
    assert other["category"].equals(funds["category"])


def test_another_seed_is_another_future(known: InputTables, settings: Settings) -> None:
    one, again, two = (another_future(known, settings, CUT, seed) for seed in (1, 1, 2))
    assert one.fund_observations.equals(again.fund_observations)
    assert not one.fund_observations.equals(two.fund_observations)
