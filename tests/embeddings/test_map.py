"""Principal components with fixed signs, and maps that do not turn from date to date."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from finembed_core.embeddings.map import FundMap
from finembed_core.embeddings.principal import principal_axes
from finembed_core.errors import InputError

IDS = [f"F{k:02d}" for k in range(30)]


def vectors(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((30, 6)) * [4, 3, 2, 1, 1, 1] + 10.0


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


def test_a_map_has_the_shares_of_its_axes() -> None:
    own = FundMap.of(IDS, vectors())
    total = vectors().var(axis=0).sum()
    assert own.places.mean(axis=0) == pytest.approx([0, 0], abs=1e-12)
    assert own.places.var(axis=0) / total == pytest.approx(own.shares)
    assert own.shares[0] > own.shares[1] > 0


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 2 * np.pi), st.booleans(), st.integers(0, 20))
def test_a_map_that_was_turned_and_mirrored_comes_back(
    angle: float, mirrored: bool, gone: int
) -> None:
    before = FundMap.of(IDS, vectors())
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = before.places @ turn * [1, -1 if mirrored else 1] + [3.0, -1.0]
    after = FundMap(tuple(IDS[gone:]), moved[gone:], before.shares)
    back = after.aligned_to(before)
    assert back.places == pytest.approx(before.places[gone:], abs=1e-9)
    assert back.ids == after.ids


def test_alignment_keeps_distances_and_comes_nearer() -> None:
    before, after = FundMap.of(IDS, vectors()), FundMap.of(IDS[::-1], -vectors(1)[::-1])
    back = after.aligned_to(before)
    assert pdist(back.places) == pytest.approx(pdist(after.places))
    miss = [np.square(own.places[::-1] - before.places).sum() for own in (after, back)]
    assert miss[1] < miss[0]


def test_strangers_stay_where_they_are() -> None:
    before, after = FundMap.of(IDS, vectors()), FundMap.of([f"G{k}" for k in range(30)], vectors(1))
    assert after.aligned_to(before) is after


def test_a_collapsed_embedding_is_one_place() -> None:
    own = FundMap.of(IDS, np.ones((30, 4)))
    assert not own.places.any() and not own.shares.any()


@pytest.mark.parametrize("shape", [(2, 5), (5, 1)])
def test_too_little_for_a_plane_is_said(shape: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="three funds and two dimensions"):
        FundMap.of(IDS[: shape[0]], np.ones(shape))
