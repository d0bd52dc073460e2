"""NeuralNDCG: the quality of a ranking, made smooth by a relaxed sort.

NeuralSort (Grover, Wang, Zweig and Ermon 2019, ICLR) sorts n scores s, the best first, by a matrix
whose row i is a softmax over the places ::

    P_i = softmax([(n + 1 - 2 i) s_j - sum_k |s_j - s_k|]_j / temperature)

and which becomes the permutation as the temperature falls to 0. Sinkhorn's scaling of rows and
columns makes it doubly stochastic, so that every gain is handed out once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from finembed_core.learning.objectives.lists import mean_over_dates, where_listed

LONGEST = 1000
"""Places of a list that are ranked at once: time and memory grow with their square."""
SCALINGS = 50  # of columns and rows, as in the reference implementation


def neural_ndcg(
    scores: Tensor,
    grades: Tensor,
    listed: Tensor,
    temperature: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """1 - NeuralNDCG, a mean over dates.

    ::

        gains g = 2^grade - 1,  discounts d_i = 1 / log2(i + 1)
        NeuralNDCG = d' Sinkhorn(P) g / (d' sorted g)

    It equals the reference implementation of the paper (allRank), deterministic variant, whole
    list; there padding comes last, here holes may be anywhere.

    Of a date with more than `LONGEST` funds that many are drawn anew at each call, and the loss is
    that of ranking these.

    Parameters
    ----------
    scores, grades : Tensor, shape (dates, places)
        Higher is better. Grades are not negative, as of `grades`: a negative gain would turn the
        loss around.
    listed : Tensor of bool, shape (dates, places)
    temperature : float
        In units of the scores. Near 0 the loss is that of the true ranking and hardly slopes:
        anneal it, from 1 to 0.1 say.
    generator : Generator, optional
        Draws the funds of long lists; default: torch's own, which `reproducible` seeds.

    Returns
    -------
    Tensor
        A scalar in [0, 1]; 0 for a perfect ranking at temperature 0, and where all grades are
        equal.

    References
    ----------
    Pobrotyn and Bialobrzeski (2021), *NeuralNDCG: Direct Optimisation of a Ranking Metric via
    Differentiable Relaxation of Sorting*, arXiv 2102.07831.
    """
    if scores.shape[-1] > LONGEST:
        chance = torch.rand(scores.shape, generator=generator)
        drawn = where_listed(chance, listed, -1.0).topk(LONGEST, dim=-1).indices
        scores, grades, listed = (values.gather(-1, drawn) for values in (scores, grades, listed))
    gains = where_listed(torch.exp2(grades) - 1.0, listed, 0.0)
    ranks = torch.arange(1, scores.shape[-1] + 1, dtype=scores.dtype)
    discounts = 1.0 / torch.log2(ranks + 1.0)
    best = gains.sort(dim=-1, descending=True).values @ discounts  # (dates,)
    relaxed, ranked = _neural_sort(scores, listed, ranks, temperature)
    by_rank, by_place, _ = _Scalings.apply(relaxed, ranked, listed)  # (dates, places) each
    sorted_gains = by_rank * _times(by_place * gains, relaxed.mT)
    ndcg = (sorted_gains @ discounts) / torch.where(best != 0.0, best, 1.0)
    # scalings that have not quite converged may hand out a gain a little more than once
    losses = where_listed((1.0 - ndcg).clamp(min=0.0), best != 0.0, 0.0)
    return mean_over_dates(losses, listed)


def _neural_sort(
    scores: Tensor, listed: Tensor, ranks: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """P (dates, ranks, places), 0 outside the list; which ranks there are (dates, ranks)."""
    count = listed.sum(dim=-1, keepdim=True)  # (dates, 1)
    ranked = ranks <= count
    known = where_listed(scores, listed, 0.0)
    # a shift changes no row's softmax, and small numbers lose fewer digits
    centered = where_listed(known - known.sum(-1, keepdim=True) / count.clamp(min=1), listed, 0.0)
    apart = (centered[:, :, None] - centered[:, None, :]).abs()  # (D, N) -> (D, N, N)
    spread = where_listed(apart, listed[:, None, :], 0.0).sum(dim=-1)  # (D, N, N) -> (D, N)
    slopes = count + 1 - 2 * ranks  # (D, N), of each rank
    logits = (slopes[:, :, None] * centered[:, None, :] - spread[:, None, :]) / temperature
    lowest = torch.finfo(scores.dtype).min
    rows = torch.softmax(where_listed(logits, listed[:, None, :], lowest), dim=-1)
    return where_listed(rows, ranked[:, :, None] & listed[:, None, :], 0.0), ranked


class _Scalings(torch.autograd.Function):
    """Sinkhorn's factors u, v of ``diag(u) P diag(v)``, through `SCALINGS` rounds.

    Left to autograd, each round would keep its matrices; here it keeps two vectors, and what all
    rounds say about P is added up by one product.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(matrix: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        turned = matrix.mT
        u, v, history = rows.to(matrix.dtype), columns.to(matrix.dtype), []
        nobody, nowhere = 1.0 - u, 1.0 - v  # where sums are 0, and so are the factors
        for _ in range(SCALINGS):
            v = columns / (_times(u, matrix) + nowhere)
            history += [u, v]
            u = rows / (_times(v, turned) + nobody)
        return u, v, torch.stack([*history, u], dim=1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(inputs[0], output[2])
        ctx.mark_non_differentiable(output[2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        matrix, history = ctx.saved_tensors
        turned = matrix.mT
        back_u, back_v = grads[0], grads[1]
        left, right = [], []  # the gradient of P is the sum of their outer products
        for k in range(SCALINGS - 1, -1, -1):
            before, v, u = history[:, 2 * k], history[:, 2 * k + 1], history[:, 2 * k + 2]
            back_rows = -back_u * u.square()
            back_columns = -(back_v + _times(back_rows, matrix)) * v.square()
            left += [back_rows, before]
            right += [v, back_columns]
            back_u, back_v = _times(back_columns, turned), torch.zeros_like(back_v)
        return torch.stack(left, dim=2) @ torch.stack(right, dim=1), None, None


def _times(vectors: Tensor, matrices: Tensor) -> Tensor:
    """Row vector times matrix, date by date; torch does it far faster than matrix times column."""
    return (vectors[:, None] @ matrices)[:, 0]
