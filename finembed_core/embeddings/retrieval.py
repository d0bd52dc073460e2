"""Which funds are alike: cosine similarity of the vectors of one date."""

from __future__ import annotations

import numpy as np

from finembed_core.panel import FloatArray


def cosines(queries: FloatArray, vectors: FloatArray) -> FloatArray:
    """``q'v / |q||v|`` of (m, d) with (n, d), shape (m, n); 0 with a vector of length 0."""
    return _directions(queries) @ _directions(vectors).T


def _directions(vectors: FloatArray) -> FloatArray:
    values = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(length > 0, length, 1.0)
