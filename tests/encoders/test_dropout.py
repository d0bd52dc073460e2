"""Dropout: the share, the mean, the seed."""

import pytest
import torch

from finembed_core.encoders.dropout import Dropout


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_drops_its_share_and_keeps_the_mean(share):
    torch.manual_seed(0)
    values = Dropout(share)(torch.ones(1001, 999))
    assert values.unique().tolist() == pytest.approx([0.0, 1.0 / (1.0 - share)], rel=1e-4)
    count = values.numel()
    error = 4.0 * (share * (1.0 - share) / count) ** 0.5
    assert (values == 0).float().mean().item() == pytest.approx(share, abs=error + 2**-16)
    for axis in (0, 1):  # four draws from one integer are four draws
        dropped = (values == 0).float().mean(axis)
        spread = (share * (1.0 - share) / values.shape[axis]) ** 0.5
        assert dropped.std().item() == pytest.approx(spread, rel=0.1)


def test_draws_of_one_integer_are_independent():
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(100_000, 4)) == 0).float()
    assert torch.allclose(torch.corrcoef(dropped.T), torch.eye(4), atol=0.015)


def test_the_seed_decides_and_evaluation_leaves_alone():
    values, dropout = torch.randn(50), Dropout(0.3)
    found = []
    for _ in range(2):
        torch.manual_seed(7)
        found.append(dropout(values))
    assert torch.equal(*found)
    assert not torch.equal(found[0], dropout(values))
    assert dropout.eval()(values) is values
    assert Dropout(0.0)(values) is values
