"""A map of funds: two principal components of their vectors, steady from date to date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from finembed_core.embeddings.principal import principal_axes
from finembed_core.errors import InputError
from finembed_core.panel import FloatArray


@dataclass(frozen=True)
class FundMap:
    """Places of funds in the plane.

    Attributes
    ----------
    ids : tuple of str, length n
    places : ndarray, shape (n, 2)
        In the units of the vectors, centered.
    shares : ndarray, shape (2,)
        Of the vectors' variance, by component before any `aligned_to`; 0 where nothing varies.
    """

    ids: tuple[str, ...]
    places: FloatArray
    shares: FloatArray

    @classmethod
    def of(cls, ids: Sequence[str], vectors: FloatArray) -> FundMap:
        """Two principal components; the largest loading of each is positive.

        Raises
        ------
        InputError
            Fewer than three funds, or vectors shorter than two.
        """
        if min(vectors.shape[0] - 1, vectors.shape[1]) < 2:
            raise InputError(
                f"a map needs three funds and two dimensions, here are {vectors.shape}",
                remedy="draw a date with more funds",
            )
        values = np.asarray(vectors, dtype=np.float64)
        centered = values - values.mean(axis=0)
        axes, shares = principal_axes(centered, 2)
        return cls(tuple(ids), centered @ axes, shares)

    def aligned_to(self, earlier: FundMap) -> FundMap:
        """Turned, mirrored and moved onto an earlier map, by the funds that are on both.

        Orthogonal Procrustes (Schoenemann 1966): distances between funds stay as they are. Fewer
        than two common funds: unchanged.
        """
        common = sorted(set(self.ids) & set(earlier.ids))
        if len(common) < 2:
            return self
        own = self.places[[self.ids.index(name) for name in common]]
        goal = earlier.places[[earlier.ids.index(name) for name in common]]
        left, _, right = np.linalg.svd((own - own.mean(axis=0)).T @ (goal - goal.mean(axis=0)))
        places = (self.places - own.mean(axis=0)) @ (left @ right) + goal.mean(axis=0)
        return replace(self, places=places)
