"""Squared errors on what counts, performance targets, learned weights of losses."""

import numpy as np
import pytest
import torch

from finembed_core.errors import InputError
from finembed_core.learning.objectives import (
    MEASURES,
    PerformanceScale,
    UncertaintyWeights,
    masked_error,
    performance_losses,
)


def test_masked_error_by_hand_and_blind_elsewhere():
    guess = torch.tensor([1.0, 5.0, torch.nan], requires_grad=True)
    value = masked_error(
        guess, torch.tensor([3.0, torch.nan, 2.0]), torch.tensor([True, False, False]), 4.0
    )
    assert float(value.detach()) == 0.25
    value.backward()
    torch.testing.assert_close(guess.grad, torch.tensor([-0.25, 0.0, 0.0]))


def test_masked_error_of_nothing_is_zero():
    guess = torch.tensor([1.0], requires_grad=True)
    value = masked_error(guess, torch.tensor([torch.nan]), torch.tensor([False]), 1.0)
    value.backward()
    assert float(value.detach()) == 0
    assert float(guess.grad) == 0


def random_measures(seed=0):
    rng = np.random.default_rng(seed)
    measures = np.stack(
        [rng.normal(0.5, 2.0, 4000), np.exp(rng.normal(-2, 0.7, 4000)), rng.random(4000)], axis=-1
    )
    return torch.tensor(measures, dtype=torch.float32)


def test_standardized_measures_have_the_scale_of_a_normal_and_go_back():
    measures = random_measures()
    measures[::7] = torch.nan
    scale = PerformanceScale().fit(measures)
    targets = scale.standardized(measures)
    known = ~measures[:, 0].isnan()
    assert abs(float(targets[known, 0].std()) - 1.0) < 0.05
    assert abs(float(targets[known, 1].std()) - 1.0) < 0.05
    assert float(targets[known].mean(0).abs().max()) < 0.05
    torch.testing.assert_close(scale.measures(targets)[known], measures[known], rtol=1e-3, atol=0.1)


def test_outliers_and_still_funds_stay_within_the_clip():
    scale = PerformanceScale().fit(random_measures())
    wild = torch.tensor([[900.0, 0.0, 0.0], [-900.0, 50.0, 1.0]])
    assert scale.standardized(wild).abs().max() == 5.0
    restored = PerformanceScale()
    restored.load_state_dict(scale.state_dict())
    torch.testing.assert_close(restored.standardized(wild), scale.standardized(wild))


def test_a_measure_that_never_varies_has_unit_scale():
    scale = PerformanceScale().fit(torch.tensor([[1.0, 0.1, 0.0]] * 5))
    assert scale.spread.tolist() == [1.0, 1.0, 1.0]
    assert PerformanceScale().fit(torch.full((5, 3), torch.nan)).center.tolist() == [0.0] * 3


def test_each_measure_has_its_own_error():
    guess, targets = torch.zeros(2, 2, 3), torch.tensor([1.0, 2.0, 3.0]).expand(2, 2, 3)
    known = torch.full((2, 2, 3), True)
    known[0, 0, 2] = False
    values = performance_losses(guess, targets, known)
    assert {name: float(value) for name, value in values.items()} == dict(
        zip(MEASURES, (1.0, 4.0, 9.0), strict=True)
    )


@pytest.mark.parametrize("rate", [3e-3, 1e-1])  # a network's, and one of their own
def test_learned_weights_settle_at_the_inverse_of_each_loss(rate):
    """The minimum of exp(-s) L + s is at s = log L, where every weighted loss is 1."""
    weights = UncertaintyWeights(["small", "large"])
    losses = {"large": torch.tensor(20.0), "small": torch.tensor(0.05)}
    assert float(weights(losses).detach()) == pytest.approx(20.05)
    optimizer = torch.optim.Adam(weights.parameters(), lr=rate)
    for _ in range(300):
        optimizer.zero_grad()
        weights(losses).backward()
        optimizer.step()
    torch.testing.assert_close(
        weights.log_variances.detach(), torch.tensor([0.05, 20.0]).log(), rtol=0, atol=1e-3
    )


def test_losses_that_nobody_named_are_refused():
    with pytest.raises(InputError, match="small"):
        UncertaintyWeights(["small"])({"large": torch.tensor(1.0)})
