import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from finembed_core.errors import InputError
from finembed_core.portfolio.simplex import project_simplex

POINTS = stn.arrays(float, st.integers(1, 12), elements=st.floats(-5.0, 5.0, allow_subnormal=False))


def caps_for(count: int, seed: int) -> np.ndarray:
    """Caps of random size, some 0, that leave a portfolio possible."""
    rng = np.random.default_rng(seed)
    caps = rng.uniform(0.0, 1.0, count) * (rng.random(count) < 0.8)
    caps[rng.integers(count)] += max(1.0 - caps.sum(), 0.0) + rng.choice([0.0, 0.2])
    return caps


@settings(deadline=None, max_examples=60)
@given(POINTS, st.integers(0, 10**6))
def test_equals_a_quadratic_program(points: np.ndarray, seed: int) -> None:
    for caps in (np.ones(len(points)), caps_for(len(points), seed)):
        nearest = cp.Variable(len(points))
        task = cp.Problem(
            cp.Minimize(cp.sum_squares(nearest - points)),
            [cp.sum(nearest) == 1, nearest >= 0, nearest <= caps],
        )
        task.solve(solver=cp.CLARABEL)
        found = project_simplex(points, caps)
        assert np.square(found - points).sum() == pytest.approx(task.value, rel=1e-7, abs=1e-7)
        assert found == pytest.approx(nearest.value, abs=2e-3)  # its root of the tolerance


@given(POINTS, st.integers(0, 10**6))
def test_is_feasible_and_no_feasible_point_is_nearer(points: np.ndarray, seed: int) -> None:
    caps = caps_for(len(points), seed)
    weights = project_simplex(points, caps)
    assert (weights >= 0.0).all()
    assert (weights <= np.minimum(caps, 1.0)).all()
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert project_simplex(weights, caps) == pytest.approx(weights, abs=1e-12)
    rng = np.random.default_rng(seed)
    for other in project_simplex(rng.uniform(-1.0, 1.0, (20, len(points))), caps):
        assert (points - weights) @ (other - weights) <= 1e-10  # the variational inequality


def test_rows_are_projected_by_themselves() -> None:
    points = np.random.default_rng(0).normal(size=(3, 4, 7))
    caps = np.linspace(0.1, 0.9, 7)
    together = project_simplex(points, caps)
    for index in np.ndindex(3, 4):
        assert together[index] == pytest.approx(project_simplex(points[index], caps), abs=1e-15)


def test_order_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    points, caps, order = rng.normal(size=50), rng.uniform(0.0, 0.2, 50), rng.permutation(50)
    assert project_simplex(points[order], caps[order]) == pytest.approx(
        project_simplex(points, caps)[order], abs=1e-15
    )


def test_caps_that_leave_one_point() -> None:
    for count in (3, 49, 1000):  # 49 times 1/49 is less than 1
        weights = project_simplex(np.arange(count, dtype=float), cap=1.0 / count)
        assert weights == pytest.approx(np.full(count, 1.0 / count), rel=1e-12)


def test_far_points_and_ties() -> None:
    assert project_simplex([1e9, 0.0, 0.0]).tolist() == [1.0, 0.0, 0.0]
    assert project_simplex([-1e9, -1e9]) == pytest.approx([0.5, 0.5])
    assert project_simplex(np.zeros(10_000)).sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("points", "cap", "words"),
    [
        ([], 1.0, "no point"),
        (0.5, 1.0, "no point"),
        ([np.nan, 1.0], 1.0, "missing or infinite"),
        ([np.inf, 1.0], 1.0, "missing or infinite"),
        ([1.0, 2.0], 0.4, "sum to 0.8"),
        ([1.0, 2.0], [1.5, -0.1], "missing or negative"),
        ([1.0, 2.0], [1.5, np.nan], "missing or negative"),
    ],
)
def test_what_cannot_be_projected(points: list[float], cap: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        project_simplex(points, cap)
