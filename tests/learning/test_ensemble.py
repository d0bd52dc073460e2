"""Members trained together end where each would have ended alone."""

import pytest
import torch
from torch import nn

from finembed_core.errors import InputError, SolverError
from finembed_core.learning.ensemble import Members, OwnOrder
from finembed_core.learning.loop import LoopOptions, Loss, reproducible
from finembed_core.learning.objectives import UncertaintyWeights, neural_ndcg, uncertainty_weighted
from tests.learning.runs import run

OPTIONS = LoopOptions(
    learning_rate=0.05,
    weight_decay=0.01,
    batch_size=4,
    max_epochs=5,
    patience=2,
    epoch_samples=16,
    evaluation_batch=5,
)
SEEDS = (1, 2, 3)


class Dates:
    """Lists of ten funds with four characteristics each, and grades."""

    def __init__(self, seed, dates=12):
        generator = torch.Generator().manual_seed(seed)
        self.inputs = torch.randn(dates, 10, 4, generator=generator)
        noise = torch.randn(dates, 10, generator=generator)
        self.returns = self.inputs @ torch.tensor([1.0, 0.0, -1.0, 0.5]) + noise
        self.listed = torch.rand(dates, 10, generator=generator) < 0.9

    def __len__(self):
        return len(self.inputs)

    def batch(self, rows):
        return self.inputs[rows], {"returns": self.returns[rows], "listed": self.listed[rows]}


class Ranker(nn.Module):
    """Two heads, learned weights of their losses, a buffer.

    The heads have no bias: that of a score has no gradient but rounding, of which AdamW makes
    steps as long as any.
    """

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8))
        self.heads = nn.Linear(8, 2, bias=False)
        self.balance = UncertaintyWeights(["ndcg", "error"])
        self.register_buffer("scale", torch.tensor(2.0))

    def forward(self, inputs):
        score, guess = self.heads(self.body(inputs)).unbind(-1)
        return {"score": score, "guess": self.scale * guess, "s": self.balance.log_variances}


def loss(outputs, targets):
    listed = targets["listed"]
    grades = (targets["returns"] > 0).float()
    ndcg = neural_ndcg(outputs["score"], grades, listed, 0.5)
    error = torch.where(listed, outputs["guess"] - targets["returns"], 0.0).square().mean()
    parts = {"ndcg": ndcg, "error": error}
    return Loss(uncertainty_weighted(torch.stack([ndcg, error]), outputs["s"]), parts)


def ranker(seed):
    with reproducible(seed):
        return Ranker()


def fit(network, objective=loss, train=None, valid=None, **changes):
    return run(network, train or Dates(1), valid or Dates(2), objective, OPTIONS, **changes)


def together(train=None, valid=None, objective=loss, own_batches=False, **changes):
    networks = [ranker(seed) for seed in SEEDS]
    members = Members(networks, own_batches=own_batches)
    epochs, ended = fit(members, members.of_each(objective), train, valid, **changes)
    members.copy_to(networks)
    return networks, epochs, ended


def alone(seed, **given):
    network = ranker(seed)
    epochs, ended = fit(network, **given)
    return network, epochs, ended


def assert_same_weights(one, other):
    for name, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-4, atol=1e-5)


def test_each_member_equals_the_network_trained_alone():
    networks, epochs, ended = together()
    for member, seed in enumerate(SEEDS):
        network, own, own_end = alone(seed)
        assert int(ended.best_epoch[member]) == int(own_end.best_epoch)
        assert_same_weights(network, networks[member])
        assert not networks[member].training
        for every, single in zip(epochs, own, strict=False):
            for split in ("train", "valid"):
                both, one = getattr(every, split), getattr(single, split)
                torch.testing.assert_close(both.total[member], one.total, rtol=1e-4, atol=1e-5)
                torch.testing.assert_close(
                    both.parts["ndcg"][member], one.parts["ndcg"], rtol=1e-4, atol=1e-5
                )


def test_members_stop_each_at_their_own_time():
    """With a patience of one epoch the seeds part; a member that has stopped is not taken up."""
    changes = {"patience": 1, "learning_rate": 0.2, "max_epochs": 12}
    networks, _, ended = together(**changes)
    assert len(set(ended.best_epoch.tolist())) > 1
    for member, seed in enumerate(SEEDS):
        network, _, own_end = alone(seed, **changes)
        assert int(ended.best_epoch[member]) == int(own_end.best_epoch)
        assert_same_weights(network, networks[member])


def test_a_member_that_breaks_leaves_the_others_alone():
    calls = 0

    def breaks(outputs, targets):
        nonlocal calls
        calls += 1  # once a batch for all members: 4 in training and 3 in validation an epoch
        value = loss(outputs, targets)
        # the second seed's scores alone are touched: by its initial bias nobody else's
        broken = torch.where(outputs["mark"] == 2.0, torch.nan, 1.0) if calls > 14 else 1.0
        return value._replace(total=value.total * broken)

    class Marked(nn.Module):
        def __init__(self, seed):
            super().__init__()
            self.ranker = ranker(seed)
            self.register_buffer("mark", torch.tensor(float(seed)))

        def forward(self, inputs):
            return self.ranker(inputs) | {"mark": self.mark}

    networks = [Marked(seed) for seed in SEEDS]
    members = Members(networks)
    _, ended = fit(members, members.of_each(breaks), patience=9)
    members.copy_to(networks)
    assert ended.notes == ("loss is nan in epoch 3, training batch 1, member 1",)
    assert int(ended.best_epoch[1]) <= 2
    for member in (0, 2):
        network, _, own_end = alone(SEEDS[member], patience=9)
        assert int(ended.best_epoch[member]) == int(own_end.best_epoch)
        assert_same_weights(network, networks[member].ranker)
    calls = 15
    with pytest.raises(SolverError, match="epoch 1, training batch 1, member 1"):
        members = Members(networks)
        fit(members, members.of_each(breaks))


def test_batches_of_their_own():
    """One member alone, given the order that it had among the others, ends the same."""
    train, valid = OwnOrder.draw(Dates(1), SEEDS), OwnOrder.draw(Dates(2), SEEDS)
    networks, _, _ = together(train, valid, own_batches=True)
    for member, seed in enumerate(SEEDS):

        class Mine(Dates):
            order = train.orders[member]

            def batch(self, rows):
                return super().batch(self.order[rows])

        network, _, _ = alone(seed, train=Mine(1))
        assert_same_weights(network, networks[member])
    assert not torch.equal(train.orders[0], train.orders[1])


def test_frozen_parameters_stay_frozen():
    networks = [ranker(seed) for seed in SEEDS]
    for network in networks:
        network.body.requires_grad_(False)
    members = Members(networks)
    fit(members, members.of_each(loss), max_epochs=2)
    members.copy_to(networks)
    for seed, network in zip(SEEDS, networks, strict=True):
        assert torch.equal(network.body[0].weight, ranker(seed).body[0].weight)
        assert not torch.equal(network.heads.weight, ranker(seed).heads.weight)


def test_nobody_is_refused():
    with pytest.raises(InputError, match="no networks"):
        Members([])
