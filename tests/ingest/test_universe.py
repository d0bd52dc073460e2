import datetime as dt

import polars as pl
import pytest

from finembed_core.calendar import Month
from finembed_core.errors import MissingPartError
from finembed_core.ingest import stage
from finembed_core.ingest.deaths import fund_deaths
from finembed_core.ingest.stage import ingest
from finembed_core.ingest.universe import universe_stage
from finembed_core.stage import build

from .worlds import FIRST, month_end, noise, returns, settings, tables


def run(store, monkeypatch, world, chosen, last=None):
    """Ingest a world and build the universe of all its months."""
    monkeypatch.setattr(stage, "load", lambda dataset: world)
    monkeypatch.setattr(stage, "month_bounds", lambda dataset: (FIRST, last))
    report = ingest(store, chosen)
    list(build(universe_stage(store, chosen), map(str, report.months), store))
    return {str(m): store.read("universe", str(m)) for m in report.months}


def reasons(universe, fund: str) -> list[str | None]:
    """Reason of one fund month by month; None before it is known."""
    return [
        next(iter(part.filter(pl.col("fund_id") == fund)["reason"]), None)
        for part in universe.values()
    ]


ALL = {"min_history_months": 3}


def test_history_counts_returns_known_by_then(store, monkeypatch):
    world = tables(returns("A", noise(1, 6)), returns("B", noise(2, 4), first=2))
    found = run(store, monkeypatch, world, settings(universe=ALL))
    assert reasons(found, "A") == ["history_too_short"] * 2 + [""] * 4
    assert reasons(found, "B") == [None, None, "history_too_short", "history_too_short", "", ""]
    last = found["2000-06"]
    assert last.columns == ["month", "fund_id", "eligible", "reason", "n_history", "last_aum"]
    assert last.select("month", "fund_id", "eligible", "n_history").rows() == [
        (month_end(5), "A", True, 6),
        (month_end(5), "B", True, 4),
    ]


def test_a_fund_that_falls_silent_is_dead_only_after_three_missing_reports(store, monkeypatch):
    world = tables(returns("A", noise(1, 10)), returns("B", noise(2, 4)))
    chosen = settings(universe=ALL)
    found = run(store, monkeypatch, world, chosen)
    dead = "dead: stopped_reporting"
    assert reasons(found, "B")[2:] == ["", "", "", "", dead, dead, dead, dead]
    assert fund_deaths(store, chosen).rows() == [
        ("B", month_end(3), None, "stopped_reporting", month_end(6), None)
    ]


def test_a_fund_that_comes_back_lives_again(store, monkeypatch):
    world = tables(
        returns("A", noise(1, 12)), returns("B", [0.01] * 3 + [None] * 4 + [0.02] * 2 + [None])
    )
    chosen = settings(universe=ALL)
    found = run(store, monkeypatch, world, chosen)
    dead = "dead: stopped_reporting"
    assert reasons(found, "B")[4:] == ["", dead, dead, "", "", "", "", dead]
    assert fund_deaths(store, chosen).select("known_month", "revived_month").rows() == [
        (month_end(5), month_end(7)),
        (month_end(11), None),
    ]


def test_late_reporters_are_not_dead(store, monkeypatch):
    late = pl.concat(
        returns("B", [0.01 * k], first=k, available_at=(FIRST + (k + 2)).end) for k in range(8)
    )
    world = tables(returns("A", noise(1, 12)), late)
    found = run(store, monkeypatch, world, settings(universe=ALL))
    assert reasons(found, "B")[9:] == ["", "", ""]


def test_death_dates_are_known_from_their_day_plus_the_lag(store, monkeypatch):
    funds = {
        "fund_id": ["B"],
        "death_date": [dt.date(2000, 5, 20)],
        "death_reason": ["liquidated"],
    }
    world = tables(returns("A", noise(1, 9)), returns("B", noise(2, 5)), funds=funds)
    liquid = settings(universe=ALL)
    found = run(store, monkeypatch, world, liquid)
    assert reasons(found, "B")[3:6] == ["", "dead: liquidated", "dead: liquidated"]
    slow = settings(universe=ALL, fund_lag_days=45, decision_lag_days=0)
    found = run(store, monkeypatch, world, slow)
    assert reasons(found, "B")[5:8] == ["", "dead: liquidated", "dead: liquidated"]
    assert fund_deaths(store, slow).rows() == [
        ("B", month_end(4), month_end(4), "liquidated", month_end(6), None)
    ]


