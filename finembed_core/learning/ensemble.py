"""Several seeds of one network trained together, as one network with a leading member dimension."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.utils._pytree import tree_map

from finembed_core.errors import InputError
from finembed_core.learning.loop import Examples, Loss, Objective


class Members(nn.Module):
    """Networks of one architecture, stacked: each operation runs for all of them at once.

    It pays where an operation is small beside the cost of starting it, as the linear maps of
    narrow networks are (docs/objectives.md). Trained by the common loop with the loss `of_each`,
    every member ends as it would have ended alone on the same batches, if it draws no random
    numbers of its own (dropout).

    Parameters
    ----------
    networks : sequence of Module
        At least one; copied.
    own_batches : bool, optional
        Whether inputs and targets have a leading member dimension too, as those of `OwnOrder`.

    Attributes
    ----------
    stacked : Module
        The first network, but every parameter and buffer has a leading dimension M; it cannot be
        called.
    """

    def __init__(self, networks: Sequence[nn.Module], *, own_batches: bool = False) -> None:
        super().__init__()
        if not networks:
            raise InputError("there are no networks to be trained together")
        self.batch_dim = 0 if own_batches else None
        self.stacked = copy.deepcopy(networks[0])
        parameters, buffers = stack_module_state(list(networks))
        for name, value in parameters.items():
            self._put(name, nn.Parameter(value.detach(), value.requires_grad))
        for name, value in buffers.items():
            self._put(name, value)

    def _put(self, name: str, value: Tensor) -> None:
        path, _, leaf = name.rpartition(".")
        setattr(self.stacked.get_submodule(path), leaf, value)

    def forward(self, inputs: Any) -> Any:
        """Outputs of all members, every tensor with a leading dimension M."""
        state = dict(self.stacked.named_parameters()) | dict(self.stacked.named_buffers())

        def one(state: dict[str, Tensor], inputs: Any) -> Any:
            return functional_call(self.stacked, state, (inputs,))

        together = vmap(one, in_dims=(0, self.batch_dim), randomness="different")
        return together(state, inputs)

    def of_each(self, loss: Objective) -> Objective:
        """The loss of one network as that of all: its total and parts are of shape (M,)."""

        def one(outputs: Any, targets: Any) -> tuple[Any, ...]:
            return tuple(loss(outputs, targets))

        together = vmap(one, in_dims=(0, self.batch_dim), randomness="different")
        return lambda outputs, targets: Loss(*together(outputs, targets))

    def copy_to(self, networks: Sequence[nn.Module]) -> None:
        """Give each network the weights of its member; they are of the same architecture."""
        state = self.stacked.state_dict()
        for member, network in enumerate(networks):
            network.load_state_dict({name: value[member] for name, value in state.items()})
            network.train(self.training)


@dataclass(frozen=True)
class OwnOrder:
    """Examples that every member meets in an order of its own, for `Members` of `own_batches`.

    Attributes
    ----------
    examples : Examples
    orders : Tensor of int64, shape (M, examples)
        A permutation for each member, by which it exchanges the rows that the loop draws.
    """

    examples: Examples
    orders: Tensor

    @classmethod
    def draw(cls, examples: Examples, seeds: Sequence[int]) -> OwnOrder:
        """One permutation for each seed."""
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        orders = [torch.randperm(len(examples), generator=each) for each in generators]
        return cls(examples, torch.stack(orders))

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, rows: Tensor) -> tuple[Any, Any]:
        """Inputs and targets of each member, with a leading dimension M."""
        batches = [self.examples.batch(order[rows]) for order in self.orders]
        return tree_map(lambda *tensors: torch.stack(tensors), *batches)
