"""Target shuffling against refits, and its calibration."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import Ridge as Oracle

from finembed_core.calendar import Month
from finembed_core.polymodel import shuffling
from finembed_core.polymodel.basis import hermite_basis
from finembed_core.polymodel.device import Device
from finembed_core.polymodel.fit import Ridge
from finembed_core.polymodel.shuffling import (
    TargetShuffling,
    exact_p_values,
    float32_error,
    shuffled_rows,
)

MONTH = Month.parse("2005-03")


def shuffled_p_values(factor, y, rows):
    return exact_p_values(TargetShuffling.of(factor, y).exceedances(rows), len(rows))


def r2_of_refit(basis, y, penalty):
    oracle = Oracle(alpha=penalty, solver="svd").fit(basis[:, 1:], y)
    residual = np.square(y - oracle.predict(basis[:, 1:])).sum(axis=0)
    return 1.0 - residual / np.square(y - y.mean(axis=0)).sum(axis=0)


def shuffled_r2(basis, y, rows, penalty):
    """Refit every shuffle."""
    return r2_of_refit(basis, y[rows].T, penalty)


def test_exact_equals_scikit_learn_refits():
    rng = np.random.default_rng(4)
    basis = hermite_basis(rng.standard_normal((3, 36)), 4)
    y = rng.standard_t(3, (36, 5)) * 0.03
    y[:, 0] += 0.02 * basis[0, :, 1]
    rows = shuffled_rows(36, 200, 1, MONTH)
    ridge = Ridge.on(basis)
    factor = ridge.factor(1.0)
    p = shuffled_p_values(factor, y, rows)
    unit = (y - y.mean(axis=0)) / np.linalg.norm(y - y.mean(axis=0), axis=0)
    for j in range(3):
        for i in range(5):
            refit = shuffled_r2(basis[j], y[:, i], rows, 1.0)
            observed = r2_of_refit(basis[j], y[:, i], 1.0)
            products = np.square(unit[:, i][rows] @ factor[j]).sum(axis=1)
            np.testing.assert_allclose(products, refit, rtol=0, atol=1e-10)
            assert p[j, i] == (1 + (refit >= observed - 1e-12).sum()) / 201


@pytest.mark.parametrize("kind", ["gaussian", "discrete", "quiet factor"])
def test_float32_counts_are_those_of_float64(kind):
    """Ties (rounded returns, mostly zero) and tiny R2 are where float32 would miscount."""
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((6, 30)), rng.standard_normal((30, 40))
    if kind == "discrete":
        x, y = rng.integers(0, 3, (6, 30)) * 1.0, (rng.random((30, 40)) < 0.1) * 0.01
        y[0] = 0.02
    if kind == "quiet factor":
        x *= 1e-3
    factor = Ridge.on(hermite_basis(x, 4)).factor(1.0)
    rows = shuffled_rows(30, 500, 1, MONTH)
    unit = (y - y.mean(axis=0)) / np.linalg.norm(y - y.mean(axis=0), axis=0)
    observed = np.square(factor.transpose(0, 2, 1) @ unit).sum(axis=1)
    scores = np.einsum("jnq,kni->jqki", factor, unit[rows])
    tie = 1e-12 * np.square(factor).sum(axis=1).max(axis=1)[:, None, None]
    count = (np.square(scores).sum(axis=1) >= observed[:, None, :] - tie).sum(axis=1)
    np.testing.assert_array_equal(shuffled_p_values(factor, y, rows), (1 + count) / 501)


def test_float32_error_bound_holds():
    rng = np.random.default_rng(6)
    u = np.linalg.qr(rng.standard_normal((36, 4)))[0]
    y = rng.standard_normal((36, 20_000))
    y /= np.linalg.norm(y, axis=0)
    single = np.square(u.T.astype(np.float32) @ y.astype(np.float32)).sum(axis=0)
    error = np.abs(single - np.square(u.T @ y).sum(axis=0)).max()
    assert error < float32_error(36, 4) < 1.2e-5


def test_blocks_do_not_change_counts(monkeypatch):
    rng = np.random.default_rng(7)
    factor = Ridge.on(hermite_basis(rng.standard_normal((5, 36)), 4)).factor(1.0)
    y, rows = rng.standard_normal((36, 33)), shuffled_rows(36, 333, 1, MONTH)
    expected = shuffled_p_values(factor, y, rows)
    monkeypatch.setattr(shuffling, "SHUFFLE_BLOCK", 70)
    monkeypatch.setattr(shuffling, "FUND_BLOCK", 10)
    monkeypatch.setattr(shuffling, "RECHECK", 3)
    small = TargetShuffling.of(factor, y, Device(block=5_000)).exceedances(rows)
    np.testing.assert_array_equal(exact_p_values(small, len(rows)), expected)


def test_a_factor_that_stands_still_explains_nothing():
    factor = Ridge.on(hermite_basis(np.full((1, 36), 0.3), 4)).factor(1.0)
    y = np.random.default_rng(8).standard_normal((36, 3))
    assert (shuffled_p_values(factor, y, shuffled_rows(36, 99, 1, MONTH)) == 1.0).all()


def test_a_fund_that_is_the_factor_has_the_smallest_p_value():
    x = np.random.default_rng(9).standard_normal((1, 36))
    factor = Ridge.on(hermite_basis(x, 4)).factor(1.0)
    assert shuffled_p_values(factor, x.T, shuffled_rows(36, 999, 1, MONTH)) == 1 / 1000


@pytest.mark.parametrize("law", ["normal", "student3", "lognormal"])
def test_p_values_are_uniform_under_independence(law):
    rng = np.random.default_rng(10)
    draw = {
        "normal": lambda size: rng.standard_normal(size),
        "student3": lambda size: rng.standard_t(3, size),
        "lognormal": lambda size: rng.lognormal(0, 1, size),
    }[law]
    p = []
    for k in range(40):  # new factors each time: funds tested on one factor are not independent
        factor = Ridge.on(hermite_basis(draw((10, 36)), 4)).factor(1.0)
        rows = shuffled_rows(36, 199, k, MONTH)
        p.append(shuffled_p_values(factor, draw((36, 10)), rows).diagonal())
    p = np.concatenate(p)
    uniform = stats.kstest(p - rng.random(p.size) / 200, "uniform")  # p comes in steps of 1/200
    assert uniform.pvalue > 0.01
    rejected = stats.binomtest(int((p <= 0.05).sum()), p.size, 0.05)
    assert rejected.pvalue > 0.01


def test_shuffles_depend_on_seed_month_and_length_alone():
    assert len(shuffled_rows(36, 5, 1, Month.parse("1949-01"))) == 5
    rows = shuffled_rows(36, 50, 1, MONTH)
    assert (np.sort(rows, axis=1) == np.arange(36)).all()
    np.testing.assert_array_equal(rows, shuffled_rows(36, 50, 1, MONTH))
    assert (rows != shuffled_rows(36, 50, 2, MONTH)).any()
    assert (rows != shuffled_rows(36, 50, 1, MONTH + 1)).any()
