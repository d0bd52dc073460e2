import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finembed_core.backtest.metrics import Series, drawdowns, metrics, relative_metrics
from finembed_core.calendar import Month, month_ends
from finembed_core.errors import InputError

START = Month.parse("2001-01")


def ends(n: int) -> np.ndarray:
    return month_ends(START.ordinal + np.arange(n))


def values(returns, **others) -> dict[str, float]:
    series = Series.of(ends(len(returns)), np.array(returns, dtype=float), **others)
    return {m.name: m.value for m in [*metrics(series), *relative_metrics(series)]}


def test_missing_values_at_the_ends_go_and_inside_are_an_error() -> None:
    nan = np.nan
    trimmed = Series.of(ends(5), np.array([nan, 0.1, 0.2, 0.3, nan]))
    assert trimmed.returns.tolist() == [0.1, 0.2, 0.3]
    assert trimmed.dates.tolist() == ends(5)[1:4].tolist()
    with pytest.raises(InputError, match="missing value inside") as caught:
        Series.of(ends(3), np.array([0.1, nan, 0.3]), name="fund X")
    assert caught.value.where == "2001-02-28" and "fund X" in caught.value.what
    with pytest.raises(InputError, match="missing value inside"):
        Series.of(ends(3), np.ones(3), benchmark=np.array([0.1, np.inf, 0.3]))
    assert len(Series.of(ends(2), np.array([nan, nan])).returns) == 0


def test_dates_must_be_of_the_frequency() -> None:
    dates = ends(4)
    with pytest.raises(InputError, match="not 12 periods a year"):
        Series.of(dates[[0, 1, 3]], np.zeros(3))
    with pytest.raises(InputError, match="not 252 periods a year"):
        Series.of(dates, np.zeros(4), periods_per_year=252)
    days = np.busday_offset("2001-01-01", np.arange(300), roll="forward").astype("datetime64[D]")
    assert Series.of(days, np.zeros(300), periods_per_year=252).periods_per_year == 252
    with pytest.raises(InputError, match="not 12 periods"):
        Series.of(days, np.zeros(300))


def test_what_is_not_defined_is_missing_not_infinite() -> None:
    flat = values([0.01] * 6, benchmark=np.full(6, 0.01))
    for name in ("sharpe", "sortino", "calmar", "omega", "skewness", "beta", "alpha_t"):
        assert np.isnan(flat[name]), name
    assert flat["annual_return"] == pytest.approx(1.01**12 - 1)
    assert all(np.isnan(value) for value in values([]).values())
    assert np.isnan(values([-1.0, 0.1])["mrar"])  # everything lost


def test_mrar_by_hand() -> None:
    """Morningstar: ((1/n) sum (1 + rG)^-2)^(-12/2) - 1."""
    r, rf = np.array([0.02, -0.01, 0.03]), np.array([0.001, 0.002, 0.001])
    growth = (1 + r) / (1 + rf)
    by_hand = ((growth[0] ** -2 + growth[1] ** -2 + growth[2] ** -2) / 3) ** -6 - 1
    assert values(r, risk_free=rf)["mrar"] == pytest.approx(by_hand, rel=1e-14)


def test_tails_by_hand() -> None:
    returns = np.arange(-10, 31) / 100  # 41 values: the 5% quantile is the third lowest
    found = values(returns)
    assert found["var_95"] == pytest.approx(-0.08)
    assert found["cvar_95"] == pytest.approx(-0.09)
    assert found["hit_rate"] == pytest.approx(30 / 41)


def test_drawdowns_by_hand() -> None:
    """1, 1.1, .99, 1.21, 1.089, .8712, 1.21, 1.089: three falls, one not over."""
    returns = [0.1, -0.1, 1.21 / 0.99 - 1, -0.1, -0.2, 1.21 / 0.8712 - 1, -0.1]
    table = drawdowns(ends(8), np.array(returns))
    assert table["rank"].to_list() == [1, 2, 3]
    assert table["depth"].to_list() == pytest.approx([-0.28, -0.1, -0.1])
    month = [(START + k).end for k in range(8)]
    assert table["peak"].to_list() == [month[3], month[1], month[6]]
    assert table["trough"].to_list() == [month[5], month[2], month[7]]
    assert table["recovery"].to_list() == [month[6], month[3], None]
    assert table["months_down"].to_list() == [2, 1, 1]
    assert table["months_recovering"].to_list() == [1, 1, None]


def test_a_fall_from_the_first_month_starts_at_the_start() -> None:
    (row,) = drawdowns(ends(3), np.array([-0.1, 0.0])).to_dicts()
    assert row["peak"] == dt.date(2001, 1, 31) and row["recovery"] is None
    assert drawdowns(ends(3), np.array([0.1, 0.0])).is_empty()


@given(st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=40))
def test_the_table_agrees_with_the_scalar(returns: list[float]) -> None:
    table = drawdowns(ends(len(returns) + 1), np.array(returns))
    worst = 0.0 if table.is_empty() else table["depth"].min()
    assert worst == pytest.approx(values(returns)["max_drawdown"], abs=1e-11)


@given(st.integers(0, 10**6))
def test_scaling_against_itself(seed: int) -> None:
    """Twice the benchmark's excess: beta 2, no alpha."""
    rng = np.random.default_rng(seed)
    b, rf = rng.normal(0.01, 0.05, 30), rng.uniform(0, 0.004, 30)
    found = values(rf + 2 * (b - rf), risk_free=rf, benchmark=b)
    assert found["beta"] == pytest.approx(2)
    assert found["alpha"] == pytest.approx(0, abs=1e-14)
    assert np.isnan(found["alpha_t"]) and found["r_squared"] == pytest.approx(1)
