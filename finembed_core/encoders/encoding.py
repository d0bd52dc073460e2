"""What every encoder gives: one interface, window and mask in, vectors and forecast out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn


class Encoding(NamedTuple):
    """Windows through an encoder.

    Attributes
    ----------
    tokens : Tensor, shape (B, C, D)
        One vector per channel; D is the encoder's ``size``.
    forecast : Tensor, shape (B, C, S)
        The next S steps of each channel, in the units of the windows.
    reconstruction : Tensor, shape (B, C, L)
        The window itself, in its units, the hidden steps guessed from the visible ones.
    mean, spread : Tensor, shape (B, C)
        Of the visible steps of each channel: what a normalizing encoder takes away.
    """

    tokens: Tensor
    forecast: Tensor
    reconstruction: Tensor
    mean: Tensor
    spread: Tensor


class Encoder(nn.Module, ABC):
    """Base of the encoders.

    Attributes
    ----------
    lookback, horizon, size : int
        L, S and D.
    head : Module
        The part that maps tokens to forecasts; all else is frozen for a linear probe.
    """

    lookback: int
    horizon: int
    size: int
    head: nn.Module

    @abstractmethod
    def forward(self, windows: Tensor, visible: Tensor) -> Encoding:
        """Encode.

        Parameters
        ----------
        windows : Tensor, shape (B, C, L)
            Any number of channels, the fund's own first.
        visible : Tensor of bool, shape (B, C, L)
            What is False changes nothing, whatever the window holds there.
        """
