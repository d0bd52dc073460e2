"""Statistics against the printed results of PerformanceAnalytics 2.1.0 (R, GPL).

Data: its `managers` (six hedge-fund managers, 1996-01 to 2006-12) and `edhec` series, in
../shared/data/oracles. Its reference manual prints truncated figures: 1e-4, unless given in full.
"""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from finembed_core.backtest.metrics import (
    Series,
    annual_excess,
    drawdowns,
    metrics,
    omega,
    regression,
    relative_metrics,
)
from tests.shared_data import SHARED, needs_shared

pytestmark = needs_shared
PRINTED = 1e-4


def column(name: str, file: str = "managers") -> tuple[np.ndarray, np.ndarray]:
    frame = pl.read_csv(SHARED / "oracles" / f"{file}.csv", try_parse_dates=True)
    dates = frame.to_series(0).cast(pl.Date).to_numpy().astype("datetime64[D]")
    return dates, frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()


def series(name: str, periods_per_year: int = 12) -> Series:
    dates, returns = column(name)
    bill, market = column("US 3m TR")[1], column("SP500 TR")[1]
    made = Series.of(dates, returns, bill, market)
    return Series(made.dates, made.returns, made.risk_free, made.benchmark, periods_per_year)


def values(name: str, periods_per_year: int = 12) -> dict[str, float]:
    made = series(name, periods_per_year)
    return {m.name: m.value for m in [*metrics(made), *relative_metrics(made)]}


@pytest.mark.parametrize(
    ("metric", "printed"),
    [
        ("annual_return", 0.1375),  # Return.annualized(managers$HAM1)
        ("volatility", 0.0888),  # sd.annualized
        ("max_drawdown", -0.1518),  # maxDrawdown, printed positive
        ("calmar", 0.9061),  # CalmarRatio
        ("sharpe", 1.0679),  # SharpeRatio.annualized(geometric=FALSE), 3-month bill
        ("tracking_error", 0.1131),  # TrackingError against SP500 TR
        ("information_ratio", 0.3604),  # InformationRatio
        ("treynor", 0.2428),  # TreynorRatio
    ],
)
def test_ham1(metric: str, printed: float) -> None:
    assert values("HAM1")[metric] == pytest.approx(printed, abs=PRINTED)


def test_ham1_capm_to_all_printed_digits() -> None:
    fit = regression(series("HAM1"))
    assert fit.beta == pytest.approx(0.390071248399483, abs=1e-14)  # CAPM.beta
    assert fit.alpha == pytest.approx(0.00577472877485089, abs=1e-15)  # CAPM.alpha, monthly
    assert values("HAM1")["alpha"] == pytest.approx(12 * fit.alpha)


@pytest.mark.parametrize(("manager", "printed"), [("HAM1", 0.3083), ("HAM6", 0.3790)])
def test_monthly_sharpe(manager: str, printed: float) -> None:
    """SharpeRatio(Rf = US 3m TR, FUN = "StdDev")."""
    assert values(manager, 1)["sharpe"] == pytest.approx(printed, abs=PRINTED)


def test_monthly_sortino_at_zero() -> None:
    """SortinoRatio(MAR = 0)."""
    assert values("HAM1", 1)["sortino"] == pytest.approx(0.7649, abs=PRINTED)
    assert values("HAM1")["sortino"] == pytest.approx(0.76493340 * np.sqrt(12), abs=1e-6)


def test_edges_are_trimmed_for_a_manager_who_starts_late() -> None:
    assert values("HAM5")["max_drawdown"] == pytest.approx(-0.3405, abs=PRINTED)
    assert len(series("HAM5").returns) == 77


def test_drawdown_table_of_the_sp500() -> None:
    """table.Drawdowns: first month of loss 2000-09, trough 2002-09, back in 2006-10."""
    dates, returns = column("SP500 TR")
    start = np.array(["1995-12-31"], dtype="datetime64[D]")
    worst = drawdowns(np.concatenate([start, dates]), returns).row(0, named=True)
    assert worst["rank"] == 1
    assert worst["depth"] == pytest.approx(-0.4473, abs=PRINTED)
    assert worst["peak"] == dt.date(2000, 8, 31)  # the month before the first loss
    assert worst["trough"] == dt.date(2002, 9, 30)
    assert worst["recovery"] == dt.date(2006, 10, 31)
    assert (worst["months_down"], worst["months_recovering"]) == (25, 49)


def test_edhec_convertible_arbitrage() -> None:
    """maxDrawdown and Omega(L = 0) on edhec, 1997-01 to 2021-05."""
    dates, returns = column("Convertible Arbitrage", "edhec_full")
    own = {m.name: m.value for m in metrics(Series.of(dates, returns))}
    assert own["max_drawdown"] == pytest.approx(-0.2927, abs=PRINTED)
    assert own["omega"] == pytest.approx(2.8484, abs=PRINTED)
    assert omega(returns) == own["omega"]


def test_compounded_excess_is_what_treynor_divides() -> None:
    made = series("HAM1")
    assert annual_excess(made.excess, 12) / regression(made).beta == pytest.approx(0.24280418, 1e-6)


def test_a_leading_missing_value_changes_nothing() -> None:
    """Unguarded, empyrical counts it as a month: 0.1647 for 0.1747 (spec/backtests.md)."""
    import empyrical

    dates, returns = column("HAM2")
    kept = ~np.isnan(returns)
    guarded = {m.name: m.value for m in metrics(Series.of(dates, returns))}
    plain = {m.name: m.value for m in metrics(Series.of(dates[kept], returns[kept]))}
    assert guarded == plain
    assert guarded["annual_return"] == pytest.approx(0.1747, abs=PRINTED)
    assert empyrical.annual_return(returns, annualization=12) == pytest.approx(0.1647, abs=PRINTED)


def test_alpha_t_against_statsmodels_formula_by_hand() -> None:
    """Newey and West (1987) written out: Bartlett weights, lags floor(4 (n/100)^(2/9))."""
    made = series("HAM1")
    assert made.benchmark is not None
    x = np.column_stack([np.ones(len(made.returns)), made.benchmark - made.risk_free])
    fit = regression(made)
    errors = made.excess - x @ np.array([fit.alpha, fit.beta])
    scores = x * errors[:, None]
    lags = int(4 * (len(x) / 100) ** (2 / 9))
    middle = scores.T @ scores
    for lag in range(1, lags + 1):
        cross = scores[lag:].T @ scores[:-lag]
        middle += (1 - lag / (lags + 1)) * (cross + cross.T)
    bread = np.linalg.inv(x.T @ x)
    covariance = bread @ middle @ bread
    assert fit.alpha_t == pytest.approx(fit.alpha / np.sqrt(covariance[0, 0]), rel=1e-9)
    assert fit.beta_t == pytest.approx(fit.beta / np.sqrt(covariance[1, 1]), rel=1e-9)
