"""Linear: one map from the past of a channel to its future, shared by all channels."""

from __future__ import annotations

from torch import Tensor, nn

from finembed_core.encoders.encoding import Encoder, Encoding
from finembed_core.encoders.revin import fill_hidden


class Linear(Encoder):
    """Encoder of Zeng et al., *Are Transformers Effective for Time Series Forecasting?* (2023).

    Their one map L -> S is written as two without anything between, x W'W'' + b, so that it has a
    hidden vector, the token. Equals ``models/Linear.py`` of LTSF-Linear with the weight
    ``head @ embed``; with D = S and the identity as head, parameter by parameter.

    Parameters
    ----------
    lookback, horizon : int
        L and S.
    width : int
        D, the size of a token. Below S it bounds the rank of the map.
    """

    def __init__(self, lookback: int, horizon: int, width: int) -> None:
        super().__init__()
        self.lookback, self.horizon, self.size = lookback, horizon, width
        self.embed = nn.Linear(lookback, width)
        self.head = nn.Linear(width, horizon)
        self.rebuild = nn.Linear(width, lookback)

    def forward(self, windows: Tensor, visible: Tensor) -> Encoding:
        """Windows (B, C, L) to one token per channel."""
        filled = fill_hidden(windows, visible)
        tokens = self.embed(filled.steps)  # (B, C, L) -> (B, C, D)
        return Encoding(
            tokens,
            self.head(tokens),  # (B, C, D) -> (B, C, S)
            self.rebuild(tokens),  # (B, C, D) -> (B, C, L)
            filled.mean,
            filled.spread,
        )
