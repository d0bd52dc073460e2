"""Names and signs survive flips, swaps, and series that come and go."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from finembed_core.macro.alignment import Loadings, align, factor_order

IDS = tuple(f"S{k}" for k in range(8))


def loadings(seed: int, count: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((len(IDS), count))


def test_first_month_is_ranked_with_its_largest_loading_positive():
    values = loadings(1)
    found = align(IDS, values, None)
    assert found.names == ("F1", "F2", "F3", "F4")
    turned = values * found.signs
    assert (turned[np.abs(turned).argmax(axis=0), np.arange(4)] > 0).all()


@given(
    seed=st.integers(0, 1000),
    order=st.permutations(range(4)),
    signs=st.lists(st.sampled_from([-1.0, 1.0]), min_size=4, max_size=4),
    dropped=st.integers(0, 7),
)
def test_flips_and_swaps_are_undone(seed, order, signs, dropped):
    values = np.linalg.qr(loadings(seed))[0]
    previous = Loadings(("F1", "F2", "F3", "F4"), IDS, values)
    random = np.random.default_rng(seed)
    now = (values + 0.02 * random.standard_normal(values.shape))[:, order] * signs
    keep = [k for k in range(8) if k != dropped]
    ids = (*(IDS[k] for k in keep), "new")
    now = np.vstack([now[keep], random.standard_normal((1, 4))])
    full = np.linalg.norm(values[keep], axis=0).min()
    found = align(ids, now, previous)
    if full > 0.6:  # otherwise the dropped series was the factor
        assert found.names == tuple(f"F{k + 1}" for k in order)
        np.testing.assert_array_equal(found.signs, signs)


def test_a_component_more_takes_the_smallest_free_number():
    values = np.linalg.qr(loadings(2))[0]
    previous = Loadings(("F1", "F3"), IDS, values[:, [0, 1]])
    found = align(IDS, values[:, [2, 1, 0]], previous)
    assert found.names == ("F2", "F3", "F1")
    assert np.isnan(found.congruence[0])
    assert factor_order(found.names).tolist() == [2, 0, 1]


def test_a_component_less_keeps_the_others_names():
    values = np.linalg.qr(loadings(2))[0]
    previous = Loadings(("F1", "F2", "F3"), IDS, values[:, :3])
    assert align(IDS, values[:, [2, 0]], previous).names == ("F3", "F1")


def test_nothing_in_common_starts_anew():
    previous = Loadings(("F7",), ("other",), np.ones((1, 1)))
    assert align(IDS, loadings(3), previous).names == ("F1", "F2", "F3", "F4")


def test_factors_sort_by_number():
    names = ("F10", "F2", "F1")
    assert [names[k] for k in factor_order(names)] == ["F1", "F2", "F10"]
