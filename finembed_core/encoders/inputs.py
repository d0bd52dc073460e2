"""What a network gets to see of B funds: windows, and what else is known about each fund."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class FundInputs(NamedTuple):
    """Everything about B samples; what is not there changes nothing, whatever stands in its place.

    Attributes
    ----------
    windows : Tensor, shape (B, C, L)
        Channels over the look-back, the fund's own first.
    visible : Tensor of bool, shape (B, C, L)
    numbers : Tensor, shape (B, P)
        Standardized characteristics.
    known : Tensor of bool, shape (B, P)
    category : Tensor of int64, shape (B,)
        0 where it is unknown.
    text : Tensor, shape (B, E)
        Sentence vectors.
    has_text : Tensor of bool, shape (B,)
    """

    windows: Tensor
    visible: Tensor
    numbers: Tensor
    known: Tensor
    category: Tensor
    text: Tensor
    has_text: Tensor
