import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.backtest.metrics import Series, metrics, relative_metrics
from finembed_core.backtest.periods import MONTHS, SCHEMAS, calendar_returns, rolling
from finembed_core.calendar import Month, month_ends
from finembed_core.errors import InputError
from tests.shared_data import SHARED, needs_shared

STATISTICS = ("annual_return", "volatility", "sharpe", "beta", "max_drawdown")


def ends(n: int, first: str = "2001-01") -> np.ndarray:
    return month_ends(Month.parse(first).ordinal + np.arange(n))


def made(seed: int, n: int, first: str = "2001-01") -> Series:
    rng = np.random.default_rng(seed)
    market, rf = rng.normal(0.01, 0.05, n), rng.uniform(0, 0.005, n)
    returns = rf + 0.6 * (market - rf) + rng.normal(0, 0.02, n)
    return Series.of(ends(n, first), returns, rf, market)


def on_the_slice(series: Series, part: slice) -> dict[str, float]:
    market = None if series.benchmark is None else series.benchmark[part]
    own = Series.of(
        series.dates[part],
        series.returns[part],
        series.risk_free[part],
        market,
        series.periods_per_year,
    )
    return {m.name: m.value for m in [*metrics(own), *relative_metrics(own)]}


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 60),
    window=st.sampled_from([2, 3, 12, 36]),
)
@settings(max_examples=20, deadline=None)
def test_rolling_equals_metrics_on_every_slice(seed: int, n: int, window: int) -> None:
    series = made(seed, n)
    table = rolling("x", series, window)
    assert dict(table.schema) == SCHEMAS["rolling"]
    assert table.height == max(n - window + 1, 0)
    for k, row in enumerate(table.to_dicts()):
        expected = on_the_slice(series, slice(k, k + window))
        assert row["date"] == series.dates[k + window - 1].item() and row["window"] == window
        for name in STATISTICS:
            found = math.nan if row[name] is None else row[name]
            assert found == pytest.approx(expected[name], rel=1e-9, abs=1e-12, nan_ok=True), name


def test_rolling_of_days() -> None:
    days = np.busday_offset("2001-01-01", np.arange(400), roll="forward").astype("datetime64[D]")
    returns = np.random.default_rng(1).normal(0.0004, 0.01, 400)
    series = Series.of(days, returns, None, None, 252)
    table = rolling("x", series, 252)
    assert table.height == 149 and table["beta"].null_count() == 149
    expected = on_the_slice(series, slice(100, 352))
    for name in ("annual_return", "volatility", "sharpe", "max_drawdown"):
        assert table[name][100] == pytest.approx(expected[name], rel=1e-10)


def test_what_is_not_defined_is_null() -> None:
    flat = np.full(5, 0.01)
    varied = np.array([0.01, -0.02, 0.03, 0.0, 0.01])
    constant = rolling("x", Series.of(ends(5), flat, None, varied), 4)
    assert constant["sharpe"].null_count() == constant["beta"].null_count() == 2
    assert constant["max_drawdown"].to_list() == [0.0, 0.0]
    still = rolling("x", Series.of(ends(5), varied, None, flat), 4)
    assert still["beta"].null_count() == 2 and still["sharpe"].null_count() == 0
    assert rolling("x", Series.of(ends(5), varied, None, varied), 2)["beta"].null_count() == 4
    ruined = rolling("x", Series.of(ends(4), np.array([0.1, -1.0, 0.0, 0.0])), 3)
    assert ruined["annual_return"].to_list() == ruined["max_drawdown"].to_list() == [-1.0, -1.0]


def test_a_window_needs_two_periods() -> None:
    with pytest.raises(InputError, match="rolling window of 1"):
        rolling("x", made(1, 9), 1)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 40), start=st.integers(0, 11))
@settings(max_examples=40, deadline=None)
def test_calendar_equals_metrics_on_the_year(seed: int, n: int, start: int) -> None:
    first = Month.parse("1969-01") + start  # years before 1970 have negative ordinals
    series = made(seed, n, str(first))
    table = calendar_returns("x", series)
    assert dict(table.schema) == SCHEMAS["calendar_returns"]
    months = [first + k for k in range(n)]
    assert table["year"].to_list() == sorted({m.year for m in months})
    returns = iter(series.returns.tolist())
    for row in table.to_dicts():
        own = [k for k, m in enumerate(months) if m.year == row["year"]]
        covered = {months[k].start.month for k in own}
        cells = [row[name] for name in MONTHS]
        assert [k + 1 for k, cell in enumerate(cells) if cell is not None] == sorted(covered)
        for cell in cells:
            if cell is not None:
                assert cell == pytest.approx(next(returns), abs=1e-15)
        expected = on_the_slice(series, slice(own[0], own[-1] + 1))["cumulative_return"]
        assert row["total"] == pytest.approx(expected, abs=1e-14)
        assert (row["months"], row["partial"]) == (len(own), len(own) < 12)
    assert next(returns, None) is None


