"""Point-in-time histories: transforms within a vintage, withdrawals, cash."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from finembed_core import histories
from finembed_core.calendar import DecisionCalendar, Month
from finembed_core.errors import InputError, MissingPartError
from tests.series_store import write_observations, write_series

CALENDAR = DecisionCalendar(0)
MONTHS = [Month.parse("2000-01") + k for k in range(6)]


def column(history, month, months=6):
    return history.as_of(month, months).values[:, 0]


def test_rebased_vintage_gives_no_jump(store):
    """INDPRO 109.1 in one vintage, 102.0 in the next, for the same month."""
    m = MONTHS
    old, new = dt.date(2000, 4, 1), dt.date(2000, 5, 1)
    first = [109.1 * 1.01**k for k in range(3)]
    second = [102.0 * 1.02**k for k in range(4)]
    write_series(store, {"transform": "5"})
    write_observations(
        store,
        [(m[3], "X", m[k], old, x) for k, x in enumerate(first)]
        + [(m[4], "X", m[k], new, x) for k, x in enumerate(second)],
    )
    history = histories.macro_series(store, CALENDAR)
    np.testing.assert_allclose(column(history, m[3], 4)[1:3], np.log(1.01))
    np.testing.assert_allclose(column(history, m[4], 5)[1:4], np.log(1.02))
    assert np.isnan(column(history, m[2], 3)).all()


def test_a_date_outside_the_new_vintage_keeps_the_old_value(store):
    m = MONTHS
    old, new = dt.date(2000, 4, 1), dt.date(2000, 5, 1)
    write_series(store, {"kind": "yield"})
    write_observations(
        store,
        [(m[3], "X", m[k], old, float(k * k)) for k in range(3)]
        + [(m[4], "X", m[k], new, 100.0 + k) for k in range(2, 4)],
    )
    seen = column(histories.macro_series(store, CALENDAR), m[4], 5)
    np.testing.assert_array_equal(seen, [np.nan, 1.0, 3.0, 1.0, np.nan])


def test_a_transformed_value_waits_for_all_it_needs(store):
    m = MONTHS
    write_series(store, {"kind": "yield"})
    write_observations(store, [(m[1], "X", m[1], None, 2.0), (m[3], "X", m[0], None, 1.5)])
    history = histories.macro_series(store, CALENDAR)
    assert np.isnan(column(history, m[2], 3)).all()
    np.testing.assert_array_equal(column(history, m[3], 4), [np.nan, 0.5, np.nan, np.nan])


def test_a_withdrawn_observation_takes_its_changes_along(store):
    m = MONTHS
    write_series(store, {"kind": "yield"})
    write_observations(
        store,
        [(m[k], "X", m[k], None, float(k * k)) for k in range(4)] + [(m[4], "X", m[2], None, None)],
    )
    history = histories.macro_series(store, CALENDAR)
    np.testing.assert_array_equal(column(history, m[3], 4), [np.nan, 1.0, 3.0, 5.0])
    np.testing.assert_array_equal(column(history, m[4], 5), [np.nan, 1.0, np.nan, np.nan, np.nan])


def test_a_late_verdict_on_an_old_vintage_leaves_the_new_one(store):
    m = MONTHS
    write_series(store, {"kind": "return"})
    old, new = dt.date(2000, 2, 1), dt.date(2000, 3, 1)
    write_observations(
        store,
        [
            (m[1], "X", m[0], old, 0.1),
            (m[2], "X", m[0], new, 0.2),
            (m[3], "X", m[0], old, None),
        ],
    )
    assert column(histories.macro_series(store, CALENDAR), m[3], 4)[0] == 0.2


def test_renamed_series_joins_under_its_alias(store):
    m = MONTHS
    write_series(store, {"kind": "return", "aliases": ["OLD"]})
    rows = [(m[k], "OLD", m[k], None, 0.1) for k in range(3)]
    rows += [(m[k], "X", m[k], None, 0.2) for k in range(2, 5)]
    write_observations(store, rows)
    seen = column(histories.macro_series(store, CALENDAR), m[4], 5)
    np.testing.assert_array_equal(seen, [0.1, 0.1, 0.2, 0.2, 0.2])


def test_quarterly_series_differ_quarter_on_quarter(store):
    quarter = [Month.parse("2000-03") + 3 * k for k in range(3)]
    write_series(store, {"kind": "yield", "frequency": "quarterly"})
    write_observations(store, [(q, "X", q, None, v) for q, v in zip(quarter, (1, 4, 9), strict=1)])
    seen = column(histories.macro_series(store, CALENDAR), quarter[-1], 7)
    np.testing.assert_array_equal(seen, [np.nan, np.nan, np.nan, 3.0, np.nan, np.nan, 5.0])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("return", [1.0, 2.0, 4.0]),
        ("index", [np.nan, 1.0, 1.0]),
        ("yield", [np.nan, 0.01, 0.02]),
    ],
)
def test_risk_factors_by_kind(store, kind, expected):
    m = MONTHS
    write_series(store, {"roles": ["risk_factor"], "kind": kind})
    write_observations(store, [(m[k], "X", m[k], None, 2.0**k) for k in range(3)])
    seen = column(histories.risk_factors(store, CALENDAR), m[2], 3)
    np.testing.assert_array_equal(seen, expected)


def test_a_yield_is_earned_in_the_following_month(store):
    m = MONTHS
    write_series(store, {"roles": ["risk_free"], "kind": "yield"})
    write_observations(store, [(m[0], "X", m[0], None, 6.0), (m[2], "X", m[1], None, 12.0)])
    history = histories.risk_free(store, CALENDAR)
    assert history is not None
    assert history.ids == ("rf",)
    np.testing.assert_array_equal(column(history, m[1], 2), [np.nan, 0.005])
    np.testing.assert_array_equal(column(history, m[2], 3), [np.nan, 0.005, 0.01])


def test_risk_free_is_absent_or_one(store):
    write_series(store, {})
    write_observations(store, [(MONTHS[0], "X", MONTHS[0], None, 1.0)])
    assert histories.risk_free(store, CALENDAR) is None
    table = store.read("series", "all").with_columns(roles=pl.lit(["risk_free"]))
    store.write("series", "all", pl.concat([table, table.with_columns(series_id=pl.lit("Y"))]))
    with pytest.raises(InputError, match="X, Y"):
        histories.risk_free(store, CALENDAR)


def test_fund_history_and_its_opening_part(store):
    schema = {
        "fund_id": pl.String,
        "date": pl.Date,
        "ret": pl.Float64,
        "aum": pl.Float64,
        "available_at": pl.Date,
    }
    m = MONTHS

    def part(key, *rows):
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        store.write("fund_observations", str(key), frame)

    part(m[1], *[("f", m[k].end, 0.1 * k, None, m[k].end) for k in (0, 1)])
    part(m[2], ("f", m[2].end, 0.2, 5.0, m[2].end))
    part(m[3], ("f", m[1].end, None, None, m[3].end))
    returns = histories.fund_returns(store, CALENDAR)
    np.testing.assert_array_equal(column(returns, m[0], 1), [0.0])
    np.testing.assert_array_equal(column(returns, m[2], 3), [0.0, 0.1, 0.2])
    np.testing.assert_array_equal(column(returns, m[3], 4), [0.0, np.nan, 0.2, np.nan])
    aum = histories.fund_aum(store, CALENDAR)
    np.testing.assert_array_equal(column(aum, m[3], 4), [np.nan, np.nan, 5.0, np.nan])


def test_nothing_ingested_says_what_to_run(store):
    with pytest.raises(MissingPartError, match="finembed run"):
        histories.fund_returns(store, CALENDAR)
