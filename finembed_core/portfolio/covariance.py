"""Covariances of many funds from few months, in factor form.

From T months of N funds every covariance here is a common part of low rank and a diagonal::

    Sigma = A'A + diag(d)        A (K, N) loadings, d (N,) specific variances

It is never formed: with X the centered returns (T, N), everything that an estimator must know of
the sample covariance is in the Gram matrix ``G = X X'`` (T, T), as ``tr X'X = tr G`` and
``||X'X||_F = ||G||_F``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from finembed_core.errors import InputError
from finembed_core.panel import FloatArray

FACTORS = 5
"""Principal components of `factor`: Fung and Hsieh (1997, Review of Financial Studies 10, 275-302)
extract five from the returns of 409 hedge funds, with 43% of their cross-sectional variance."""


@dataclass(frozen=True)
class RiskModel:
    """A covariance matrix ``A'A + diag(d)``; variances per period of the returns it came from.

    Attributes
    ----------
    loadings : ndarray, shape (K, N)
        A.
    specific : ndarray, shape (N,)
        d, none negative.
    """

    loadings: FloatArray
    specific: FloatArray

    @property
    def diagonal(self) -> FloatArray:
        """Variance of each fund, shape (N,)."""
        return np.square(self.loadings).sum(axis=0) + self.specific

    def times(self, weights: FloatArray) -> FloatArray:
        """``Sigma w``: covariance of each fund with the portfolio, shape (N,)."""
        return self.loadings.T @ (self.loadings @ weights) + self.specific * weights

    def variance(self, weights: FloatArray) -> float:
        """``w'Sigma w``, variance of the portfolio."""
        common = self.loadings @ weights
        return float(common @ common + self.specific @ np.square(weights))

    def dense(self) -> FloatArray:
        """Sigma itself, shape (N, N)."""
        return self.loadings.T @ self.loadings + np.diag(self.specific)

    def scaled(self, variance: float) -> RiskModel:
        """The same with this variance as its unit."""
        return RiskModel(self.loadings / np.sqrt(variance), self.specific / variance)


def sample(returns: FloatArray) -> RiskModel:
    """Sample covariance, ``X'X / (T - 1)``.

    Of rank T - 1 at most: with N > T some portfolios seem free of risk, and a minimum variance
    portfolio of many funds is one of them.

    Parameters
    ----------
    returns : ndarray, shape (T, N)
        One information set: decimals, no missing values.

    Raises
    ------
    InputError
        Fewer than two months, no funds, or a value is missing or infinite.
    """
    centered = _centered(returns)
    return RiskModel(centered / np.sqrt(len(centered) - 1), np.zeros(centered.shape[1]))


def ledoit_wolf(returns: FloatArray) -> RiskModel:
    """Covariance shrunk to a multiple of the identity as Ledoit and Wolf (2004) do.

    ``(1 - s) S + s m I`` with ``S = X'X / T``, m the mean variance and ::

        s = b / d,   d = ||S - m I||_F^2,   b = min(sum_t ||x_t x_t' - S||_F^2 / T^2, d)

    Journal of Multivariate Analysis 88, 365-411. Equals `sklearn.covariance.LedoitWolf`.

    Parameters
    ----------
    returns : ndarray, shape (T, N)
        One information set: decimals, no missing values.

    Raises
    ------
    InputError
        Fewer than two months, no funds, or a value is missing or infinite.
    """
    centered = _centered(returns)
    months, funds = centered.shape
    gram = centered @ centered.T / months  # (T, T)
    square = float(np.square(gram).sum())  # ||S||_F^2
    dispersion = square - np.trace(gram) ** 2 / funds
    error = float(np.square(np.diag(gram)).sum()) - square / months
    share = min(max(error, 0.0), dispersion) / dispersion if dispersion > 0.0 else 0.0
    return _shrunk(centered, gram, share)


