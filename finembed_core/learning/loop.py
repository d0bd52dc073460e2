"""The training loop: minibatches, early stopping, the best epoch kept. Knows no finance."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

EVALUATION_BATCH = 2048


class Examples(Protocol):
    """A data set that hands out batches."""

    def __len__(self) -> int: ...

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets of these rows."""
        ...


@dataclass(frozen=True)
class LoopOptions:
    """How long and how fast to learn.

    An epoch is ``epoch_samples`` draws, whatever the size of the data: several shuffled passes
    over little, a part of one over much.
    """

    learning_rate: float
    weight_decay: float
    batch_size: int
    max_epochs: int
    patience: int
    epoch_samples: int


@dataclass(frozen=True)
class Epoch:
    """Outputs after one epoch, for whoever wants to measure more than the loss."""

    number: int
    train_loss: float
    train_outputs: Tensor
    train_targets: Tensor
    valid_loss: float
    valid_outputs: Tensor
    valid_targets: Tensor


@contextmanager
def one_thread() -> Iterator[None]:
    """Deterministic kernels on one thread; put back as it was afterwards."""
    threads = torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(strict)
        torch.set_num_threads(threads)


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """`one_thread` with a seeded generator, whose former state returns afterwards."""
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def train_network(
    network: nn.Module,
    train: Examples,
    valid: Examples,
    loss: Callable[[Tensor, Tensor], Tensor],
    options: LoopOptions,
    watch: Callable[[Epoch], None],
) -> None:
    """Fit with AdamW and leave the network at the epoch with the smallest validation loss.

    Parameters
    ----------
    network : Module
        Trained in place; called with a batch's inputs.
    train, valid : Examples
    loss : callable
        (outputs, targets) to the mean loss of a batch.
    options : LoopOptions
    watch : callable
        Told of each epoch.
    """
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    best, best_loss, waited = copy.deepcopy(network.state_dict()), float("inf"), 0
    for number in range(1, options.max_epochs + 1):
        train_loss, outputs, targets = _epoch(network, train, loss, options, optimizer)
        valid_loss, valid_outputs, valid_targets = evaluate(network, valid, loss)
        watch(Epoch(number, train_loss, outputs, targets, valid_loss, valid_outputs, valid_targets))
        waited += 1
        if valid_loss < best_loss:
            best, best_loss, waited = copy.deepcopy(network.state_dict()), valid_loss, 0
        if waited >= options.patience:
            break
    network.load_state_dict(best)
    network.eval()


def _epoch(
    network: nn.Module,
    train: Examples,
    loss: Callable[[Tensor, Tensor], Tensor],
    options: LoopOptions,
    optimizer: torch.optim.Optimizer,
) -> tuple[float, Tensor, Tensor]:
    """Shuffled minibatches; the loss is that seen while learning."""
    network.train()
    passes = -(-options.epoch_samples // len(train))
    order = torch.cat([torch.randperm(len(train)) for _ in range(passes)])[: options.epoch_samples]
    outputs, targets, total = [], [], 0.0
    for rows in order.split(options.batch_size):
        inputs, wanted = train.batch(rows)
        answer = network(inputs)
        value = loss(answer, wanted)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        total += float(value.detach()) * len(rows)
        outputs.append(answer.detach())
        targets.append(wanted)
    return total / len(order), torch.cat(outputs), torch.cat(targets)


def evaluate(
    network: nn.Module, examples: Examples, loss: Callable[[Tensor, Tensor], Tensor]
) -> tuple[float, Tensor, Tensor]:
    """Mean loss, outputs and targets over all examples, without learning."""
    network.eval()
    outputs, targets = [], []
    with torch.no_grad():
        for rows in torch.arange(len(examples)).split(EVALUATION_BATCH):
            inputs, wanted = examples.batch(rows)
            outputs.append(network(inputs))
            targets.append(wanted)
        every_output, every_target = torch.cat(outputs), torch.cat(targets)
        return float(loss(every_output, every_target)), every_output, every_target
