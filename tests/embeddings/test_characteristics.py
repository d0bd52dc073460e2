"""Characteristics: oracles fund by fund, points in time, planted betas, scaling, bad input."""

import datetime as dt
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from finembed_core.calendar import month_ends
from finembed_core.daily_panel import DailyPanel
from finembed_core.embeddings.characteristics import (
    LEAST,
    MOST_SERIES,
    TRAILING,
    Characteristics,
    CharacteristicScaler,
    Monthly,
    characteristics,
)
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray, Panel
from finembed_core.sources.tables import conform
from tests.daily_worlds import panel as daily_panel

T, N, SESSION = 420, 6, 399
ALL = np.arange(N)
DAYS = np.busday_offset("2010-01-04", np.arange(T), roll="forward").astype("datetime64[D]")
IDS = tuple(f"F{k}" for k in range(N))
FUNDS = conform(
    "funds",
    pl.DataFrame(
        {
            "fund_id": list(IDS[:5]),  # the last one has no row
            "category": ["bond", " equity ", "", None, "équité"],
            "inception": [dt.date(2001, 1, 1), None, dt.date(2030, 1, 1), None, None],
            "management_fee": [0.01, None, 0.02, 0.0, 0.005],
        }
    ),
)


@pytest.fixture(scope="module")
def panel() -> DailyPanel:
    """F0, F1: all days; F2: born late; F3: gaps; F4: too few returns; F5: silent so far."""
    draw = np.random.default_rng(3)
    series = draw.normal(0.0003, 0.01, (T, 3))
    loads = draw.uniform(-0.5, 1.5, (3, N))
    returns = series @ loads + draw.normal(0, 0.004, (T, N))
    returns[:250, 2] = np.nan
    returns[draw.random(T) < 0.2, 3] = np.nan
    returns[: SESSION - 30, 4] = np.nan
    returns[: SESSION + 1, 5] = np.nan
    names = ("rates", "spx", "value")
    return daily_panel(returns, days=DAYS, market=series, ids=IDS, series_ids=names)


def at(panel: DailyPanel, session: int = SESSION, **options) -> Characteristics:
    return characteristics(panel, FUNDS, session, ALL, "spx", **options)


def column(found: Characteristics, name: str) -> FloatArray:
    return found.values[:, found.names.index(name)]


def window(panel: DailyPanel, fund: int) -> FloatArray:
    return panel.returns[SESSION + 1 - TRAILING : SESSION + 1, fund].astype(np.float64)


@pytest.mark.parametrize("fund", [0, 1, 2, 3])
def test_trailing_figures_match_scipy_fund_by_fund(panel, fund):
    found = at(panel)
    whole = window(panel, fund)
    r = whole[~np.isnan(whole)]
    wealth = np.concatenate([[1.0], np.cumprod(1 + r)])
    expected = {
        "mean": 252 * r.mean(),
        "volatility": 252**0.5 * r.std(),
        "skewness": stats.skew(r),
        "drawdown": max(1 - wealth[k] / wealth[: k + 1].max() for k in range(len(wealth))),
        "missing_share": 1 - len(r) / (len(whole) - np.flatnonzero(~np.isnan(whole))[0]),
    }
    for name, value in expected.items():
        assert column(found, name)[fund] == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("fund", [0, 2, 3])
@pytest.mark.parametrize(("name", "series"), [("rates", 0), ("market", 1), ("value", 2)])
def test_betas_match_simple_regressions(panel, fund, name, series):
    found = at(panel)
    y = window(panel, fund)
    x = panel.series[SESSION + 1 - TRAILING : SESSION + 1, series].astype(np.float64)
    both = ~np.isnan(y)
    line = stats.linregress(x[both], y[both])
    assert column(found, f"beta_{name}")[fund] == pytest.approx(line.slope, abs=1e-9)
    if name == "market":
        assert column(found, "r2_market")[fund] == pytest.approx(line.rvalue**2, abs=1e-9)


def test_a_planted_beta_is_found():
    draw = np.random.default_rng(0)
    market = draw.normal(0, 0.01, T)
    planted = np.array([-1.0, 0.0, 0.5, 1.0, 1.5, 2.0])
    returns = np.outer(market, planted) + draw.normal(0, 0.001, (T, N))
    world = daily_panel(returns, days=DAYS, market=market, ids=IDS, series_ids=("spx",))
    beta = column(at(world), "beta_market")
    assert np.abs(beta - planted).max() < 4 * 0.001 / 0.01 / TRAILING**0.5


