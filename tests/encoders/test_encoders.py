"""What every encoder keeps: its interface, the mask, the batch, its channels, its options."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.encoders.build import build_encoder
from finembed_core.encoders.patchtst import PatchTST
from finembed_core.settings.embeddings import ENCODERS, EncoderSettings

LOOKBACK, HORIZON = 24, 6
OPTIONS = {
    "width": 8,
    "feed_forward": 12,
    "layers": 2,
    "heads": 2,
    "dropout": 0.2,
    "patch": 8,
    "stride": 4,
    "trend_window": 5,
}
OTHERS = {
    "width": 4,
    "feed_forward": 10,
    "layers": 1,
    "heads": 4,
    "dropout": 0.5,
    "patch": 6,
    "stride": 3,
    "trend_window": 7,
}
TRANSFORMER = {"width", "feed_forward", "layers", "heads", "dropout"}
CONCERNS = {
    "linear": {"width"},
    "rlinear": {"width"},
    "dlinear": {"width", "trend_window"},
    "patchtst": TRANSFORMER | {"patch", "stride"},
    "itransformer": TRANSFORMER,
}
ALONE = [name for name in ENCODERS if name != "itransformer"]  # channels do not look at each other
NORMALIZING = ("rlinear", "patchtst", "itransformer")
every_encoder = pytest.mark.parametrize("name", ENCODERS)


def build(name, **options):
    torch.manual_seed(0)
    return build_encoder(name, LOOKBACK, HORIZON, **OPTIONS | options)


def sample(batch=3, channels=4, seed=1):
    random = torch.Generator().manual_seed(seed)
    windows = torch.randn(batch, channels, LOOKBACK, generator=random)
    return windows, torch.rand(windows.shape, generator=random) < 0.8


def encode(encoder, windows, visible):
    with torch.no_grad():
        return encoder.eval()(windows, visible)


def alike(one, other, atol=1e-5, rtol=1e-4):
    """Whether all parts of two encodings agree, in shape and type too."""
    return all(
        first.shape == second.shape
        and first.dtype == second.dtype
        and torch.allclose(first, second, atol=atol, rtol=rtol)
        for first, second in zip(one, other, strict=True)
    )


def test_the_settings_build_every_encoder():
    assert set(EncoderSettings.model_fields) == set(OPTIONS)
    for name in ENCODERS:
        encoder = build_encoder(name, 128, 64, **EncoderSettings().model_dump())
        assert type(encoder).__name__.lower() == name


@every_encoder
@pytest.mark.parametrize("channels", [1, 5])
def test_shapes(name, channels):
    encoder = build(name)
    found = encode(encoder, *sample(2, channels))
    assert found.tokens.shape == (2, channels, encoder.size)
    assert found.forecast.shape == (2, channels, HORIZON)
    assert found.reconstruction.shape == (2, channels, LOOKBACK)
    assert found.mean.shape == found.spread.shape == (2, channels)
    assert (encoder.lookback, encoder.horizon) == (LOOKBACK, HORIZON)


@every_encoder
@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32), st.floats(allow_nan=True, allow_infinity=True, width=32))
def test_a_mask_really_hides(name, seed, anything):
    encoder, (windows, visible) = build(name), sample(seed=seed)
    honest = encode(encoder, windows, visible)
    other = encode(encoder, windows.where(visible, anything), visible)
    for one, again in zip(honest, other, strict=True):
        assert torch.equal(one, again) and torch.isfinite(one).all()


@every_encoder
def test_hiding_a_step_is_noticed(name):
    encoder, (windows, visible) = build(name), sample()
    visible[0, 0, 3] = True
    fewer = visible.clone()
    fewer[0, 0, 3] = False
    before, after = (encode(encoder, windows, seen).forecast for seen in (visible, fewer))
    assert not torch.allclose(before[0, 0], after[0, 0], atol=1e-4)


@every_encoder
def test_a_window_does_not_depend_on_its_batch(name):
    encoder, (windows, visible) = build(name), sample(60)
    encoder.train()(windows * 3, visible)  # BatchNorm has statistics of its own now
    together = encode(encoder, windows, visible)
    alone = encode(encoder, windows[7:8], visible[7:8])
    assert alike([part[7:8] for part in together], alone)


def test_batches_matter_to_patchtst_while_it_learns():
    encoder, (windows, visible) = build("patchtst", dropout=0.0).train(), sample()
    together, alone = (encoder(windows[:k], visible[:k]).forecast[0] for k in (3, 1))
    assert not torch.allclose(together, alone, atol=1e-3)


@pytest.mark.parametrize("name", ALONE)
def test_channels_stand_alone(name):
    encoder, (windows, visible) = build(name), sample()
    together = encode(encoder, windows, visible)
    for channel in range(windows.shape[1]):
        one = slice(channel, channel + 1)
        alone = encode(encoder, windows[:, one], visible[:, one])
        assert alike([part[:, one] for part in together], alone)


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(4)))
def test_itransformer_is_equivariant_to_the_order_of_channels(order):
    encoder, (windows, visible) = build("itransformer"), sample()
    straight = encode(encoder, windows, visible)
    permuted = encode(encoder, windows[:, order], visible[:, order])
    assert alike([part[:, order] for part in straight], permuted)


def test_channels_of_itransformer_look_at_each_other():
    encoder, (windows, visible) = build("itransformer"), sample()
    other = windows.clone()
    other[:, 3] = other[:, 3].flip(-1)
    before, after = (encode(encoder, given, visible).tokens for given in (windows, other))
    assert not torch.allclose(before[:, 0], after[:, 0], atol=1e-4)


@pytest.mark.parametrize("name", NORMALIZING)
def test_level_and_spread_are_taken_away_and_given_back(name):
    encoder, (windows, visible) = build(name).double(), sample()
    windows = windows.double() * 100.0  # the epsilon in the spread is nothing to these
    plain, moved = (encode(encoder, given, visible) for given in (windows, 7.0 * windows - 50.0))
    assert torch.allclose(moved.tokens, plain.tokens, atol=1e-6)
    for name in ("forecast", "reconstruction"):
        assert torch.allclose(getattr(moved, name), 7.0 * getattr(plain, name) - 50.0, atol=1e-3)


@pytest.mark.parametrize("name", ["linear", "dlinear"])
def test_the_others_see_levels(name):
    encoder, (windows, visible) = build(name), sample()
    before, after = (encode(encoder, windows + level, visible).tokens for level in (0.0, 1.0))
    assert not torch.allclose(before, after, atol=1e-2)


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name in ENCODERS for option in sorted(CONCERNS[name])]
)
def test_every_option_changes_the_output(name, option):
    found = []
    for options in ({}, {option: OTHERS[option]}):
        encoder, (windows, visible) = build(name, **options).train(), sample()
        torch.manual_seed(2)
        found.append(encoder(windows, visible).forecast)
    assert not torch.allclose(*found, atol=1e-4)


@every_encoder
def test_what_does_not_concern_an_encoder_leaves_it_alone(name):
    others = {option: OTHERS[option] for option in OTHERS if option not in CONCERNS[name]}
    plain, with_others = build(name), build(name, **others)
    assert alike(encode(plain, *sample()), encode(with_others, *sample()), atol=0, rtol=0)


@every_encoder
def test_gradients_are_finite_whatever_the_windows(name):
    encoder, (windows, visible) = build(name).train(), sample()
    windows[0, 0] = 0.3  # constant
    windows[1], visible[1] = torch.nan, False  # nothing at all
    visible[2, 1], visible[2, 1, 5] = False, True  # a single step
    found = encoder(windows, visible)
    sum(part.square().sum() for part in found).backward()
    for part, weights in encoder.named_parameters():
        assert weights.grad is not None and torch.isfinite(weights.grad).all(), part


@every_encoder
def test_nothing_visible_is_finite_and_the_same_for_all(name):
    encoder, (windows, visible) = build(name), sample()
    visible[:] = False
    found = encode(encoder, windows, visible)
    assert all(torch.isfinite(part).all() for part in found)
    assert torch.allclose(found.tokens, found.tokens[:1, :1].expand_as(found.tokens), atol=1e-6)


@every_encoder
def test_one_step_down_the_gradient_helps(name):
    encoder, (windows, visible) = build(name, dropout=0.0).train(), sample(32)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        found = encoder(windows, visible)
        loss = (found.reconstruction - windows).square().mean()
        loss = loss + (found.forecast - windows[..., :HORIZON]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("sizes", [{"patch": 25}, {"stride": 9}, {"stride": 0}])
def test_patches_that_leave_steps_out_are_refused(sizes):
    with pytest.raises(ValueError, match="needs stride <= patch <= lookback"):
        build("patchtst", **sizes)


@pytest.mark.parametrize("name", ["patchtst", "itransformer"])
def test_heads_that_do_not_divide_the_width_are_refused(name):
    with pytest.raises(ValueError, match=r"heads \(3\) must divide width \(8\)"):
        build(name, heads=3)


@pytest.mark.parametrize(("patch", "stride"), [(8, 4), (6, 5), (7, 3), (24, 24), (1, 1)])
def test_patches_put_together_are_the_window(patch, stride):
    encoder = PatchTST(LOOKBACK, HORIZON, 4, 4, 1, 2, 0.0, patch, stride)
    steps = sample()[0]
    patches = encoder._patches(steps)
    assert patches.shape[2] == len(encoder.position)
    torch.testing.assert_close(encoder._steps(patches), steps)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="no encoder 'lstm'"):
        build("lstm")
