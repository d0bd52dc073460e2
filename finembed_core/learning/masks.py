"""What a network must guess: blocks of steps hidden from it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def hide_steps(
    visible: Tensor,
    share: float,
    steps: int,
    generator: torch.Generator,
    channels: Sequence[int] = (0,),
) -> Tensor:
    """Hide whole blocks of steps of some channels.

    Blocks are counted from the end of the window; the first may be shorter. Of the blocks of a
    channel in which something is visible about `share` is hidden, but at least one and never all,
    where there are two.

    Parameters
    ----------
    visible : Tensor of bool, shape (B, C, L)
    share : float
        Between 0 and 1.
    steps : int
        Length of a block.
    generator : Generator
    channels : sequence of int
        In which to hide, each by itself; the others stay as they are.

    Returns
    -------
    Tensor of bool, shape (B, C, L)
        What stays visible. What is to be guessed is ``visible`` and not this.
    """
    block = torch.arange(visible.shape[-1] - 1, -1, -1) // steps  # (L,), the newest is 0
    chosen = visible[:, list(channels)]  # (B, K, L)
    blocks = torch.zeros(*chosen.shape[:2], int(block[0]) + 1, dtype=torch.int64)
    seen = blocks.index_add(-1, block, chosen.long()) > 0  # (B, K, blocks)
    count = seen.sum(dim=-1, keepdim=True)
    hidden = (share * count).round().long().clamp(min=1).minimum(count - 1)
    chance = torch.rand(seen.shape, generator=generator).masked_fill(~seen, 2.0)
    place = chance.argsort(dim=-1).argsort(dim=-1)  # the blocks in which nothing is seen come last
    stays = visible.clone()
    stays[:, list(channels)] = chosen & (place >= hidden)[..., block]
    return stays
