import datetime as dt
from importlib.resources import files

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finembed_core.errors import InputError
from finembed_core.ingest.contracts import LIMITS, check, merge_keys
from finembed_core.sources.tables import InputTables

from .worlds import month_end, noise, returns, tables

GOOD = returns("A", noise(1, 3))
SERIES = {"series_id": ["X"], "roles": [["macro"]], "kind": ["level"]}


def test_equal_rows_are_merged_and_complementary_ones_completed():
    assets = GOOD.drop("ret").with_columns(aum=pl.lit(5.0), source=pl.lit("other file"))
    found = check(tables(GOOD, GOOD, assets)).fund_observations
    assert found.height == 3
    assert found["aum"].to_list() == [5.0] * 3
    assert found["ret"].to_list() == GOOD["ret"].to_list()


def test_a_row_completed_by_a_later_one_is_known_with_the_later():
    first = GOOD.with_columns(available_at=pl.col("date"))
    assets = GOOD.drop("ret").with_columns(
        aum=pl.lit(5.0), available_at=pl.col("date") + pl.duration(days=20)
    )
    for order in ((first, assets), (assets, first)):
        found = check(tables(*order)).fund_observations
        assert found["ret"].to_list() == GOOD["ret"].to_list()
        assert found["available_at"].to_list() == assets["available_at"].to_list()


def test_same_key_with_different_values_is_named():
    other = GOOD.with_columns(ret=pl.col("ret") + 1e-6)
    with pytest.raises(InputError, match="fund_id A, date 2000-01-31 stands twice"):
        check(tables(GOOD, other))


def test_vintages_are_keys_of_their_own():
    values = {
        "series_id": ["X"] * 3,
        "date": [month_end(0)] * 3,
        "value": [1.0, 2.0, 3.0],
        "vintage": [None, dt.date(2000, 3, 1), dt.date(2000, 4, 1)],
    }
    assert check(tables(GOOD, series=SERIES, values=values)).series_observations.height == 3


def test_aliases_become_the_series():
    series = SERIES | {"aliases": [["OLD"]]}
    values = {"series_id": ["OLD", "X"], "date": [month_end(0), month_end(1)], "value": [1.0, 2.0]}
    found = check(tables(GOOD, series=series, values=values)).series_observations
    assert found["series_id"].to_list() == ["X", "X"]


def test_funds_without_attributes_get_a_row():
    assert check(tables(GOOD, funds={"fund_id": ["B"]})).funds["fund_id"].to_list() == ["A", "B"]


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (lambda: tables(GOOD.clear()), "no rows"),
        (lambda: tables(GOOD.drop("ret")), "neither returns nor NAVs"),
        (lambda: tables(GOOD.with_columns(fund_id=pl.lit(None))), "fund_id is empty in 3 rows"),
        (lambda: tables(GOOD, series=SERIES | {"roles": [["macros"]]}), "'macros' is not a roles"),
        (lambda: tables(GOOD, series=SERIES | {"kind": ["price"]}), "'price' is not a kind"),
        (lambda: tables(GOOD, series=SERIES | {"transform": ["8"]}), "'8' is not a transform"),
        (
            lambda: tables(GOOD, funds={"fund_id": ["A"], "death_reason": ["bankrupt"]}),
            "'bankrupt' is not a death_reason",
        ),
        (
            lambda: tables(
                GOOD,
                series=SERIES,
                values={"series_id": ["Y"], "date": [month_end(0)], "value": [1.0]},
            ),
            "Y has observations but is not described",
        ),
        (
            lambda: tables(
                GOOD,
                series={
                    "series_id": ["X", "Y"],
                    "roles": [["risk_free"], ["risk_free"]],
                    "kind": ["yield", "yield"],
                },
            ),
            "two series have role risk_free: X and Y",
        ),
        (
            lambda: tables(
                GOOD,
                series={
                    "series_id": ["X", "Y"],
                    "roles": [["macro"], ["macro"]],
                    "kind": ["level", "level"],
                    "aliases": [["OLD"], ["OLD"]],
                },
            ),
            "OLD is a name of two series: X and Y",
        ),
        (
            lambda: tables(
                GOOD,
                series={
                    "series_id": ["X", "Y"],
                    "roles": [["macro"], ["macro"]],
                    "kind": ["level", "level"],
                    "aliases": [["Y"], []],
                },
            ),
            "Y is a name of two series: X and Y",
        ),
    ],
)
def test_structural_faults_reject_the_input(made, complaint):
    with pytest.raises(InputError, match=complaint):
        check(made())


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("gate", 20.0),
        ("gate", float("nan")),
        ("management_fee", 2.0),
        ("performance_fee", -0.2),
        ("notice_days", -5),
        ("lockup_months", -1),
    ],
)
def test_impossible_terms_are_named_with_fund_and_remedy(column, value):
    with pytest.raises(InputError) as caught:
        check(tables(GOOD, funds={"fund_id": ["A", "B"], column: [None, value]}))
    assert f"{column} of fund B is {value}" in caught.value.what
    assert caught.value.where == f"funds, column {column}, 1 rows"
    assert "20% is 0.2" in str(caught.value.remedy)


def test_the_warehouse_takes_whatever_terms_pass():
    """Every rule of its table of funds, asked with the extreme values that `check` allows."""
    extremes = {column: [least, min(most, 100_000)] for column, (least, most) in LIMITS.items()}
    checked = check(tables(GOOD, funds={"fund_id": ["A", "B"], **extremes}))
    with duckdb.connect() as warehouse:
        warehouse.execute(files("finembed_core.warehouse").joinpath("schema.sql").read_text())
        warehouse.register("passed", checked.funds.to_arrow())
        warehouse.execute("INSERT INTO funds BY NAME SELECT * FROM passed")
        rules = warehouse.execute(
            "SELECT DISTINCT unnest(constraint_column_names) FROM duckdb_constraints()"
            " WHERE table_name = 'funds' AND constraint_type = 'CHECK'"
        ).fetchall()
    assert {column for (column,) in rules} <= set(LIMITS)


def test_a_frame_of_another_shape_is_rejected():
    good = tables(GOOD)
    bad = InputTables(
        good.fund_observations.drop("nav"), good.funds, good.series_observations, good.series
    )
    with pytest.raises(InputError, match="no column nav"):
        check(bad)
    wrong = good.fund_observations.with_columns(pl.col("ret").cast(pl.String))
    with pytest.raises(InputError, match="ret is String"):
        check(InputTables(wrong, good.funds, good.series_observations, good.series))


@given(st.permutations(range(8)))
def test_merging_does_not_depend_on_the_order_of_rows(order):
    rows = pl.DataFrame(
        {
            "k": ["a", "a", "b", "c", "c", "c", "d", "d"],
            "x": [1.0, None, 2.0, None, 3.0, 3.0, float("nan"), float("nan")],
            "y": [None, 5.0, None, 7.0, None, 7.0, None, None],
        }
    )
    expected = [("a", 1.0, 5.0), ("b", 2.0, None), ("c", 3.0, 7.0)]
    merged = merge_keys("t", rows[list(order)], ["k"]).sort("k")
    assert merged.rows()[:3] == expected
    assert merged.height == 4
