"""The map of funds in the warehouse."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finembed_core.store import PartStore
from finembed_core.warehouse.maps import principal_map
from finembed_core.warehouse.query import query
from tests.warehouse.fake_embeddings import DATES, LAST, cosines


def test_the_map_is_classical_scaling_of_the_mean_similarity(store: PartStore, path: Path) -> None:
    """Torgerson 1952: principal axes of the doubly centered similarity matrix."""
    rows = query(path, f"FROM embedding_map WHERE date = '{DATES[-1]}' ORDER BY fund_id")
    ids = rows["fund_id"].to_list()
    similarity = np.ones((len(ids), len(ids)))
    for k, fund in enumerate(ids):
        for other, values in cosines(store, LAST, fund).items():
            similarity[k, ids.index(other)] = np.mean(values)
    centering = np.eye(len(ids)) - 1 / len(ids)
    gram = centering @ similarity @ centering
    values, vectors = np.linalg.eigh(gram)
    places = vectors[:, ::-1][:, :2] * np.sqrt(values[::-1][:2])
    found = rows.select("x", "y").to_numpy()
    signs = np.sign((places * found).sum(axis=0))
    np.testing.assert_allclose(found, places * signs, atol=1e-6)
    np.testing.assert_allclose(
        rows.select("explained_x", "explained_y").row(0),
        values[::-1][:2] / np.trace(gram),
        rtol=1e-6,
    )


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.float64, (7, 2, 3), elements=st.floats(-5, 5)).filter(
        lambda v: np.linalg.norm(v, axis=2).min() > 1e-3
    )
)
def test_a_map_keeps_no_more_than_there_is(vectors: np.ndarray) -> None:
    places, explained = principal_map(vectors)
    assert places.shape == (7, 2) and np.isfinite(places).all()
    np.testing.assert_allclose(places.sum(axis=0), 0, atol=1e-9)
    assert 0 <= explained.sum() <= 1 + 1e-9 and explained[0] >= explained[1] - 1e-12
    longer, _ = principal_map(3.0 * vectors)  # lengths do not count
    np.testing.assert_allclose(np.abs(longer), np.abs(places), atol=1e-7)


@pytest.mark.parametrize("shape", [(1, 1, 4), (2, 3, 4), (5, 1, 1)])
def test_a_map_of_next_to_nothing_is_a_map(shape: tuple[int, int, int]) -> None:
    places, explained = principal_map(np.ones(shape))
    assert not places.any() and not explained.any()
