"""Which funds to hold by a score: the best k, or TopK-Drop, which replaces few at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finembed_core.calendar import IntArray
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import BoolArray, Replace


def best_first(scores: FloatArray, among: BoolArray) -> IntArray:
    """Places of the scored among some funds, highest score first, equal ones in their order."""
    places = np.flatnonzero(among & ~np.isnan(scores))
    return places[np.argsort(-scores[places], kind="stable")]


def top_k(scores: FloatArray, eligible: BoolArray, k: int) -> FloatArray:
    """Equal weights of the best `k` eligible funds, shape (N,).

    Parameters
    ----------
    scores : ndarray, shape (N,)
        NaN where there is none.
    eligible : ndarray of bool, shape (N,)
    k : int
        All of them where there are fewer.
    """
    chosen = best_first(scores, eligible)[:k]
    weights = np.zeros(len(scores))
    weights[chosen] = 1.0 / max(len(chosen), 1)
    return weights


@dataclass(frozen=True)
class Replacement:
    """What TopK-Drop exchanges.

    Attributes
    ----------
    sell : list of int
        Places of the funds to sell.
    buy : list of int
        Places of the funds to buy, best first: as many as the sales and the empty places leave
        room for.
    """

    sell: list[int]
    buy: list[int]


def topk_drop(
    scores: FloatArray, held: BoolArray, eligible: BoolArray, sellable: BoolArray, k: int, drop: int
) -> Replacement:
    """Exchange at most `drop` of `k` holdings for better ones.

    Parameters
    ----------
    scores : ndarray, shape (N,)
        NaN where there is none; such a holding ranks last.
    held, eligible, sellable : ndarray of bool, shape (N,)
        Funds held, funds that may be bought, funds that can be sold now.
    k, drop : int

    Returns
    -------
    Replacement

    Notes
    -----
    With the holdings `last` and the best ``drop + k - |last|`` others `today`, those holdings are
    sold that are among the worst `drop` of ``last + today``, and the first
    ``|sold| + k - |last|`` of `today` are bought (the TopkDropoutStrategy of Qlib, Yang et al.
    2020, arXiv 2009.11189). A sale that cannot be dealt frees no place: never more than k are
    held.
    """
    others = best_first(scores, eligible & ~held)
    worst, room = _worst(scores, held, others, k, drop)
    sell = [place for place in worst if sellable[place]]
    today = others[: max(drop + room, 0)]
    return Replacement(sell, today[: max(len(sell) + room, 0)].tolist())


def _worst(
    scores: FloatArray, held: BoolArray, others: IntArray, k: int, drop: int
) -> tuple[list[int], int]:
    """Holdings that others are better than, best first, and the empty places."""
    value = np.where(np.isnan(scores), -np.inf, scores)
    last = np.flatnonzero(held)
    room = k - len(last)
    everyone = np.sort(np.concatenate([last, others[: max(drop + room, 0)]]))
    ranked = everyone[np.argsort(-value[everyone], kind="stable")]
    worst = ranked[len(ranked) - min(drop, len(ranked)) :]
    return worst[held[worst]].tolist(), room


def topk_drop_order(
    scores: FloatArray, held: BoolArray, eligible: BoolArray, k: int, drop: int
) -> Replace:
    """TopK-Drop as an order: what can be dealt shows when it deals.

    Parameters
    ----------
    scores : ndarray, shape (N,)
        NaN where there is none; such a holding ranks last.
    held, eligible : ndarray of bool, shape (N,)
    k, drop : int

    Returns
    -------
    Replace
        The sales of `topk_drop`; all eligible others are candidates, in their order.
    """
    others = best_first(scores, eligible & ~held)
    sell = np.zeros(len(held), dtype=bool)
    sell[_worst(scores, held, others, k, drop)[0]] = True
    return Replace(sell, others, k)
