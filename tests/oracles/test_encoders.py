"""Our encoders against the authors' own code, weight for weight, in double precision.

``encoders.npz`` holds windows (B, C, L), forecasts (B, C, S) and the state of these modules:

==================  ==================================================================  ==========
case                reference, file, commit                                             licence
==================  ==================================================================  ==========
linear              cure-lab/LTSF-Linear, models/Linear.py, 7f7a25b6                    Apache-2.0
dlinear             cure-lab/LTSF-Linear, models/DLinear.py, da9e6744, individual off   Apache-2.0
rlinear             plumprc/RTSF, models/RLinear.py, 16e5e724, individual off, drop 0,  none given
                    with RevIN.py of ts-kim/RevIN, 0aee5792                             MIT
itransformer        thuml/iTransformer, model/iTransformer.py, f7b2527c (layers/Embed   MIT
                    d77447b6, Transformer_EncDec 09bbcc30, SelfAttention_Family
                    1663e0e8), use_norm, gelu, no time marks; d_model 16, d_ff 24,
                    e_layers 2, n_heads 4
patchtst            ``PatchTST_backbone`` of yuqinie98/PatchTST (supervised) as         Apache-2.0
                    neuralforecast 3.3.0 carries it, with the copy in
                    Hank0626/PatchTST, 685d01ba, beside it: the same but for names.
                    padding_patch end, affine off, res_attention, BatchNorm, pe zeros;
                    d_model 16, d_ff 24, n_layers 3, n_heads 4, patch 16, stride 8
patchtst_uneven     the same with L 50, patch 12, stride 5 and 2 layers
==================  ==================================================================  ==========

B 3, C 4, L 48 and S 12 otherwise; float64, evaluation mode, PyTorch 2.13 (``forecast_in_training``:
training mode with dropout 0). Windows: c - 1.5 + sin(.9 l (1 + c) + b) + .05 l b + .3 cos(2.1 l^2 +
c), the third channel of the first window constant. Weights: element k of the n-th entry of the
state is sin(1 + n + 1.3 k) times 1.5 / root(columns) in a matrix and .2 in a vector; weights and
variances of norms are 1 + .3 of it.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from finembed_core.encoders import transformer
from finembed_core.encoders.dlinear import DLinear
from finembed_core.encoders.itransformer import ITransformer
from finembed_core.encoders.linear import Linear
from finembed_core.encoders.patchtst import PatchTST
from finembed_core.encoders.rlinear import RLinear

STORED = Path(__file__).with_name("encoders.npz")
TOLERANCE = 1e-8
HORIZON, WIDTH, FEED_FORWARD, HEADS = 12, 16, 24, 4


@pytest.fixture(scope="module")
def cases():
    """Case to windows, forecasts and weights of the reference."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    with np.load(STORED) as stored:
        for path in stored:
            case, name = path.split("/", 1)
            found.setdefault(case, {})[name.removeprefix("weights/")] = torch.from_numpy(
                stored[path]
            )
    return found


def forecast(encoder, weights, windows):
    """With these weights; what is not a part of the reference keeps its own."""
    encoder = encoder.double().eval()
    unknown = encoder.load_state_dict(weights, strict=False)
    assert not unknown.unexpected_keys
    assert {name.split(".")[0] for name in unknown.missing_keys} == {"rebuild"}
    with torch.no_grad():
        return encoder(windows, torch.ones_like(windows, dtype=torch.bool)).forecast


def largest_difference(ours, case, name="forecast"):
    return (ours - case[name]).abs().max().item()


def identity(size):
    return {"head.weight": torch.eye(size), "head.bias": torch.zeros(size)}


@pytest.mark.parametrize(("name", "encoder"), [("linear", Linear), ("rlinear", RLinear)])
def test_one_map_is_the_reference_when_the_head_is_the_identity(cases, name, encoder):
    case = cases[name]
    weights = {"embed.weight": case["Linear.weight"], "embed.bias": case["Linear.bias"]}
    ours = forecast(encoder(48, HORIZON, HORIZON), weights | identity(HORIZON), case["windows"])
    assert largest_difference(ours, case) < TOLERANCE


@pytest.mark.parametrize(("name", "encoder"), [("linear", Linear), ("rlinear", RLinear)])
def test_two_maps_are_the_reference_when_their_product_is_its_weight(cases, name, encoder):
    case = cases[name]
    left, sizes, right = torch.linalg.svd(case["Linear.weight"], full_matrices=False)
    wide = pad(left * sizes, (0, 8))  # a token wider than the forecast
    weights = {
        "embed.weight": pad(right, (0, 0, 0, 8), value=3.0),
        "embed.bias": torch.zeros(HORIZON + 8),
        "head.weight": wide,
        "head.bias": case["Linear.bias"],
    }
    ours = forecast(encoder(48, HORIZON, HORIZON + 8), weights, case["windows"])
    assert largest_difference(ours, case) < TOLERANCE


