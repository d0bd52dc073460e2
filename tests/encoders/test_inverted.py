"""The backbone of iTransformer: shapes, equivariance, any number of channels, levels seen."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from finembed_core.encoders.inverted import InvertedTransformer

LOOKBACK, WIDTH = 6, 8


def backbone(layers, heads):
    """With PyTorch's own layers, as the trend model has it."""
    return InvertedTransformer(
        LOOKBACK,
        WIDTH,
        layers,
        lambda: nn.TransformerEncoderLayer(WIDTH, heads, 16, activation="gelu", batch_first=True),
        nn.Dropout(0.1),
    ).eval()


@pytest.fixture(scope="module")
def encoder() -> InvertedTransformer:
    torch.manual_seed(0)
    return backbone(layers=2, heads=2)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 9), st.integers(1, 5), st.randoms())
def test_equivariant_to_the_order_of_channels(encoder, channels, batch, random):
    windows = torch.randn(batch, channels, LOOKBACK)
    identity = torch.randn(channels, WIDTH)
    order = random.sample(range(channels), channels)
    with torch.no_grad():
        straight = encoder(windows, identity)
        permuted = encoder(windows[:, order], identity[order])
    assert straight.shape == (batch, channels, WIDTH)
    torch.testing.assert_close(permuted, straight[:, order], atol=1e-5, rtol=1e-4)


def test_a_sample_does_not_depend_on_its_batch(encoder):
    windows = torch.randn(50, 5, LOOKBACK)
    with torch.no_grad():
        together, alone = encoder(windows), encoder(windows[7:8])
    torch.testing.assert_close(together[7:8], alone, atol=1e-6, rtol=1e-5)


def test_sees_levels(encoder):
    windows = torch.randn(1, 4, LOOKBACK)
    with torch.no_grad():
        assert not torch.allclose(encoder(windows), encoder(windows + 1.0), atol=1e-3)


def test_channels_look_at_each_other(encoder):
    windows = torch.randn(1, 4, LOOKBACK)
    other = windows.clone()
    other[0, 3] += 1.0
    with torch.no_grad():
        assert not torch.allclose(encoder(windows)[0, 0], encoder(other)[0, 0], atol=1e-5)


def test_matches_attention_written_out():
    """One layer by the equations of arXiv 2310.06625: softmax(QK'/sqrt(d)) V, post-norm."""
    torch.manual_seed(1)
    encoder = backbone(layers=1, heads=1)
    layer = encoder.layers[0]
    windows = torch.randn(3, 5, LOOKBACK)
    with torch.no_grad():
        tokens = encoder.embed(windows)
        qkv = tokens @ layer.self_attn.in_proj_weight.T + layer.self_attn.in_proj_bias
        query, key, value = qkv.split(WIDTH, dim=-1)
        weights = torch.softmax(query @ key.transpose(1, 2) / WIDTH**0.5, dim=-1)
        mixed = layer.norm1(tokens + layer.self_attn.out_proj(weights @ value))
        fed = layer.linear2(torch.nn.functional.gelu(layer.linear1(mixed)))
        expected = encoder.norm(layer.norm2(mixed + fed))
        torch.testing.assert_close(encoder(windows), expected, atol=1e-5, rtol=1e-4)
