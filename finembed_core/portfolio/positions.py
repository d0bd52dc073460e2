"""From signed positions, such as a macro alpha's, to portfolios: long-short, long-only, tilted."""

from __future__ import annotations

import numpy as np

from finembed_core.errors import InputError
from finembed_core.panel import FloatArray


def long_short(positions: FloatArray, gross: float = 1.0) -> FloatArray:
    """Positions scaled to a gross leverage ``sum |w|``, shape (N,); all zero stays so."""
    total = float(np.abs(_finite(positions)).sum())
    return positions * (gross / total) if total > 0.0 else np.zeros_like(positions)


def long_only(positions: FloatArray) -> FloatArray:
    """The positive part, renormalized to 1, shape (N,); all cash, so zeros, where it is empty."""
    return long_short(np.maximum(_finite(positions), 0.0))


def tilted(
    base: FloatArray, positions: FloatArray, strength: float, active_share: float
) -> FloatArray:
    """A base portfolio leaned towards positions: ``base + strength (p - mean p)``, long only.

    Parameters
    ----------
    base : ndarray, shape (N,)
        Weights, none negative, that sum to 1.
    positions : ndarray, shape (N,)
    strength : float
        Weight per unit of position.
    active_share : float
        Largest ``sum |w - base| / 2``, 0 to 1: beyond it the way from the base is cut short.

    Returns
    -------
    ndarray, shape (N,)
        Clipped at 0 and renormalized; sums to 1.

    Raises
    ------
    InputError
        The base is not a long-only portfolio, or positions are missing.
    """
    if (base < 0.0).any() or abs(float(base.sum()) - 1.0) > 1e-9:
        raise InputError(
            f"the weights of the base portfolio sum to {base.sum():g}, the least is {base.min():g}",
            where="base",
            remedy="give weights that are not negative and sum to 1",
        )
    leaned = np.maximum(base + strength * (_finite(positions) - positions.mean()), 0.0)
    total = float(leaned.sum())
    away = leaned / total - base if total > 0.0 else np.zeros_like(base)
    share = 0.5 * float(np.abs(away).sum())
    return base + away * min(1.0, active_share / share) if share > 0.0 else base.copy()


def _finite(positions: FloatArray) -> FloatArray:
    if not np.isfinite(positions).all():
        missing = int(np.count_nonzero(~np.isfinite(positions)))
        raise InputError(
            f"{missing} of {len(positions)} positions are missing or infinite",
            where="positions",
            remedy="give 0 to what is not to be held",
        )
    return positions