@settings(deadline=None, max_examples=25)
@given(lever=st.floats(0.1, 3.0), sign=st.sampled_from([-1.0, 1.0]))
def test_leverage_scales_what_has_units_and_nothing_else(panel, lever, sign):
    times = sign * lever
    levered = replace(panel, returns=(panel.returns.astype(np.float64) * times).astype(np.float32))
    before, after = at(panel), at(levered)
    factors = {"mean": times, "volatility": lever, "skewness": sign, "beta_market": times}
    for name in before.names:
        if name == "drawdown":  # compounds
            continue
        factor = times if name.startswith("beta_") else factors.get(name, 1.0)
        expected = factor * column(before, name)
        np.testing.assert_allclose(column(after, name), expected, rtol=1e-4, atol=1e-6)


def test_age_is_from_inception_or_else_from_the_first_return(panel):
    age = column(at(panel), "age")
    today = DAYS[SESSION]

    def years(day: str | np.datetime64) -> float:
        return (today - np.datetime64(day, "D")).astype(int) / 365.25

    assert age[0] == years("2001-01-01")
    assert age[1] == years(DAYS[0])
    assert age[2] == years(DAYS[250])  # an inception that lies ahead is not known
    assert np.isnan(age[5])


def test_too_little_history_is_unknown_and_not_zero(panel):
    found = at(panel)
    for name in ("mean", "volatility", "skewness", "drawdown", "beta_market", "r2_market"):
        assert np.isnan(column(found, name)[4]), name
        assert not np.isnan(column(found, name)[3]), name
    trailing = found.names.index("mean"), found.names.index("beta_value") + 1
    assert np.isnan(found.values[5, slice(*trailing)]).all()
    assert column(found, "missing_share")[4] == 0.0


def test_a_fund_that_does_not_move_has_no_skewness_and_no_fit(panel):
    returns = panel.returns.copy()
    returns[:, 0] = 0.0001
    found = at(replace(panel, returns=returns))
    assert column(found, "volatility")[0] == pytest.approx(0.0, abs=1e-9)
    assert column(found, "beta_market")[0] == pytest.approx(0.0, abs=1e-6)
    assert np.isnan(column(found, "skewness")[0]) and np.isnan(column(found, "r2_market")[0])


def test_fees_and_categories_are_those_of_the_table(panel):
    found = at(panel)
    assert found.categories == ("bond", "equity", None, None, "équité", None)
    np.testing.assert_array_equal(
        column(found, "management_fee"), [0.01, np.nan, 0.02, 0.0, 0.005, np.nan]
    )


def test_noise_after_the_session_changes_nothing_at_it(panel):
    """Later values, cells of the past that became known later, deaths and closures."""
    draw = np.random.default_rng(8)
    known = panel.known.copy()
    known[350:360] = SESSION + 5
    series_known = panel.series_known.copy()
    series_known[380:382] = SESSION + 1
    true = replace(panel, known=known, series_known=series_known)
    returns, series = panel.returns.copy(), panel.series.copy()
    returns[SESSION + 1 :] = draw.normal(size=returns[SESSION + 1 :].shape)
    returns[350:360] = draw.normal(size=returns[350:360].shape)
    series[SESSION + 1 :] = draw.normal(size=series[SESSION + 1 :].shape)
    series[380:382] = draw.normal(size=(2, 3))
    noisy = replace(true, returns=returns, series=series)
    later = FUNDS.with_columns(
        death_date=pl.lit(dt.date(2011, 9, 1)),
        death_reason=pl.lit("liquidated"),
        closed_date=pl.lit(dt.date(2011, 8, 1)),
        open_to_new_money=pl.lit(False),
        gate=pl.lit(0.1),
        inception=pl.when(pl.col("inception") > DAYS[SESSION].item())
        .then(None)
        .otherwise("inception"),
    )
    one, two = at(true), characteristics(noisy, later, SESSION, ALL, "spx")
    np.testing.assert_array_equal(one.values, two.values)
    assert (one.names, one.categories) == (two.names, two.categories)
    with pytest.raises(AssertionError):  # the cells that are hidden here do count when they show
        np.testing.assert_array_equal(one.values, at(panel).values)


def test_a_fund_does_not_depend_on_the_others(panel):
    some = characteristics(panel, FUNDS, SESSION, np.array([3, 1]), "spx")
    np.testing.assert_allclose(some.values, at(panel).values[[3, 1]], rtol=1e-9, atol=1e-12)


def test_the_first_sessions_know_next_to_nothing(panel):
    found = at(panel, session=0)
    assert np.isnan(column(found, "volatility")).all()
    assert column(found, "age")[1] == 0.0


