"""An encoder by its name."""

from __future__ import annotations

from finembed_core.encoders.dlinear import DLinear
from finembed_core.encoders.encoding import Encoder
from finembed_core.encoders.itransformer import ITransformer
from finembed_core.encoders.linear import Linear
from finembed_core.encoders.patchtst import PatchTST
from finembed_core.encoders.rlinear import RLinear


def build_encoder(
    name: str,
    lookback: int,
    horizon: int,
    *,
    width: int,
    feed_forward: int,
    layers: int,
    heads: int,
    dropout: float,
    patch: int,
    stride: int,
    trend_window: int,
) -> Encoder:
    """A new encoder with random weights; it takes the options that concern it.

    Parameters
    ----------
    name : {"linear", "rlinear", "dlinear", "patchtst", "itransformer"}
    lookback, horizon : int
        Steps in a window and in a forecast.
    width, feed_forward, layers, heads, patch, stride, trend_window : int
    dropout : float

    Raises
    ------
    ValueError
        If there is no encoder of that name, or it cannot have these sizes.
    """
    transformer = (width, feed_forward, layers, heads, dropout)
    match name:
        case "linear":
            return Linear(lookback, horizon, width)
        case "rlinear":
            return RLinear(lookback, horizon, width)
        case "dlinear":
            return DLinear(lookback, horizon, width, trend_window)
        case "patchtst":
            return PatchTST(lookback, horizon, *transformer, patch, stride)
        case "itransformer":
            return ITransformer(lookback, horizon, *transformer)
    raise ValueError(
        f"there is no encoder {name!r}: take linear, rlinear, dlinear, patchtst or itransformer"
    )
