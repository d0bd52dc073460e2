"""Backbone of iTransformer: a channel's look-back is one token, attention runs across channels."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class InvertedTransformer(nn.Module):
    """Backbone of Liu et al., *iTransformer* (arXiv 2310.06625), section 3.

    Each channel's window is embedded by one linear map that all channels share; post-norm
    transformer layers then mix the channels. There is no positional embedding and no
    normalization of the window, so the encoder is equivariant to the order of the channels, takes
    any number of them, and sees their levels.

    Parameters
    ----------
    lookback : int
        Steps in a window, L.
    width : int
        Of a token, D.
    layers : int
    layer : callable
        Makes a layer of the transformer, tokens (B, C, D) to tokens.
    dropout : Module
        Of the embedded windows.
    """

    def __init__(
        self,
        lookback: int,
        width: int,
        layers: int,
        layer: Callable[[], nn.Module],
        dropout: nn.Module,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(lookback, width)
        self.dropout = dropout
        self.layers = nn.ModuleList(layer() for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, windows: Tensor, identity: Tensor | None = None) -> Tensor:
        """Embed each channel in the light of the others.

        Parameters
        ----------
        windows : Tensor, shape (B, C, L)
        identity : Tensor, shape (C, D), optional
            What is known about each channel besides its window; added to its token. Permuted with
            the channels, it keeps the encoder equivariant.

        Returns
        -------
        Tensor, shape (B, C, D)
        """
        tokens = self.embed(windows)  # (B, C, L) -> (B, C, D)
        if identity is not None:
            tokens = tokens + identity  # (C, D) to every sample
        tokens = self.dropout(tokens)
        for layer in self.layers:
            tokens = layer(tokens)  # (B, C, D) -> (B, C, D), attention over C
        return self.norm(tokens)
