"""The shape of a fund model: everything but its weights, in a checkpoint as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from finembed_core.embeddings.model import FundModel
from finembed_core.encoders.build import build_encoder
from finembed_core.encoders.fusion import Fusion
from finembed_core.settings import EmbeddingsSettings, EncoderName

MIXES_CHANNELS: frozenset[EncoderName] = frozenset({"itransformer"})
"""Encoders whose token of the fund depends on the other channels; the others never see them."""


@dataclass(frozen=True)
class ModelShape:
    """What a fund model is built from.

    Attributes
    ----------
    encoder : str
    lookback, horizon, size : int
        L, S and the entries of an embedding.
    statistics : bool
    options : dict
        Settings of the encoder.
    fusion : str
        Kind of fusion.
    modality_dropout : float
    numbers, categories, text_size : int
        Of the modalities; 0 for one that is absent.
    """

    encoder: EncoderName
    lookback: int
    horizon: int
    size: int
    statistics: bool
    options: dict[str, Any]
    fusion: Literal["gated", "attention"]
    modality_dropout: float
    numbers: int
    categories: int
    text_size: int

    @classmethod
    def of(
        cls,
        settings: EmbeddingsSettings,
        encoder: EncoderName,
        *,
        numbers: int,
        categories: int,
        text_size: int,
    ) -> Self:
        """The shape that these settings ask for."""
        return cls(
            encoder=encoder,
            lookback=settings.lookback,
            horizon=settings.horizon,
            size=settings.size,
            statistics=settings.statistics,
            options=settings.encoder.model_dump(),
            fusion=settings.fusion.kind,
            modality_dropout=settings.fusion.modality_dropout,
            numbers=numbers,
            categories=categories,
            text_size=text_size,
        )

    @property
    def mixes_channels(self) -> bool:
        """Whether the market and the macro factors can change the fund's token."""
        return self.encoder in MIXES_CHANNELS

    def build(self, *, modalities: bool) -> FundModel:
        """A model with fresh weights from torch's generator."""
        encoder = build_encoder(self.encoder, self.lookback, self.horizon, **self.options)
        fusion = None
        if modalities:
            fusion = Fusion(
                self.size,
                self.numbers,
                self.categories,
                self.text_size,
                self.fusion,
                self.modality_dropout,
            )
        return FundModel(encoder, self.size, fusion, statistics=self.statistics)

    def plain(self) -> dict[str, Any]:
        """Plain values; ``ModelShape(**plain)`` is this shape."""
        return asdict(self)
