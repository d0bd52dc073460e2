"""Days to months, NAVs to returns, availability."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finembed_core.calendar import Month
from finembed_core.errors import InputError
from finembed_core.ingest.funds import fund_months
from finembed_core.ingest.periods import finished_months
from finembed_core.ingest.series import series_months
from finembed_core.settings import DatasetSettings, IngestSettings
from finembed_core.sources.tables import conform

from .worlds import month_end, navs, returns

LIQUID = DatasetSettings()
THROUGH = Month.parse("2000-04")


def months(frame: pl.DataFrame, lag: int = 0, max_span: int = 3):
    rows = conform("fund_observations", frame).sort("fund_id", "date")
    return fund_months(rows, lag, IngestSettings(dead_after_missing=max_span))


def daily(fund: str, first: dt.date, last: dt.date, column: str, value) -> pl.DataFrame:
    days = pl.date_range(first, last, "1d", eager=True)
    days = days.filter(days.dt.weekday() <= 5)
    values = [value(k) for k in range(len(days))]
    return pl.DataFrame({"fund_id": fund, "date": days, column: values})


def series(values: pl.DataFrame, kind: str, frequency: str | None, settings=LIQUID, limit=1.0):
    described = pl.DataFrame(
        {"series_id": ["X"], "roles": [["macro"]], "kind": [kind], "frequency": [frequency]}
    )
    rows = conform("series_observations", values.with_columns(series_id=pl.lit("X")))
    found, quarantine = series_months(rows, conform("series", described), settings, limit, THROUGH)
    return found.sort("vintage", "date"), quarantine


@given(
    st.lists(st.one_of(st.none(), st.floats(0.5, 2.0)), min_size=2, max_size=20).filter(
        lambda growth: growth[0] is not None and growth[-1] is not None
    )
)
def test_compounded_returns_lead_from_first_to_last_nav(growth):
    """Whatever the gaps, as long as the fund is not taken for dead meanwhile."""
    level, path = 10.0, []
    for step in growth:
        level *= step or 1.0
        path.append(None if step is None else level)
    funds, _ = months(navs("A", path), max_span=len(path))
    assert np.prod(1.0 + funds.returns[~np.isnan(funds.returns)]) == pytest.approx(
        path[-1] / path[0], rel=1e-9
    )


def test_a_return_over_a_short_gap_falls_into_the_month_of_the_report():
    funds, _ = months(navs("A", [10.0, None, None, 12.0]))
    np.testing.assert_allclose(funds.returns[:, 0], [np.nan, np.nan, np.nan, 0.2])
    assert funds.span[3, 0] == 3


def days_of(available) -> list[dt.date]:
    return available.astype("datetime64[D]").tolist()


def test_a_return_is_known_once_both_its_navs_are():
    late = dt.date(2000, 7, 15)
    known = [month_end(0), late, month_end(2), month_end(3)]
    frame = navs("A", [10.0, 11.0, 12.1, 12.1]).with_columns(available_at=pl.Series(known))
    funds, _ = months(frame)
    assert days_of(funds.available[:, 0]) == [month_end(0), late, late, month_end(3)]
    over_gap, _ = months(frame.filter(pl.col("date") != month_end(2)))
    assert days_of(over_gap.available[[1, 3], 0]) == [late, late]


def test_a_quoted_return_waits_for_no_nav():
    known = pl.Series([month_end(0), dt.date(2000, 7, 15), month_end(2)])
    frame = navs("A", [10.0, 11.0, 12.1]).with_columns(
        available_at=known, ret=pl.Series([None, None, 0.1], dtype=pl.Float64)
    )
    funds, _ = months(frame)
    assert days_of(funds.available[:, 0]) == known.to_list()
    assert np.isnan(funds.nav[2, 0])  # nobody could compare the two in March


def test_a_month_of_days_is_known_once_its_last_day_is():
    frame = daily("A", dt.date(2000, 1, 3), dt.date(2000, 2, 29), "ret", lambda k: 0.001)
    for day, told_at in ((10, dt.date(2000, 1, 20)), (11, dt.date(2000, 5, 2))):
        told = frame.with_columns(
            available_at=pl.when(pl.col("date") == dt.date(2000, 1, day)).then(told_at)
        )
        funds, _ = months(told, lag=15)
        assert days_of(funds.available[:, 0])[0] == max(told_at, dt.date(2000, 2, 15))
        assert funds.assumed[0, 0]


def stamped(*reports: tuple[dt.date, float]) -> pl.DataFrame:
    return pl.DataFrame(
        {"fund_id": "A", "date": [d for d, _ in reports], "ret": [r for _, r in reports]}
    )


@pytest.mark.parametrize("again", [0.02, 0.03])
def test_a_monthly_fund_with_two_returns_in_a_month_is_a_contradiction(again):
    double = [(dt.date(2000, 2, 28), 0.02), (dt.date(2000, 2, 29), again)]
    for months_around in (
        [month_end(0), month_end(2)],
        [month_end(0)],
        [month_end(2), month_end(3)],
    ):
        rows = stamped(*double, *((day, 0.01) for day in months_around))
        with pytest.raises(InputError) as caught:
            months(rows)
        assert "fund A" in caught.value.what
        assert "2000-02" in caught.value.what
        assert str(caught.value.where).endswith(f"0.02 on 2000-02-28, {again:g} on 2000-02-29")


def test_days_and_weeks_are_no_double_reports():
    """Nor are the first two days of a daily history, or a fund suspended for most of a month."""
    days = daily("A", dt.date(2000, 1, 28), dt.date(2000, 4, 28), "ret", lambda k: 0.001)
    assert months(days)[0].returns[0, 0] == pytest.approx(1.001**2 - 1)
    suspended = days.filter(~pl.col("date").is_between(dt.date(2000, 3, 3), dt.date(2000, 3, 31)))
    assert months(suspended)[0].returns[2, 0] == pytest.approx(1.001**2 - 1)
    monthly_once = returns("A", [0.01] * 9, first=-10)
    assert months(pl.concat([monthly_once, days]))[0].reported[:, 0].sum() == 13


@pytest.mark.parametrize(
    ("day", "silence"), [(dt.date(2202, 4, 30), "before"), (dt.date(1020, 4, 30), "after")]
)
def test_a_report_years_away_from_all_others_has_a_wrong_date(day, silence):
    rows = pl.concat(
        [returns("A", [0.01] * 20), returns("B", [0.02]).with_columns(date=pl.lit(day))]
    )
    with pytest.raises(InputError, match=rf"fund B reports on {day}, .* months {silence}"):
        months(rows)


def test_a_year_of_silence_is_none_too_many():
    months(returns("A", [0.01, *[None] * 12, 0.01]))
    with pytest.raises(InputError, match="in the 13 months before"):
        months(returns("A", [0.01, 0.01, *[None] * 13, 0.01]))


def test_after_a_long_gap_a_history_begins_anew():
    funds, _ = months(navs("A", [10.0, None, None, None, 12.0, 15.0]))
    np.testing.assert_allclose(funds.returns[4:, 0], [np.nan, 0.25])


def test_quoted_returns_count_and_navs_fill_in():
    """Cell by cell: that a fund quotes returns later must not change what its NAVs said before."""
    both = navs("A", [10.0, 11.0, 12.1, 1.3]).with_columns(
        ret=pl.Series([None, None, 0.1, 0.074], dtype=pl.Float64)
    )
    funds, _ = months(both)
    np.testing.assert_allclose(funds.returns[:, 0], [np.nan, 0.1, 0.1, 0.074])
    assert np.isnan(funds.nav[:, 0]).tolist() == [False, False, False, True]  # adjusted by the fund


def test_daily_navs_become_the_last_of_each_month():
    frame = daily("A", dt.date(2000, 1, 3), dt.date(2000, 2, 29), "nav", lambda k: 10.0 + k)
    funds, _ = months(frame)
    january = 10.0 + 20  # 21 weekdays from the 3rd
    assert funds.nav[0, 0] == january
    assert funds.returns[1, 0] == pytest.approx((january + 21) / january - 1)


def test_daily_returns_are_compounded_and_a_broken_day_breaks_the_month():
    frame = daily("A", dt.date(2000, 1, 3), dt.date(2000, 2, 29), "ret", lambda k: 0.001)
    funds, _ = months(frame)
    assert funds.returns[0, 0] == pytest.approx(1.001**21 - 1)
    broken = frame.with_columns(
        ret=pl.when(pl.col("date") == dt.date(2000, 2, 10))
        .then(float("inf"))
        .otherwise(pl.col("ret"))
    )
    funds, quarantine = months(broken)
    assert np.isnan(funds.returns[1, 0])
    assert quarantine["rule"].to_list() == ["not_finite"]


@pytest.mark.parametrize(
    ("last", "finished"),
    [
        (dt.date(2022, 12, 30), True),  # the last weekday
        (dt.date(2022, 12, 29), True),  # it may have been a holiday
        (dt.date(2022, 12, 28), False),  # where skfolio's prices end
        (dt.date(2016, 4, 27), False),
        (dt.date(2018, 3, 29), True),  # Good Friday was the 30th
    ],
)
def test_a_month_is_over_when_the_data_reach_its_last_weekday(last, finished):
    days = pl.date_range(last - dt.timedelta(days=60), last, "1d", eager=True)
    kept = finished_months(pl.DataFrame({"g": "x", "date": days}), "g")
    assert (kept["date"].max() == last) == finished


@pytest.mark.parametrize("day", [1, 15])
def test_monthly_stamps_mean_the_whole_month(day):
    frame = pl.DataFrame(
        {
            "fund_id": "A",
            "date": [dt.date(2000, 1, day), dt.date(2000, 2, day)],
            "ret": [0.1, 0.2],
            "available_at": [None, dt.date(2000, 3, 1)],
        }
    )
    funds, quarantine = months(frame, lag=10)
    assert quarantine.is_empty()
    np.testing.assert_allclose(funds.returns[:, 0], [0.1, 0.2])
    assert funds.assumed[:, 0].tolist() == [True, False]
    known = funds.available[:, 0].astype("datetime64[D]").tolist()
    assert known == [dt.date(2000, 2, 10), dt.date(2000, 3, 1)]


def test_a_fund_that_stops_inside_a_month_keeps_what_it_earned():
    """Its last NAV is what its holder had; only the end of all data leaves a month open."""
    gone = daily("A", dt.date(2000, 1, 3), dt.date(2000, 2, 14), "nav", lambda k: 10.0 - 0.1 * k)
    stays = daily("B", dt.date(2000, 1, 3), dt.date(2000, 3, 31), "nav", lambda k: 10.0)
    funds, _ = months(pl.concat([gone, stays]))
    assert funds.returns[1, 0] < 0


def test_row_faults_keep_the_rest_of_the_row():
    frame = returns("A", [0.1, float("nan"), 0.2], aum=1.0).with_columns(
        aum=pl.Series([-1.0, 2.0, 3.0])
    )
    funds, quarantine = months(frame)
    assert quarantine.sort("date").select("column", "rule").rows() == [
        ("aum", "aum_negative"),
        ("ret", "not_finite"),
    ]
    np.testing.assert_allclose(funds.aum[:, 0], [np.nan, 2.0, 3.0])
    assert funds.reported[:, 0].all()


def test_what_was_available_too_early_is_kept_aside():
    frame = returns("A", [0.1, 0.2]).with_columns(
        available_at=pl.Series([dt.date(2000, 2, 1), dt.date(2000, 2, 1)])
    )
    funds, quarantine = months(frame)
    assert quarantine["rule"].to_list() == ["available_before_date"]
    assert funds.reported[:, 0].tolist() == [True]


def test_levels_take_the_last_day_and_returns_are_compounded():
    days = [dt.date(2000, 1, 5), dt.date(2000, 1, 31), dt.date(2000, 2, 7), dt.date(2000, 2, 29)]
    values = pl.DataFrame({"date": days, "value": [0.1, 0.2, 0.3, -0.1]})
    assert series(values, "index", "daily")[0]["value"].to_list() == [0.2, -0.1]
    compounded = series(values, "return", "daily")[0]["value"].to_list()
    assert compounded == pytest.approx([1.1 * 1.2 - 1, 1.3 * 0.9 - 1])


def test_a_series_that_ends_inside_a_month_has_no_value_for_it():
    values = pl.DataFrame({"date": [dt.date(2018, 12, 31), dt.date(2019, 1, 3)], "value": [1.0, 2]})
    assert series(values, "index", "daily")[0]["date"].to_list() == [dt.date(2018, 12, 31)]


def test_quarters_are_dated_by_their_end_and_published_later():
    values = pl.DataFrame({"date": [dt.date(2000, 1, 1), dt.date(2000, 4, 1)], "value": [1.0, 2.0]})
    found, _ = series(values, "level", "quarterly")
    assert found["date"].to_list() == [dt.date(2000, 3, 31), dt.date(2000, 6, 30)]
    assert found["available_at"].to_list() == [dt.date(2000, 4, 30), dt.date(2000, 7, 30)]
    assert found["assumed"].all()


def test_a_rate_stands_until_it_changes():
    stands = pl.DataFrame({"date": [dt.date(2000, 1, 10), dt.date(2000, 4, 30)], "value": [5.0, 6]})
    found, _ = series(stands, "yield", "on_change")
    assert found["value"].to_list() == [5.0, 5.0, 5.0, 6.0]
    assert found["available_at"].to_list() == found["date"].to_list()


def test_what_stands_at_a_date_is_what_was_known_then():
    """A step of March that is published in June leaves the old rate standing until then."""
    steps = pl.DataFrame(
        {
            "date": [dt.date(2000, 1, 15), dt.date(2000, 2, 15)],
            "value": [5.0, 9.0],
            "available_at": [dt.date(2000, 1, 15), dt.date(2000, 4, 20)],
        }
    )
    found, _ = series(steps, "yield", "on_change")
    late = dt.date(2000, 4, 20)
    assert found.sort("date", "available_at").select("date", "value", "available_at").rows() == [
        (month_end(0), 5.0, month_end(0)),
        (month_end(1), 5.0, month_end(1)),
        (month_end(1), 9.0, late),
        (month_end(2), 5.0, month_end(2)),
        (month_end(2), 9.0, late),
        (month_end(3), 9.0, month_end(3)),
    ]


def test_a_step_overtaken_before_it_was_published_is_never_seen_alone():
    steps = pl.DataFrame(
        {
            "date": [dt.date(2000, 1, 15), dt.date(2000, 1, 20), dt.date(2000, 2, 15)],
            "value": [5.0, 7.0, 9.0],
            "available_at": [dt.date(2000, 1, 15), dt.date(2000, 4, 25), dt.date(2000, 4, 20)],
        }
    )
    found, _ = series(steps, "yield", "on_change")
    rows = found.filter(pl.col("date") >= month_end(1)).sort("date", "available_at")
    assert rows["value"].to_list() == [5.0, 9.0, 5.0, 9.0, 9.0]


def test_before_the_first_vintage_its_values_stand_with_the_lag():
    values = pl.DataFrame(
        {
            "date": [month_end(0), month_end(11), month_end(0), month_end(11)],
            "vintage": [dt.date(2001, 1, 20)] * 2 + [dt.date(2001, 2, 20)] * 2,
            "value": [1.0, 2.0, 1.5, 2.5],
        }
    )
    found, _ = series(values, "level", "monthly")
    assert found["available_at"].to_list() == [
        dt.date(2000, 3, 1),
        dt.date(2001, 1, 20),
        dt.date(2001, 2, 20),
        dt.date(2001, 2, 20),
    ]
    assert found["assumed"].to_list() == [True, False, False, False]


def test_faulty_series_values_are_kept_aside():
    dates = [month_end(k) for k in range(4)]
    values = pl.DataFrame({"date": dates, "value": [0.1, float("inf"), -1.5, 3.0]})
    found, quarantine = series(values, "return", "monthly")
    assert found["value"].to_list() == [0.1]
    assert quarantine.sort("date")["rule"].to_list() == [
        "not_finite",
        "return_below_minus_100",
        "return_above_limit",
    ]
