"""Entropy and mutual information in closed form, as if the data were Gaussian; in nats."""

from __future__ import annotations

import numpy as np

from finembed_core.panel import FloatArray

ROUNDING = 1e-12
"""What is smaller, relative to the largest, holds rounding alone."""


def gaussian_entropy(values: FloatArray) -> float:
    """``1/2 ln det(2 pi e Sigma)`` with the sample covariance of values of shape (n, d).

    Of all laws with this covariance the Gaussian has the largest entropy, so that apart from the
    error of Sigma this is an upper bound; -inf where the covariance is singular.
    """
    size = values.shape[1]
    return 0.5 * (size * (np.log(2.0 * np.pi) + 1.0) + _log_determinant(values))


def gaussian_information(x: FloatArray, z: FloatArray) -> float:
    """``1/2 ln(det Sigma_x det Sigma_z / det Sigma_xz)`` of (n, d_x) and (n, d_z).

    Computed as ``-1/2 sum ln(1 - rho^2)`` over canonical correlations rho (Hotelling 1936), which
    are defined where a covariance is singular, too: a direction in which x or z does not vary says
    nothing. inf where a combination of x equals one of z.

    Never negative; too large by about ``d_x d_z / 2n`` (half the degrees of freedom of Wilks's
    test of independence over n). Blind to dependence that is not linear.
    """
    correlations = np.linalg.svd(_directions(x).T @ _directions(z), compute_uv=False)
    left = 1.0 - np.square(correlations)
    if (left <= ROUNDING).any():
        return np.inf
    return float(-0.5 * np.log(left).sum())


def _directions(values: FloatArray) -> FloatArray:
    """Orthonormal columns that span the centered ones, shape (n, <= d)."""
    basis, sizes, _ = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    return basis[:, sizes > ROUNDING * sizes.max(initial=np.finfo(np.float64).tiny)]


def _log_determinant(values: FloatArray) -> float:
    covariance = np.atleast_2d(np.cov(values, rowvar=False))
    return float(np.linalg.slogdet(covariance)[1])