def test_series_beyond_the_cap_are_left_out(panel):
    many = tuple(f"s{k:02d}" for k in range(MOST_SERIES + 3))
    wide = replace(
        panel,
        series_ids=(*many, "spx"),
        series=np.tile(panel.series[:, :1], len(many) + 1),
        series_known=np.tile(panel.series_known[:, :1], len(many) + 1),
    )
    betas = [name for name in at(wide).names if name.startswith("beta_")]
    assert betas == ["beta_market", *(f"beta_{name}" for name in many[:MOST_SERIES])]


def months(values: list[list[float]]) -> Panel:
    ends = month_ends(np.arange(480, 480 + len(values)))
    return Panel(ends, ("F1", "F2"), np.array(values))


def test_assets_and_flows_where_they_are_given(panel):
    aum = months([[100.0, np.nan], [121.0, 50.0], [np.nan, np.nan]])
    returns = months([[0.0, 0.0], [0.1, 0.0], [0.0, 0.0]])
    found = at(panel, monthly=Monthly(aum, returns))
    np.testing.assert_allclose(
        column(found, "log_aum"), [np.nan, np.log(121.0), np.log(50.0), np.nan, np.nan, np.nan]
    )
    np.testing.assert_allclose(
        column(found, "flow"), [np.nan, 0.11, np.nan, np.nan, np.nan, np.nan], atol=1e-12
    )
    assert np.isnan(column(at(panel), "log_aum")).all()


def test_scaling_knows_training_sessions_only(panel):
    training = [at(panel, session) for session in (300, 330)]
    scaler = CharacteristicScaler.fit(training)
    scaled = scaler.apply(at(panel))
    assert "log_aum" not in scaler.names and "performance_fee" not in scaler.names
    assert scaled.numbers.shape == scaled.known.shape == (N, len(scaler.names))
    assert scaled.numbers.dtype == np.float32 and np.abs(scaled.numbers).max() <= 5.0
    assert not scaled.numbers[~scaled.known].any()
    pooled = np.concatenate([column(session, "volatility") for session in training])
    low, median, high = np.nanquantile(pooled, [0.25, 0.5, 0.75])
    expected = (column(at(panel), "volatility")[0] - median) / ((high - low) / 1.349)
    place = scaler.names.index("volatility")
    assert scaled.numbers[0, place] == pytest.approx(np.clip(expected, -5, 5), rel=1e-5)
    assert scaled.known[:, place].tolist() == [True, True, True, True, False, False]


def test_a_category_that_training_did_not_see_is_unknown(panel):
    scaler = CharacteristicScaler.fit([at(panel)])
    assert scaler.categories == ("bond", "equity", "équité")
    assert scaler.apply(at(panel)).category.tolist() == [1, 2, 0, 0, 3, 0]
    new = FUNDS.with_columns(category=pl.lit("crypto"))
    other = characteristics(panel, new, SESSION, ALL, "spx")
    assert not scaler.apply(other).category.any()


def test_the_scaler_survives_a_checkpoint(panel):
    scaler = CharacteristicScaler.fit([at(panel)])
    arrays, plain = scaler.state()
    again = CharacteristicScaler.from_state(arrays, json.loads(json.dumps(plain)))
    assert (again.names, again.categories) == (scaler.names, scaler.categories)
    for one, two in zip(scaler.apply(at(panel)), again.apply(at(panel)), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_series_that_disappeared_is_named(panel):
    scaler = CharacteristicScaler.fit([at(panel)])
    fewer = replace(panel, series_ids=("rates", "spx", "size"))
    with pytest.raises(InputError, match=r"(?s)beta_value.*beta_size.*train the model anew"):
        scaler.apply(at(fewer))


def test_of_two_series_one_may_be_called_market(panel):
    renamed = replace(panel, series_ids=("rates", "spx", "market"))
    assert CharacteristicScaler.fit([at(renamed)]).series == ("rates", "market")


def test_a_market_that_is_not_there_is_named(panel):
    with pytest.raises(InputError, match=r"(?s)called nifty.*rates, spx, value"):
        characteristics(panel, FUNDS, SESSION, ALL, "nifty")


def test_enough_returns_is_exactly_a_quarter(panel):
    returns = panel.returns.copy()
    returns[: SESSION + 1 - LEAST, 0] = np.nan
    returns[: SESSION + 2 - LEAST, 1] = np.nan
    found = column(at(replace(panel, returns=returns)), "volatility")
    assert not np.isnan(found[0]) and np.isnan(found[1])