def oas(returns: FloatArray) -> RiskModel:
    """Covariance shrunk to a multiple of the identity, by the oracle for Gaussian returns.

    ``(1 - s) S + s m I`` as in `ledoit_wolf` with ::

        s = (||S||_F^2 + (tr S)^2) / ((T + 1) (||S||_F^2 - (tr S)^2 / N)), at most 1

    Chen, Wiesel, Eldar and Hero (2010), IEEE Transactions on Signal Processing 58, 5016-5029,
    equation 23 for large N. Equals `sklearn.covariance.OAS`.

    Parameters
    ----------
    returns : ndarray, shape (T, N)
        One information set: decimals, no missing values.

    Raises
    ------
    InputError
        Fewer than two months, no funds, or a value is missing or infinite.
    """
    centered = _centered(returns)
    months, funds = centered.shape
    gram = centered @ centered.T / months
    square, trace_square = float(np.square(gram).sum()), float(np.trace(gram)) ** 2
    dispersion = (months + 1) * (square - trace_square / funds)
    return _shrunk(
        centered, gram, min((square + trace_square) / dispersion, 1.0) if dispersion > 0.0 else 1.0
    )


def factor(returns: FloatArray, factors: int = FACTORS) -> RiskModel:
    """Principal components in common, and the variances of what they leave.

    With U the first K eigenvectors of the Gram matrix, ``A = U'X / sqrt(T - 1)`` and ::

        d = sum_t (X - U U'X)^2 / (T - 1 - K)

    by column: residuals of a regression on a constant and K factors have T - 1 - K degrees of
    freedom. What a fund takes from its own weight in the factors is neglected, as N is large.

    Parameters
    ----------
    returns : ndarray, shape (T, N)
        One information set: decimals, no missing values.
    factors : int
        K, fewer than T - 1 and than N; five by default (`FACTORS`).

    Raises
    ------
    InputError
        Too few months or funds for the factors, or a value is missing or infinite.
    """
    centered = _centered(returns)
    months, funds = centered.shape
    if not 1 <= factors < min(months - 1, funds):
        raise InputError(
            f"{factors} factors cannot be estimated from {months} months of {funds} funds",
            where="risk model",
            remedy=f"give more than {factors + 1} months and {factors} funds, or fewer factors",
        )
    _, vectors = np.linalg.eigh(centered @ centered.T)  # eigenvalues ascend
    leading = vectors[:, -factors:]  # (T, K)
    scores = leading.T @ centered  # (K, N)
    residuals = centered - leading @ scores
    specific = np.square(residuals).sum(axis=0) / (months - 1 - factors)
    return RiskModel(scores / np.sqrt(months - 1), specific)


Estimator = Callable[[FloatArray], RiskModel]

ESTIMATORS: dict[str, Estimator] = {
    "sample": sample,
    "ledoit_wolf": ledoit_wolf,
    "oas": oas,
    "factor": factor,
}
"""Estimators by name; each sees nothing but the window that it is handed."""


def _centered(returns: FloatArray) -> FloatArray:
    if returns.ndim != 2 or len(returns) < 2 or returns.shape[1] == 0:
        raise InputError(
            f"a covariance needs two months and a fund, not returns of shape {returns.shape}",
            where="risk model",
        )
    broken = np.flatnonzero(~np.isfinite(returns).all(axis=0))
    if len(broken):
        raise InputError(
            f"{len(broken)} of {returns.shape[1]} funds miss a return in the window, "
            f"the first in column {broken[0]}",
            where="risk model",
            remedy="select funds with complete windows",
        )
    return returns - returns.mean(axis=0)


def _shrunk(centered: FloatArray, gram: FloatArray, share: float) -> RiskModel:
    """``(1 - share) S + share m I`` with ``S = X'X / T``."""
    months, funds = centered.shape
    mean_variance = float(np.trace(gram)) / funds
    loadings = centered * np.sqrt((1.0 - share) / months)
    return RiskModel(loadings, np.full(funds, share * mean_variance))
