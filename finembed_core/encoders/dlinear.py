"""DLinear: the trend and what remains of a window, each with a linear map of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from finembed_core.encoders.encoding import Encoder, Encoding
from finembed_core.encoders.revin import fill_hidden


class DLinear(Encoder):
    """Encoder of Zeng et al., *Are Transformers Effective for Time Series Forecasting?* (2023).

    The trend is a centered moving average whose window reaches past neither end of the look-back:
    the first and the last step stand in for what lies beyond. A token is the trend's vector and
    the remainder's side by side, and the head is the sum of a map of each. Equals
    ``models/DLinear.py`` of LTSF-Linear with one map for all channels and the weights ``head[:, :D]
    @ trend`` and ``head[:, D:] @ remainder``.

    Parameters
    ----------
    lookback, horizon : int
        L and S.
    width : int
        D, the size of either vector; a token has 2 D.
    trend_window : int
        Steps in the moving average, 25 in the paper.
    """

    sums: Tensor

    def __init__(self, lookback: int, horizon: int, width: int, trend_window: int = 25) -> None:
        super().__init__()
        self.lookback, self.horizon, self.size = lookback, horizon, 2 * width
        self.trend_window = trend_window
        self.register_buffer("sums", moving_sums(lookback, trend_window), persistent=False)
        self.trend = nn.Linear(lookback, width)
        self.remainder = nn.Linear(lookback, width)
        self.head = nn.Linear(self.size, horizon)
        self.rebuild = nn.Linear(self.size, lookback)

    def forward(self, windows: Tensor, visible: Tensor) -> Encoding:
        """Windows (B, C, L) to one token per channel."""
        filled = fill_hidden(windows, visible)
        # the average is linear as well: it is taken of the weights (D, L), not of every window
        average = self.sums / self.trend_window  # (L, L)
        of_trend = self.trend.weight @ average
        of_remainder = self.remainder.weight - self.remainder.weight @ average
        tokens = linear(  # (B, C, L) -> (B, C, 2 D)
            filled.steps,
            torch.cat([of_trend, of_remainder]),
            torch.cat([self.trend.bias, self.remainder.bias]),
        )
        return Encoding(
            tokens,
            self.head(tokens),  # (B, C, 2 D) -> (B, C, S)
            self.rebuild(tokens),  # (B, C, 2 D) -> (B, C, L)
            filled.mean,
            filled.spread,
        )


def moving_sums(lookback: int, window: int) -> Tensor:
    """The matrix (L, L) whose product with a look-back is its centered moving sum.

    An even window reaches one step further ahead than back.
    """
    middle = torch.arange(lookback)[:, None]
    offsets = torch.arange(window) - (window - 1) // 2
    summed = (middle + offsets).clamp(0, lookback - 1)  # (L, window): the steps in each sum
    return torch.zeros(lookback, lookback).scatter_add_(1, summed, torch.ones(summed.shape))
