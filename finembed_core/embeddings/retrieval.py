"""Which funds are alike: cosine similarity of the vectors of one date."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finembed_core.errors import InputError
from finembed_core.panel import FloatArray


def cosines(queries: FloatArray, vectors: FloatArray) -> FloatArray:
    """``q'v / |q||v|`` of (m, d) with (n, d), shape (m, n); 0 with a vector of length 0."""
    return _directions(queries) @ _directions(vectors).T


def nearest(ids: Sequence[str], vectors: FloatArray, fund: str, k: int) -> list[tuple[str, float]]:
    """The k funds most alike to one, exactly; equal similarities by id.

    Parameters
    ----------
    ids : sequence of str, length n
    vectors : ndarray, shape (n, d)
        All of one date.
    fund : str
        Itself not among the answers.
    k : int

    Raises
    ------
    InputError
        The fund has no vector on this date.
    """
    if fund not in ids:
        raise InputError(
            f"{fund} has no embedding on this date",
            remedy="choose another date; embedding_exclusions says why it is left out",
        )
    own = ids.index(fund)
    similarity = cosines(vectors[own : own + 1], vectors)[0]
    order = sorted((-value, name) for value, name in zip(similarity, ids, strict=True))
    return [(name, float(-value)) for value, name in order if name != fund][:k]


def _directions(vectors: FloatArray) -> FloatArray:
    values = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(length > 0, length, 1.0)
