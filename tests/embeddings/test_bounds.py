"""Bounds of mutual information: their caps, their signs, and what the gradient of MINE is."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finembed_core.embeddings.information.bounds import (
    CLIP,
    FORGETTING,
    donsker_varadhan,
    infonce,
    infonce_cap,
    jensen_shannon,
    mine_objective,
    smile,
)

MATRICES = st.integers(2, 8).flatmap(
    lambda rows: arrays(np.float64, (rows, rows), elements=st.floats(-50, 50))
)


def matrix(rows: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=(rows, rows)))


@settings(deadline=None, max_examples=50)
@given(MATRICES)
def test_infonce_is_never_above_its_cap(scores: np.ndarray) -> None:
    assert float(infonce(torch.tensor(scores))) <= infonce_cap(len(scores)) + 1e-12


def test_the_cap_is_reached_where_every_pair_is_told_apart() -> None:
    assert float(infonce(1e4 * torch.eye(64))) == pytest.approx(math.log(64), abs=1e-5)


@pytest.mark.parametrize("bound", [infonce, donsker_varadhan, smile])
def test_scores_that_tell_nothing_give_no_information(bound) -> None:
    assert float(bound(torch.full((5, 5), 2.0))) == pytest.approx(0.0, abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(MATRICES, st.floats(-20, 20))
def test_a_constant_does_not_matter_to_bounds_of_ratios(scores: np.ndarray, shift: float) -> None:
    own, moved = torch.tensor(scores), torch.tensor(scores + shift)
    for bound in (infonce, donsker_varadhan):
        assert float(bound(own)) == pytest.approx(float(bound(moved)), abs=1e-9)


def test_bounds_equal_their_formulas() -> None:
    scores = 5 * matrix()
    s, n = scores.numpy(), 6
    off = s[~np.eye(n, dtype=bool)]
    nce = np.mean([np.log(np.exp(s[i, i]) / np.exp(s[i]).mean()) for i in range(n)])
    assert float(infonce(scores)) == pytest.approx(nce, rel=1e-12)
    dv = np.diag(s).mean() - np.log(np.exp(off).mean())
    assert float(donsker_varadhan(scores)) == pytest.approx(dv, rel=1e-12)
    cut = np.diag(s).mean() - np.log(np.exp(np.clip(off, -CLIP, CLIP)).mean())
    assert float(smile(scores)) == pytest.approx(cut, rel=1e-12)
    assert cut != pytest.approx(dv)
    js = -np.log1p(np.exp(-np.diag(s))).mean() - np.log1p(np.exp(off)).mean()
    assert float(jensen_shannon(scores)) == pytest.approx(js, rel=1e-12)


def test_each_of_several_matrices_is_on_its_own() -> None:
    scores = torch.stack([matrix(seed=seed) for seed in range(3)])
    for bound in (infonce, donsker_varadhan, smile, jensen_shannon):
        assert bound(scores).tolist() == pytest.approx([float(bound(own)) for own in scores])


def test_the_first_gradient_of_mine_is_that_of_its_bound() -> None:
    own, other = matrix().requires_grad_(), matrix().requires_grad_()
    mine_objective(own, None)[0].backward()
    donsker_varadhan(other).backward()
    assert own.grad is not None and other.grad is not None
    assert own.grad.numpy() == pytest.approx(other.grad.numpy(), abs=1e-12)


def test_later_gradients_divide_by_the_moving_average() -> None:
    """Belghazi et al. 2018, eq. 12 with the average in the denominator."""
    before, scores = 1.7, matrix(seed=1).requires_grad_()
    objective, average = mine_objective(scores, torch.tensor(math.log(before), dtype=torch.float64))
    objective.backward()
    s = scores.detach().numpy()
    n, off = 6, ~np.eye(6, dtype=bool)
    expected_average = (1 - FORGETTING) * before + FORGETTING * np.exp(s[off]).mean()
    assert float(average) == pytest.approx(math.log(expected_average))
    expected = np.where(off, -np.exp(s) / (n * (n - 1)) / expected_average, 1 / n)
    assert scores.grad is not None
    assert scores.grad.numpy() == pytest.approx(expected, rel=1e-9)


def test_huge_scores_stay_finite() -> None:
    objective, average = mine_objective(torch.full((4, 4), 1e3), torch.tensor(999.0))
    assert torch.isfinite(objective) and torch.isfinite(average)
