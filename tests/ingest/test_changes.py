"""What the source says now against what the store holds, value by value."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from finembed_core.errors import MissingPartError
from finembed_core.ingest import stage
from finembed_core.ingest.changes import Changes, changes
from finembed_core.ingest.daily_changes import daily_differences
from finembed_core.ingest.stage import brought, ingest
from finembed_core.settings import Settings
from finembed_core.sources.tables import InputTables
from finembed_core.store import PartStore
from tests.daily_worlds import daily_tables, embedding_settings, prints, sessions
from tests.daily_worlds import panel as daily_panel
from tests.restatements import at, value_of

from .worlds import FIRST, month_end, noise, returns, settings, tables

MONTHS = 8


def world(months: int = MONTHS) -> InputTables:
    vintages = [(month_end(3), 0), (month_end(6), 1)]
    values = [
        {"series_id": "X", "date": month_end(k), "vintage": day, "value": 3.0 + k + late}
        for day, late in vintages
        for k in range(3)
    ]
    return tables(
        *(returns(name, noise(seed, months), aum=5.0) for seed, name in enumerate("AB")),
        funds={"fund_id": ["A", "B"], "currency": ["EUR", "USD"]},
        series={"series_id": ["X"], "roles": [["macro"]], "kind": ["level"]},
        values=values,
    )


def compared(
    store: PartStore,
    monkeypatch: pytest.MonkeyPatch,
    before: InputTables,
    now: InputTables,
    chosen: Settings | None = None,
) -> Changes:
    chosen = chosen or settings()
    monkeypatch.setattr(stage, "month_bounds", lambda dataset: (FIRST, None))
    monkeypatch.setattr(stage, "load", lambda dataset: before)
    ingest(store, chosen)
    monkeypatch.setattr(stage, "load", lambda dataset: now)
    return changes(store, brought(chosen))


def told(found: Changes) -> list[tuple[object, ...]]:
    columns = ["table", "id", "column", "change", "was", "is", "counts_from"]
    return found.values.select(columns).rows()


def test_one_revised_value_of_one_vintage(store, monkeypatch):
    where = at("X", month_end(2), "series_id") & (pl.col("vintage") == month_end(6))
    now = replace(
        world(), series_observations=value_of(world().series_observations, where, "value", 9.5)
    )
    found = compared(store, monkeypatch, world(), now)
    assert told(found) == [
        ("series_observations", "X", "value", "restated", "6.0", "9.5", "2000-07")
    ]
    assert found.values.select("date", "vintage").rows() == [(month_end(2), month_end(6))]
    assert ("series_observations", "2000-07") in found.parts


def test_attributes_count_from_dates_of_their_own(store, monkeypatch):
    before = world()
    roles = pl.Series([["macro", "risk_factor"]], dtype=pl.List(pl.String))
    currency = pl.col("currency").replace("USD", "CHF")
    now = replace(
        before,
        series=before.series.with_columns(roles=roles),
        funds=before.funds.with_columns(currency),
    )
    assert told(compared(store, monkeypatch, before, now)) == [
        ("funds", "B", "currency", "restated", "USD", "CHF", None),
        ("series", "X", "roles", "restated", "macro", "macro|risk_factor", None),
    ]


def test_a_report_that_comes_late_counts_where_it_was_and_where_it_is(store, monkeypatch):
    before = world()
    frame = value_of(before.fund_observations, at("A", month_end(4)), "available_at", month_end(6))
    found = compared(store, monkeypatch, before, replace(before, fund_observations=frame))
    assert told(found) == [
        ("fund_observations", "A", "assumed", "restated", "true", "false", "2000-05"),
        (
            *("fund_observations", "A", "available_at", "restated"),
            *("2000-05-31", "2000-07-31", "2000-05"),
        ),
    ]
    assert {key for table, key in found.parts if table == "fund_observations"} == {
        "2000-05",
        "2000-07",
    }


def test_a_fund_more_is_added_month_by_month_and_a_month_more_is_new(store, monkeypatch):
    grown = world(MONTHS + 1)
    born = returns("C", noise(7, 3), first=6)
    now = replace(
        grown,
        fund_observations=pl.concat([grown.fund_observations, tables(born).fund_observations]),
    )
    found = compared(store, monkeypatch, world(), now)
    assert found.new == (FIRST + MONTHS,)
    added = found.values.filter(column="ret")
    assert added.select("id", "date", "change", "was", "counts_from").rows() == [
        ("C", month_end(6), "added", None, "2000-07"),
        ("C", month_end(7), "added", None, "2000-08"),
    ]


def test_a_withdrawn_value_is_told_from_its_first_print(store, monkeypatch):
    """Stale NAVs are judged late: the row that withdraws is a second one of its month."""
    still = returns("S", [0.01, *([0.0] * 6), 0.01])
    before = replace(world(), fund_observations=tables(still).fund_observations)
    moved = returns("S", [0.01, *([0.0] * 5), 0.02, 0.01])
    now = replace(before, fund_observations=tables(moved).fund_observations)
    found = compared(store, monkeypatch, before, now)
    values = found.values.filter(column="ret")
    assert values.filter(change="restated").select("date", "is").rows() == [(month_end(6), "0.02")]
    withdrawn = found.values.filter(change="removed", column="source")
    assert withdrawn["date"].to_list() == [month_end(k) for k in range(1, 6)]
    assert withdrawn["counts_from"].unique().to_list() == ["2000-07"]


def test_a_print_of_the_daily_panel(store, monkeypatch):
    days = sessions(60)
    navs = [10.0 + 0.01 * k for k in range(len(days))]
    other = [*navs[:40], 10.2, *navs[41:]]
    before, now = (daily_tables(prints("A", days, "nav", path)) for path in (navs, other))
    found = compared(store, monkeypatch, before, now, embedding_settings())
    rows = found.values.filter(table="daily_panel", column="ret")
    assert rows.select("id", "date", "change", "counts_from").rows() == [
        ("A", days[40].item(), "restated", str(days[40])[:7]),
        ("A", days[41].item(), "restated", str(days[41])[:7]),
    ]
    assert ("daily_panel", "all") in found.parts


def test_only_what_differs_of_a_daily_panel_becomes_rows():
    draw = np.random.default_rng(2)
    was = daily_panel(draw.normal(0.0, 0.01, (30, 3)), ids=("A", "B", "C"))
    other = was.returns.copy()
    other[4, 1], other[5, 2] = 0.5, np.nan
    before, after = daily_differences(was, replace(was, returns=other))
    assert before.select("id", "date").rows() == [
        ("B", was.days[4].item()),
        ("C", was.days[5].item()),
    ]
    assert after.select("id", "ret").rows() == [("B", 0.5)]
    assert [side.height for side in daily_differences(was, was)] == [0, 0]
    shorter = replace(
        was,
        ids=was.ids[:2],
        days=was.days[:-1],
        returns=was.returns[:-1, :2],
        known=was.known[:-1, :2],
        series=was.series[:-1],
        series_known=was.series_known[:-1],
    )
    before, after = daily_differences(shorter, was)
    assert before.is_empty()
    assert after.filter(id="C").height == 30
    assert after.filter(pl.col("id") != "C")["date"].unique().to_list() == [was.days[-1].item()]


def test_one_part_of_funds_and_more_of_series(store, monkeypatch):
    changed = compared(store, monkeypatch, world(), world())
    assert not changed.parts
    for key in store.keys("fund_observations")[1:]:
        store.delete("fund_observations", key)
    found = changes(store, brought(settings()))
    assert found.new[0] == FIRST and len(found.new) == MONTHS


def test_nothing_was_ingested(store, monkeypatch):
    monkeypatch.setattr(stage, "month_bounds", lambda dataset: (FIRST, None))
    monkeypatch.setattr(stage, "load", lambda dataset: world())
    with pytest.raises(MissingPartError, match="finembed run"):
        changes(store, brought(settings()))
