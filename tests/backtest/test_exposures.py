import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linearmodels.iv import IV2SLS
from statsmodels.stats.outliers_influence import variance_inflation_factor

from finembed_core.backtest.exposures import (
    ALPHA,
    BENCHMARK,
    SCHEMAS,
    Factors,
    choose_factors,
    exposure_table,
    exposures,
)
from finembed_core.backtest.metrics import Series, regression
from finembed_core.calendar import Month, month_ends
from finembed_core.errors import InputError
from finembed_core.panel import Panel
from tests.shared_data import SHARED, needs_shared


def ends(n: int) -> np.ndarray:
    return month_ends(Month.parse("2001-01").ordinal + np.arange(n))


def draw(seed: int, n: int = 120, k: int = 3) -> tuple[Series, Panel]:
    """A strategy that earns alpha .2%, loads 1, 1/2, 1/3 ... and has autocorrelated errors."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0.005, 0.03, (n, k)) * 10.0 ** rng.integers(-3, 2, k)
    rf = rng.uniform(0, 0.004, n)
    noise = np.convolve(rng.normal(0, 0.01, n + 2), [1, 0.6, 0.3], mode="valid")
    loads = 0.03 / (1 + np.arange(k)) / values.std(axis=0)
    series = Series.of(ends(n), 0.002 + rf + values @ loads + noise, rf)
    return series, Panel(ends(n), tuple(f"f{j}" for j in range(k)), values)


def fit(series: Series, panel: Panel, funded=()):
    return exposures(series, Factors.of(series, panel), funded)


@pytest.mark.parametrize(("seed", "n", "k"), [(1, 24, 1), (2, 60, 3), (3, 240, 9), (4, 500, 4)])
def test_against_linearmodels(seed: int, n: int, k: int) -> None:
    """linearmodels writes the Bartlett kernel and its least squares anew."""
    series, panel = draw(seed, n, k)
    found = fit(series, panel)
    design = np.column_stack([np.ones(n), panel.values])
    lags = math.floor(4 * (n / 100) ** (2 / 9))
    other = IV2SLS(series.excess, design, None, None).fit(
        cov_type="kernel", kernel="bartlett", bandwidth=lags, debiased=False
    )
    assert (found.n, found.lags) == (n, lags)
    for mine, theirs in (
        ((found.alpha / 12, found.betas), other.params),
        ((found.alpha_error / 12, found.std_errors), other.std_errors),
        ((found.alpha_t, found.t), other.tstats),
    ):
        assert np.hstack(mine) == pytest.approx(np.asarray(theirs), rel=1e-7, abs=1e-13)
    assert found.r_squared == pytest.approx(other.rsquared, rel=1e-10)
    assert found.adjusted_r_squared == pytest.approx(other.rsquared_adj, rel=1e-10)


def test_errors_written_out() -> None:
    """Newey and West (1987) in loops over months."""
    series, panel = draw(5, 40, 2)
    found = fit(series, panel)
    x = np.column_stack([np.ones(40), panel.values])
    bread = np.linalg.inv(x.T @ x)
    errors = series.excess - x @ (bread @ x.T @ series.excess)
    middle = np.zeros((3, 3))
    for t in range(40):
        for s in range(40):
            if abs(t - s) <= found.lags:
                weight = 1 - abs(t - s) / (found.lags + 1)
                middle += weight * errors[t] * errors[s] * np.outer(x[t], x[s])
    expected = np.sqrt(np.diag(bread @ middle @ bread))
    assert [found.alpha_error / 12, *found.std_errors] == pytest.approx(expected, rel=1e-8)


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(24, 90),
    k=st.integers(1, 6),
    funded=st.sets(st.sampled_from(["f0", "f1", "f2"])),
)
@settings(max_examples=60, deadline=None)
def test_parts_sum_to_the_whole(seed: int, n: int, k: int, funded: set[str]) -> None:
    series, panel = draw(seed, n, k)
    found = fit(series, panel, funded)
    mean = 12 * series.excess.mean()
    assert found.contributions.sum() + found.alpha == pytest.approx(mean, abs=1e-12)
    assert found.risk_shares.sum() == pytest.approx(found.r_squared, abs=1e-10)
    table = exposure_table("x", found)
    assert dict(table.schema) == SCHEMAS["exposures"]
    assert table["contribution"].sum() == pytest.approx(mean, abs=1e-12)
    assert table["risk_share"].sum() == pytest.approx(1.0, abs=1e-10)
    for j in range(k):  # Euler by hand
        own = panel.values[:, j] - (series.risk_free if f"f{j}" in funded else 0.0)
        share = found.betas[j] * np.cov(own, series.excess)[0, 1] / series.excess.var(ddof=1)
        assert found.risk_shares[j] == pytest.approx(share, rel=1e-9)
        assert found.contributions[j] == pytest.approx(12 * found.betas[j] * own.mean())


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_order_and_units_of_factors_do_not_matter(seed: int) -> None:
    """Also with a duplicate and a sum among them: the same ones are dropped."""
    series, panel = draw(seed, 60, 4)
    values = np.column_stack([panel.values, panel.values[:, 2], panel.values[:, 0] * 2])
    names = (*panel.ids, "a_copy", "z_copy")
    order = np.random.default_rng(seed).permutation(6)
    one = exposures(series, Factors(names, values))
    other = exposures(series, Factors(tuple(names[k] for k in order), values[:, order] * 7.0))
    assert set(one.dropped) == {"f2", "z_copy"} and one.dropped == other.dropped
    for j, name in enumerate(one.names):
        k = other.names.index(name)
        for field, scale in (("betas", 7.0), ("std_errors", 7.0), ("t", 1.0), ("risk_shares", 1)):
            mine, theirs = getattr(one, field)[j], getattr(other, field)[k] * scale
            assert mine == pytest.approx(theirs, rel=1e-7), (name, field)


def test_constant_and_collinear_factors_go_with_a_reason() -> None:
    series, panel = draw(6)
    base = panel.values / panel.values.std(axis=0)
    columns = {
        "aaa": base[:, 0],
        "baa": base[:, 1] * 3,
        "bond": base[:, 2],
        "constant": np.full(120, 0.1),
        "spread": base[:, 1] * 3 - base[:, 0],
        "zero": np.zeros(120),
    }
    found = exposures(series, Factors(tuple(columns), np.column_stack(list(columns.values()))))
    assert found.names == ("aaa", "baa", "bond")
    assert found.dropped == {
        "constant": "constant",
        "zero": "constant",
        "spread": "collinear: a combination of aaa, baa",
    }
    plain = fit(series, panel)
    assert found.r_squared == pytest.approx(plain.r_squared)
    table = exposure_table("x", found)
    assert table["factor"].to_list() == ["aaa", "baa", "bond", "constant", "spread", "zero", ALPHA]
    gone = table.filter(pl.col("factor") == "spread").row(0, named=True)
    assert gone["note"].startswith("collinear") and gone["n"] == 120
    assert [gone[c] for c in ("beta", "std_error", "t", "contribution", "risk_share")] == [None] * 5


def test_what_others_nearly_span_is_said() -> None:
    series, panel = draw(7, 120, 3)
    rng = np.random.default_rng(7)
    near = panel.values[:, 0] + rng.normal(0, 0.1, 120) * panel.values[:, 0].std()
    values = np.column_stack([panel.values, near])
    found = exposures(series, Factors((*panel.ids, "near"), values))
    design = np.column_stack([np.ones(120), values])
    oracle = [variance_inflation_factor(design, k) for k in range(1, 5)]
    assert [bool(note) for note in found.notes] == [value > 10 for value in oracle]
    assert [bool(note) for note in found.notes] == [True, False, False, True]
    assert found.notes[0].endswith(f"variance inflation {oracle[0]:.3g}")


def test_what_cannot_be_fitted_is_absent_with_its_reason() -> None:
    series, panel = draw(8, 23, 1)
    assert fit(series, panel).absent == "23 periods are too few: 24 are needed"
    series, panel = draw(8, 40, 20)
    assert "40 periods are too few for 20 factors: 42" in fit(series, panel).absent
    series, panel = draw(8, 40, 1)
    flat = Series.of(ends(40), series.risk_free, series.risk_free)
    assert fit(flat, panel).absent == "the excess return does not vary"
    still = exposures(series, Factors(("a",), np.ones((40, 1))))
    assert still.absent == "no factor varies" and still.dropped == {"a": "constant"}
    table = exposure_table("x", still)
    assert dict(table.schema) == SCHEMAS["exposures"]
    assert table["note"].to_list() == ["constant", "absent: no factor varies"]
    assert table.drop("strategy", "factor", "n", "note").null_count().row(0) == (2,) * 5
    nothing = Series.of(ends(3), np.full(3, np.nan))
    assert "0 periods are too few" in fit(nothing, panel).absent


def test_the_factor_itself_has_no_error_to_test_against() -> None:
    _, panel = draw(9, 40, 2)
    series = Series.of(ends(40), 2 * panel.values[:, 0])
    found = fit(series, panel)
    assert found.betas == pytest.approx([2, 0], abs=1e-9) and np.isnan(found.t).all()
    assert found.r_squared == pytest.approx(1.0)
    assert exposure_table("x", found)["t"].null_count() == 3


def test_a_funded_factor_is_taken_over_the_risk_free_rate() -> None:
    """Half an index, half cash: no alpha; with the whole return as factor alpha is -rf / 2."""
    rng = np.random.default_rng(10)
    rf, index = np.full(60, 0.003), rng.normal(0.01, 0.04, 60)
    design = np.column_stack([np.ones(60), index])
    noise = rng.normal(0, 0.001, 60)
    noise -= design @ np.linalg.lstsq(design, noise)[0]
    series = Series.of(ends(60), (index + rf) / 2 + noise, rf)
    panel = Panel(ends(60), ("index",), index[:, None])
    over = fit(series, panel, funded={"index", "another"})
    assert over.alpha == pytest.approx(0.0, abs=1e-15) and over.betas == pytest.approx([0.5])
    assert fit(series, panel).alpha == pytest.approx(-12 * 0.003 / 2)
    assert fit(series, panel).betas == pytest.approx([0.5])


def test_factors_are_laid_on_the_dates_of_the_strategy() -> None:
    series, _ = draw(11, 30, 1)
    longer = month_ends(Month.parse("2000-06").ordinal + np.arange(60))
    values = np.arange(180, dtype=float).reshape(60, 3)
    values[10, 1] = np.nan
    values[:7, 2] = np.nan  # before the strategy begins
    found = Factors.of(series, Panel(longer, ("a", "hole", "late"), values))
    assert found.names == ("a", "late")
    assert (found.values == values[7:37][:, [0, 2]]).all()
    assert found.dropped == {"hole": "incomplete: a value in 29 of 30 periods"}
    other_days = Panel(longer - np.timedelta64(1, "D"), ("a",), values[:, :1])
    assert Factors.of(series, other_days).dropped == {"a": "incomplete: a value in 0 of 30 periods"}
    empty = Factors.of(series, Panel(longer[:0], ("a",), np.empty((0, 1))))
    assert empty.names == () and "a" in empty.dropped


def test_choice_of_factors() -> None:
    series, risk = draw(12, 60, 12)
    _, macro = draw(13, 60, 14)
    chosen = choose_factors(series, risk, macro)
    assert chosen.names == risk.ids and chosen.note == "risk factors"
    _, many = draw(14, 60, 13)
    instead = choose_factors(series, many, macro)
    assert instead.names == macro.ids[:12]
    assert instead.note == "macro factors: 13 risk factors are too many for 60 periods"
    assert set(instead.dropped) == {"f12", "f13"}
    table = exposure_table("x", exposures(series, instead))
    assert table["note"][-1].startswith(instead.note + "; adjusted R2 ")
    none = Panel(ends(60), (), np.empty((60, 0)))
    late = Panel(ends(60), ("late",), np.full((60, 1), np.nan))
    assert choose_factors(series, late, macro).note.startswith("macro factors: no risk factor")
    absent = choose_factors(series, late, none)
    assert absent.names == () and "late" in absent.dropped
    assert exposures(series, absent).absent == (
        "no risk factor covers all periods, and there is neither a benchmark nor a macro factor"
    )


def test_the_benchmark_stands_in_for_too_many_risk_factors() -> None:
    series, many = draw(14, 60, 13)
    _, macro = draw(13, 60, 14)
    index = np.random.default_rng(16).normal(0.01, 0.04, 60)
    against = Series.of(series.dates, series.returns, series.risk_free, index)
    chosen = choose_factors(against, many, macro)
    assert chosen.names == (BENCHMARK, *macro.ids[:11])
    assert (chosen.values[:, 0] == index - series.risk_free).all()
    assert chosen.note.startswith("benchmark and macro factors: 13 risk factors")
    few = choose_factors(against, *(Panel(ends(60), (), np.empty((60, 0))),) * 2)
    found, plain = exposures(against, few), regression(against)
    assert found.names == (BENCHMARK,) and found.betas == pytest.approx([plain.beta])
    assert found.alpha == pytest.approx(12 * plain.alpha) and found.t == pytest.approx(plain.beta_t)


def test_errors_say_what_is_wrong() -> None:
    series, panel = draw(15, 40, 1)
    with pytest.raises(InputError, match="39 periods, the strategy has 40"):
        exposures(series, Factors(("a",), panel.values[:39]))
    with pytest.raises(InputError, match="a factor is called ':alpha'"):
        exposures(series, Factors((ALPHA,), panel.values))


@needs_shared
def test_managers() -> None:
    """One factor: the printed CAPM beta and alpha; three: statistics of the same data elsewhere.

    PerformanceAnalytics 2.1.0, CAPM.beta and CAPM.alpha of HAM1 on SP500 TR over the 3-month bill.
    """
    frame = pl.read_csv(SHARED / "oracles" / "managers.csv", try_parse_dates=True)
    dates = frame.to_series(0).cast(pl.Date).to_numpy().astype("datetime64[D]")
    names = ("EDHEC LS EQ", "SP500 TR", "US 10Y TR")
    values = frame.select(pl.col(names).cast(pl.Float64)).fill_null(np.nan).to_numpy()
    own, bill = frame["HAM1"].to_numpy(), frame["US 3m TR"].to_numpy()
    panel = Panel(dates, names, values)
    series = Series.of(dates, own, bill, values[:, 1])
    market = Panel(dates, names[1:2], values[:, 1:2])
    single = fit(series, market, funded=names)
    assert single.betas == pytest.approx([0.390071248399483], abs=1e-14)
    assert single.alpha / 12 == pytest.approx(0.00577472877485089, abs=1e-15)
    before = regression(series)
    assert (single.alpha_t, single.t[0]) == pytest.approx((before.alpha_t, before.beta_t), rel=1e-9)
    assert single.r_squared == pytest.approx(before.r_squared)
    whole = fit(series, panel, funded=names)
    assert whole.names == names[1:] and "131" not in whole.dropped["EDHEC LS EQ"]
    later = Series.of(dates[12:], own[12:], bill[12:])  # EDHEC begins in 1997
    three = fit(later, panel, funded=names)
    design = np.column_stack([np.ones(120), values[12:] - bill[12:, None]])
    other = IV2SLS(later.excess, design, None, None).fit(
        cov_type="kernel", kernel="bartlett", bandwidth=4, debiased=False
    )
    assert three.betas == pytest.approx(np.asarray(other.params)[1:], rel=1e-9)
    assert three.t == pytest.approx(np.asarray(other.tstats)[1:], rel=1e-9)
    assert three.alpha_t == pytest.approx(float(other.tstats.iloc[0]), rel=1e-9)
