"""Sharpe ratio and MRAR, by hand and against published numbers."""

import numpy as np
import polars as pl
import pytest

from finembed_core.polymodel.performance import morningstar_return, sharpe_ratio
from tests.shared_data import SHARED, needs_shared

ZERO = np.zeros(36)


def test_constant_excess_return_earns_itself_in_a_year():
    returns = np.full((36, 1), 1.01 * 1.002 - 1)
    mrar = morningstar_return(returns, np.full(36, 0.002))
    np.testing.assert_allclose(mrar, 1.01**12 - 1)
    np.testing.assert_allclose(morningstar_return(returns, np.full(36, 0.002), 5.0), mrar)


def test_papers_exponent_compounds_over_the_window():
    returns = np.random.default_rng(1).standard_normal((36, 2)) * 0.03
    returns[:6, 1] = np.nan
    annual = morningstar_return(returns, ZERO)
    paper = morningstar_return(returns, ZERO, exponent="paper")
    np.testing.assert_allclose(1 + paper, (1 + annual) ** np.array([36 / 12, 30 / 12]))


def test_total_loss():
    returns = np.zeros((36, 1))
    returns[4] = -1.0
    assert morningstar_return(returns, ZERO) == [-1.0]


def test_sharpe_ratio_of_a_fund_that_stands_still_is_missing():
    returns = np.column_stack([np.full(36, 0.01), np.linspace(-0.02, 0.03, 36)])
    sharpe = sharpe_ratio(returns, ZERO)
    assert np.isnan(sharpe[0])
    np.testing.assert_allclose(sharpe[1], returns[:, 1].mean() / returns[:, 1].std(ddof=1))


@needs_shared
def test_ham1():
    """PerformanceAnalytics `managers`, 1996-2006, over the US 3m bill (spec/backtests.md)."""
    table = pl.read_csv(SHARED / "oracles" / "managers.csv", null_values=["", "NA"])
    returns = table.select("HAM1", "HAM6").cast(pl.Float64).to_numpy()
    bill = table["US 3m TR"].to_numpy()
    np.testing.assert_allclose(morningstar_return(returns, bill)[0], 0.0858, atol=5e-5)
    # its printed figures are truncated
    assert sharpe_ratio(returns, bill) == pytest.approx([0.3083, 0.3790], abs=1e-4)
