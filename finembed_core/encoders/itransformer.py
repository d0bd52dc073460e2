"""iTransformer: the look-back of a whole channel is one token, attention runs across channels."""

from __future__ import annotations

from torch import Tensor, nn

from finembed_core.encoders.dropout import Dropout
from finembed_core.encoders.encoding import Encoder, Encoding
from finembed_core.encoders.inverted import InvertedTransformer
from finembed_core.encoders.revin import denormalize, fill_hidden, normalize
from finembed_core.encoders.transformer import TransformerLayer


class ITransformer(Encoder):
    """Encoder of Liu et al., *iTransformer* (arXiv 2310.06625).

    Every window is normalized by its own statistics, embedded, mixed with the other channels and
    mapped to the future by a head that all channels share. Equivariant to the order of the
    channels. Equals ``model/iTransformer.py`` of thuml/iTransformer with ``use_norm``, gelu and no
    time marks.

    Parameters
    ----------
    lookback, horizon : int
        L and S.
    width, feed_forward : int
        D, the size of a token, and the width of the feed-forward layers; `heads` divides `width`.
    layers, heads : int
    dropout : float
    """

    def __init__(
        self,
        lookback: int,
        horizon: int,
        width: int = 512,
        feed_forward: int = 2048,
        layers: int = 2,
        heads: int = 8,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.lookback, self.horizon, self.size = lookback, horizon, width
        self.backbone = InvertedTransformer(
            lookback,
            width,
            layers,
            lambda: TransformerLayer(width, feed_forward, heads, dropout, dropout, nn.LayerNorm),
            Dropout(dropout),
        )
        self.head = nn.Linear(width, horizon)
        self.rebuild = nn.Linear(width, lookback)

    def forward(self, windows: Tensor, visible: Tensor) -> Encoding:
        """Windows (B, C, L) to one token per channel, each in the light of the others."""
        filled = fill_hidden(windows, visible)
        tokens = self.backbone(normalize(filled))  # (B, C, L) -> (B, C, D)
        return Encoding(
            tokens,
            denormalize(self.head(tokens), filled),  # (B, C, D) -> (B, C, S)
            denormalize(self.rebuild(tokens), filled),  # (B, C, D) -> (B, C, L)
            filled.mean,
            filled.spread,
        )