def test_a_death_recorded_long_after_the_silence_changes_nothing(store, monkeypatch):
    funds = {"fund_id": ["B"], "death_date": [dt.date(2000, 8, 20)], "death_reason": ["merged"]}
    world = tables(returns("A", noise(1, 9)), returns("B", noise(2, 3)), funds=funds)
    chosen = settings(universe=ALL)
    run(store, monkeypatch, world, chosen)
    assert fund_deaths(store, chosen)["reason"].to_list() == ["stopped_reporting"]


def test_fixed_term_plans_mature(store, monkeypatch):
    funds = {"fund_id": ["B"], "category": ["fixed_term"]}
    world = tables(returns("A", noise(1, 9)), returns("B", noise(2, 3)), funds=funds)
    chosen = settings(ingest={"maturing_categories": ["fixed_term"]}, universe=ALL)
    run(store, monkeypatch, world, chosen)
    assert fund_deaths(store, chosen)["reason"].to_list() == ["matured"]


@pytest.mark.parametrize(
    ("attributes", "rules", "reason"),
    [
        ({"open_to_new_money": False}, {}, "closed"),
        ({"open_to_new_money": False}, {"require_open": False}, ""),
        ({"open_to_new_money": False, "closed_date": dt.date(2000, 8, 1)}, {}, ""),
        ({"open_to_new_money": None, "closed_date": dt.date(2000, 2, 1)}, {}, "closed"),
        ({"currency": "EUR"}, {"currencies": ["USD"]}, "currency"),
        ({"currency": None}, {"currencies": ["USD"]}, "currency"),
        ({"category": "equity"}, {"categories": ["bond"]}, "category"),
        ({"category": "equity"}, {"exclude_categories": ["equity"]}, "category"),
        ({"category": None}, {"exclude_categories": ["equity"]}, ""),
        ({}, {"min_aum": 10.0}, "aum_missing"),
        ({"aum": 5.0}, {"min_aum": 10.0}, "aum_below_minimum"),
        ({"aum": 15.0}, {"min_aum": 10.0}, ""),
    ],
)
def test_every_exclusion_has_its_reason(store, monkeypatch, attributes, rules, reason):
    assets = {"aum": attributes.pop("aum")} if "aum" in attributes else {}
    funds = {"fund_id": ["A"]} | {name: [value] for name, value in attributes.items()}
    world = tables(returns("A", noise(1, 4), **assets), funds=funds)
    found = run(store, monkeypatch, world, settings(universe=ALL | rules))
    assert reasons(found, "A")[-1] == reason


def test_duplicates_are_excluded_once_seen(store, monkeypatch):
    same = noise(1, 14)
    world = tables(returns("A", same), returns("B", same))
    found = run(store, monkeypatch, world, settings(ingest={"duplicate_months": 12}, universe=ALL))
    assert reasons(found, "B")[10:] == ["", "duplicate_fund", "duplicate_fund", "duplicate_fund"]
    assert reasons(found, "A")[10:] == [""] * 4
    assert found["2000-12"]["n_history"].to_list() == [12, 0]


def test_old_assets_are_forgotten(store, monkeypatch):
    world = tables(
        pl.concat([returns("A", [0.01], aum=7.0), returns("A", noise(1, 14), first=1, aum=None)])
    )
    found = run(store, monkeypatch, world, settings(universe=ALL))
    assert found["2000-12"]["last_aum"].to_list() == [7.0]
    assert found["2001-01"]["last_aum"].to_list() == [None]
    found = run(store, monkeypatch, world, settings(universe=ALL | {"max_aum_age_months": 3}))
    assert found["2000-03"]["last_aum"].to_list() == [7.0]
    assert found["2000-04"]["last_aum"].to_list() == [None]


def test_a_month_that_was_not_ingested_is_named(store, monkeypatch):
    run(store, monkeypatch, tables(returns("A", noise(1, 4))), settings())
    with pytest.raises(MissingPartError, match="2000-05"):
        universe_stage(store, settings()).gather(str(Month.parse("2000-05")))
