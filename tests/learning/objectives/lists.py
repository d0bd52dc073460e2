"""Lists to try the objectives on."""

import numpy as np
import torch
from hypothesis import strategies as st

from finembed_core.learning.objectives import grades, listnet, neural_ndcg, weights_loss

LOSSES = {
    "listnet": lambda s, y, m: listnet(s, y, m, 1.0),
    "neural_ndcg": lambda s, y, m: neural_ndcg(s, grades(y, m), m, 0.5),
    "softmax": lambda s, y, m: weights_loss(s, target_weights(y, m), m, "softmax"),
    "simplex": lambda s, y, m: weights_loss(s, target_weights(y, m), m, "simplex"),
}
"""Every loss of scores (dates, places) against labels, of which it makes its own targets."""


def target_weights(labels, listed):
    """Weights with zeros, in the order of the labels."""
    filled = torch.where(listed, labels, -torch.inf)
    best = torch.where(listed.any(-1, keepdim=True), filled.amax(-1, keepdim=True), 0.0)
    above = torch.where(listed, (filled - best + 1.0).clamp(min=0.0), 0.0)
    return above / above.sum(-1, keepdim=True).clamp(min=1e-9)


def random_lists(seed, dates=3, places=6, dtype=torch.float64, holes=True):
    """Scores, labels and listed; the first date is whole."""
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=(2, dates, places))
    listed = rng.random((dates, places)) < 0.7 if holes else np.full((dates, places), True)
    listed[0] = True
    tensors = [torch.tensor(values, dtype=dtype) for values in (scores, labels)]
    return *tensors, torch.tensor(listed)


SEEDS = st.integers(0, 10_000)
