"""The training loop: minibatches, early stopping, the best epoch kept. Knows no finance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from finembed_core.errors import InputError, SolverError

EVALUATION_BATCH = 2048


class Examples(Protocol):
    """A data set that hands out batches."""

    def __len__(self) -> int: ...

    def batch(self, rows: Tensor) -> tuple[Any, Any]:
        """Inputs and targets of these rows, in whatever form the network and the loss take."""
        ...


class Loss(NamedTuple):
    """Loss of a batch, or of all batches of an epoch.

    Attributes
    ----------
    total : Tensor
        What is minimized, a mean over examples: a scalar, or one for each member of an ensemble,
        shape (M,).
    parts : dict of str to Tensor
        Means of the same shape to be reported beside it, under the same names in every batch.
    counts : dict of str to Tensor
        Of any shape; added up over the batches, as a confusion matrix is.
    """

    total: Tensor
    parts: dict[str, Tensor] = {}  # noqa: RUF012 - never written to
    counts: dict[str, Tensor] = {}  # noqa: RUF012


Objective = Callable[[Any, Any], Loss]
"""Outputs of the network and targets of a batch to its loss."""


@dataclass(frozen=True)
class LoopOptions:
    """How long and how fast to learn.

    An epoch is ``epoch_samples`` draws, whatever the size of the data: several shuffled passes
    over little, a part of one over much. ``evaluation_batch`` examples are evaluated at once.
    """

    learning_rate: float
    weight_decay: float
    batch_size: int
    max_epochs: int
    patience: int
    epoch_samples: int
    evaluation_batch: int = EVALUATION_BATCH


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to; its training loss is that seen while learning."""

    number: int
    train: Loss
    valid: Loss


@dataclass(frozen=True)
class Trained:
    """How a training ended.

    Attributes
    ----------
    best_epoch : Tensor of int64, shape () or (M,)
        The epoch, from 1 on, with whose weights the network was left.
    notes : tuple of str
        Where a loss was no number, which ended the training; empty where all were.
    """

    best_epoch: Tensor
    notes: tuple[str, ...]


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread, on which every kernel of a CPU is deterministic; as before afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
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
    loss: Objective,
    options: LoopOptions,
    watch: Callable[[Epoch], None],
) -> Trained:
    """Fit with AdamW and leave the network at the epoch with the smallest validation loss.

    Only parameters that require a gradient are learned. A loss that is no finite number, in
    training or in validation, ends the training; the best epoch before it is kept.

    Parameters
    ----------
    network : Module
        Trained in place; called with a batch's inputs. Each member of an ensemble stops by itself
        and has a best epoch of its own.
    train, valid : Examples
    loss : callable
    options : LoopOptions
    watch : callable
        Told of each epoch.

    Returns
    -------
    Trained

    Raises
    ------
    SolverError
        A loss was no finite number before the first epoch was over.
    """
    optimizer = torch.optim.AdamW(
        [parameter for parameter in network.parameters() if parameter.requires_grad],
        lr=options.learning_rate,
        weight_decay=options.weight_decay,
    )
    course = _Course(network)

    def learn(value: Loss, batch: int) -> bool:
        if not course.check(value, f"epoch {number}, training batch {batch}"):
            return False
        optimizer.zero_grad()
        value.total.sum().backward()
        optimizer.step()
        return True

    def check(value: Loss, batch: int) -> bool:
        return course.check(value, f"epoch {number}, validation batch {batch}")

    for number in range(1, options.max_epochs + 1):
        network.train()
        order = _draws(train, options.epoch_samples).split(options.batch_size)
        learned = _mean_loss(network, train, order, loss, learn)
        measured = learned and evaluate(network, valid, loss, options.evaluation_batch, check)
        if learned is None or measured is None:
            break
        watch(Epoch(number, learned, measured))
        if not course.judge(number, measured.total, options.patience):
            break
    return course.end()


def evaluate(
    network: nn.Module,
    examples: Examples,
    loss: Objective,
    batch_size: int = EVALUATION_BATCH,
    check: Callable[[Loss, int], bool] = lambda value, batch: True,
) -> Loss | None:
    """Loss over all examples without learning; None where a check of a batch's loss says stop."""
    network.eval()
    rows = torch.arange(_count(examples)).split(batch_size)
    with torch.no_grad():
        return _mean_loss(network, examples, rows, loss, check)