def test_dlinear(cases):
    case = cases["dlinear"]
    weights = {
        "trend.weight": case["Linear_Trend.weight"],
        "trend.bias": case["Linear_Trend.bias"],
        "remainder.weight": case["Linear_Seasonal.weight"],
        "remainder.bias": case["Linear_Seasonal.bias"],
        "head.weight": torch.cat([torch.eye(HORIZON), torch.eye(HORIZON)], dim=1),
        "head.bias": torch.zeros(HORIZON),
    }
    assert (
        largest_difference(
            forecast(DLinear(48, HORIZON, HORIZON, 25), weights, case["windows"]), case
        )
        < TOLERANCE
    )


@pytest.mark.parametrize("large", [1, transformer.LARGE])
def test_itransformer(cases, large, monkeypatch):
    monkeypatch.setattr(transformer, "LARGE", large)  # either way to multiply
    case = cases["itransformer"]
    weights = {
        "backbone.embed.weight": case["enc_embedding.value_embedding.weight"],
        "backbone.embed.bias": case["enc_embedding.value_embedding.bias"],
        "backbone.norm.weight": case["encoder.norm.weight"],
        "backbone.norm.bias": case["encoder.norm.bias"],
        "head.weight": case["projector.weight"],
        "head.bias": case["projector.bias"],
    }
    for layer in range(2):
        theirs, ours = f"encoder.attn_layers.{layer}", f"backbone.layers.{layer}"
        attention = f"{theirs}.attention"
        for kind in ("weight", "bias"):
            weights |= {
                f"{ours}.query_key_value.{kind}": torch.cat(
                    [case[f"{attention}.{part}_projection.{kind}"] for part in QUERY_KEY_VALUE]
                ),
                f"{ours}.mix.{kind}": case[f"{attention}.out_projection.{kind}"],
                f"{ours}.widen.{kind}": case[f"{theirs}.conv1.{kind}"].squeeze(-1),
                f"{ours}.narrow.{kind}": case[f"{theirs}.conv2.{kind}"].squeeze(-1),
                f"{ours}.norm_attention.{kind}": case[f"{theirs}.norm1.{kind}"],
                f"{ours}.norm_feed.{kind}": case[f"{theirs}.norm2.{kind}"],
            }
    ours = ITransformer(48, HORIZON, WIDTH, FEED_FORWARD, layers=2, heads=HEADS)
    assert largest_difference(forecast(ours, weights, case["windows"]), case) < TOLERANCE


QUERY_KEY_VALUE = ("query", "key", "value")
PARTS = {  # of a layer of PatchTST
    "mix": "self_attn.to_out.0",
    "widen": "ff.0",
    "narrow": "ff.3",
    "norm_attention": "norm_attn.1",
    "norm_feed": "norm_ffn.1",
}


def patchtst_weights(case, layers):
    patches = len(case["backbone.W_pos"])
    weights = {
        "embed.weight": case["backbone.W_P.weight"],
        "embed.bias": case["backbone.W_P.bias"],
        "position": case["backbone.W_pos"],
        # theirs flattens (D, N), ours (N, D)
        "head.weight": case["head.linear.weight"]
        .view(HORIZON, WIDTH, patches)
        .transpose(1, 2)
        .flatten(1),
        "head.bias": case["head.linear.bias"],
    }
    for layer in range(layers):
        theirs, ours = f"backbone.encoder.layers.{layer}", f"layers.{layer}"
        for kind in ("weight", "bias"):
            weights[f"{ours}.query_key_value.{kind}"] = torch.cat(
                [case[f"{theirs}.self_attn.W_{part}.{kind}"] for part in "QKV"]
            )
        for mine, part in PARTS.items():
            for kind in ("weight", "bias", "running_mean", "running_var"):
                if f"{theirs}.{part}.{kind}" in case:
                    weights[f"{ours}.{mine}.{kind}"] = case[f"{theirs}.{part}.{kind}"]
            if mine.startswith("norm"):
                weights[f"{ours}.{mine}.num_batches_tracked"] = torch.tensor(0)
    return weights


@pytest.mark.parametrize(
    ("name", "lookback", "layers", "patch", "stride"),
    [("patchtst", 48, 3, 16, 8), ("patchtst_uneven", 50, 2, 12, 5)],
)
def test_patchtst(cases, name, lookback, layers, patch, stride):
    case = cases[name]
    ours = PatchTST(lookback, HORIZON, WIDTH, FEED_FORWARD, layers, HEADS, 0.2, patch, stride)
    assert (
        largest_difference(forecast(ours, patchtst_weights(case, layers), case["windows"]), case)
        < TOLERANCE
    )


def test_patchtst_while_it_learns(cases):
    case = cases["patchtst"]
    ours = PatchTST(48, HORIZON, WIDTH, FEED_FORWARD, 3, HEADS, dropout=0.0)
    windows = case["windows"]
    forecast(ours, patchtst_weights(case, 3), windows)
    learning = ours.train()(windows, torch.ones_like(windows, dtype=torch.bool)).forecast
    assert largest_difference(learning, case, "forecast_in_training") < TOLERANCE
