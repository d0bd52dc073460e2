"""The daily panel by hand, against a slow loop, and whatever becomes known later."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from finembed_core.calendar import Month
from finembed_core.daily_panel import read_daily
from finembed_core.errors import InputError, MissingPartError, SettingsError
from finembed_core.ingest import stage
from finembed_core.ingest.contracts import check
from finembed_core.ingest.daily import Daily, daily_panel
from finembed_core.ingest.stage import ingest
from finembed_core.settings import EmbeddingsSettings
from finembed_core.sources.tables import conform
from tests.daily_worlds import (
    HOLIDAY,
    daily_tables,
    day,
    embedding_settings,
    index,
    prints,
    sessions,
)

LAST = Month.parse("2000-12")
DAYS = sessions(60)
SATURDAY = np.datetime64("2000-01-08")


def made(*observations: pl.DataFrame, embeddings=None, **world) -> Daily:
    found = daily_panel(
        check(daily_tables(*observations, **world)), embedding_settings(**(embeddings or {})), LAST
    )
    assert found is not None
    return found


def column(found: Daily, fund: str = "A") -> np.ndarray:
    return found.panel.returns[:, found.panel.ids.index(fund)]


def known(found: Daily, fund: str = "A") -> list[int]:
    return found.panel.known[:, found.panel.ids.index(fund)].tolist()


def rules(found: Daily) -> list[tuple[str, str, str]]:
    rows = found.quarantine.sort("rule", "date", "value")
    return [(r["rule"], str(r["date"]), r["column"]) for r in rows.iter_rows(named=True)]


def test_sessions_are_the_days_of_the_market():
    found = made(prints("A", DAYS[:3], "nav", [10.0, 11.0, 12.1]))
    assert found.panel.market == "MARKET"
    assert (found.panel.days == DAYS).all()
    assert HOLIDAY not in found.panel.days
    np.testing.assert_allclose(found.panel.series[1:, 0], 0.01, rtol=1e-5)
    assert np.isnan(found.panel.series[0, 0])
    assert found.panel.series_known[:, 0].tolist() == [60, *range(1, 60)]


def test_navs_become_returns_known_with_the_report():
    found = made(prints("A", DAYS[:4], "nav", [10.0, 11.0, None, 12.1]))
    np.testing.assert_allclose(column(found)[:4], [np.nan, 0.1, np.nan, 0.1], rtol=1e-6)
    assert known(found)[:4] == [60, 1, 60, 3]
    assert found.panel.returns.dtype == np.float32


def test_a_lag_in_days_is_waited_for_until_the_next_session():
    navs = prints("A", DAYS[:6], "nav", [10.0] * 6)
    found = made(navs, embeddings={"daily_lag_days": 1})
    assert known(found)[:6] == [60, 2, 3, 4, 5, 6]  # Friday's on Monday
    told = prints("A", DAYS[:3], "nav", [10.0] * 3, [DAYS[9].item()] * 3)
    assert known(made(told))[:3] == [60, 9, 9]
    never = prints("A", DAYS[:3], "nav", [10.0] * 3, [day("2001-01-01")] * 3)
    assert known(made(never, navs.with_columns(fund_id=pl.lit("B"))))[:3] == [60] * 3


def test_a_nav_of_a_day_without_session_is_not_needed():
    stamps = [DAYS[4], SATURDAY, DAYS[5]]
    found = made(prints("A", stamps, "nav", [10.0, 99.0, 11.0]))
    np.testing.assert_allclose(column(found)[5], 0.1, rtol=1e-6)
    alone = made(prints("A", [DAYS[4], SATURDAY, DAYS[6]], "nav", [10.0, 99.0, 11.0]))
    assert np.isnan(column(alone)[5])
    np.testing.assert_allclose(column(alone)[6], 0.1, rtol=1e-6)


def test_a_return_of_a_day_without_session_is_compounded_into_the_next():
    stamps = [DAYS[4], SATURDAY, HOLIDAY, DAYS[9], DAYS[10]]
    found = made(prints("A", stamps, "ret", [0.01, 0.1, 0.1, 0.1, 0.02]))
    expected = [0.01, np.nan, np.nan, np.nan, np.nan, 1.1**3 - 1, 0.02]
    np.testing.assert_allclose(column(found)[4:11], expected, rtol=1e-6)


def test_a_quoted_return_counts_before_a_nav():
    both = prints("A", DAYS[:2], "nav", [10.0, 20.0]).with_columns(ret=pl.lit(0.03))
    np.testing.assert_allclose(column(made(both))[:2], 0.03, rtol=1e-6)


@pytest.mark.parametrize(("gap", "expected"), [(1, 0.1), (10, 0.1), (11, np.nan)])
def test_after_a_gap_the_return_since_the_last_value_up_to_a_limit(gap, expected):
    stamps = [DAYS[0], DAYS[gap], DAYS[gap + 1]]
    found = made(prints("A", stamps, "nav", [10.0, 11.0, 12.1]))
    np.testing.assert_allclose(column(found)[[gap, gap + 1]], [expected, 0.1], rtol=1e-6)


def test_the_first_print_stands():
    first = prints("A", DAYS[:3], "nav", [10.0, 11.0, 12.1])
    revised = prints("A", DAYS[1:2], "nav", [10.5], [DAYS[2].item()])
    found = made(revised, first)
    np.testing.assert_allclose(column(found)[:3], [np.nan, 0.1, 0.1], rtol=1e-6)
    assert rules(found) == [("later_print", "2000-01-04", "nav")]


def test_prints_of_one_moment_complete_but_do_not_contradict_each_other():
    first = prints("A", DAYS[:3], "nav", [10.0, 11.0, 12.1])
    assert rules(made(first, first)) == []
    half = prints("A", DAYS[2:3], "ret", [0.05])
    np.testing.assert_allclose(column(made(first, half))[2], 0.05, rtol=1e-6)
    found = made(first, prints("A", DAYS[1:2], "nav", [12.0]))
    np.testing.assert_allclose(column(found)[:3], [np.nan, np.nan, 0.21], rtol=1e-6)
    assert rules(found) == [("contradictory_prints", "2000-01-04", "nav")] * 2


def test_a_print_known_after_that_of_a_later_day_is_ignored():
    late = [None, DAYS[5].item(), None]
    found = made(prints("A", DAYS[:3], "nav", [10.0, 11.0, 12.1], late))
    np.testing.assert_allclose(column(found)[:3], [np.nan, np.nan, 0.21], rtol=1e-6)
    assert rules(found) == [("out_of_order", "2000-01-04", "nav")]


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("nav", float("nan"), "not_finite"),
        ("nav", float("inf"), "not_finite"),
        ("nav", 0.0, "nav_not_positive"),
        ("nav", -3.0, "nav_not_positive"),
        ("ret", float("nan"), "not_finite"),
        ("ret", -1.5, "return_below_minus_100"),
        ("ret", 0.7, "daily_return_above_limit"),
        ("ret", -0.7, "daily_return_above_limit"),
    ],
)
def test_value_faults_are_kept_aside_with_their_rule(name, value, rule):
    good = [10.0, 10.1, 10.2] if name == "nav" else [0.01, 0.01, 0.01]
    found = made(prints("A", DAYS[:3], name, [good[0], value, good[2]]))
    assert np.isnan(column(found)[1])
    assert np.isfinite(column(found)[2])
    assert rules(found) == [(rule, "2000-01-04", name)]
    row = found.quarantine.row(0, named=True)
    assert (row["table"], row["id"]) == ("daily_observations", "A")
    assert row["known_at"] == day("2000-01-04")
    assert row["value"] == value or np.isnan(value)


def test_a_jump_of_the_nav_hides_that_return_alone():
    found = made(prints("A", DAYS[:3], "nav", [10.0, 100.0, 101.0]))
    assert rules(found) == [("daily_return_above_limit", "2000-01-04", "ret")]
    np.testing.assert_allclose(column(found)[1:3], [np.nan, 0.01], rtol=1e-6)


@pytest.mark.parametrize("wrong", [5.64, 16.0])  # -43.6% and +77.3%; +60% and -37.5%
def test_of_a_wrong_nav_neither_the_way_there_nor_the_way_back_stays(wrong):
    found = made(prints("A", DAYS[:4], "nav", [10.0, wrong, 10.0, 10.1]))
    days = ["2000-01-04", "2000-01-05"]
    assert rules(found) == [("daily_return_above_limit", day, "ret") for day in days]
    np.testing.assert_allclose(column(found)[:4], [np.nan, np.nan, np.nan, 0.01], rtol=1e-5)


def test_a_fall_and_the_rise_that_makes_up_for_it_stay_within_the_limit():
    found = made(prints("A", DAYS[:3], "nav", [10.0, 6.7, 10.0]))  # -33.0% and +49.3%
    assert rules(found) == []
    np.testing.assert_allclose(column(found)[1:3], [-0.33, 3.3 / 6.7], rtol=1e-6)


def test_a_day_that_is_told_before_it_came_goes():
    rows = prints("A", DAYS[:3], "nav", [10.0, 11.0, 12.1], [None, DAYS[0].item(), None])
    found = made(rows)
    assert rules(found) == [("available_before_date", "2000-01-04", "nav")]
    np.testing.assert_allclose(column(found)[2], 0.21, rtol=1e-6)


def test_a_faulty_quoted_return_spoils_the_session_that_it_belongs_to():
    rows = prints("A", [DAYS[4], SATURDAY, DAYS[5]], "ret", [0.01, float("nan"), 0.01])
    both = rows.with_columns(nav=pl.Series([10.0, 10.1, 10.2]))
    found = made(both)
    assert rules(found) == [("not_finite", "2000-01-08", "ret")]
    assert np.isnan(column(found)[5])


def test_what_lies_beyond_the_study_or_before_the_market_is_not_used():
    stamps = [DAYS[0] - 3, DAYS[0], DAYS[1], np.datetime64("2099-01-04")]
    found = made(prints("A", stamps, "nav", [5.0, 10.0, 11.0, 12.0]))
    assert np.isfinite(found.panel.returns).sum() == 1
    assert found.warnings == []


@pytest.mark.parametrize(
    ("named", "hint", "roles", "expected"),
    [
        ("B", "C", ["benchmark"], "B"),
        (None, "C", ["benchmark"], "C"),
        (None, None, ["benchmark"], "MARKET"),
        (None, None, ["macro"], "B"),
    ],
)
def test_the_market_is_the_settings_the_sources_the_benchmark_or_the_first(
    named, hint, roles, expected
):
    extra = [
        {"series_id": name, "roles": ["macro"], "kind": "level", "frequency": "daily"}
        for name in "CB"
    ]
    values = pl.concat([index(DAYS).with_columns(series_id=pl.lit(n)) for n in ("MARKET", *"CB")])
    world = daily_tables(prints("A", DAYS[:3], "nav", [10.0] * 3), series=extra, values=values)
    benchmark = pl.col("series_id") == "MARKET"
    kept = world.series["roles"].to_list()
    series = world.series.with_columns(
        roles=pl.Series(
            [
                roles if flag else old
                for flag, old in zip(world.series.select(benchmark).to_series(), kept, strict=True)
            ]
        )
    )
    world = replace(world, series=series, market=hint)
    found = daily_panel(check(world), embedding_settings(market=named), LAST)
    assert found is not None
    assert found.panel.market == expected
    assert sorted(found.panel.series_ids) == ["B", "C", "MARKET"]
    np.testing.assert_allclose(found.panel.series[1:], 0.01, rtol=1e-5)  # whatever sorts first


def test_a_market_that_is_no_daily_series_is_named():
    with pytest.raises(SettingsError, match="XYZ is no daily series"):
        made(prints("A", DAYS[:3], "nav", [10.0] * 3), embeddings={"market": "XYZ"})


def test_without_any_daily_series_there_are_no_sessions():
    monthly = {"series_id": ["MARKET"], "date": [day("2000-01-31")], "value": [1.0]}
    world = check(daily_tables(prints("A", DAYS[:3], "nav", [10.0] * 3), values=monthly))
    world = replace(world, series=world.series.with_columns(frequency=pl.lit("monthly")))
    with pytest.raises(InputError, match="no daily series"):
        daily_panel(world, embedding_settings(), LAST)


def test_a_market_that_breaks_off_is_warned_of():
    found = made(prints("A", DAYS, "nav", [10.0] * 60), values=index(DAYS[:20]))
    assert len(found.panel.days) == 20
    assert found.warnings == [
        f"the market MARKET ends on {DAYS[19]}, the daily reports of funds on {DAYS[59]}: "
        "what lies after is not used"
    ]


def test_funds_without_a_single_return_are_counted_or_named():
    navs = prints("A", DAYS[:3], "nav", [10.0] * 3)
    weekend = prints("B", [SATURDAY, SATURDAY + 7], "nav", [10.0, 11.0])
    assert made(navs, weekend).warnings == [
        "1 funds of the daily panel have no return on a day of MARKET"
    ]
    with pytest.raises(InputError, match="no fund of the daily panel has a return"):
        made(weekend)


def test_neither_returns_nor_navs():
    with pytest.raises(InputError, match="daily_observations has neither"):
        made(prints("A", DAYS[:3], "nav", [None] * 3))


def test_market_prices_that_come_late_are_known_late():
    world = check(daily_tables(prints("A", DAYS[:3], "nav", [10.0] * 3)))
    chosen = embedding_settings()
    late = chosen.model_copy(
        update={"dataset": chosen.dataset.model_copy(update={"price_lag_days": 1})}
    )
    found = daily_panel(world, late, LAST)
    assert found is not None
    assert found.panel.series_known[:6, 0].tolist() == [60, 2, 3, 4, 5, 6]


def feed(monkeypatch, world):
    monkeypatch.setattr(stage, "load", lambda dataset: world)
    monkeypatch.setattr(stage, "month_bounds", lambda dataset: (Month.parse("2000-01"), None))


def test_parts_are_written_when_they_change_and_go_with_their_source(store, monkeypatch):
    navs = prints("A", DAYS[:3], "nav", [10.0, 11.0, 12.1])
    described = {"fund_id": ["A", "Z"], "name": ["Alpha", "unused"], "description": ["x", "y"]}
    feed(monkeypatch, daily_tables(navs, funds=described))
    report = ingest(store, embedding_settings())
    assert (report.rows["daily_panel"], report.rows["daily_funds"]) == (2, 1)
    panel = read_daily(store)
    assert isinstance(panel.returns, np.memmap)
    assert store.read("daily_funds", "all")["name"].to_list() == ["Alpha"]
    assert ingest(store, embedding_settings()).written == 0
    feed(monkeypatch, daily_tables(navs, prints("B", DAYS[:3], "nav", [1.0] * 3), funds=described))
    assert ingest(store, embedding_settings()).written == 2
    assert read_daily(store).ids == ("A", "B")
    feed(monkeypatch, daily_tables())
    assert ingest(store, embedding_settings()).deleted == 2
    with pytest.raises(MissingPartError, match="daily_panel has no part all"):
        read_daily(store)


def test_daily_verdicts_join_the_quarantine(store, monkeypatch):
    feed(monkeypatch, daily_tables(prints("M", DAYS[:3], "nav", [10.0, 100.0, 101.0])))
    assert ingest(store, embedding_settings()).rules == {"daily_return_above_limit": 1}
    quality = store.read("data_quality", "all")
    assert ("daily_observations", "daily_return_above_limit", "quarantine", 1, 1) in quality.rows()


VALUES, FAULTS = [1.0, 1.1, 0.9, 1.2, 1.05], [0.0, 7.0, np.nan, -0.2]


def careless_prints(seed: int) -> pl.DataFrame:
    """Three funds in four weeks: gaps, weekends, faults, revisions, reports up to a week late."""
    draw = np.random.default_rng(seed)
    start, rows = DAYS[0].item(), []
    for fund in "ABC":
        for at in np.flatnonzero(draw.random(28) < 0.8).tolist() * 2:
            if draw.random() < 0.7:  # the second time is a revision, or a row for a day missed
                name = "ret" if draw.random() < 0.2 else "nav"
                value = draw.choice(VALUES if draw.random() < 0.9 else FAULTS)
                lag = [None, 0, 1, 5, 7, -1][draw.choice(6, p=[0.5, 0.1, 0.1, 0.15, 0.1, 0.05])]
                day = start + dt.timedelta(days=at)
                known = None if lag is None else day + dt.timedelta(days=lag)
                rows.append({"fund_id": fund, "date": day, name: value, "available_at": known})
    frame = conform("daily_observations", pl.DataFrame(rows, infer_schema_length=None))
    return pl.concat([prints("Z", DAYS[:2], "nav", [1.0, 1.0]), frame])


@pytest.mark.parametrize("seed", range(12))
def test_cells_known_by_a_session_need_nothing_that_becomes_known_later(seed):
    """Prints that nobody had seen by then are taken away: every cell known by then stands."""
    every = careless_prints(seed)
    full = made(every)
    for session in range(1, 24, 2):
        now = DAYS[session].item()
        past = made(every.filter(pl.col("available_at").fill_null(pl.col("date")) <= now))
        for fund in full.panel.ids:
            told = np.array(known(full, fund)) <= session
            if fund not in past.panel.ids:
                assert not told.any()
                continue
            then = np.array(known(past, fund)) <= session
            np.testing.assert_array_equal(
                np.where(told, column(full, fund), np.nan),
                np.where(then, column(past, fund), np.nan),
            )
        verdicts = [
            found.quarantine.filter(pl.col("known_at") <= now).sort(pl.all())
            for found in (full, past)
        ]
        assert verdicts[0].equals(verdicts[1])


@pytest.mark.parametrize("seed", range(6))
def test_the_order_of_rows_does_not_matter(seed):
    every = careless_prints(seed)
    order = np.random.default_rng(seed).permutation(every.height)
    one, other = made(every), made(every[order])
    assert one.panel.digest() == other.panel.digest()
    assert one.quarantine.sort(pl.all()).equals(other.quarantine.sort(pl.all()))


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(1.0, 1.4)), unique_by=lambda r: r[0]))
@hypothesis_settings(max_examples=50, deadline=None)
def test_navs_agree_with_a_plain_loop(rows):
    rows.sort()
    start = DAYS[0].item()
    stamps = [np.datetime64(start + dt.timedelta(days=at)) for at, _ in rows]
    found = made(
        prints("A", stamps, "nav", [nav for _, nav in rows]), prints("Z", DAYS[:2], "nav", [1, 1])
    )
    expected, before = np.full(60, np.nan), None
    for stamp, (_, nav) in zip(stamps, rows, strict=True):
        if stamp in DAYS:
            at = DAYS.tolist().index(stamp.item())
            if before is not None and at - before[0] <= EmbeddingsSettings().max_gap_sessions:
                expected[at] = nav / before[1] - 1.0
            before = at, nav
    if rows:
        np.testing.assert_allclose(column(found), expected.astype(np.float32), atol=1e-7)
