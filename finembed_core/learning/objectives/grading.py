"""Grades of a date's funds: their labels' fifth, 0 to 4."""

from __future__ import annotations

import torch
from torch import Tensor

from finembed_core.learning.objectives.lists import where_listed

GRADES = 5  # as the judgments of web search, for which NDCG was made


def grades(labels: Tensor, listed: Tensor) -> Tensor:
    """Fifth of its date's labels that a label is in, 0 (worst) to 4.

    Equal labels get equal grades, by their middle rank; if all are equal, 2.

    Parameters
    ----------
    labels : Tensor, shape (dates, places)
    listed : Tensor of bool, shape (dates, places)

    Returns
    -------
    Tensor, shape (dates, places)
        Whole numbers in the dtype of the labels; 0 where not listed, NaN where a listed label is.

    Examples
    --------
    >>> grades(torch.tensor([[0.3, -0.1, 0.0, 0.2, 0.1]]), torch.tensor([5 * [True]]))
    tensor([[4., 0., 1., 3., 2.]])
    """
    known = where_listed(labels.detach(), listed, torch.inf).contiguous()
    ordered = known.sort(dim=-1).values
    below = torch.searchsorted(ordered, known)
    upto = torch.searchsorted(ordered, known, right=True)
    count = listed.sum(dim=-1, keepdim=True).clamp(min=1)
    fifth = (GRADES * (below + upto)).div(2 * count, rounding_mode="floor")  # whole numbers: exact
    grade = torch.where(labels.isnan(), labels, fifth.to(labels.dtype))
    return where_listed(grade, listed, 0.0)
