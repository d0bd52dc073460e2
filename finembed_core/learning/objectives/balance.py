"""How much each of several losses counts: learned, from how well it can be met."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from finembed_core.errors import InputError

PACE = 30.0
"""Steps of s in steps of its parameter: with a network's learning rate alone it would hardly move
in the few hundred steps of a training."""


class UncertaintyWeights(nn.Module):
    """Sum of losses, each weighted by a learned precision.

    ::

        sum_i exp(-s_i) L_i + s_i

    s is the logarithm of a variance; at its best ``exp(-s_i) = 1 / L_i``, so that losses of any
    unit count alike and noisy ones less (Kendall, Gal and Cipolla 2018, *Multi-task learning using
    uncertainty to weigh losses*, CVPR, equation 7, with the factor 1/2 left out). No L may be
    negative: its weight would grow without end. One that reaches 0 makes it grow too, by
    `PACE` learning rates a step.

    Parameters
    ----------
    names : iterable of str
        Of the losses.

    Attributes
    ----------
    paced : Parameter, shape (len(names),)
        s in units of `PACE`, from 0 on.
    """

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.paced = nn.Parameter(torch.zeros(len(self.names)))

    @property
    def log_variances(self) -> Tensor:
        """The s of the losses, shape (len(names),)."""
        return PACE * self.paced

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        """Weigh and add the losses, which must be those that were named."""
        if set(losses) != set(self.names):
            raise InputError(
                f"losses {sorted(losses)} are to be weighed, but weights were made for "
                f"{sorted(self.names)}"
            )
        values = torch.stack([losses[name] for name in self.names])
        return uncertainty_weighted(values, self.log_variances)


def uncertainty_weighted(losses: Tensor, log_variances: Tensor) -> Tensor:
    """The sum of `UncertaintyWeights` for weights that come as an output, as of stacked members."""
    return torch.sum(torch.exp(-log_variances) * losses + log_variances)
