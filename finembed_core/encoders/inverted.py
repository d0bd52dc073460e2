"""Backbone of iTransformer: a channel's look-back is one token, attention runs across channels."""

from __future__ import annotations

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
    d_model, d_ff : int
        Width of a token, D, and of the feed-forward layers. `heads` divides `d_model`.
    layers, heads : int
    dropout : float
    """

    def __init__(
        self,
        lookback: int,
        d_model: int = 512,
        d_ff: int = 2048,
        layers: int = 2,
        heads: int = 8,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(lookback, d_model)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                d_model, heads, d_ff, dropout, activation="gelu", batch_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(d_model)

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
