"""Principal components, for maps, baselines and estimators alike."""

from __future__ import annotations

import numpy as np

from finembed_core.panel import FloatArray


def principal_axes(centered: FloatArray, size: int) -> tuple[FloatArray, FloatArray]:
    """Directions in which centered rows (n, p) vary most.

    Returns
    -------
    axes : ndarray, shape (p, <= size)
        Orthonormal columns, the largest variance first; the largest loading of each is positive.
        Never more than rows can tell, ``min(n - 1, p)``.
    shares : ndarray, shape (<= size,)
        Of the total variance; 0 where nothing varies.
    """
    size = min(size, len(centered) - 1, centered.shape[1])
    variances, axes = np.linalg.eigh(centered.T @ centered)  # smallest first
    axes, variances = axes[:, ::-1][:, :size], np.maximum(variances[::-1], 0.0)
    largest = np.abs(axes).argmax(axis=0)
    sign = np.sign(axes[largest, np.arange(size)])
    return axes * sign, variances[:size] / max(variances.sum(), np.finfo(np.float64).tiny)
