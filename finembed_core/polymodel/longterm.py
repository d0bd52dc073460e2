"""Long-term alpha: what a fund would earn if the factor repeated its whole history.

``LTA = E[Phi(X)]`` over the factor's long history, by a quadrature on five of its quantiles
(arXiv 2408.03320, section 2.5); the long-term ratio and stability set it against StressVaR.
"""

from __future__ import annotations

import numpy as np

from finembed_core.panel import FloatArray
from finembed_core.polymodel.basis import hermite_basis
from finembed_core.polymodel.history import LEVELS


def lagrange_weights() -> FloatArray:
    """Weights of ``integral_0^1 f(q) dq`` on the five levels, exact for polynomials of degree 4.

    Examples
    --------
    >>> lagrange_weights().round(5).tolist()
    [0.04795, 0.26085, 0.38241, 0.26085, 0.04795]
    """
    centered = LEVELS - 0.5
    k = np.arange(len(LEVELS))
    moments = (0.5 ** (k + 1) - (-0.5) ** (k + 1)) / (k + 1)
    weights = np.linalg.solve(np.vander(centered, increasing=True).T, moments)
    return np.asarray(weights, dtype=np.float64)


def quadrature_weights(nodes: FloatArray) -> FloatArray:
    """Weights per factor: the Lagrange weights moved as little as possible (least squares).

    They satisfy ``sum w = 1`` and ``sum w theta = 0``, the factor's mean in standardized units,
    so that a linear fund earns exactly its intercept.

    Parameters
    ----------
    nodes : ndarray, shape (5, J)
        Standardized quantiles theta of every factor at `LEVELS`, not all the same.

    Returns
    -------
    ndarray, shape (5, J)
    """
    start = lagrange_weights()
    constraints = np.stack([np.ones_like(nodes.T), nodes.T], axis=1)  # (J, 2, 5)
    gap = np.array([1.0, 0.0]) - constraints @ start  # (J, 2)
    return start[:, None] + (np.linalg.pinv(constraints) @ gap[..., None])[..., 0].T


def expected_basis(nodes: FloatArray, degree: int) -> FloatArray:
    """Quadrature of every basis function, so that ``LTA = expected_basis . beta``.

    Parameters
    ----------
    nodes : ndarray, shape (5, J)
    degree : int

    Returns
    -------
    ndarray, shape (J, degree + 1)
    """
    return np.einsum("qj,qjp->jp", quadrature_weights(nodes), hermite_basis(nodes, degree))
