"""Training modes: which networks there are, what each learns from, and what starts from what.

==================  ==========================================================================
``supervised``      one network per task, from scratch
``probe``           one encoder learns to fill in hidden steps; frozen, linear maps on it learn
                    every task
``finetune``        one network per task, from that same encoder, nothing frozen
``multi_objective`` one network, all tasks and the filling in together
``multi_modal``     the same, with characteristics and text
==================  ==========================================================================
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from finembed_core.embeddings.examples import FundDates, Hiding
from finembed_core.embeddings.model import FundModel
from finembed_core.embeddings.objectives import (
    DOWNSTREAM,
    OBJECTIVES,
    TASKS,
    Criterion,
    Learner,
    Objective,
)
from finembed_core.embeddings.shapes import ModelShape
from finembed_core.errors import SolverError
from finembed_core.learning.loop import Epoch, LoopOptions, reproducible, train_network
from finembed_core.settings import EmbeddingsSettings, ModeName

JOINT = "all"
"""Task of a network that answers all of them."""
PRETRAINING = "pretraining"
EVALUATION_WINDOWS = 2048


@dataclass(frozen=True, order=True)
class NetworkName:
    """Which network of one encoder: how it was trained, what for, and with which seed."""

    mode: ModeName
    task: str
    seed: int

    def __str__(self) -> str:
        return f"{self.mode}/{self.task}/{self.seed}"


@dataclass(frozen=True)
class CurveRow:
    """Loss of one objective after one epoch."""

    mode: str
    task: str
    seed: int
    epoch: int
    split: str
    objective: str
    loss: float


@dataclass(frozen=True)
class TrainedNetwork:
    """A network at its best epoch, how it came there, and where a loss was no number."""

    name: NetworkName
    model: FundModel
    curve: tuple[CurveRow, ...]
    notes: tuple[str, ...] = ()


def train_networks(
    train: FundDates,
    valid: FundDates,
    shape: ModelShape,
    settings: EmbeddingsSettings,
    where: str,
) -> Iterator[TrainedNetwork]:
    """All networks of one encoder for the modes and seeds of the settings.

    Parameters
    ----------
    train, valid : FundDates
    shape : ModelShape
    settings : EmbeddingsSettings
    where : str
        What is trained, for messages.

    Raises
    ------
    SolverError
        A loss was no number before the first epoch was over.
    """
    for seed in settings.seeds:
        yield from _SeedTrainer(train, valid, shape, settings, seed, where).networks()


@dataclass
class _SeedTrainer:
    """All that is trained with one seed."""

    train: FundDates
    valid: FundDates
    shape: ModelShape
    settings: EmbeddingsSettings
    seed: int
    where: str

    def networks(self) -> Iterator[TrainedNetwork]:
        modes = self.settings.modes
        if "supervised" in modes:
            for task in TASKS:
                yield self._fit("supervised", task, self._fresh(), (task,))
        if "probe" in modes or "finetune" in modes:
            yield from self._self_supervised()
        if "multi_objective" in modes:
            yield self._fit("multi_objective", JOINT, self._fresh(), OBJECTIVES)
        if "multi_modal" in modes:
            model = self._fresh(modalities=True)
            yield self._fit("multi_modal", JOINT, model, OBJECTIVES)

    def _self_supervised(self) -> Iterator[TrainedNetwork]:
        first = "probe" if "probe" in self.settings.modes else "finetune"
        filled = self._fit(first, PRETRAINING, self._fresh(), ("reconstruction",))
        if "probe" in self.settings.modes:
            probe = copy.deepcopy(filled.model)
            probe.freeze_encoder()
            made = self._fit("probe", JOINT, probe, DOWNSTREAM)
            yield replace(
                made,
                curve=(*filled.curve, *made.curve),
                notes=(*filled.notes, *made.notes),
            )
        if "finetune" in self.settings.modes:
            for task in TASKS:
                yield self._fit("finetune", task, copy.deepcopy(filled.model), (task,))

    def _fresh(self, *, modalities: bool = False) -> FundModel:
        with reproducible(self.seed):
            return self.shape.build(modalities=modalities)

    def _fit(
        self, mode: ModeName, task: str, model: FundModel, objectives: Sequence[Objective]
    ) -> TrainedNetwork:
        options = self.settings.training
        learner = Learner(model, objectives)
        criterion = Criterion(learner, objectives, self.settings.objectives)
        curve: list[CurveRow] = []

        def watch(epoch: Epoch) -> None:
            criterion.progress = epoch.number / options.max_epochs
            for split, parts in (("train", epoch.train), ("valid", epoch.valid)):
                curve.extend(
                    CurveRow(mode, task, self.seed, epoch.number, split, objective, float(loss))
                    for objective, loss in parts.parts.items()
                )

        asked = self.settings.objectives
        hide = None
        if "reconstruction" in objectives:
            hide = Hiding(asked.hidden_share, asked.hidden_steps)
        fixed = hide and replace(hide, seeded=True)
        name = NetworkName(mode, task, self.seed)
        with reproducible(self.seed), _named(f"{self.where}, {name}"):
            trained = train_network(
                learner,
                self.train.hiding(hide),
                self.valid.hiding(fixed),
                criterion,
                LoopOptions(
                    learning_rate=options.learning_rate,
                    weight_decay=options.weight_decay,
                    batch_size=self.train.dates_of(options.batch_windows),
                    max_epochs=options.max_epochs,
                    patience=options.patience,
                    epoch_samples=self.train.dates_of(options.epoch_windows),
                    evaluation_batch=self.valid.dates_of(EVALUATION_WINDOWS),
                ),
                watch,
            )
        notes = tuple(f"{name}: {note}" for note in trained.notes)
        return TrainedNetwork(name, model.requires_grad_(True), tuple(curve), notes)


@contextmanager
def _named(whose: str) -> Iterator[None]:
    """Say whose training broke off."""
    try:
        yield
    except SolverError as error:
        raise SolverError(
            error.what, where=f"{whose}, {error.where}", remedy=error.remedy
        ) from None
