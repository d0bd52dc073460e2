"""Weights: against the simplex projection of portfolios, and the losses of both kinds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from finembed_core.learning.objectives import weights_loss, weights_of
from finembed_core.portfolio.simplex import project_simplex
from tests.learning.objectives.lists import SEEDS, random_lists, target_weights

KINDS = pytest.mark.parametrize("kind", ["softmax", "simplex"])


@settings(deadline=None, max_examples=40)
@given(SEEDS)
def test_simplex_weights_are_the_euclidean_projection(seed):
    scores, _, listed = random_lists(seed)
    scores *= 10.0 ** (seed % 4 - 2)
    weights = weights_of(scores, listed, "simplex").numpy()
    for row, points, real in zip(weights, scores.numpy(), listed.numpy(), strict=True):
        if real.any():
            np.testing.assert_allclose(row[real], project_simplex(points[real]), atol=1e-12)
        assert (row[~real] == 0).all()


@KINDS
@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_rows_are_portfolios(kind, seed):
    scores, _, listed = random_lists(seed, places=40, dtype=torch.float32)
    weights = weights_of(100.0 * scores, listed, kind)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), listed.any(-1).float())


@KINDS
def test_the_gradient_is_weights_less_target(kind):
    scores, labels, listed = random_lists(1)
    target = target_weights(labels, listed)
    scores.requires_grad_()
    weights_loss(scores, target, listed, kind).backward()
    counted = (listed.sum(-1, keepdim=True) > 1).double()
    expected = counted * (weights_of(scores.detach(), listed, kind) - target) / counted.sum()
    torch.testing.assert_close(scores.grad, expected, rtol=0, atol=1e-12)


@KINDS
@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_zero_only_where_the_weights_are_the_target(kind, seed):
    scores, labels, _ = random_lists(seed, holes=False)
    listed = torch.full(scores.shape, True)
    own = weights_of(scores, listed, kind)
    assert abs(float(weights_loss(scores, own, listed, kind))) < 1e-14
    target = target_weights(labels, listed)
    apart = float((own - target).square().sum(-1).mean())
    # both Omega are strongly convex: the loss is at least half the squared distance
    assert float(weights_loss(scores, target, listed, kind)) >= apart / 2 - 1e-12


def test_sparsemax_loss_as_published():
    """Martins and Astudillo (2016), equation 14, written with the threshold; q a single fund."""
    z = np.array([0.6, 0.2, -1.5])
    p = project_simplex(z)
    support = p > 0
    tau = z[support][0] - p[support][0]
    published = -z[1] + 0.5 * (z[support] ** 2 - tau**2).sum() + 0.5
    value = weights_loss(
        torch.tensor(z)[None], torch.eye(3).double()[1:2], torch.full((1, 3), True), "simplex"
    )
    assert float(value) == pytest.approx(published, abs=1e-12)


@KINDS
def test_weights_are_differentiable(kind):
    scores, _, listed = random_lists(2)
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: weights_of(s, listed, kind), (scores,))
