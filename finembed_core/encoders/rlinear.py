"""RLinear: a linear map between the two halves of RevIN."""

from __future__ import annotations

from torch import Tensor

from finembed_core.encoders.encoding import Encoding
from finembed_core.encoders.linear import Linear
from finembed_core.encoders.revin import denormalize, fill_hidden, normalize


class RLinear(Linear):
    """Encoder of Li et al., *Revisiting Long-term Time Series Forecasting* (arXiv 2305.10721).

    Takes and holds what `Linear` does. Equals ``models/RLinear.py`` of RTSF with one map for all
    channels, without dropout and with RevIN's affine weights at 1 and 0.
    """

    def forward(self, windows: Tensor, visible: Tensor) -> Encoding:
        """Windows (B, C, L) to one token per channel, which knows neither level nor spread."""
        filled = fill_hidden(windows, visible)
        tokens = self.embed(normalize(filled))  # (B, C, L) -> (B, C, D)
        return Encoding(
            tokens,
            denormalize(self.head(tokens), filled),  # (B, C, D) -> (B, C, S)
            denormalize(self.rebuild(tokens), filled),  # (B, C, D) -> (B, C, L)
            filled.mean,
            filled.spread,
        )
