"""What holds of every loss over lists: order, padding, degenerate lists, gradients, learning."""

import pytest
import torch
from hypothesis import given, settings

from tests.learning.objectives.lists import LOSSES, SEEDS, random_lists

EACH = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
quick = settings(deadline=None, max_examples=25)


def slope(loss, scores, labels, listed):
    """Loss and its gradient in the scores."""
    scores = scores.clone().requires_grad_()
    value = loss(scores, labels, listed)
    value.backward()
    return value.detach(), scores.grad


@EACH
@quick
@given(SEEDS)
def test_the_order_of_places_changes_nothing(loss, seed):
    scores, labels, listed = random_lists(seed)
    order = torch.randperm(scores.shape[1], generator=torch.Generator().manual_seed(seed))
    value, grad = slope(loss, scores, labels, listed)
    other, permuted = slope(loss, scores[:, order], labels[:, order], listed[:, order])
    torch.testing.assert_close(other, value, rtol=0, atol=1e-12)
    torch.testing.assert_close(permuted, grad[:, order], rtol=0, atol=1e-10)


@EACH
@quick
@given(SEEDS)
def test_padding_changes_nothing_whatever_it_holds(loss, seed):
    scores, labels, listed = random_lists(seed)
    value, grad = slope(loss, scores, labels, listed)

    def padded(values, with_what):
        wide = torch.full((len(values) + 1, values.shape[1] + 2), with_what, dtype=values.dtype)
        wide[:-1, 2:] = values
        return wide

    filled, holes = padded(scores, torch.nan), padded(listed, False)
    filled[~holes] = torch.nan
    known = padded(labels, torch.nan)
    other, wide = slope(loss, filled, known, holes)
    torch.testing.assert_close(other, value, rtol=0, atol=1e-12)
    torch.testing.assert_close(wide[:-1, 2:], grad, rtol=0, atol=1e-12)
    assert (wide[~holes] == 0).all()


@EACH
@quick
@given(SEEDS)
def test_a_loss_is_not_negative_and_blind_to_a_shift_of_the_scores(loss, seed):
    scores, labels, listed = random_lists(seed)
    value = loss(scores, labels, listed)
    assert value >= 0
    torch.testing.assert_close(loss(scores + 7.0, labels, listed), value, rtol=0, atol=1e-10)


@EACH
@pytest.mark.parametrize("places", [0, 1])
def test_a_list_without_two_funds_costs_nothing(loss, places):
    scores, labels, listed = random_lists(0)
    listed[:] = False
    listed[:, :places] = True
    value, grad = slope(loss, scores, labels, listed)
    assert value == 0
    assert (grad == 0).all()


@EACH
@pytest.mark.parametrize("level", [0.0, 0.1, -1e6])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_equal_labels_and_wild_scores_stay_finite_in_single_precision(loss, level, scale):
    scores, labels, listed = random_lists(1, places=50, dtype=torch.float32)
    labels[:] = level
    value, grad = slope(loss, scale * scores, labels, listed)
    assert value.isfinite()
    assert grad.isfinite().all()


@EACH
def test_the_gradient_is_that_of_the_loss(loss):
    scores, labels, listed = random_lists(3)
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: loss(s, labels, listed), (scores,))


@EACH
def test_single_precision_agrees_with_double(loss):
    scores, labels, listed = random_lists(4, dates=2, places=200)
    value, grad = slope(loss, scores, labels, listed)
    single, rough = slope(loss, scores.float(), labels.float(), listed)
    torch.testing.assert_close(single.double(), value, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(rough.double(), grad, rtol=1e-2, atol=1e-5)


@EACH
def test_a_planted_ranking_is_learned(loss):
    """Labels are linear in five characteristics, with noise that halves the rank correlation."""
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(40, 30, 5, generator=generator)
    truth = torch.tensor([1.0, -1.0, 0.5, 0.0, 0.0])
    signal = inputs @ truth
    labels = signal + signal.std() * torch.randn(signal.shape, generator=generator)
    listed = torch.rand(signal.shape, generator=generator) < 0.8
    scorer = torch.nn.Linear(5, 1, bias=False)
    torch.nn.init.zeros_(scorer.weight)
    optimizer = torch.optim.Adam(scorer.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        loss(scorer(inputs)[..., 0], labels, listed).backward()
        optimizer.step()
    learned = scorer.weight.detach()[0]
    assert torch.cosine_similarity(learned, truth, dim=0) > 0.97
