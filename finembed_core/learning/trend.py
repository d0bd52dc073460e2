"""The trend model: iTransformer over the channels of a fund, with a classification head.

Source: Zhao, Dong, Cao, Douady, *Hedge Fund Portfolio Construction Using PolyModel Theory and
iTransformer* (arXiv 2408.03320), section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from finembed_core.encoders.inverted import InvertedTransformer
from finembed_core.learning.channels import State, View
from finembed_core.learning.labels import CLASSES
from finembed_core.learning.loop import (
    EVALUATION_BATCH,
    Epoch,
    LoopOptions,
    Loss,
    one_thread,
    reproducible,
    train_network,
)
from finembed_core.learning.models import CurvePoint, Labelled, mean_recall, softmax
from finembed_core.panel import FloatArray
from finembed_core.settings import ITransformerSettings, LearningSettings

IDENTITY_SCALE = 0.02  # initial size of the channel identities, as of token embeddings elsewhere


class TrendNetwork(nn.Module):
    """Windows of named channels to the logits of three classes.

    In forecasting a channel only has to continue itself, and iTransformer needs no names. Here
    the channels differ in kind (a Sharpe ratio is not a tail loss) while attention treats them
    alike, so each has a learned identity vector that is added to its token, and the head reads
    all tokens in their fixed order.
    """

    def __init__(self, channels: int, lookback: int, options: ITransformerSettings) -> None:
        super().__init__()
        self.encoder = InvertedTransformer(
            lookback,
            options.d_model,
            options.layers,
            lambda: nn.TransformerEncoderLayer(
                options.d_model,
                options.heads,
                options.d_ff,
                options.dropout,
                activation="gelu",
                batch_first=True,
            ),
            nn.Dropout(options.dropout),
        )
        self.identity = nn.Parameter(IDENTITY_SCALE * torch.randn(channels, options.d_model))
        self.head = nn.Linear(channels * options.d_model, len(CLASSES))

    def forward(self, windows: Tensor) -> Tensor:
        """Windows (B, C, L) to logits (B, 3)."""
        tokens = self.encoder(windows, self.identity)  # (B, C, L) -> (B, C, D)
        return self.head(tokens.flatten(1))  # (B, C, D) -> (B, C * D) -> (B, 3)


@dataclass(frozen=True)
class ViewExamples:
    """Labelled samples as batches for the training loop."""

    data: Labelled

    def __len__(self) -> int:
        return len(self.data.view)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Windows (B, C, L) and class columns (B,)."""
        chosen = rows.numpy()
        windows = torch.from_numpy(self.data.view.windows(chosen))
        return windows, torch.from_numpy(self.data.targets[chosen])


@dataclass(frozen=True)
class ITransformerTrend:
    """A trained trend network.

    Attributes
    ----------
    network : TrendNetwork
    shape : tuple of int
        Channels and look-back.
    options : ITransformerSettings
    """

    network: TrendNetwork
    shape: tuple[int, int]
    options: ITransformerSettings
    random: ClassVar[bool] = True

    @classmethod
    def fit(
        cls, train: Labelled, valid: Labelled, settings: LearningSettings, seed: int
    ) -> tuple[Self, list[CurvePoint]]:
        """Minimize cross-entropy; stop when the validation loss no longer falls."""
        options = settings.itransformer
        shape = (train.view.width, train.view.samples.lookback)
        curve: list[CurvePoint] = []

        def watch(epoch: Epoch) -> None:
            for split, loss in (("train", epoch.train), ("valid", epoch.valid)):
                accuracy = mean_recall(loss.counts["confusion"].numpy())
                curve.append(CurvePoint(epoch.number, split, float(loss.total), accuracy))

        with reproducible(seed):
            network = TrendNetwork(*shape, options)
            train_network(
                network,
                ViewExamples(train),
                ViewExamples(valid),
                _classification,
                _loop_options(options),
                watch,
            )
        return cls(network, shape, options), curve

    def predict_proba(self, view: View) -> FloatArray:
        """Softmax of the logits."""
        logits = np.empty((len(view), len(CLASSES)))
        with one_thread(), torch.no_grad():
            for start in range(0, len(view), EVALUATION_BATCH):
                rows = np.arange(start, min(start + EVALUATION_BATCH, len(view)))
                logits[rows] = self.network(torch.from_numpy(view.windows(rows))).numpy()
        return softmax(logits)

    def state(self) -> State:
        """Weights; shape and settings of the network."""
        arrays = {name: value.numpy() for name, value in self.network.state_dict().items()}
        return arrays, {"shape": self.shape, "options": self.options.model_dump(mode="json")}

    @classmethod
    def from_state(cls, arrays: dict[str, NDArray], plain: dict[str, Any]) -> Self:
        """From weights, shape and settings."""
        options = ITransformerSettings.model_validate(plain["options"])
        channels, lookback = plain["shape"]
        with torch.device("meta"):  # the shapes alone: the weights are at hand
            network = TrendNetwork(channels, lookback, options)
        weights = {name: torch.tensor(value) for name, value in arrays.items()}
        network.load_state_dict(weights, assign=True)
        return cls(network.eval(), (channels, lookback), options)


def _classification(logits: Tensor, classes: Tensor) -> Loss:
    """Cross-entropy, and how often each class (rows) was taken for which (columns)."""
    pairs = len(CLASSES) * classes + logits.argmax(dim=1)
    confusion = torch.bincount(pairs, minlength=len(CLASSES) ** 2)
    return Loss(
        cross_entropy(logits, classes), counts={"confusion": confusion.reshape(len(CLASSES), -1)}
    )


def _loop_options(options: ITransformerSettings) -> LoopOptions:
    return LoopOptions(
        options.learning_rate,
        options.weight_decay,
        options.batch_size,
        options.max_epochs,
        options.patience,
        options.epoch_samples,
    )
