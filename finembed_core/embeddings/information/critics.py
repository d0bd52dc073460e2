"""Critics: small networks that learn which x belongs to which z, one per bound, side by side."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from finembed_core.embeddings.information.bounds import (
    donsker_varadhan,
    infonce,
    jensen_shannon,
    mine_objective,
    smile,
)

BOUNDS: dict[str, Callable[[Tensor], Tensor]] = {
    "mine": donsker_varadhan,
    "infonce": infonce,
    "smile": smile,
}
CRITERIA = (donsker_varadhan, infonce, jensen_shannon)
"""What says when each critic of `BOUNDS` is at its best: its bound. `smile` is none, and would be
highest where it lies above the information; its critic is at its best in what it ascends."""


class Recipe(NamedTuple):
    """How critics learn: few parameters, for a few thousand rows.

    ``look``: steps between two looks at the validation rows; after ``patience`` looks at which no
    critic was better than before they stop.
    """

    hidden: int = 64
    size: int = 32
    steps: int = 500
    batch: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    look: int = 25
    patience: int = 4


class _Towers(nn.Module):
    """``A v + B relu(C relu(D v))`` of each critic: (m, inputs) to (M, m, size)."""

    def __init__(self, critics: int, inputs: int, recipe: Recipe) -> None:
        super().__init__()
        h, size = recipe.hidden, recipe.size
        self.first = _Linear(critics, inputs, h)
        self.second = _Linear(critics, h, h)
        self.last = _Linear(critics, h, size)
        self.straight = _Linear(critics, inputs, size)

    def forward(self, values: Tensor) -> Tensor:
        hidden = self.second(self.first(values).relu()).relu()
        return self.straight(values) + self.last(hidden)


class _Linear(nn.Module):
    """A linear map of its own for each critic."""

    def __init__(self, critics: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(critics, inputs, outputs) / math.sqrt(inputs))
        self.shift = nn.Parameter(torch.zeros(critics, 1, outputs))

    def forward(self, values: Tensor) -> Tensor:
        return values @ self.weight + self.shift


class Critics(nn.Module):
    """M separable critics: the score of a pair is ``f(x)'g(z)``, so that m rows give m^2 pairs."""

    def __init__(self, critics: int, x_size: int, z_size: int, recipe: Recipe) -> None:
        super().__init__()
        self.f = _Towers(critics, x_size, recipe)
        self.g = _Towers(critics, z_size, recipe)
        self.unit = math.sqrt(recipe.size)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """(m, d_x) and (m, d_z) to scores (M, m, m)."""
        return self.f(x) @ self.g(z).transpose(1, 2) / self.unit


def held_out_bounds(
    learn: tuple[Tensor, Tensor],
    valid: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor],
    recipe: Recipe,
) -> dict[str, float]:
    """Each of `BOUNDS` on rows that its critic has not seen, nats.

    Parameters
    ----------
    learn, valid, held_out : (x, z)
        float32, shapes (n, d_x) and (n, d_z), columns of about unit spread: rows to learn from,
        rows that only say when a critic was at its best, rows that the values are of. Critics draw
        from torch's generator, which the caller seeds.
    recipe : Recipe

    Returns
    -------
    dict of str to float
        NaN of a critic that was finite at no look.
    """
    critics = Critics(len(BOUNDS), learn[0].shape[1], learn[1].shape[1], recipe)
    best = _train(critics, learn, valid, recipe)
    with torch.no_grad():
        values = _each(BOUNDS.values(), critics(*held_out))
    return dict(zip(BOUNDS, values.where(best.isfinite(), math.nan).tolist(), strict=True))


def _train(
    critics: Critics, learn: tuple[Tensor, Tensor], valid: tuple[Tensor, Tensor], recipe: Recipe
) -> Tensor:
    """Leave each critic where its own criterion was highest on the validation rows.

    Returns
    -------
    Tensor, shape (M,)
        The highest values; -inf of a critic that never had any.
    """
    optimizer = torch.optim.AdamW(
        critics.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    x, z = learn
    best, best_values = copy.deepcopy(critics.state_dict()), torch.full((len(BOUNDS),), -math.inf)
    log_average: Tensor | None = None
    waited = 0
    for step in range(1, recipe.steps + 1):
        rows = torch.randperm(len(x))[: recipe.batch]
        scores = critics(x[rows], z[rows])
        mine, log_average = mine_objective(scores[0], log_average)
        objective = mine + infonce(scores[1]) + jensen_shannon(scores[2])
        optimizer.zero_grad()
        (-objective).backward()
        optimizer.step()
        if step % recipe.look and step < recipe.steps:
            continue
        with torch.no_grad():
            values = _each(CRITERIA, critics(*valid))
        better = values > best_values  # False where a critic ran off to NaN
        best_values = torch.where(better, values, best_values)
        for name, parameter in critics.state_dict().items():
            best[name][better] = parameter[better]
        waited = 0 if better.any() else waited + 1
        if waited == recipe.patience:
            break
    critics.load_state_dict(best)
    return best_values


def _each(bounds: Iterable[Callable[[Tensor], Tensor]], scores: Tensor) -> Tensor:
    """Every bound of the scores of its own critic, shape (M,)."""
    return torch.stack([bound(own) for bound, own in zip(bounds, scores, strict=True)])
