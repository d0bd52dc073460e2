"""ListNet against numpy."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from finembed_core.learning.objectives import listnet


def test_numpy():
    """Labels 1, 3 and 5 have mean 3 and population deviation sqrt(8/3)."""
    z = np.array([-2.0, 0.0, 2.0]) / np.sqrt(8.0 / 3.0)
    p = np.exp(z / 0.5) / np.exp(z / 0.5).sum()
    scores = np.array([0.3, -0.2, 1.0])
    q = np.exp(scores) / np.exp(scores).sum()
    value = listnet(
        torch.tensor([[0.3, -0.2, 9.9, 1.0]], dtype=torch.float64),
        torch.tensor([[1.0, 3.0, 9.9, 5.0]], dtype=torch.float64),
        torch.tensor([[True, True, False, True]]),
        0.5,
    )
    assert float(value) == pytest.approx((p * np.log(p / q)).sum(), abs=1e-12)


def test_the_unit_of_labels_does_not_matter_and_the_temperature_does():
    scores, labels = torch.randn(2, 4, 9, generator=torch.Generator().manual_seed(0))
    listed = torch.full((4, 9), True)
    value = listnet(scores, labels, listed, 1.0)
    torch.testing.assert_close(listnet(scores, 0.01 * labels + 0.3, listed, 1.0), value)
    assert abs(listnet(scores, labels, listed, 0.5) - value) > 0.01


def test_nothing_is_lost_at_the_standardized_labels():
    labels = torch.tensor([[-1.0, 1.0, 1.0, -1.0]], dtype=torch.float64)  # standardized already
    scores = labels.clone().requires_grad_()
    value = listnet(scores, labels, torch.full((1, 4), True), 1.0)
    value.backward()
    assert abs(float(value.detach())) < 1e-15
    torch.testing.assert_close(scores.grad, torch.zeros(1, 4).double(), rtol=0, atol=1e-15)


def test_a_date_weighs_as_much_as_another_whatever_its_length():
    scores, labels = torch.randn(2, 2, 9, generator=torch.Generator().manual_seed(1))
    listed = torch.full((2, 9), True)
    listed[1, 3:] = False
    apart = [listnet(scores[k : k + 1], labels[k : k + 1], listed[k : k + 1], 1.0) for k in (0, 1)]
    torch.testing.assert_close(listnet(scores, labels, listed, 1.0), (apart[0] + apart[1]) / 2)


def test_the_gradient_is_that_of_the_papers_cross_entropy():
    draw = torch.Generator().manual_seed(2)
    scores, labels = torch.randn(2, 3, 7, generator=draw, dtype=torch.float64)
    listed = torch.full((3, 7), True)
    ours, papers = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    listnet(ours, labels, listed, 0.5).backward()
    centered = labels - labels.mean(dim=1, keepdim=True)
    target = centered / centered.square().mean(dim=1, keepdim=True).sqrt() / 0.5
    cross_entropy(papers, target.softmax(dim=1)).backward()
    torch.testing.assert_close(ours.grad, papers.grad, rtol=0, atol=1e-12)
