"""What is hidden: whole blocks of what was visible, never all of it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.learning.masks import hide_steps


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 1000), st.integers(1, 40), st.integers(1, 15), st.floats(0.01, 0.99), st.data()
)
def test_whole_blocks_about_the_share_and_never_all(seed, length, steps, share, data):
    density = data.draw(st.sampled_from([0.05, 0.5, 1.0]))
    visible = torch.rand(5, 3, length, generator=seeded(seed)) < density
    stays = hide_steps(visible, share, steps, seeded(seed))
    assert not (stays & ~visible).any()
    assert torch.equal(stays[:, 1:], visible[:, 1:])
    for before, after in zip(visible[:, 0], stays[:, 0], strict=True):
        seen = [b for b in before.flip(0).split(steps) if b.any()]
        left = [a for a in after.flip(0).split(steps) if a.any()]
        for b, a in zip(before.flip(0).split(steps), after.flip(0).split(steps), strict=True):
            assert torch.equal(a, b) or not a.any()
        if len(seen) > 1:
            hidden = len(seen) - len(left)
            assert 1 <= hidden < len(seen)
            assert abs(hidden - min(max(share * len(seen), 1), len(seen) - 1)) <= 0.5
        else:
            assert torch.equal(before, after)


def test_every_block_has_the_same_chance_and_channels_their_own():
    visible = torch.full((4000, 2, 60), True)
    stays = hide_steps(visible, 0.4, 12, seeded(), channels=(0, 1))
    hidden = (~stays).float()
    torch.testing.assert_close(hidden.mean(dim=0), torch.full((2, 60), 0.4), rtol=0, atol=0.03)
    assert not torch.equal(stays[:, 0], stays[:, 1])


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_the_same_generator_hides_the_same(share):
    visible = torch.full((7, 1, 48), True)
    first, second, other = (hide_steps(visible, share, 12, seeded(k)) for k in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert visible.all()  # the argument is not written to
