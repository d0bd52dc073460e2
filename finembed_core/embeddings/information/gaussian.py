"""Entropy and mutual information in closed form, as if the data were Gaussian; in nats."""

from __future__ import annotations

import numpy as np

from finembed_core.panel import FloatArray


def gaussian_entropy(values: FloatArray) -> float:
    """``1/2 ln det(2 pi e Sigma)`` with the sample covariance of values of shape (n, d).

    Of all laws with this covariance the Gaussian has the largest entropy, so that apart from the
    error of Sigma this is an upper bound; -inf where the covariance is singular.
    """
    size = values.shape[1]
    return 0.5 * (size * (np.log(2.0 * np.pi) + 1.0) + _log_determinant(values))


def gaussian_information(x: FloatArray, z: FloatArray) -> float:
    """``1/2 ln(det Sigma_x det Sigma_z / det Sigma_xz)`` of (n, d_x) and (n, d_z).

    Never negative; too large by about ``d_x d_z / 2n`` (half the degrees of freedom of Wilks's
    test of independence over n). Blind to dependence that is not linear.
    """
    together = _log_determinant(np.hstack([x, z]))
    return 0.5 * (_log_determinant(x) + _log_determinant(z) - together)


def _log_determinant(values: FloatArray) -> float:
    covariance = np.atleast_2d(np.cov(values, rowvar=False))
    return float(np.linalg.slogdet(covariance)[1])
