"""One test per rule of the specification, and what must not be mistaken for a fault."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from finembed_core.calendar import Month
from finembed_core.ingest.gates import _rolling_hash
from finembed_core.ingest.stage import prepare
from finembed_core.sources.tables import InputTables

from .worlds import FIRST, month_end, navs, noise, returns, settings, tables

CALM = noise(3, 20)


def grown(values, start: float = 12.0) -> list[float]:
    """NAVs of returns."""
    return (start * np.cumprod(1.0 + np.asarray(values))).tolist()


def judged(world: InputTables, **ingest) -> pl.DataFrame:
    """Quarantine of a world, as (id, date, rule, known_at)."""
    found = prepare(world, settings(ingest), FIRST, None).whole["quarantine"]
    return found.select("id", "date", "rule", "known_at")


def stored(world: InputTables, months: int, last: Month | None = None, **ingest) -> list:
    """Returns of fund A as known at the end, month by month; None where there is none."""
    rows = prepare(world, settings(ingest), FIRST, last).monthly["fund_observations"]
    rows = rows.filter(pl.col("fund_id") == "A").sort("known", maintain_order=True)
    latest = rows.group_by("date", maintain_order=True).last()
    known = dict(zip(latest["date"].to_list(), latest["ret"].to_list(), strict=True))
    return [known.get(month_end(k)) for k in range(months)]


@pytest.mark.parametrize(
    ("value", "rule"),
    [(-1.2, "return_below_minus_100"), (1.01, "return_above_limit"), (float("inf"), "not_finite")],
)
def test_impossible_returns(value, rule):
    world = tables(returns("A", [*CALM[:5], value, 0.01]))
    assert judged(world).rows() == [("A", month_end(5), rule, month_end(5))]
    assert stored(world, 7)[5] is None
    assert stored(world, 7)[6] == 0.01


def test_the_limit_is_a_setting():
    assert judged(tables(returns("A", [0.1, 1.5])), max_abs_return=2.0).is_empty()


@pytest.mark.parametrize("factor", [10.0, 100.0, 5.0])
def test_a_change_of_face_value_costs_one_return(factor):
    path = np.array(grown(CALM))
    path[8:] *= factor
    world = tables(navs("A", path.tolist()))
    assert judged(world).rows() == [("A", month_end(8), "face_value_change", month_end(8))]
    assert stored(world, 20)[9] == pytest.approx(CALM[9])


def test_a_reset_to_face_value_is_one_too():
    path = [*grown(CALM[:8], start=22.0), *grown(CALM[8:], start=10.0)]
    path[8] = 10.0
    world = tables(navs("A", path))
    assert judged(world)["rule"].to_list() == ["face_value_change"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (10.2, 1.05),  # nine tenths lost, and no face value
        (49.6, 10.1),  # four fifths lost, beside one
        (100.0, 10.0),  # from par to a tenth of it: a write-down is as round
        (223.4, 22.3),  # a split, perhaps
    ],
)
def test_a_loss_by_a_round_factor_is_booked(before, after):
    path = [*grown(CALM[:8], start=before), before, after, *grown(CALM[10:], start=after)]
    world = tables(navs("A", path))
    assert judged(world).is_empty()
    assert stored(world, 20)[9] == pytest.approx(after / before - 1.0)
    quality = prepare(world, settings(), FIRST, None).whole["data_quality"]
    counted = quality.filter(pl.col("rule") == "fall_by_face_factor")
    assert counted["rows"].to_list() == [1]


def test_a_young_or_wild_fund_may_lose_half_and_land_anywhere():
    young = [*grown(CALM[:4], start=23.0), 23.0, 10.0, *grown(CALM[6:], start=10.0)]
    wild = [0.2, -0.2, 0.25, -0.2, 0.2, -0.25, 0.2, -0.2, 0.25]
    swings = [*grown(wild, start=22.0), 22.0, 10.0, *grown(CALM[11:], start=10.0)]
    for path in (young, swings):
        assert judged(tables(navs("A", path))).is_empty()


def test_a_misprint_twice_in_a_year_is_undone_twice():
    """The first one is no reason to take the fund for volatile."""
    path = np.array(grown(CALM))
    path[[9, 14]] *= 100.0
    found = judged(tables(navs("A", path.tolist()))).sort("date")
    assert found["date"].to_list() == [month_end(k) for k in (9, 10, 14, 15)]
    assert set(found["rule"]) == {"face_value_change", "nav_jump_undone"}


def test_what_was_not_known_yet_is_no_volatility():
    """The wild months arrive after the restart: it is judged by the calm ones, as it was then."""
    wild = [0.3, -0.3, 0.3, -0.3, 0.3, -0.3]
    path = [*grown([*wild, *CALM[:7]], start=30.0), 24.3, 10.0]
    rows = navs("A", path).with_columns(
        available_at=pl.when(pl.col("date") <= month_end(5))
        .then(pl.lit(month_end(20)))
        .otherwise(pl.col("date"))
    )
    found = judged(tables(rows, returns("B", noise(8, 24))))
    assert found.rows() == [("A", month_end(14), "face_value_change", month_end(14))]


def test_a_crash_is_not_a_split():
    """A loss of 45% in returns, or of NAV to no round number, stays: hiding it would flatter."""
    world = tables(returns("A", [*CALM[:10], -0.9, 0.01]))
    assert judged(world).is_empty()
    path = grown([*CALM[:10], -0.55, *CALM[10:]], start=40.0)
    assert judged(tables(navs("A", path))).is_empty()


def test_a_jump_that_is_undone_is_withdrawn_when_it_is():
    path = np.array(grown(noise(3, 20, 0.01)))
    path[12] *= 1.7
    world = tables(navs("A", path.tolist()))
    assert judged(world).rows() == [
        ("A", month_end(12), "nav_jump_undone", month_end(13)),
        ("A", month_end(13), "nav_jump_undone", month_end(13)),
    ]
    before = stored(world, 13, FIRST + 12)
    after = stored(world, 14, FIRST + 13)
    assert before[12] == pytest.approx(0.7, abs=0.05)
    assert after[12:] == [None, None]


def test_a_wild_stock_may_fall_and_recover():
    """Bank of America lost 40% in February 2009 and won 73% in March."""
    wild = [0.3, -0.35, 0.4, -0.3, 0.35, -0.4, 0.5, -0.3, 0.4, -0.35, 0.3, -0.3, -0.4, 0.7]
    assert judged(tables(navs("A", grown(wild)))).is_empty()


def test_stale_navs_are_known_after_the_sixth():
    path = grown(CALM)
    path[5:13] = [path[4]] * 8
    found = judged(tables(navs("A", path)))
    assert found["rule"].to_list() == ["stale_nav"] * 8
    assert found["date"].to_list() == [month_end(k) for k in range(5, 13)]
    assert found["known_at"].to_list() == [month_end(max(k, 10)) for k in range(5, 13)]


def test_five_unchanged_navs_are_not_stale():
    path = grown(CALM)
    path[5:10] = [path[4]] * 5
    assert judged(tables(navs("A", path))).is_empty()


def test_duplicates_leave_the_fund_known_first():
    same = noise(5, 30)
    world = tables(returns("B", same), returns("A", same[3:], first=3), returns("C", noise(6, 30)))
    found = judged(world, duplicate_months=12)
    assert set(found["id"]) == {"A"}
    assert found["date"].to_list() == [month_end(k) for k in range(3, 30)]
    assert found["known_at"].to_list() == [month_end(max(k, 14)) for k in range(3, 30)]


@pytest.mark.parametrize("idle", [0, 6])
def test_a_later_verdict_does_not_undo_that_a_fund_was_a_copy(idle):
    """Its last month of the window turns out to begin a stale run, months later."""
    path = [*noise(5, 19), *[0.0] * (1 + idle), *noise(6, 4)]
    found = judged(tables(returns("A", path), returns("B", path)), duplicate_months=20)
    known = found.filter((pl.col("id") == "B") & (pl.col("known_at") <= month_end(19)))
    assert known["rule"].to_list() == ["duplicate_fund"] * 20


def test_a_copy_of_a_copy_is_known_before_the_first_of_them_reports():
    same = noise(5, 14)
    late = pl.when(pl.col("date") == month_end(12)).then(pl.lit(month_end(13)))
    world = tables(
        returns("A", same).with_columns(available_at=late),
        returns("B", same[1:], first=1),
        returns("C", same[1:], first=1),
    )
    found = judged(world, duplicate_months=12).filter(pl.col("known_at") <= month_end(12))
    assert set(found["id"]) == {"C"}


def test_funds_that_part_are_no_duplicates_afterwards():
    first, second = noise(5, 30), noise(5, 15) + noise(9, 15)
    found = judged(tables(returns("A", first), returns("B", second)), duplicate_months=12)
    assert found["id"].unique().to_list() == ["B"]
    assert found["date"].max() == month_end(14)


def test_idle_funds_are_not_duplicates_of_each_other():
    idle = [0.0] * 5 + [0.01] + [0.0] * 5 + [0.01] + [0.0] * 5
    assert judged(tables(returns("A", idle), returns("B", idle)), duplicate_months=12).is_empty()


def test_rolling_hash_agrees_exactly_where_windows_do():
    """Against the direct comparison of all windows of all pairs."""
    draw = np.random.default_rng(0)
    values = draw.choice([0.01, 0.02, -0.01, np.nan], size=(40, 12), p=[0.45, 0.45, 0.07, 0.03])
    values[:, 6:9] = values[:, :3]
    values[draw.integers(0, 40, 6), [6, 7, 8, 6, 7, 8]] = 0.5
    months = 6
    hashes, whole = _rolling_hash(values, months, 0.5)
    for t in range(months - 1, 40):
        window = values[t - months + 1 : t + 1]
        assert (whole[t] == ~np.isnan(window).any(axis=0)).all()
        for i in range(12):
            for j in range(i):
                if whole[t, i] and whole[t, j]:
                    equal = (window[:, i] == window[:, j]).all()
                    assert (hashes[t, i] == hashes[t, j]) == equal


def test_observations_after_death():
    funds = {"fund_id": ["A"], "death_date": [dt.date(2000, 4, 12)], "death_reason": ["merged"]}
    world = tables(returns("A", CALM[:7]), returns("B", CALM[:7]), funds=funds)
    found = judged(world)
    assert found["rule"].to_list() == ["after_death"] * 3
    assert found["date"].to_list() == [month_end(k) for k in (4, 5, 6)]


def test_instant_history_is_kept_aside_by_what_was_known():
    """The first months of the history as it was when a report came in, also after a backfill."""
    late = returns("A", CALM[:4]).with_columns(available_at=pl.lit(month_end(6)))
    regular = returns("A", CALM[4:8], first=4)
    found = judged(tables(late, regular), drop_first_months=2)
    assert found["date"].to_list() == [month_end(k) for k in (0, 1, 4, 5)]


def test_counts_tell_what_is_thin():
    world = tables(
        navs("A", [10.0, 10.1, None, None, None, None, 11.0, 11.2]),
        returns("B", [0.01, 0.02]),
        series={"series_id": ["X"], "roles": [["risk_factor"]], "kind": ["return"]},
        values={
            "series_id": ["X"] * 3,
            "date": [month_end(k) for k in range(3)],
            "value": [0.0] * 3,
        },
    )
    quality = prepare(world, settings(), FIRST, None).whole["data_quality"]
    counts = {(row["table"], row["rule"]): (row["rows"], row["ids"]) for row in quality.to_dicts()}
    assert counts["fund_observations", "gap"] == (4, 1)
    assert counts["fund_observations", "short_history"] == (6, 2)
    assert counts["fund_observations", "missing_aum"] == (6, 2)
    assert counts["series_observations", "constant_series"] == (3, 1)


def test_smoothed_returns_are_named():
    true = np.random.default_rng(1).normal(0, 0.02, 60)
    smooth = 0.5 * true[2:] + 0.3 * true[1:-1] + 0.2 * true[:-2]
    quality = prepare(tables(returns("A", smooth.tolist())), settings(), FIRST, None)
    rules = quality.whole["data_quality"]["rule"].to_list()
    assert "heavy_autocorrelation" in rules
