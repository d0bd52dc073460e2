"""Fusion: shapes, equations written out, absence, dropout, gradients, every option."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.encoders.fusion import Fusion
from finembed_core.encoders.inputs import FundInputs

SIZE, NUMBERS, CATEGORIES, TEXT = 6, 4, 3, 5
KINDS = ("gated", "attention")
SHAPE = {
    "size": SIZE,
    "numbers": NUMBERS,
    "categories": CATEGORIES,
    "text_size": TEXT,
    "kind": "gated",
    "modality_dropout": 0.0,
}


def fusion(seed: int = 0, **options: Any) -> Fusion:
    torch.manual_seed(seed)
    made = Fusion(**(SHAPE | options)).eval()
    for parameter in made.parameters():  # zeros would hide an option that does nothing
        torch.nn.init.normal_(parameter, std=0.5)
    return made


def funds(batch: int, seed: int = 1) -> FundInputs:
    draw = torch.Generator().manual_seed(seed)
    return FundInputs(
        windows=torch.randn(batch, 2, 8, generator=draw),
        visible=torch.ones(batch, 2, 8, dtype=torch.bool),
        numbers=torch.randn(batch, NUMBERS, generator=draw),
        known=torch.rand(batch, NUMBERS, generator=draw) < 0.7,
        category=torch.randint(0, CATEGORIES + 1, (batch,), generator=draw),
        text=torch.randn(batch, TEXT, generator=draw),
        has_text=torch.rand(batch, generator=draw) < 0.5,
    )


def series(batch: int, seed: int = 2) -> torch.Tensor:
    return torch.randn(batch, SIZE, generator=torch.Generator().manual_seed(seed))


def complete(batch: int) -> FundInputs:
    """Every fund has every modality."""
    return funds(batch)._replace(
        known=torch.ones(batch, NUMBERS, dtype=torch.bool),
        category=torch.arange(batch) % CATEGORIES + 1,
        has_text=torch.ones(batch, dtype=torch.bool),
    )


def nothing(batch: int) -> FundInputs:
    """Series alone; what stands in the places of the others is not even a number."""
    return funds(batch)._replace(
        numbers=torch.full((batch, NUMBERS), torch.nan),
        known=torch.zeros(batch, NUMBERS, dtype=torch.bool),
        category=torch.zeros(batch, dtype=torch.int64),
        text=torch.full((batch, TEXT), torch.nan),
        has_text=torch.zeros(batch, dtype=torch.bool),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_fund_with_nothing_else_is_its_series(kind):
    with torch.no_grad():
        assert torch.equal(fusion(kind=kind)(series(7), nothing(7)), series(7))


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), batch=st.integers(1, 9))
def test_what_is_absent_changes_nothing(kind, seed, batch):
    inputs = funds(batch, seed)
    other = inputs._replace(
        numbers=inputs.numbers.masked_fill(~inputs.known, torch.nan),
        text=inputs.text.masked_fill(~inputs.has_text[:, None], torch.inf),
    )
    with torch.no_grad():
        one, two = (fusion(kind=kind)(series(batch), rows) for rows in (inputs, other))
    assert one.shape == (batch, SIZE)
    assert torch.equal(one, two)
    assert torch.isfinite(one).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("modality", ["numbers", "category", "text"])
def test_what_is_present_changes_the_embedding(kind, modality):
    inputs, made = complete(5), fusion(kind=kind)
    changed = {
        "numbers": inputs.numbers + 1.0,
        "category": inputs.category % CATEGORIES + 1,
        "text": inputs.text + 1.0,
    }
    other = inputs._replace(**{modality: changed[modality]})
    with torch.no_grad():
        moved = (made(series(5), inputs) - made(series(5), other)).abs().amax(dim=1)
    assert (moved > 1e-4).all()


def test_unknown_is_not_average():
    inputs = complete(1)._replace(numbers=torch.zeros(1, NUMBERS))
    unknown = inputs._replace(known=torch.tensor([[False, True, True, True]]))
    with torch.no_grad():
        made = fusion()
        assert not torch.allclose(made(series(1), inputs), made(series(1), unknown), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fund_does_not_depend_on_its_batch(kind):
    inputs = funds(40)
    alone = FundInputs(*(tensor[7:8] for tensor in inputs))
    with torch.no_grad():
        made = fusion(kind=kind)
        together = made(series(40), inputs)[7:8]
        torch.testing.assert_close(together, made(series(40)[7:8], alone), atol=1e-6, rtol=1e-5)


def test_gated_addition_written_out():
    inputs, made, s = complete(3), fusion(), series(3)
    with torch.no_grad():
        expected = s.clone()
        for tower, gate in zip(made.towers.values(), made.join.gates, strict=True):
            token = tower(inputs)
            opened = 1 / (1 + (-(torch.cat([s, token], dim=1) @ gate.weight.T + gate.bias)).exp())
            expected += opened * token
        torch.testing.assert_close(made(s, inputs), expected)


def test_attention_written_out():
    """Over the two modalities that the fund has; the third stays out of the softmax."""
    inputs, made, s = (
        complete(1)._replace(category=torch.tensor([0])),
        fusion(kind="attention"),
        series(1),
    )
    join = made.join
    with torch.no_grad():
        tokens = torch.cat([made.towers[name](inputs) for name in ("numbers", "text")])  # (2, size)
        scores = join.key(tokens) @ join.query(s)[0] / SIZE**0.5
        shares = scores.exp() / scores.exp().sum()
        expected = s + join.out(shares @ join.value(tokens))
        torch.testing.assert_close(made(s, inputs), expected)


@pytest.mark.parametrize(
    ("option", "value"),
    [("kind", "attention"), ("numbers", 0), ("categories", 0), ("text_size", 0)],
)
def test_every_option_changes_the_embedding(option, value):
    inputs, s = complete(4), series(4)
    with torch.no_grad():
        usual, other = fusion()(s, inputs), fusion(**{option: value})(s, inputs)
    assert not torch.allclose(usual, other, atol=1e-4)


def test_without_towers_there_is_only_the_series():
    made = fusion(numbers=0, categories=0, text_size=0)
    assert torch.equal(made(series(3), complete(3)), series(3))


@pytest.mark.parametrize("kind", KINDS)
def test_modalities_are_dropped_in_training_only_and_each_for_itself(kind):
    """With chance p: p^3 of the samples keep nothing; each alone is gone in a share p."""
    rate, batch = 0.4, 20_000
    made = fusion(kind=kind, modality_dropout=rate)
    s, inputs = series(1).expand(batch, -1), complete(batch)
    seen: list[torch.Tensor] = []
    made.join.register_forward_pre_hook(lambda module, given: seen.append(given[2]))
    with torch.no_grad():
        in_use = made(s, inputs)
        torch.testing.assert_close(in_use, made(s, inputs))
        trained = made.train()(s, inputs)
    assert seen[0].all()
    dropped = (~seen[2]).float()
    error = 4 * (rate * (1 - rate) / batch) ** 0.5
    assert (dropped.mean(dim=0) - rate).abs().max() < error
    assert torch.corrcoef(dropped.T).fill_diagonal_(0.0).abs().max() < 4 / batch**0.5
    alone = (trained == s).all(dim=1)
    assert torch.equal(alone, dropped.bool().all(dim=1))
    kept = ~dropped.bool().any(dim=1)
    torch.testing.assert_close(trained[kept], in_use[kept])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter_and_stay_finite_where_nothing_is_known(kind):
    made = fusion(kind=kind)
    mixed = FundInputs(*(torch.cat(pair) for pair in zip(complete(6), nothing(6), strict=True)))
    s = series(12).requires_grad_()
    made(s, mixed).square().sum().backward()
    assert s.grad is not None and torch.isfinite(s.grad).all()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        if name != "join.key.bias":  # the same score for every token: a softmax does not see it
            assert parameter.grad.abs().max() > 0, name


def test_an_absent_modality_teaches_its_tower_nothing():
    made = fusion()
    made(
        series(4), complete(4)._replace(has_text=torch.zeros(4, dtype=torch.bool))
    ).sum().backward()
    gradients = [parameter.grad for parameter in made.towers["text"].parameters()]
    assert all(g is None or not g.any() for g in gradients)
