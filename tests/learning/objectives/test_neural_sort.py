"""NeuralNDCG against its published formula, and against the NDCG that it relaxes."""

import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score

from finembed_core.learning.objectives import grades, neural_ndcg
from finembed_core.learning.objectives.neural_sort import LONGEST
from tests.learning.objectives.lists import random_lists


def published(scores, gains, temperature):
    """Pobrotyn and Bialobrzeski (2021), equations 3 to 8, one list, loop by loop in numpy."""
    n = len(scores)
    matrix = np.empty((n, n))
    for i in range(n):
        logits = [
            ((n + 1 - 2 * (i + 1)) * scores[j] - np.abs(scores[j] - scores).sum()) / temperature
            for j in range(n)
        ]
        matrix[i] = np.exp(logits - np.max(logits)) / np.exp(logits - np.max(logits)).sum()
    for _ in range(50):
        matrix /= matrix.sum(axis=0, keepdims=True)
        matrix /= matrix.sum(axis=1, keepdims=True)
    discounts = 1.0 / np.log2(np.arange(n) + 2.0)
    return (discounts @ matrix @ gains) / (discounts @ np.sort(gains)[::-1])


@pytest.mark.parametrize("temperature", [2.0, 1.0, 0.1])
def test_the_published_formula(temperature):
    scores, labels, listed = random_lists(0, dates=5, places=12)
    graded = grades(labels, listed)
    expected = [
        1.0 - published(s[m].numpy(), 2.0 ** g[m].numpy() - 1.0, temperature)
        for s, g, m in zip(scores, graded, listed, strict=True)
    ]
    value = float(neural_ndcg(scores, graded, listed, temperature))
    assert value == pytest.approx(np.mean(expected), abs=1e-12)


def test_becomes_ndcg_as_the_temperature_falls():
    scores, labels, listed = random_lists(1, dates=6, places=20)
    graded = grades(labels, listed)
    true = np.mean(
        [
            ndcg_score([2.0 ** g[m].numpy() - 1.0], [s[m].numpy()])
            for s, g, m in zip(scores, graded, listed, strict=True)
        ]
    )
    errors = [
        abs(1.0 - float(neural_ndcg(scores, graded, listed, t)) - true) for t in (1.0, 0.1, 1e-6)
    ]
    assert errors[2] < 1e-9
    assert errors[1] < errors[0]


def test_nothing_is_lost_by_a_perfect_ranking_and_much_by_the_reverse():
    labels = torch.linspace(-1.0, 1.0, 25)[None]
    listed = torch.full((1, 25), True)
    graded = grades(labels, listed)
    assert float(neural_ndcg(5.0 * labels, graded, listed, 0.01)) < 1e-6
    assert float(neural_ndcg(-5.0 * labels, graded, listed, 0.01)) > 0.4


def test_a_long_list_is_ranked_by_a_seeded_sample_of_those_listed():
    generator = torch.Generator().manual_seed(2)
    labels = torch.randn(1, LONGEST + 200, generator=generator)
    listed = torch.full(labels.shape, True)
    listed[:, :100] = False
    scores = labels.clone().requires_grad_()
    graded = grades(labels, listed)
    draws = [torch.Generator().manual_seed(seed) for seed in (0, 0, 1)]
    values = [neural_ndcg(scores, graded, listed, 1.0, draw) for draw in draws]
    assert values[0] == values[1]
    assert values[0] != values[2]
    values[0].backward()
    assert scores.grad is not None
    assert int((scores.grad != 0).sum()) == LONGEST
    assert not scores.grad[~listed].any()


def test_grades_are_fifths_and_ties_share_one():
    labels = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.5, 9.0], [1.0, 1.0, 1.0, 2.0, 2.0, 9.0]])
    listed = torch.tensor([5 * [True] + [False]] * 2)
    expected = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0, 0.0], [1.0, 1.0, 1.0, 4.0, 4.0, 0.0]])
    torch.testing.assert_close(grades(labels, listed), expected)
    counts = torch.bincount(
        grades(torch.randn(1, 500), torch.full((1, 500), True)).long().flatten()
    )
    assert counts.tolist() == [100] * 5


def test_a_missing_label_that_is_listed_is_not_silent():
    labels = torch.tensor([[0.1, torch.nan, 0.3]])
    listed = torch.full((1, 3), True)
    graded = grades(labels, listed)
    assert graded.isnan().tolist() == [[False, True, False]]
    assert neural_ndcg(torch.zeros(1, 3), graded, listed, 1.0).isnan()