def test_days_compound_to_months() -> None:
    days = np.busday_offset("2001-01-01", np.arange(60), roll="forward").astype("datetime64[D]")
    returns = np.random.default_rng(2).normal(0, 0.01, 60)
    (row,) = calendar_returns("x", Series.of(days, returns, None, None, 252)).to_dicts()
    february = (days >= np.datetime64("2001-02-01")) & (days < np.datetime64("2001-03-01"))
    assert row["feb"] == pytest.approx(np.prod(1 + returns[february]) - 1)
    assert row["total"] == pytest.approx(np.prod(1 + returns) - 1)
    assert row["apr"] is None and row["months"] == 3 and row["partial"]


def test_no_return_no_rows() -> None:
    nothing = Series.of(ends(2), np.array([np.nan, np.nan]))
    for table, name in (
        (calendar_returns("x", nothing), "calendar_returns"),
        (rolling("x", nothing), "rolling"),
    ):
        assert table.is_empty() and dict(table.schema) == SCHEMAS[name]


HAM1 = {  # percent, January to December, then the year
    1996: [0.7, 1.9, 1.6, -0.9, 0.8, -0.4, -2.3, 4.0, 1.5, 2.9, 1.6, 1.8, 13.6],
    1998: [0.6, 4.3, 3.6, 0.8, -2.3, 1.2, -2.1, -9.4, 2.5, 5.6, 1.3, 1.0, 6.1],
    2003: [-4.1, -2.5, 3.6, 6.5, 3.4, 3.1, 1.8, 0.0, 0.9, 4.8, 1.7, 2.8, 23.7],
    2006: [6.9, 1.5, 4.0, -0.1, -2.7, 2.2, -1.4, 1.6, 0.7, 4.3, 1.2, 1.1, 20.5],
}
YEARS = {  # from 1996
    "HAM1": [13.6, 20.4, 6.1, 16.1, 17.7, 22.4, -8.0, 23.7, 14.9, 7.8, 20.5],
    "SP500 TR": [23.0, 33.4, 28.6, 21.0, -9.1, -11.9, -22.1, 28.7, 10.9, 4.9, 15.8],
}
EDHEC = [21.4, 14.6, 31.4, 12.0, -1.2, -6.4, 19.3, 8.6, 11.3, 11.7]  # from 1997
ROUNDED = 0.051  # percent: one decimal is printed


def managers(name: str) -> Series:
    frame = pl.read_csv(SHARED / "oracles" / "managers.csv", try_parse_dates=True)
    dates = frame.to_series(0).cast(pl.Date).to_numpy().astype("datetime64[D]")
    return Series.of(dates, frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy())


@needs_shared
def test_printed_calendar_of_the_managers() -> None:
    """PerformanceAnalytics 2.0.8, its manual: `t(table.CalendarReturns(managers[,c(1,7,8)]))`.

    https://prism.a2-ai.cloud/docs/PerformanceAnalytics/2.0.8/reference/table.CalendarReturns.html
    """
    table = calendar_returns("HAM1", managers("HAM1"))
    for row in table.to_dicts():
        if row["year"] in HAM1:
            percent = [100 * row[name] for name in (*MONTHS, "total")]
            assert percent == pytest.approx(HAM1[row["year"]], abs=ROUNDED), row["year"]
    for name, printed in YEARS.items():
        found = calendar_returns(name, managers(name))
        assert found["year"].to_list() == list(range(1996, 2007))
        assert (100 * found["total"]).to_list() == pytest.approx(printed, abs=ROUNDED), name
        assert not found["partial"].any()
    late = calendar_returns("EDHEC LS EQ", managers("EDHEC LS EQ"))
    assert late["year"][0] == 1997 and not late["partial"].any()
    assert (100 * late["total"]).to_list() == pytest.approx(EDHEC, abs=ROUNDED)


@needs_shared
def test_a_manager_who_starts_in_autumn_has_a_partial_year() -> None:
    """HAM6 reports from September 2001."""
    first = calendar_returns("HAM6", managers("HAM6")).row(0, named=True)
    assert first["year"] == 2001 and first["partial"] and first["months"] == 4
    assert first["aug"] is None and first["sep"] is not None
