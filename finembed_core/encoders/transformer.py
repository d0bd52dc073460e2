"""The layer of both transformers: attention, then feed-forward, each added to its input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, gelu

from finembed_core.encoders.dropout import Dropout

LARGE = 2**18
"""Weights from which a convolution of width 1 is the faster product: oneDNN's uses AVX-512 on any
processor, MKL's matrix product on Intel's alone. Smaller ones lose more by its transposed layout.
"""


class TransformerLayer(nn.Module):
    """Post-norm layer of Vaswani et al., *Attention Is All You Need* (2017), with gelu.

    Parameters
    ----------
    width, feed_forward, heads : int
        D, the width within the feed-forward part, and H, which divides D.
    dropout : float
        After the attention, within and after the feed-forward part.
    attention_dropout : float
        Of the attention's weights.
    norm : type
        ``nn.LayerNorm`` norms each token, ``nn.BatchNorm1d`` each feature over all tokens.

    Raises
    ------
    ValueError
        If the heads do not divide the width.
    """

    def __init__(
        self,
        width: int,
        feed_forward: int,
        heads: int,
        dropout: float,
        attention_dropout: float,
        norm: type[nn.LayerNorm] | type[nn.BatchNorm1d],
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"heads ({heads}) must divide width ({width})")
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.norm_attention = norm(width)
        self.widen = nn.Linear(width, feed_forward)
        self.narrow = nn.Linear(feed_forward, width)
        self.norm_feed = norm(width)
        self.dropout = Dropout(dropout)
        self.dropout_attention = Dropout(attention_dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (M, N, D) to tokens, attention over the N of each of M rows."""
        return self.chained(tokens, None)[0]

    def chained(self, tokens: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `forward`, with residual attention (He et al., *RealFormer*, 2021).

        Parameters
        ----------
        tokens : Tensor, shape (M, N, D)
        before : Tensor, shape (M H, N, N), optional
            Scores of the layer before, to which those of this one are added.

        Returns
        -------
        tokens, scores : Tensor
            What the next layer takes.
        """
        mixed, scores = self._attention(tokens, before)
        tokens = self._normed(self.norm_attention, tokens + self.dropout(self.mix(mixed)))
        return self._normed(self.norm_feed, tokens + self.dropout(self._feed(tokens))), scores

    def _attention(self, tokens: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """Softmax of Q K' / root(D / H) + the scores before, times V: (M, N, D)."""
        rows, count, width = tokens.shape
        parts = self.query_key_value(tokens).view(rows, count, 3, self.heads, width // self.heads)
        query, key, value = (  # (M, N, 3 D) -> 3 x (M H, N, D / H)
            parts.permute(2, 0, 3, 1, 4).reshape(3, rows * self.heads, count, -1)
        )
        scale = (width // self.heads) ** -0.5
        added, times = (query.new_zeros(()), 0.0) if before is None else (before, 1.0)
        scores = torch.baddbmm(added, query, key.mT, beta=times, alpha=scale)  # (M H, N, N)
        mixed = torch.bmm(self.dropout_attention(scores.softmax(-1)), value)  # (M H, N, D / H)
        mixed = mixed.view(rows, self.heads, count, -1).transpose(1, 2)
        return mixed.reshape(tokens.shape), scores

    def _feed(self, tokens: Tensor) -> Tensor:
        """Position-wise feed-forward, (M, N, D) to (M, N, D)."""
        if self.widen.weight.numel() < LARGE:
            return self.narrow(self.dropout(gelu(self.widen(tokens))))
        wide = conv1d(tokens.mT, self.widen.weight[..., None], self.widen.bias)  # (M, F, N)
        fed = conv1d(self.dropout(gelu(wide)), self.narrow.weight[..., None], self.narrow.bias)
        return fed.mT

    def _normed(self, norm: nn.Module, tokens: Tensor) -> Tensor:
        """All tokens (M N, D) at once: what BatchNorm takes without a transposition."""
        return norm(tokens.flatten(0, 1)).view(tokens.shape)


@contextmanager
def unmoved(network: nn.Module) -> Iterator[None]:
    """Leave the running statistics of every BatchNorm as they are, whatever passes through."""
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm1d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
