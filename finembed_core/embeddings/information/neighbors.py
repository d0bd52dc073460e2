"""Entropy and mutual information from distances to the k-th nearest neighbor; in nats.

Both estimators replace the unknown density around a point by k over n times the volume of the ball
that reaches its k-th neighbor. They need no training and little else, but the ball grows with the
dimension: beyond about ten they say more about n than about the data.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.special import digamma, gammaln

from finembed_core.errors import InputError
from finembed_core.panel import FloatArray

NEIGHBORS = 3
"""k; Kraskov et al. advise 2 to 4."""


def kozachenko_leonenko(values: FloatArray, k: int = NEIGHBORS) -> float:
    """Differential entropy (Kozachenko and Leonenko 1987; Kraskov et al. 2004, eq. 20).

    ::

        H = psi(n) - psi(k) + ln V_d + d mean(ln r_i)

    with r_i the Euclidean distance from point i to its k-th neighbor and V_d the volume of the unit
    ball. Entropy depends on units: values scaled by c have ``d ln|c|`` more.

    Parameters
    ----------
    values : ndarray, shape (n, d)
        Distinct points.
    k : int

    Raises
    ------
    InputError
        More than k equal points: they have no density, and an entropy of -inf.
    """
    n, size = values.shape
    radius, _ = KDTree(values).query(values, k + 1)
    reach = _distinct(radius[:, k])
    log_volume = 0.5 * size * np.log(np.pi) - gammaln(0.5 * size + 1.0)
    return float(digamma(n) - digamma(k) + log_volume + size * np.log(reach).mean())


def ksg(x: FloatArray, z: FloatArray, k: int = NEIGHBORS) -> float:
    """Mutual information, first estimator of Kraskov, Stoegbauer and Grassberger (2004, eq. 8).

    ::

        I = psi(k) + psi(n) - mean(psi(n_x + 1) + psi(n_z + 1))

    with n_x and n_z the points whose x, or z, is nearer than the k-th neighbor in the larger of the
    two distances (maximum norm throughout). Errors of the three entropies cancel in part: none is
    left where x and z are independent. Not cut at zero.

    Parameters
    ----------
    x : ndarray, shape (n, d_x)
        Columns of about equal spread, of x as of z: the norm compares them.
    z : ndarray, shape (n, d_z)
    k : int

    Raises
    ------
    InputError
        More than k equal points.
    """
    n = len(x)
    both = np.hstack([x, z])
    radius, _ = KDTree(both).query(both, k + 1, p=np.inf)
    inside = np.nextafter(_distinct(radius[:, k]), 0.0)
    counts = digamma(_within(x, inside)) + digamma(_within(z, inside))
    return float(digamma(k) + digamma(n) - counts.mean())


def _distinct(radius: FloatArray) -> FloatArray:
    if not radius.all():
        raise InputError(
            f"{np.count_nonzero(radius == 0)} of {len(radius)} rows equal too many others",
            remedy="leave repeated rows out: points without a density have no finite entropy",
        )
    return radius


def _within(values: FloatArray, radius: FloatArray) -> NDArray[np.intp]:
    """Points within each point's radius, itself among them.

    Compared as distances: a coordinate plus a radius is rounded, and half of the radii end exactly
    at a point.
    """
    return KDTree(values).query_ball_point(values, radius, p=np.inf, return_length=True)
