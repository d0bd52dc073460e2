"""Principal components with fixed signs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from finembed_core.embeddings.principal import principal_axes


@pytest.mark.parametrize("shape", [(30, 6), (5, 12), (200, 40)])
def test_components_are_those_of_sklearn(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(1).standard_normal(shape)
    values -= values.mean(axis=0)
    other = PCA(3, svd_solver="full").fit(values)
    axes, shares = principal_axes(values, 3)
    assert shares == pytest.approx(other.explained_variance_ratio_)
    assert np.abs(axes.T @ other.components_.T) == pytest.approx(np.eye(3), abs=1e-8)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 50))
def test_the_largest_loading_is_positive(seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal((20, 5))
    axes, _ = principal_axes(values - values.mean(axis=0), 4)
    assert (axes[np.abs(axes).argmax(axis=0), np.arange(4)] > 0).all()
