"""Euclidean projection onto the simplex, whole or capped.

The projection of v onto ``{w : sum w = 1, 0 <= w <= c}`` is ``w = clip(v - tau, 0, c)``, where tau
makes the sum 1. The sum falls in tau, linearly between the points v and v - c at which a weight
leaves a bound: they are sorted, the piece that reaches 1 is found, and tau is solved on it. With
c = 1 this is the algorithm of Held, Wolfe and Crowder (1974) for the whole simplex.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from finembed_core.errors import InputError
from finembed_core.panel import FloatArray

ROUNDING = 1e-12  # by which caps may miss a sum of 1: 1/N, N times, may


def project_simplex(points: ArrayLike, cap: ArrayLike = 1.0) -> FloatArray:
    """Nearest weights to points, of those that sum to 1 and keep within caps.

    Parameters
    ----------
    points : array_like, shape (..., N)
        Any finite numbers; each row is projected by itself.
    cap : array_like, broadcast to (..., N)
        Largest weights, none negative; 1 and more caps nothing.

    Returns
    -------
    ndarray, shape (..., N)
        ``0 <= w <= cap`` exactly; rows sum to 1 up to rounding, which is that of the points.

    Raises
    ------
    InputError
        A value is missing or infinite, a cap is negative, or a row's caps sum to less than 1.

    Examples
    --------
    >>> project_simplex([0.5, 0.3, -1.0])
    array([0.6, 0.4, 0. ])
    >>> project_simplex([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]], cap=[0.5, 1.0, 1.0])
    array([[0.5       , 0.25      , 0.25      ],
           [0.33333333, 0.33333333, 0.33333333]])
    """
    values = np.asarray(points, dtype=float)
    if values.shape[-1:] in {(), (0,)}:
        raise InputError("there is no point to project onto the simplex")
    if not np.isfinite(values).all():
        raise InputError("a point to project onto the simplex is missing or infinite")
    return np.clip(values - _threshold(values, caps := check_caps(cap, values.shape)), 0.0, caps)


def check_caps(cap: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    """Caps as an array of the shape of the weights, none above 1.

    Raises
    ------
    InputError
        A cap is missing or negative, or those of a row sum to less than 1.
    """
    caps = np.broadcast_to(np.minimum(np.asarray(cap, dtype=float), 1.0), shape)
    if not (caps >= 0.0).all():
        raise InputError("a cap on weights is missing or negative")
    reach = float(caps.sum(axis=-1).min())
    if reach < 1.0 - ROUNDING:
        raise InputError(
            f"the caps on weights sum to {reach:.6g}, so that the weights cannot sum to 1",
            remedy=f"raise the caps, or select more than {shape[-1]} funds",
        )
    return caps


def _threshold(values: FloatArray, caps: FloatArray) -> FloatArray:
    """Solve ``sum clip(v - tau, 0, c) = 1`` for tau, (..., N) -> (..., 1)."""
    # per row, from the largest tau down: at v a weight starts to grow, at v - c it stops
    turns = np.concatenate([values, values - caps], axis=-1)  # (..., 2N)
    starts = np.concatenate([np.ones_like(values), -np.ones_like(values)], axis=-1)
    order = np.argsort(-turns, axis=-1, kind="stable")
    turns = np.take_along_axis(turns, order, axis=-1)
    growing = np.cumsum(np.take_along_axis(starts, order, axis=-1), axis=-1)
    gained = np.cumsum(growing[..., :-1] * -np.diff(turns, axis=-1), axis=-1)  # sum at turns[1:]
    piece = np.minimum((gained < 1.0).sum(axis=-1, keepdims=True), turns.shape[-1] - 2)
    upper = np.take_along_axis(turns, piece, axis=-1)
    lower = np.take_along_axis(turns, piece + 1, axis=-1)
    # the running sum has lost digits by now: tau is solved from the sets it belongs to
    full = values - caps >= upper
    free = (values > lower) & ~full
    count = np.maximum(free.sum(axis=-1, keepdims=True), 1)
    missing = 1.0 - np.where(full, caps, 0.0).sum(axis=-1, keepdims=True)
    tau = (np.where(free, values, 0.0).sum(axis=-1, keepdims=True) - missing) / count
    return np.clip(tau, lower, upper)