def _count(examples: Examples) -> int:
    if not len(examples):
        raise InputError("there are no examples to learn from or to evaluate")
    return len(examples)


def _draws(examples: Examples, count: int) -> Tensor:
    """Rows in the order in which an epoch draws them: shuffled passes, the last one cut short."""
    passes = -(-count // _count(examples))
    return torch.cat([torch.randperm(len(examples)) for _ in range(passes)])[:count]


def _mean_loss(
    network: nn.Module,
    examples: Examples,
    batches: Sequence[Tensor],
    loss: Objective,
    act: Callable[[Loss, int], bool],
) -> Loss | None:
    """Act on the loss of each batch; its mean over the examples, None once `act` says stop.

    Sums are kept, and no batch: memory does not grow with the examples.
    """
    sums, seen = Loss(torch.zeros((), dtype=torch.float64)), 0
    for number, rows in enumerate(batches, start=1):
        inputs, targets = examples.batch(rows)
        value = loss(network(inputs), targets)
        if not act(value, number):
            return None
        sums, seen = _added(sums, value, len(rows)), seen + len(rows)
    means = {name: part / seen for name, part in sums.parts.items()}
    return Loss(sums.total / seen, means, sums.counts)


def _added(sums: Loss, loss: Loss, examples: int) -> Loss:
    """Sums over the examples of one more batch."""
    parts, counts = sums.parts, sums.counts
    return Loss(
        sums.total + loss.total.detach().double() * examples,
        {k: parts.get(k, 0.0) + v.detach().double() * examples for k, v in loss.parts.items()},
        {k: counts.get(k, 0) + v.detach() for k, v in loss.counts.items()},
    )


class _Course:
    """The best epoch so far and whether to go on: of one network, or of each of its members.

    All is of the shape of the losses, () or (M,); state of an ensemble has a leading M as well.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.best = {name: value.clone() for name, value in network.state_dict().items()}
        self.best_loss = torch.tensor(torch.inf, dtype=torch.float64)
        self.best_epoch = torch.tensor(0)
        self.runs = torch.tensor(True)
        self.notes: list[str] = []

    def check(self, loss: Loss, where: str) -> bool:
        """Whether anybody goes on; whoever's loss is no finite number does not."""
        failed = self.runs & ~loss.total.detach().isfinite()
        self.runs = self.runs & ~failed
        if failed.any():
            for member in failed.nonzero().tolist():  # [[]] of a scalar, [[2], [5]] of members
                self._fail(loss, where, tuple(member))
        return bool(self.runs.any())

    def _fail(self, loss: Loss, where: str, member: tuple[int, ...]) -> None:
        named = {**loss.parts, "loss": loss.total}
        part = next(name for name, value in named.items() if not value[member].isfinite())
        whose = "".join(f", member {number}" for number in member)
        self.notes.append(f"{part} is {float(named[part][member].detach())} in {where}{whose}")
        if not self.best_epoch.expand(loss.total.shape)[member]:
            raise SolverError(
                "training broke off before it had a first epoch to keep",
                where=self.notes[-1],
                remedy="look at the values of that batch, or lower learning_rate",
            )

    def judge(self, epoch: int, losses: Tensor, patience: int) -> bool:
        """Keep the epoch where it is the best so far; whether anybody goes on."""
        better = self.runs & (losses < self.best_loss)
        self.best_loss = torch.where(better, losses, self.best_loss)
        self.best_epoch = torch.where(better, epoch, self.best_epoch)
        if better.any():
            for name, value in self.network.state_dict().items():
                of_member = better.reshape(better.shape + (1,) * (value.ndim - better.ndim))
                self.best[name] = torch.where(of_member, value, self.best[name])
        self.runs = self.runs & (epoch - self.best_epoch < patience)
        return bool(self.runs.any())

    def end(self) -> Trained:
        """Put the best back."""
        self.network.load_state_dict(self.best)
        self.network.eval()
        return Trained(self.best_epoch, tuple(self.notes))
