"""Moments of a quadratic form under random permutation: mean, variance and skewness of ``y'By``.

``E[(y'By)^r]`` over all n! orders of y is a sum over the ways in which 2r indices can coincide.
Each way is a product of a sum over B, which is the graph with r edges whose vertices are the
distinct indices, and of a power sum over y (Kazi-Aoual, Hitier, Sabatier and Lebreton 1995). With
``B 1 = 0`` and ``sum y = 0`` eight graphs are left for r = 3. The coefficients are counted here,
by Moebius inversion over set partitions, instead of being copied from a page of formulas.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from math import factorial, perm, prod

import numpy as np
from scipy.special import betainc

from finembed_core.panel import FloatArray
from finembed_core.polymodel.columns import column_product, column_sums

SMALLEST = float(np.finfo(np.float32).tiny)  # a p-value is never 0

Blocks = tuple[tuple[int, ...], ...]
Graph = tuple[tuple[int, int], ...]  # (degree, loops) of every vertex, sorted

LOOP, EDGE, FOUR, CUBE, SIX = (2, 1), (2, 0), (4, 2), (3, 0), (6, 3)
GRAPHS: tuple[tuple[Graph, ...], ...] = (
    ((LOOP,),),  # tr B
    ((LOOP, LOOP), (EDGE, EDGE), (FOUR,)),  # (tr B)^2, tr B^2, sum B_ii^2
    (
        (LOOP, LOOP, LOOP),  # (tr B)^3
        (EDGE, EDGE, LOOP),  # tr B^2 tr B
        (EDGE, EDGE, EDGE),  # tr B^3
        (LOOP, FOUR),  # tr B sum B_ii^2
        (EDGE, (4, 1)),  # sum B_ii (B^2)_ii
        (CUBE, CUBE),  # sum B_ij^3
        ((3, 1), (3, 1)),  # sum B_ii B_ij B_jj
        (SIX,),  # sum B_ii^3
    ),
)
POWERS: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((2,),),
    ((2, 2), (4,)),
    ((2, 2, 2), (3, 3), (2, 4), (6,)),
)


def standardized_moments(factor: FloatArray, unit: FloatArray) -> tuple[FloatArray, ...]:
    """Mean, standard deviation and skewness of ``||U'y||^2`` over all orders of y.

    Parameters
    ----------
    factor : ndarray, shape (J, n, q)
        U, every column with sum 0.
    unit : ndarray, shape (n, N)
        y, sum 0 and length 1; n at least 6.

    Returns
    -------
    mean : ndarray, shape (J, 1)
    sd, skewness : ndarray, shape (J, N)
        Skewness 0 where the sd is.
    """
    n = factor.shape[1]
    sums = _graph_sums(factor)
    powers = _power_sums(unit)
    mean, second, third = (
        column_product(sums[r] @ moment_coefficients(n, r + 1), powers[r]) for r in range(3)
    )  # (J, N) each
    variance = np.maximum(second - mean**2, 0.0)
    sd = np.sqrt(variance)
    cubed = third - mean * (3.0 * variance + mean**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        skewness = np.where(variance > 0.0, cubed / (variance * sd), 0.0)
    return mean, sd, skewness


@lru_cache
def moment_coefficients(n: int, order: int) -> FloatArray:
    """C with ``E[(y'By)^order] = graph sums' C power sums``, shape (graphs, powers).

    Rows as in `GRAPHS`, columns as in `POWERS`, both of the order.
    """
    graphs, powers = GRAPHS[order - 1], POWERS[order - 1]
    coefficients = np.zeros((len(graphs), len(powers)))
    for (vertices, graph, power), count in _counts(order).items():
        coefficients[graphs.index(graph), powers.index(power)] += count / perm(n, vertices)
    return coefficients


@lru_cache
def _counts(order: int) -> Counter[tuple[int, Graph, tuple[int, ...]]]:
    """How often (distinct indices, graph, power sums) occurs, with its sign."""
    counts: Counter[tuple[int, Graph, tuple[int, ...]]] = Counter()
    for apart in _set_partitions(tuple(range(2 * order))):
        merged = [(_inversion(m), m) for m in _set_partitions(tuple(range(len(apart))))]
        indices = [[sum((apart[k] for k in group), ()) for group in groups] for _, groups in merged]
        for (sign, _), blocks in zip(merged, indices, strict=True):
            graph = _graph(blocks)
            if graph not in GRAPHS[order - 1]:
                continue
            for (other, _), sizes in zip(merged, indices, strict=True):
                power = tuple(sorted(len(block) for block in sizes))
                if power in POWERS[order - 1]:
                    counts[len(apart), graph, power] += sign * other
    return counts


def _set_partitions(items: tuple[int, ...]) -> Iterator[Blocks]:
    if not items:
        yield ()
        return
    first, rest = items[0], items[1:]
    for size in range(len(rest) + 1):
        for friends in combinations(rest, size):
            left = tuple(item for item in rest if item not in friends)
            for others in _set_partitions(left):
                yield ((first, *friends), *others)


def _inversion(groups: Blocks) -> int:
    """Moebius function from the finest partition to this one."""
    return prod((-1) ** (len(group) - 1) * factorial(len(group) - 1) for group in groups)


def _graph(blocks: list[tuple[int, ...]]) -> Graph:
    """Degree and loops of every vertex; slots 2e and 2e + 1 are the ends of edge e."""
    loops = [sum(slot ^ 1 in block for slot in block) // 2 for block in blocks]
    return tuple(sorted((len(block), own) for block, own in zip(blocks, loops, strict=True)))


def _graph_sums(factor: FloatArray) -> tuple[FloatArray, ...]:
    """Sums over ``B = UU'`` of every graph: shapes (J, 1), (J, 3) and (J, 8).

    They follow from the moments of the rows of U, which are fewer than the cells of B.
    """
    factors, n, q = factor.shape
    products = (factor[:, :, :, None] * factor[:, :, None, :]).reshape(factors, n, q * q)
    gram = products.sum(axis=1)  # (J, q^2), tr B^k = tr gram^k
    cubes = products.transpose(0, 2, 1) @ factor  # (J, q^2, q)
    diagonal = products[:, :, :: q + 1].sum(axis=2)  # (J, n), B_ii
    square = np.square(diagonal)
    matrix = gram.reshape(factors, q, q)
    t1, t2 = diagonal.sum(axis=1), np.square(gram).sum(axis=1)
    t3 = (matrix @ matrix * matrix).sum(axis=(1, 2))
    s2 = square.sum(axis=1)
    through = ((diagonal[:, None, :] @ products)[:, 0] * gram).sum(axis=1)
    triple = np.square(cubes).sum(axis=(1, 2))
    between = np.square(cubes[:, :: q + 1].sum(axis=1)).sum(axis=1)
    third = [t1**3, t1 * t2, t3, t1 * s2, through, triple, between, (square * diagonal).sum(axis=1)]
    return t1[:, None], np.stack([t1**2, t2, s2], axis=1), np.stack(third, axis=1)


def _power_sums(unit: FloatArray) -> tuple[FloatArray, ...]:
    """Products of power sums: shapes (1, N), (2, N) and (4, N)."""
    square = np.square(unit)
    p2, p3 = column_sums(square), column_sums(square * unit)
    p4, p6 = column_sums(np.square(square)), column_sums(square * np.square(square))
    return p2[None], np.stack([p2**2, p4]), np.stack([p2**3, p3**2, p2 * p4, p6])


def beta_p_values(
    r2: FloatArray, mean: FloatArray, sd: FloatArray, skewness: FloatArray
) -> FloatArray:
    """Upper tail at R2 of the beta law on [l, 1] that has these three moments.

    ``Y = 1 - R2`` is W times a Beta(b, a) variable. With ``r1 = E Y``, ``r2 = E Y^2 / E Y`` and
    ``r3 = E Y^3 / E Y^2`` the three moment equations are linear in (a + b, W b, W)::

        a + b = 2 (r2 - r3) / (r1 - 2 r2 + r3)
        W b = r1 (a + b)
        W = r2 (a + b + 1) - W b

    Where no such law exists W is 1 and two moments remain.

    Parameters
    ----------
    r2, mean, sd, skewness : ndarray
        Broadcast against each other; sd above 0.

    Returns
    -------
    ndarray
        In (0, 1].
    """
    y = 1.0 - r2
    first = 1.0 - mean
    square = first * first
    variance = sd * sd
    second = (variance + square) / first
    third = (first * (3.0 * variance + square) - skewness * variance * sd) / (variance + square)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = 2.0 * (second - third) / (first - 2.0 * second + third)
        product = first * total
        width = second * (total + 1.0) - product
        b = product / width
    fits = (total > b) & (b > 0.0) & (width > 0.0)
    plain = first * (1.0 - second) / variance
    b = np.where(fits, b, first * plain)
    a = np.where(fits, total - b, plain - first * plain)
    share = np.where(fits, y / np.where(fits, width, 1.0), y)
    narrow = (x.astype(np.float32) for x in (b, a, np.clip(share, 0.0, 1.0)))
    return np.maximum(betainc(*narrow).astype(np.float64), SMALLEST)
