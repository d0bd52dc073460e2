import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from finembed_core.calendar import Month
from finembed_core.errors import InputError
from finembed_core.histories import risk_free
from finembed_core.ingest import stage
from finembed_core.ingest.stage import ingest, prepare
from finembed_core.settings import DatasetSettings, Settings
from finembed_core.store import PartStore
from tests.shared_data import needs_shared

from .worlds import FIRST, month_end, navs, noise, returns, settings, tables


def feed(monkeypatch, world, first=FIRST, last=None):
    """Let the next ingest read this world."""
    monkeypatch.setattr(stage, "load", lambda dataset: world)
    monkeypatch.setattr(stage, "month_bounds", lambda dataset: (first, last))


def world_of(months: int, **columns):
    return tables(
        returns("A", noise(1, months), **columns),
        returns("B", noise(2, months), **columns),
        series={"series_id": ["X"], "roles": [["risk_free"]], "kind": ["yield"]},
        values={
            "series_id": ["X"] * months,
            "date": [month_end(k) for k in range(months)],
            "value": [3.0] * months,
        },
    )


def test_parts_are_keyed_by_the_month_of_knowledge(store, monkeypatch):
    feed(monkeypatch, world_of(8), FIRST + 5)
    report = ingest(store, settings())
    assert report.months == [FIRST + 5, FIRST + 6, FIRST + 7]
    keys = ["2000-05", "2000-06", "2000-07", "2000-08"]
    assert store.keys("fund_observations") == keys
    opening = store.read("fund_observations", "2000-05")
    assert opening.height == 10
    assert opening["date"].max() == month_end(4)
    assert store.read("fund_observations", "2000-06")["date"].to_list() == [month_end(5)] * 2
    assert store.keys("series_observations") == keys
    for table in ("funds", "series", "quarantine", "data_quality"):
        assert store.keys(table) == ["all"]


def test_late_reports_lie_in_later_parts(store, monkeypatch):
    late = returns("A", [0.01]).with_columns(available_at=pl.lit(dt.date(2000, 4, 10)))
    feed(monkeypatch, tables(late, returns("B", noise(1, 5))))
    ingest(store, settings())
    assert "A" not in store.read("fund_observations", "2000-03")["fund_id"]
    assert "A" in store.read("fund_observations", "2000-04")["fund_id"]


def test_with_a_decision_lag_reports_belong_to_their_own_month(store, monkeypatch):
    feed(monkeypatch, world_of(4))
    ingest(store, settings(profile="hedge_funds"))
    part = store.read("fund_observations", "2000-02")
    assert part["date"].to_list() == [month_end(1)] * 2
    assert part["available_at"].to_list() == [dt.date(2000, 3, 15)] * 2
    assert part["assumed"].all()


def test_a_second_run_writes_nothing_and_a_new_month_only_its_own(store, monkeypatch):
    feed(monkeypatch, world_of(6))
    first = ingest(store, settings())
    again = ingest(store, settings())
    assert (again.written, again.skipped) == (0, first.written)
    feed(monkeypatch, world_of(7))
    before = {
        key: store.manifest("fund_observations", key) for key in store.keys("fund_observations")
    }
    ingest(store, settings())
    for key, manifest in before.items():
        assert store.manifest("fund_observations", key) == manifest
    assert "2000-07" in store.keys("fund_observations")


def test_a_restated_value_changes_exactly_its_month(store, monkeypatch):
    world = world_of(6)
    feed(monkeypatch, world)
    ingest(store, settings())
    before = {m.key: m for m in store.manifests("fund_observations")}
    changed = (pl.col("fund_id") == "A") & (pl.col("date") == month_end(3))
    restated = world.fund_observations.with_columns(
        ret=pl.when(changed).then(0.123).otherwise(pl.col("ret"))
    )
    feed(monkeypatch, tables(restated))
    ingest(store, settings())
    differ = {m.key for m in store.manifests("fund_observations") if m != before[m.key]}
    assert differ == {"2000-04"}


def test_parts_that_no_longer_exist_are_deleted(store, monkeypatch):
    feed(monkeypatch, world_of(6))
    ingest(store, settings())
    feed(monkeypatch, world_of(6), FIRST, FIRST + 3)
    report = ingest(store, settings())
    assert report.deleted == 4
    assert store.keys("fund_observations")[-1] == "2000-04"


def test_a_structural_fault_writes_nothing(store, monkeypatch):
    world = world_of(6)
    bad = tables(world.fund_observations, returns("A", [0.5]))
    feed(monkeypatch, bad)
    with pytest.raises(InputError, match="stands twice"):
        ingest(store, settings())
    assert store.tables() == []


