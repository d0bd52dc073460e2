"""The loop: any structure, what is reported, what is kept, and where it stops."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from finembed_core.errors import InputError, SolverError
from finembed_core.learning.loop import LoopOptions, Loss, evaluate, reproducible
from tests.learning.runs import run

OPTIONS = LoopOptions(
    learning_rate=0.05,
    weight_decay=0.0,
    batch_size=16,
    max_epochs=12,
    patience=3,
    epoch_samples=128,
    evaluation_batch=10,
)


class Pair(NamedTuple):
    """Inputs in a structure of their own."""

    values: torch.Tensor
    extra: dict


class Plane:
    """A noisy plane; `spoiled` rows have targets that are no number."""

    def __init__(self, seed, rows=64, spoiled=()):
        generator = torch.Generator().manual_seed(seed)
        self.inputs = torch.randn(rows, 3, generator=generator)
        truth = torch.tensor([1.0, -2.0, 0.5])
        self.targets = self.inputs @ truth + 0.3 * torch.randn(rows, generator=generator)
        self.targets[list(spoiled)] = torch.nan
        self.widest = 0

    def __len__(self):
        return len(self.targets)

    def batch(self, rows):
        self.widest = max(self.widest, len(rows))
        return Pair(self.inputs[rows], {"ones": torch.ones(len(rows))}), (self.targets[rows],)


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(3, 1)

    def forward(self, inputs):
        return {"guess": self.map(inputs.values)[:, 0] * inputs.extra["ones"]}


def squared(outputs, targets):
    missed = outputs["guess"] - targets[0]
    error = missed.square().mean()
    size = outputs["guess"].square().mean()
    over = (missed > 0).sum()
    return Loss(error + 0.01 * size, {"error": error, "size": size}, {"over": over})


def line():
    with reproducible(0):
        return Line()


def trained(train=None, valid=None, loss=squared, network=None, **changes):
    network = network or line()
    given = train or Plane(1), valid or Plane(2, 25)
    return network, *run(network, *given, loss, OPTIONS, **changes)


def test_structures_pass_and_parts_are_means_over_all_examples():
    network, epochs, ended = trained()
    valid = Plane(2, 25)
    every = squared(network(valid.batch(torch.arange(25))[0]), (valid.targets,))
    best = epochs[int(ended.best_epoch) - 1].valid
    assert float(best.total) == pytest.approx(float(every.total.detach()), rel=1e-6)
    assert float(best.parts["error"]) == pytest.approx(
        float(every.parts["error"].detach()), rel=1e-6
    )
    assert int(best.counts["over"]) == int(every.counts["over"])
    assert float(best.parts["error"]) < 0.2
    assert ended.notes == ()


def test_the_best_epoch_is_kept_and_patience_ends_it():
    _, epochs, ended = trained(learning_rate=1.0, max_epochs=40)
    losses = [float(epoch.valid.total) for epoch in epochs]
    assert int(ended.best_epoch) == int(np.argmin(losses)) + 1
    assert len(epochs) == int(ended.best_epoch) + OPTIONS.patience


def test_evaluation_goes_batch_by_batch():
    valid = Plane(2, 25)
    value = evaluate(Line(), valid, squared, 10)
    assert valid.widest == 10
    assert value is not None
    assert not value.total.requires_grad


def test_only_what_requires_a_gradient_is_learned():
    network = Line()
    network.map.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    trained(network=network, weight_decay=0.5)
    assert torch.equal(network.map.weight, before["map.weight"])
    assert not torch.equal(network.map.bias, before["map.bias"])


def test_a_loss_that_is_no_number_from_the_start_is_an_error_that_says_where():
    with pytest.raises(SolverError, match="epoch 1, training batch") as caught:
        trained(Plane(1, spoiled=[40]))
    assert "error is nan" in str(caught.value)


def test_a_validation_that_is_no_number_says_so():
    with pytest.raises(SolverError, match="epoch 1, validation batch 3"):
        trained(valid=Plane(2, 25, spoiled=[22]))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_later_the_last_good_epoch_is_put_back_and_the_place_noted(value):
    calls = 0

    def breaks(outputs, targets):
        nonlocal calls
        calls += outputs["guess"].requires_grad
        loss = squared(outputs, targets)
        if calls < 29:  # 8 batches an epoch: the 5th of the 4th
            return loss
        return loss._replace(total=loss.total * value, parts={"error": loss.total * value})

    network, epochs, ended = trained(loss=breaks)
    good, _, _ = trained(max_epochs=3)
    assert len(epochs) == 3
    assert int(ended.best_epoch) == 3
    assert ended.notes == (f"error is {value} in epoch 4, training batch 5",)
    for name, weight in good.state_dict().items():
        assert torch.equal(network.state_dict()[name], weight)


def test_weights_that_broke_in_the_last_step_of_an_epoch_are_not_kept():
    """A finite loss may leave infinite weights: the validation finds them."""

    class Steep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, *grads):
            return grads[0] * torch.nan

    calls = 0

    def steep(outputs, targets):
        nonlocal calls
        calls += outputs["guess"].requires_grad
        loss = squared(outputs, targets)
        return loss._replace(total=Steep.apply(loss.total)) if calls == 16 else loss

    network, _, ended = trained(loss=steep)
    assert ended.notes == ("error is nan in epoch 2, validation batch 1",)
    assert all(value.isfinite().all() for value in network.state_dict().values())


def test_no_examples_are_refused():
    with pytest.raises(InputError, match="no examples"):
        evaluate(Line(), Plane(1, 0), squared)
