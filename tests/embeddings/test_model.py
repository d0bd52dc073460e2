"""The fund model: what goes in, what comes out, and what must not matter."""

import copy

import numpy as np
import pytest
import torch

from finembed_core.embeddings.model import FundModel
from finembed_core.embeddings.objectives import OBJECTIVES, FundBatch, Learner
from finembed_core.encoders.build import build_encoder
from finembed_core.encoders.fusion import Fusion
from finembed_core.encoders.inputs import FundInputs
from finembed_core.settings import ENCODERS

B, C, L, S, SIZE = 6, 3, 32, 5, 7


def model(
    encoder: str = "rlinear",
    *,
    fusion: bool = False,
    statistics: bool = True,
    dropout: float = 0.1,
) -> FundModel:
    torch.manual_seed(1)
    options = {"width": 8, "feed_forward": 16, "layers": 1, "heads": 2, "dropout": dropout}
    made = build_encoder(encoder, L, S, **options, patch=8, stride=4, trend_window=5)
    joined = Fusion(SIZE, 4, 2, 0, "gated", 0.3) if fusion else None
    return FundModel(made, SIZE, joined, statistics=statistics).eval()


def inputs(seed: int = 0, count: int = B) -> FundInputs:
    draw = torch.Generator().manual_seed(seed)
    windows = torch.randn(count, C, L, generator=draw)
    return FundInputs(
        windows,
        torch.rand(count, C, L, generator=draw) < 0.9,
        torch.randn(count, 4, generator=draw),
        torch.rand(count, 4, generator=draw) < 0.8,
        torch.arange(count) % 3,
        torch.zeros(count, 0),
        torch.zeros(count, dtype=torch.bool),
    )


def rows(given: FundInputs, chosen) -> FundInputs:
    return FundInputs(*(value[chosen] for value in given))


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("fusion", [False, True])
def test_every_encoder_answers_everything(encoder, fusion):
    said = model(encoder, fusion=fusion)(inputs())
    shapes = [tuple(value.shape) for value in said]
    assert shapes == [(B, SIZE), (B, S), (B, L), (B, 3), (B, 2), (B,)]
    assert all(torch.isfinite(value).all() for value in said)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_no_fund_sees_another(encoder):
    made, given = model(encoder, fusion=True), inputs()
    whole = made(given)
    for k in range(B):
        alone = made(rows(given, [k]))
        for one, all_of_them in zip(alone, whole, strict=True):
            torch.testing.assert_close(one[0], all_of_them[k], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_what_is_hidden_changes_nothing(encoder):
    made, given = model(encoder), inputs()
    other = given._replace(windows=torch.where(given.visible, given.windows, torch.nan))
    for one, same in zip(made(given), made(other), strict=True):
        assert torch.equal(one, same)


def test_a_forecast_begins_at_the_mean_of_the_window():
    """Before anything is learned a normalizing encoder forecasts what it took away: the mean."""
    given = inputs()
    seen = torch.where(given.visible, given.windows, 0.0)[:, 0]
    mean = seen.sum(dim=1) / given.visible[:, 0].sum(dim=1)
    path = model("rlinear")(given).path
    torch.testing.assert_close(path, mean[:, None].expand_as(path), atol=1e-5, rtol=0)
    assert model("linear")(given).path.abs().max() == 0.0


def test_the_removed_statistics_reach_the_embedding():
    """Of two windows that differ in level and volatility alone a normalizing encoder sees one."""
    given = inputs()
    given = given._replace(visible=torch.ones_like(given.visible))
    other = given._replace(windows=3.0 * given.windows + 1.0)
    told, blind = (model("rlinear", statistics=told) for told in (True, False))
    torch.testing.assert_close(blind(given).embedding, blind(other).embedding, atol=1e-3, rtol=1e-3)
    assert (told(given).embedding - told(other).embedding).norm(dim=1).min() > 0.1


def test_a_probe_learns_all_but_the_encoder():
    made = model("itransformer")
    made.freeze_encoder()
    learned = {name for name, value in made.named_parameters() if value.requires_grad}
    inside = {name for name in learned if name.startswith("encoder.")}
    assert inside == {"encoder.head.weight", "encoder.head.bias"}
    assert {"project.weight", "weight.weight", "rankings.weight"} <= learned
    made(inputs()).embedding.sum().backward()
    assert np.isfinite(made.project.weight.grad.numpy()).all()


def test_a_frozen_encoder_drops_nothing_while_the_rest_learns():
    made, given = model("itransformer"), inputs()
    assert not torch.equal(made.train().filled(given), made.eval().filled(given))
    made.freeze_encoder()
    assert torch.equal(made.train().filled(given), made.eval().filled(given))
    assert made.train().project.training and not made.encoder.training


@pytest.mark.parametrize(
    ("objectives", "whole"), [(OBJECTIVES, True), (("reconstruction",), False)]
)
def test_batchnorm_learns_from_what_the_heads_learn_from(objectives, whole):
    """From whole windows, but where filling in is all that is learned."""
    made, given = model("patchtst", dropout=0.0), inputs()
    shown = given.visible & (torch.arange(L) % 3 > 0)
    learner = Learner(copy.deepcopy(made), objectives).train()
    learner(FundBatch(given, shown))
    expected = made.train()
    expected(given if whole else given._replace(visible=shown))
    running = {n: v for n, v in expected.named_buffers() if n.split(".")[-1].startswith("running")}
    found = dict(learner.model.named_buffers())
    assert running
    for name, value in running.items():
        assert torch.equal(found[name], value), name
    norms = [part for part in learner.modules() if isinstance(part, torch.nn.BatchNorm1d)]
    assert {norm.momentum for norm in norms} == {0.1}  # and they go on learning