@pytest.mark.parametrize(("first", "last"), [(-1, None), (0, 7), (5, 3)])
def test_months_that_the_data_do_not_cover(first, last):
    with pytest.raises(InputError, match="reach from 2000-01 to 2000-06"):
        prepare(world_of(6), settings(), FIRST + first, None if last is None else FIRST + last)


def test_a_rate_that_stands_has_a_value_for_every_decided_month():
    """Data that end on the last trading day decide the month; the next delivery changes nothing."""
    held = []
    for end in (dt.date(2001, 3, 30), dt.date(2001, 4, 30)):
        days = pl.date_range(dt.date(2000, 1, 3), end, "1d", eager=True)
        days = days.filter(days.dt.weekday() <= 5)
        world = tables(
            pl.DataFrame({"fund_id": "A", "date": days, "nav": np.linspace(10, 11, len(days))}),
            series={
                "series_id": ["P"],
                "roles": [["risk_free"]],
                "kind": ["yield"],
                "frequency": ["on_change"],
            },
            values={"series_id": ["P"], "date": [dt.date(2000, 1, 15)], "value": [5.0]},
        )
        found = prepare(world, settings(), FIRST, None).monthly["series_observations"]
        held.append(found.filter(pl.col("date") <= dt.date(2001, 3, 31)))
    assert held[0]["date"].max() == dt.date(2001, 3, 31)
    assert held[0].equals(held[1])


def test_a_late_step_reaches_the_histories_as_a_revision(store, monkeypatch):
    world = tables(
        returns("A", noise(1, 8)),
        series={
            "series_id": ["P"],
            "roles": [["risk_free"]],
            "kind": ["yield"],
            "frequency": ["on_change"],
        },
        values={
            "series_id": ["P"] * 2,
            "date": [dt.date(2000, 1, 3), dt.date(2000, 3, 15)],
            "available_at": [dt.date(2000, 1, 3), dt.date(2000, 6, 20)],
            "value": [12.0, 24.0],
        },
    )
    feed(monkeypatch, world)
    ingest(store, settings())
    cash = risk_free(store, settings().dataset.calendar)
    assert cash is not None
    for month, seen in ((4, [0.01] * 4), (5, [0.01] * 2 + [0.02] * 3)):
        earned = cash.as_of(FIRST + month, month).values[:, 0]  # a rate earns in the month after
        np.testing.assert_allclose(earned, seen)


def test_a_step_known_in_the_same_month_leaves_one_row():
    world = tables(
        returns("A", noise(1, 6)),
        series={
            "series_id": ["P"],
            "roles": [["risk_free"]],
            "kind": ["yield"],
            "frequency": ["on_change"],
        },
        values={
            "series_id": ["P"] * 3,
            "date": [dt.date(2000, 1, 3), dt.date(2000, 2, 20), dt.date(2000, 4, 20)],
            "vintage": [dt.date(2000, 1, 3)] * 3,
            "available_at": [None, dt.date(2000, 3, 10), dt.date(2000, 5, 10)],
            "value": [5.0, 6.0, 7.0],
        },
    )
    lagged = settings(profile="hedge_funds")
    found = prepare(world, lagged, FIRST + 3, None).monthly["series_observations"]
    assert not found.select(
        pl.struct("known", "series_id", "date", "vintage").is_duplicated().any()
    ).item()
    april = found.filter(pl.col("date") == month_end(3))
    assert april["value"].to_list() == [7.0]  # published before the decision of April


def test_a_row_available_before_its_date_shows_though_the_date_lies_ahead():
    odd = returns("B", [0.02], first=30).with_columns(available_at=pl.lit(month_end(4)))
    odd_value = {"date": [(FIRST + 50).end], "available_at": [month_end(4)], "value": [1.0]}
    world = tables(
        returns("A", noise(1, 6)),
        odd,
        series={"series_id": ["X"], "roles": [["macro"]], "kind": ["level"]},
        values={"series_id": ["X"], **odd_value},
    )
    found = prepare(world, settings(), FIRST, None).whole["quarantine"]
    assert found.select("id", "rule", "known_at").rows() == [
        ("B", "available_before_date", month_end(4)),
        ("X", "available_before_date", month_end(4)),
    ]


def test_nothing_usable_is_an_error():
    early = returns("A", [0.1]).with_columns(available_at=pl.lit(dt.date(1999, 1, 1)))
    with pytest.raises(InputError, match="no fund observation can be used"):
        prepare(tables(early), settings(), FIRST, None)


