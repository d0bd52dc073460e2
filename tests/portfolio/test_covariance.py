import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import OAS, LedoitWolf
from sklearn.decomposition import PCA

from finembed_core.errors import InputError
from finembed_core.portfolio.covariance import ESTIMATORS, factor, ledoit_wolf, oas, sample

SHAPES = [(36, 10), (12, 36), (36, 200), (3, 2), (2, 5), (24, 1)]


def simulated(months: int, funds: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    common = rng.standard_t(5, (months, 2)) @ rng.normal(0.5, 0.5, (2, funds))
    deviations = rng.uniform(0.003, 0.05, funds)
    return 0.005 + deviations * (common + rng.standard_t(5, (months, funds)))


@pytest.mark.parametrize("shape", SHAPES)
def test_sample_equals_numpy(shape: tuple[int, int]) -> None:
    returns = simulated(*shape)
    expected = np.atleast_2d(np.cov(returns.T, ddof=1))
    assert sample(returns).dense() == pytest.approx(expected, rel=1e-10, abs=1e-10 * expected.max())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("ours", "theirs"), [(ledoit_wolf, LedoitWolf), (oas, OAS)])
def test_shrinkage_equals_sklearn(ours, theirs, shape: tuple[int, int]) -> None:
    for seed in range(3):
        returns = simulated(*shape, seed)
        expected = theirs().fit(returns).covariance_
        found = ours(returns).dense()
        assert found == pytest.approx(expected, rel=1e-10, abs=1e-10 * expected.max())


def test_factor_equals_principal_components() -> None:
    returns = simulated(36, 60)
    components = PCA(3).fit(returns)
    scores = components.transform(returns)
    left = returns - returns.mean(axis=0) - scores @ components.components_
    expected = components.components_.T * scores.var(axis=0, ddof=1) @ components.components_
    expected += np.diag(np.square(left).sum(axis=0) / (36 - 1 - 3))
    model = factor(returns, 3)
    assert model.loadings.shape == (3, 60)
    assert model.dense() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_factor_recovers_specific_variances() -> None:
    rng = np.random.default_rng(3)
    specific = rng.uniform(0.5, 2.0, 300)
    betas = rng.normal(1.0, 1.0, (2, 300))
    returns = rng.normal(size=(240, 2)) @ betas + rng.normal(size=(240, 300)) * np.sqrt(specific)
    ratios = factor(returns, 2).specific / specific
    assert ratios.mean() == pytest.approx(1.0, abs=0.01)  # biased by 1 - 3/240 without the df


@pytest.mark.parametrize("name", ESTIMATORS)
def test_model_agrees_with_its_dense_matrix(name: str) -> None:
    model = ESTIMATORS[name](simulated(24, 40))
    dense, weights = model.dense(), np.random.default_rng(0).dirichlet(np.ones(40))
    assert model.diagonal == pytest.approx(np.diag(dense))
    assert model.times(weights) == pytest.approx(dense @ weights)
    assert model.variance(weights) == pytest.approx(weights @ dense @ weights)
    assert model.scaled(4.0).dense() == pytest.approx(dense / 4.0)
    assert np.linalg.eigvalsh(dense).min() >= -1e-15


@pytest.mark.parametrize("name", ESTIMATORS)
@given(seed=st.integers(0, 1000), scale=st.sampled_from([1e-3, 1.0, 1e2]))
def test_scales_and_permutes_with_the_returns(name: str, seed: int, scale: float) -> None:
    returns, order = simulated(20, 9, seed), np.random.default_rng(seed).permutation(9)
    dense = ESTIMATORS[name](returns).dense()
    moved = ESTIMATORS[name](scale * returns[:, order] + 0.1).dense()
    expected = scale**2 * dense[np.ix_(order, order)]
    assert moved == pytest.approx(expected, rel=1e-6, abs=1e-9 * expected.max())


@pytest.mark.parametrize("name", ESTIMATORS)
def test_many_funds_need_no_square_matrix(name: str) -> None:
    returns = simulated(36, 10_000)
    tracemalloc.start()
    ESTIMATORS[name](returns)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * returns.nbytes  # a matrix of all funds has 278 times their returns


def test_funds_that_stand_still_are_no_fault() -> None:
    returns = simulated(24, 10)
    returns[:, 3] = 0.002
    assert sample(returns).diagonal[3] == pytest.approx(0.0, abs=1e-30)
    for estimator in (sample, ledoit_wolf, oas, factor):
        assert np.isfinite(estimator(np.full((24, 8), 0.01)).dense()).all()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_incomplete_windows_are_refused(name: str) -> None:
    returns = simulated(24, 10)
    returns[5, 7] = np.nan
    with pytest.raises(InputError, match=r"1 of 10 funds .* column 7"):
        ESTIMATORS[name](returns)
    for short in (returns[:1], returns[:, :0], returns[0]):
        with pytest.raises(InputError, match="two months and a fund"):
            ESTIMATORS[name](short)


@pytest.mark.parametrize(("months", "funds", "factors"), [(7, 30, 6), (36, 5, 5), (36, 30, 0)])
def test_too_many_factors(months: int, funds: int, factors: int) -> None:
    with pytest.raises(InputError, match=f"{factors} factors cannot be estimated"):
        factor(simulated(months, funds), factors)
