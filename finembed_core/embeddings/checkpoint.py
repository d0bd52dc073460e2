"""What one retraining of one encoder leaves: networks, scales, and what they were made with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load, save
from torch import nn

from finembed_core.embeddings.characteristics import CharacteristicScaler
from finembed_core.embeddings.model import FundModel
from finembed_core.embeddings.scale import ChannelScale
from finembed_core.embeddings.shapes import ModelShape
from finembed_core.embeddings.text import TextVectors
from finembed_core.embeddings.training import JOINT, NetworkName
from finembed_core.errors import IntegrityError, SettingsError
from finembed_core.learning.channels import with_prefix
from finembed_core.learning.loop import reproducible
from finembed_core.learning.objectives import PerformanceScale
from finembed_core.settings import ModeName

TENSORS, PLAIN = "model.safetensors", "model.json"  # files of a checkpoint
M = TypeVar("M", bound=nn.Module)
MODALITIES: frozenset[ModeName] = frozenset({"multi_modal"})
"""Modes whose networks see characteristics and text."""


@dataclass(frozen=True)
class FundModels:
    """Trained networks of one encoder.

    Attributes
    ----------
    shape : ModelShape
    channels : tuple of str
        What the windows held in training.
    scale : ChannelScale
    measures : PerformanceScale
        Units of the performance heads.
    characteristics : CharacteristicScaler
    networks : dict of NetworkName to FundModel
    fingerprint : str
        Of the settings that they were trained with.
    """

    shape: ModelShape
    channels: tuple[str, ...]
    scale: ChannelScale
    measures: PerformanceScale
    characteristics: CharacteristicScaler
    networks: dict[NetworkName, FundModel]
    fingerprint: str

    def answering(self, mode: ModeName, task: str, seed: int) -> FundModel:
        """The network that answers a task: its own, or the one that answers all."""
        own = self.networks.get(NetworkName(mode, task, seed))
        return self.networks[NetworkName(mode, JOINT, seed)] if own is None else own

    def members(self) -> list[tuple[ModeName, int]]:
        """Modes and seeds that were trained, in order."""
        return sorted({(name.mode, name.seed) for name in self.networks})

    def joint(self, mode: ModeName) -> bool:
        """Whether one network answers every task, performance too."""
        return any(name.task == JOINT for name in self.networks if name.mode == mode)

    def require_inputs(self, channels: tuple[str, ...], texts: TextVectors) -> None:
        """Refuse windows and texts that mean something else than in training.

        Raises
        ------
        SettingsError
        """
        if channels != self.channels:
            raise SettingsError(
                "the channels are not those that the model was trained with",
                where=f"now {', '.join(channels)}, in training {', '.join(self.channels)}",
                remedy="train it again: `finembed run`, or materialize the asset of the encoder",
            )
        if self.shape.text_size and any(name.mode in MODALITIES for name in self.networks):
            texts.require_size(self.shape.text_size)

    def to_files(self) -> dict[str, bytes]:
        """The checkpoint: safetensors and JSON."""
        arrays, plain = self.characteristics.state()
        tensors = {f"characteristics.{name}": array for name, array in arrays.items()}
        tensors |= _named("measures", self.measures) | {"scale": self.scale.scale}
        for k, (_, model) in enumerate(sorted(self.networks.items())):
            tensors |= _named(f"network{k}", model)
        tree = {
            "fingerprint": self.fingerprint,
            "shape": self.shape.plain(),
            "channels": self.channels,
            "characteristics": plain,
            "networks": [[n.mode, n.task, n.seed] for n in sorted(self.networks)],
        }
        contiguous = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
        text = json.dumps(tree, indent=1, sort_keys=True)
        return {TENSORS: save(contiguous), PLAIN: text.encode()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], fingerprint: str) -> Self:
        """The models whose `to_files` this was; they answer the same to the bit.

        Raises
        ------
        IntegrityError
            They were trained with other settings.
        """
        tree = json.loads(files[PLAIN])
        if tree["fingerprint"] != fingerprint:
            raise IntegrityError(
                "the checkpoint was trained with other settings than those in force",
                where=f"settings {tree['fingerprint']}, in force {fingerprint}",
                remedy="train it again: `finembed run`, or materialize the asset of the encoder",
            )
        tensors = load(files[TENSORS])
        shape = ModelShape(**tree["shape"])
        networks = {}
        for k, (mode, task, seed) in enumerate(tree["networks"]):
            with reproducible(seed):  # or building, which draws weights, would move the dice
                model = shape.build(modalities=mode in MODALITIES)
            _load(model, with_prefix(tensors, f"network{k}"))
            networks[NetworkName(mode, task, seed)] = model.eval()
        scaler = CharacteristicScaler.from_state(
            with_prefix(tensors, "characteristics"), tree["characteristics"]
        )
        measures = _load(PerformanceScale(), with_prefix(tensors, "measures"))
        return cls(
            shape,
            tuple(tree["channels"]),
            ChannelScale(tensors["scale"]),
            measures,
            scaler,
            networks,
            fingerprint,
        )


def _named(prefix: str, module: nn.Module) -> dict[str, NDArray]:
    """Parameters and buffers of a module, by name."""
    return {f"{prefix}.{name}": value.numpy() for name, value in module.state_dict().items()}


def _load(module: M, arrays: Mapping[str, NDArray]) -> M:
    """The module with these parameters and buffers."""
    module.load_state_dict({n: torch.tensor(a) for n, a in arrays.items()}, assign=True)
    return module