def test_odd_data_never_stop_a_run(store, monkeypatch):
    odd = tables(
        returns("one", [0.1]),
        returns("nothing", [None, float("nan")]),
        navs("zero", [0.0, 10.0, -5.0, 11.0]),
        returns("huge", [1e300, float("-inf"), 0.1]),
        returns("A", noise(1, 6)),
    )
    feed(monkeypatch, odd)
    report = ingest(store, settings())
    assert report.rules == {"not_finite": 2, "nav_not_positive": 2, "return_above_limit": 1}
    rows = store.read_many("fund_observations")
    assert rows["ret"].drop_nulls().is_finite().all()


def test_missing_roles_are_warned_of():
    result = prepare(tables(returns("A", noise(1, 6))), settings(), FIRST, None)
    assert "no risk-free series: 0 is assumed" in result.warnings


def test_assets_in_several_currencies_cannot_be_compared():
    world = tables(
        returns("A", noise(1, 3), aum=1.0),
        returns("B", noise(2, 3), aum=1.0),
        funds={"fund_id": ["A", "B"], "currency": ["USD", "EUR"]},
    )
    assert any("EUR, USD" in w for w in prepare(world, settings(), FIRST, None).warnings)
    with pytest.raises(InputError, match="several currencies"):
        prepare(world, settings(universe={"min_aum": 1.0}), FIRST, None)


@given(st.randoms(use_true_random=False))
@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_order_of_rows_does_not_matter(random):
    world = tables(returns("A", noise(1, 6)), navs("B", [10.0, 11.0, 9.0]), returns("C", [0.1]))
    order = list(range(world.fund_observations.height))
    random.shuffle(order)
    shuffled = tables(world.fund_observations[order])
    results = [prepare(w, settings(), FIRST, None) for w in (world, shuffled)]
    assert results[0].monthly["fund_observations"].equals(results[1].monthly["fund_observations"])


def test_french_monthly_arrives_whole(tmp_path):
    report = ingest(PartStore(tmp_path / "store"), Settings())
    assert (report.months[0], report.months[-1]) == (Month.parse("1990-01"), Month.parse("2017-03"))
    assert report.rows["fund_observations"] == 30 * 819
    assert report.rules == {"daily_return_above_limit": 8}  # AAPL, AMD, BBY, RRC: true ones
    assert (report.rows["daily_panel"], report.rows["daily_funds"]) == (141397, 25)
    assert report.warnings == []


@needs_shared
def test_indian_funds_show_their_known_defects():
    from finembed_core.settings import load_settings
    from finembed_core.sources import load, month_bounds

    example = Path(__file__).parents[2] / "examples" / "funds_india" / "embeddings.yaml"
    found = load_settings(example)
    result = prepare(load(found.dataset), found, *month_bounds(found.dataset))
    quarantine = result.whole["quarantine"]
    jumps = quarantine.filter(pl.col("rule") == "face_value_change")
    assert {"14210", "14230", "14613", "31661"} <= set(jumps["id"])  # +904% and two like it
    kept = result.monthly["fund_observations"]["ret"].drop_nulls()
    assert kept.max() < 1.0
    counts = dict(quarantine.group_by("rule").len().iter_rows())
    assert counts == {
        "duplicate_fund": 489,
        "stale_nav": 185,
        "face_value_change": 8,
        "nav_jump_undone": 2,
        "return_above_limit": 1,  # over a gap of two months
        "daily_return_above_limit": 14,
    }
    assert result.whole["funds"].height == 3502
    assert result.daily is not None
    assert (result.daily.panel.market, result.daily.panel.returns.shape) == ("BSE500", (4258, 461))
    assert result.daily.funds["category"].null_count() == 0


def test_simulated_data_are_labeled(tmp_path):
    small = DatasetSettings.model_validate(
        {"source": "simulated", "simulated": {"funds": 20, "months": 48, "factors": 3}}
    )
    report = ingest(PartStore(tmp_path), Settings(dataset=small))
    assert report.simulated
    assert report.warnings[0].startswith("simulated data")


def test_a_first_month_that_cannot_be_used_stops_nothing(store, monkeypatch):
    early = pl.when(pl.col("date") == FIRST.end).then(dt.date(1999, 1, 1))
    rows = returns("A", noise(1, 6)).with_columns(available_at=early)
    feed(monkeypatch, tables(rows))
    assert ingest(store, settings()).months[0] == FIRST
    assert store.read("fund_observations", str(FIRST)).is_empty()
