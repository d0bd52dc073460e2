"""Which losses a network is trained on, and their sum.

No loss is negative and each is of order one for a naive answer, so that sums mean something:
errors of returns are in units of the window's own root mean square, performance figures are
standardized with training labels, rankings and weights are taken within a date.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from finembed_core.embeddings.model import RANKINGS, FundModel, FundOutputs
from finembed_core.encoders.inputs import FundInputs
from finembed_core.encoders.transformer import unmoved
from finembed_core.learning.loop import Loss
from finembed_core.learning.objectives import (
    UncertaintyWeights,
    grades,
    listnet,
    masked_error,
    neural_ndcg,
    performance_losses,
    weights_loss,
)
from finembed_core.settings import ObjectiveSettings

Objective = Literal["forecast", "reconstruction", "weights", "performance", "listnet", "neuralndcg"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
TASKS: tuple[Objective, ...] = ("forecast", "weights", "listnet", "neuralndcg")
"""Objectives that a network can be trained on alone, each for one of the evaluations."""
DOWNSTREAM: tuple[Objective, ...] = tuple(o for o in OBJECTIVES if o != "reconstruction")


class FundBatch(NamedTuple):
    """The B funds of some dates.

    Attributes
    ----------
    inputs : FundInputs
        With whole windows.
    shown : Tensor of bool, shape (B, C, L), or None
        What is left of the windows for whoever fills in the rest; None where nobody does.
    """

    inputs: FundInputs
    shown: Tensor | None


class FundTargets(NamedTuple):
    """What the B funds of some dates should come to.

    Attributes
    ----------
    window : Tensor, shape (B, L)
        The fund's own window, in units of the channel's scale.
    hidden : Tensor of bool, shape (B, L)
        Steps that were taken out of it.
    unit : Tensor, shape (B,)
        Root mean square of the window.
    labelled : Tensor of bool, shape (B,)
        Whether the next window is known; what follows is 0 where it is not.
    path : Tensor, shape (B, S)
        The next returns, in units of the channel's scale.
    performance : Tensor, shape (B, 3)
        Standardized; NaN where unknown.
    total : Tensor, shape (B,)
        Return of the next window.
    weight : Tensor, shape (B,)
        Best weights of the next window; they sum to 1 over the labelled funds of a date.
    place : Tensor of bool, shape (dates, G)
        Where the B funds stand when each date has a row of its own.
    """

    window: Tensor
    hidden: Tensor
    unit: Tensor
    labelled: Tensor
    path: Tensor
    performance: Tensor
    total: Tensor
    weight: Tensor
    place: Tensor

    def by_date(self, values: Tensor) -> Tensor:
        """Values of the funds, (B,) to (dates, G); 0 beside them."""
        return values.new_zeros(self.place.shape).masked_scatter(self.place, values)


class Learner(nn.Module):
    """A fund model with the balance of its losses, which is learned beside it."""

    def __init__(self, model: FundModel, objectives: Sequence[Objective]) -> None:
        super().__init__()
        self.model = model
        self.balance = UncertaintyWeights(objectives)
        self.only_fills = tuple(objectives) == ("reconstruction",)

    def forward(self, batch: FundBatch) -> FundOutputs:
        """The model's outputs: heads learn from whole windows, as they will be asked about them.

        So do the statistics of BatchNorm, but where filling in is all that is learned.
        """
        if batch.shown is None:
            return self.model(batch.inputs)
        left = batch.inputs._replace(visible=batch.shown)
        if self.only_fills:
            return self.model(left)
        with unmoved(self.model):
            filled = self.model.filled(left)
        return self.model(batch.inputs)._replace(reconstruction=filled)


class Criterion:
    """The loss of a learner: its objectives, balanced while it learns, summed when it is judged.

    Attributes
    ----------
    learner : Learner
    objectives : sequence of str
    settings : ObjectiveSettings
    progress : float
        From 0 to 1; cools the temperature of NeuralNDCG.
    """

    def __init__(
        self, learner: Learner, objectives: Sequence[Objective], settings: ObjectiveSettings
    ) -> None:
        self.learner = learner
        self.objectives = tuple(objectives)
        self.settings = settings
        self.progress = 0.0

    def __call__(self, outputs: FundOutputs, targets: FundTargets) -> Loss:
        """Loss of a batch and its parts.

        A learned balance would make two epochs incomparable: judged is the plain sum.
        """
        parts = {name: LOSSES[name](self, outputs, targets) for name in self.objectives}
        learned = self.settings.balance == "learned" and len(parts) > 1
        if learned and self.learner.training:
            return Loss(self.learner.balance(parts), parts)
        return Loss(torch.stack(list(parts.values())).sum(), parts)

    @property
    def temperature(self) -> float:
        """Of NeuralNDCG now; the last one where it judges."""
        warm, cold = self.settings.ndcg_temperatures
        if not self.learner.training:
            return cold
        return warm * (cold / warm) ** self.progress


LossOf = Callable[[Criterion, FundOutputs, FundTargets], Tensor]


def _forecast(criterion: Criterion, outputs: FundOutputs, targets: FundTargets) -> Tensor:
    where = targets.labelled[:, None].expand_as(targets.path)
    return masked_error(outputs.path, targets.path, where, targets.unit[:, None])


def _reconstruction(criterion: Criterion, outputs: FundOutputs, targets: FundTargets) -> Tensor:
    return masked_error(
        outputs.reconstruction, targets.window, targets.hidden, targets.unit[:, None]
    )


def _performance(criterion: Criterion, outputs: FundOutputs, targets: FundTargets) -> Tensor:
    known = ~targets.performance.isnan()
    parts = performance_losses(outputs.performance, targets.performance, known)
    return torch.stack(list(parts.values())).mean()


def _weights(criterion: Criterion, outputs: FundOutputs, targets: FundTargets) -> Tensor:
    listed = targets.by_date(targets.labelled)
    scores, best = targets.by_date(outputs.weight), targets.by_date(targets.weight)
    return weights_loss(scores, best, listed, criterion.settings.weights)


def _listnet(criterion: Criterion, outputs: FundOutputs, targets: FundTargets) -> Tensor:
    scores, totals, listed = _ranked(outputs, targets, "listnet")
    return listnet(scores, totals, listed, criterion.settings.listnet_temperature)


def _neural_ndcg(criterion: Criterion, outputs: FundOutputs, targets: FundTargets) -> Tensor:
    scores, totals, listed = _ranked(outputs, targets, "neuralndcg")
    return neural_ndcg(scores, grades(totals, listed), listed, criterion.temperature)


def _ranked(
    outputs: FundOutputs, targets: FundTargets, ranking: str
) -> tuple[Tensor, Tensor, Tensor]:
    scores = outputs.rankings[:, RANKINGS.index(ranking)]
    return (
        targets.by_date(scores),
        targets.by_date(targets.total),
        targets.by_date(targets.labelled),
    )


LOSSES: dict[Objective, LossOf] = {
    "forecast": _forecast,
    "reconstruction": _reconstruction,
    "weights": _weights,
    "performance": _performance,
    "listnet": _listnet,
    "neuralndcg": _neural_ndcg,
}
