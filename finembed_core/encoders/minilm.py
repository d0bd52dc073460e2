"""MiniLM: a small BERT whose tokens are averaged to one vector per sentence, without padding."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

WIDTH, FEED_FORWARD, LAYERS, HEADS, EPS = 384, 1536, 6, 12, 1e-12
PARTS = {  # of a layer, there and here
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}


class MiniLM(nn.Module):
    """Token ids to a vector of length 1, with the weights of all-MiniLM-L6-v2.

    Wang et al., *MiniLM* (arXiv 2002.10957); Reimers and Gurevych, *Sentence-BERT* (1908.10084):
    post-norm layers, the mean over the tokens. Equals the published model of sentence-transformers.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        By the names of the published checkpoint.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        with torch.device("meta"):  # draws no random numbers for weights that come from a file
            self.layers = nn.ModuleList(
                nn.TransformerEncoderLayer(
                    *(WIDTH, HEADS, FEED_FORWARD),
                    activation="gelu",
                    layer_norm_eps=EPS,
                    batch_first=True,
                )
                for _ in range(LAYERS)
            )
            self.norm = nn.LayerNorm(WIDTH, EPS)
        for k, layer in enumerate(self.layers):
            layer.load_state_dict(_layer(tensors, f"encoder.layer.{k}"), assign=True)
        tables = {name.removeprefix("embeddings."): tensors[name] for name in tensors}
        norm = {kind: tables[f"LayerNorm.{kind}"] for kind in ("weight", "bias")}
        self.norm.load_state_dict(norm, assign=True)
        self.words = tables["word_embeddings.weight"]
        kind = tables["token_type_embeddings.weight"][0]  # of the first of two sentences
        self.places = tables["position_embeddings.weight"] + kind
        self.eval()

    @torch.inference_mode()
    def forward(self, ids: Tensor) -> Tensor:
        """Token ids without padding, (B, L), to vectors, (B, 384)."""
        tokens = self.norm(self.words[ids] + self.places[: ids.shape[1]])  # (B, L, 384)
        for layer in self.layers:
            tokens = layer(tokens)
        return nn.functional.normalize(tokens.mean(dim=1))


def _layer(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """One layer's weights under the names of torch, which keeps query, key and value together."""
    state: dict[str, Tensor] = {}
    for kind in ("weight", "bias"):
        for theirs, ours in PARTS.items():
            state[f"{ours}.{kind}"] = tensors[f"{prefix}.{theirs}.{kind}"]
        maps = [tensors[f"{prefix}.attention.self.{x}.{kind}"] for x in ("query", "key", "value")]
        state[f"self_attn.in_proj_{kind}"] = torch.cat(maps)
    return state
