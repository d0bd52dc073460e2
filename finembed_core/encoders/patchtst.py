"""PatchTST: patches of one channel are the tokens, attention runs along time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import fold, pad

from finembed_core.encoders.dropout import Dropout
from finembed_core.encoders.encoding import Encoder, Encoding
from finembed_core.encoders.revin import denormalize, fill_hidden, normalize
from finembed_core.encoders.transformer import TransformerLayer

POSITION_SCALE = 0.02  # largest initial position, as in the reference


class PatchTST(Encoder):
    """Encoder of Nie et al., *A Time Series is Worth 64 Words* (ICLR 2023), supervised.

    A window is normalized, prolonged by its last step repeated `stride` times, and cut into N =
    (L - P) // stride + 2 patches of P steps. Equals ``PatchTST_backbone`` of yuqinie98/PatchTST
    with its defaults (BatchNorm after each sublayer, residual attention, learned positions of the
    kind ``zeros``, one flatten head), ``padding_patch="end"`` and RevIN without affine weights. Of
    its two dropouts in a row behind the attention there is one here.

    The channel's token is the mean of its patches; the head sees them all.

    BatchNorm makes *training* depend on the batch: its statistics run over every patch of every
    channel in it. In evaluation a window is on its own.

    Parameters
    ----------
    lookback, horizon : int
        L and S.
    width, feed_forward : int
        D, the size of a token, and the width of the feed-forward layers; `heads` divides `width`.
    layers, heads : int
    dropout : float
    patch, stride : int
        P <= L and stride <= P.

    Raises
    ------
    ValueError
        If a patch is longer than the look-back or the stride longer than a patch.
    """

    def __init__(
        self,
        lookback: int,
        horizon: int,
        width: int = 128,
        feed_forward: int = 256,
        layers: int = 3,
        heads: int = 16,
        dropout: float = 0.2,
        patch: int = 16,
        stride: int = 8,
    ) -> None:
        super().__init__()
        if not 1 <= stride <= patch <= lookback:
            raise ValueError(
                f"PatchTST needs stride <= patch <= lookback, has stride {stride}, patch {patch}, "
                f"lookback {lookback}: shorten the patch or the stride"
            )
        self.lookback, self.horizon, self.size = lookback, horizon, width
        self.patch, self.stride = patch, stride
        patches = (lookback - patch) // stride + 2
        self.embed = nn.Linear(patch, width)
        self.position = nn.Parameter(
            torch.empty(patches, width).uniform_(-POSITION_SCALE, POSITION_SCALE)
        )
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(
            TransformerLayer(width, feed_forward, heads, dropout, 0.0, nn.BatchNorm1d)
            for _ in range(layers)
        )
        self.head = nn.Linear(patches * width, horizon)
        self.rebuild = nn.Linear(width, patch)

    def forward(self, windows: Tensor, visible: Tensor) -> Encoding:
        """Windows (B, C, L) to one token per channel, which knows no other channel."""
        filled = fill_hidden(windows, visible)
        patches = self._patches(normalize(filled))  # (B, C, L) -> (B, C, N, P)
        tokens = self.dropout(self.embed(patches) + self.position)  # (B, C, N, P) -> (B, C, N, D)
        shape, tokens, scores = tokens.shape, tokens.flatten(0, 1), None  # channels in the batch
        for layer in cast(Iterable[TransformerLayer], self.layers):
            tokens, scores = layer.chained(tokens, scores)  # (B C, N, D)
        tokens = tokens.view(shape)  # (B, C, N, D)
        return Encoding(
            tokens.mean(2),  # (B, C, N, D) -> (B, C, D)
            denormalize(self.head(tokens.flatten(2)), filled),  # (B, C, N D) -> (B, C, S)
            denormalize(self._steps(self.rebuild(tokens)), filled),  # (B, C, N, P) -> (B, C, L)
            filled.mean,
            filled.spread,
        )

    def _patches(self, steps: Tensor) -> Tensor:
        """Steps (B, C, L) to overlapping patches (B, C, N, P), the last steps repeated."""
        return pad(steps, (0, self.stride), mode="replicate").unfold(-1, self.patch, self.stride)

    def _steps(self, patches: Tensor) -> Tensor:
        """Patches (B, C, N, P) back to steps (B, C, L): the mean where they overlap."""
        columns = patches.flatten(0, 1).transpose(1, 2)  # (B, C, N, P) -> (B C, P, N)
        length = self.stride * (columns.shape[2] - 1) + self.patch
        sizes = (1, length), (1, self.patch)
        added = fold(columns, *sizes, stride=(1, self.stride))  # (B C, 1, 1, L + what was repeated)
        times = fold(torch.ones_like(columns[:1]), *sizes, stride=(1, self.stride))
        return (added / times).view(*patches.shape[:2], length)[..., : self.lookback]
