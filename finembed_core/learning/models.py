"""Trend models: one interface for every family, and the checkpoint that holds a trained one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from finembed_core.learning.channels import ChannelScaler, State, View, with_prefix
from finembed_core.learning.labels import CLASSES
from finembed_core.learning.samples import SampleSet
from finembed_core.panel import FloatArray
from finembed_core.settings import LearningSettings, ModelKind

TENSORS, PLAIN = "model.safetensors", "model.json"  # files of a checkpoint


@dataclass(frozen=True)
class Labelled:
    """Samples with their classes.

    Attributes
    ----------
    view : View
    classes : ndarray of int64, shape (n,)
        -1 down, 0 unchanged, 1 up.
    band : float
        Largest absolute return that counts as unchanged.
    """

    view: View
    classes: NDArray[np.int64]
    band: float

    @property
    def targets(self) -> NDArray[np.int64]:
        """Column of each sample's class among the probabilities."""
        return self.classes - CLASSES[0]


@dataclass(frozen=True)
class CurvePoint:
    """How far a fit had come."""

    epoch: int
    split: str
    loss: float
    balanced_accuracy: float


class TrendModel(Protocol):
    """A family of models for P(down), P(unchanged), P(up).

    ``random`` says whether the fit depends on the seed; such models are averaged over seeds.
    """

    random: ClassVar[bool]

    @classmethod
    def fit(
        cls, train: Labelled, valid: Labelled, settings: LearningSettings, seed: int
    ) -> tuple[Self, list[CurvePoint]]:
        """Learn from `train`; `valid` only decides when to stop or how much to shrink."""
        ...

    def predict_proba(self, view: View) -> FloatArray:
        """Probabilities, shape (n, 3), in the order of `CLASSES`."""
        ...

    def state(self) -> State:
        """Arrays and plain values that `from_state` takes back."""
        ...

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray], plain: dict[str, Any]) -> Self:
        """The model whose `state` this was; it predicts the same to the bit."""
        ...


def family(kind: ModelKind) -> type[TrendModel]:
    """The class behind a kind of model; imports only what that kind needs."""
    if kind == "itransformer":
        from finembed_core.learning.trend import ITransformerTrend as Family
    elif kind == "lightgbm":
        from finembed_core.learning.boosting import LightGBM as Family
    elif kind == "logistic":
        from finembed_core.learning.logistic import Logistic as Family
    elif kind == "persistence":
        from finembed_core.learning.baselines import Persistence as Family
    else:
        from finembed_core.learning.baselines import Majority as Family
    return Family


@dataclass(frozen=True)
class TrainedModel:
    """What one retraining leaves: the scaler, the band and one member per seed.

    Attributes
    ----------
    kind : str
    scaler : ChannelScaler
    band : float
    members : tuple of TrendModel
        Their probabilities are averaged.
    seeds : tuple of int
        Of each member.
    """

    kind: ModelKind
    scaler: ChannelScaler
    band: float
    members: tuple[TrendModel, ...]
    seeds: tuple[int, ...]

    @classmethod
    def fit(
        cls,
        kind: ModelKind,
        train: Labelled,
        valid: Labelled,
        scaler: ChannelScaler,
        settings: LearningSettings,
    ) -> tuple[Self, dict[int, list[CurvePoint]]]:
        """One member per seed, with its learning curve."""
        model = family(kind)
        seeds = settings.seeds if model.random else settings.seeds[:1]
        fitted = [model.fit(train, valid, settings, seed) for seed in seeds]
        curves = {seed: curve for seed, (_, curve) in zip(seeds, fitted, strict=True)}
        members = tuple(member for member, _ in fitted)
        return cls(kind, scaler, train.band, members, tuple(seeds)), curves

    def predict_proba(self, samples: SampleSet) -> FloatArray:
        """Probabilities, shape (n, 3), in the order of `CLASSES`."""
        return self.by_member(samples).mean(axis=0)

    def by_member(self, samples: SampleSet) -> FloatArray:
        """Probabilities of each member, shape (members, n, 3)."""
        view = self.scaler.view(samples)
        return np.stack([member.predict_proba(view) for member in self.members])

    def to_files(self) -> dict[str, bytes]:
        """The checkpoint: safetensors and JSON."""
        arrays, plain = self.scaler.state()
        tensors = {f"scaler.{name}": value for name, value in arrays.items()}
        members = []
        for k, member in enumerate(self.members):
            own_arrays, own_plain = member.state()
            tensors |= {f"member{k}.{name}": value for name, value in own_arrays.items()}
            members.append(own_plain)
        tree = {
            "kind": self.kind,
            "band": self.band,
            "scaler": plain,
            "members": members,
            "seeds": self.seeds,
        }
        contiguous = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
        text = json.dumps(tree, indent=1, sort_keys=True)
        return {TENSORS: save(contiguous), PLAIN: text.encode()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """The model whose `to_files` this was; it predicts the same to the bit."""
        tensors, tree = load(files[TENSORS]), json.loads(files[PLAIN])
        model = family(tree["kind"])
        members = tuple(
            model.from_state(with_prefix(tensors, f"member{k}"), plain)
            for k, plain in enumerate(tree["members"])
        )
        scaler = ChannelScaler.from_state(with_prefix(tensors, "scaler"), tree["scaler"])
        return cls(tree["kind"], scaler, tree["band"], members, tuple(tree["seeds"]))


def curve_point(
    epoch: int, split: str, probabilities: FloatArray, targets: NDArray[np.int64]
) -> CurvePoint:
    """Cross-entropy and balanced accuracy of probabilities of shape (n, 3)."""
    chosen = probabilities[np.arange(len(targets)), targets]
    loss = float(-np.log(np.maximum(chosen, 1e-12)).mean())
    return CurvePoint(epoch, split, loss, balanced_accuracy(probabilities.argmax(axis=1), targets))


def balanced_accuracy(predicted: NDArray[np.int64], targets: NDArray[np.int64]) -> float:
    """Mean recall over the classes that occur."""
    confusion = np.zeros((len(CLASSES), len(CLASSES)), dtype=np.int64)
    np.add.at(confusion, (targets, predicted), 1)
    return mean_recall(confusion)


def mean_recall(confusion: NDArray[np.int64]) -> float:
    """Mean recall over the classes that occur, from counts by class (rows) and prediction."""
    occurs = confusion.sum(axis=1) > 0
    return float(np.mean(confusion.diagonal()[occurs] / confusion.sum(axis=1)[occurs]))


def softmax(logits: FloatArray) -> FloatArray:
    """Rows of logits to rows of probabilities, in float64."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
