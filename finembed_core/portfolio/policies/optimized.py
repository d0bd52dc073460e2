"""Policies that estimate a covariance from the returns known then, and optimize.

A month in which the optimum cannot be vouched for raises `SolverError`: whoever asked keeps the
last weights and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from finembed_core.errors import InputError, SolverError
from finembed_core.panel import FloatArray
from finembed_core.portfolio.covariance import ESTIMATORS
from finembed_core.portfolio.minimum_variance import minimum_variance
from finembed_core.portfolio.orders import Orders, Signals, Solved, State, TargetWeights
from finembed_core.portfolio.policies import Policy
from finembed_core.portfolio.risk_parity import risk_parity as equal_risk
from finembed_core.settings import CovarianceName, PortfolioSettings

MONTHS_PER_YEAR = 12


def least_variance(covariance: CovarianceName) -> Policy:
    """A policy: reset the eligible funds to the weights of least variance."""

    def policy(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
        funds, window = observed(signals, settings.window_months)
        if len(funds) == 0:
            return None
        own = settings.minimum_variance
        floor = None if own.floor is None else own.floor / MONTHS_PER_YEAR
        mean = None if own.floor is None else window.mean(axis=0)
        with _of_this_month():
            model = ESTIMATORS[covariance](window)
            found = minimum_variance(model, cap=own.cap, mean=mean, floor=floor)
        record = Solved(
            solver=found.solver,
            status=found.status,
            iterations=found.iterations,
            kkt_residual=found.kkt_residual,
            budget_error=found.budget_error,
            excess=found.excess,
        )
        return _targets(signals, funds, found.weights, record)

    return policy


def risk_parity(state: State, signals: Signals, settings: PortfolioSettings) -> Orders | None:
    """Reset the eligible funds to weights of equal risk; funds that do not vary have no weight."""
    funds, window = observed(signals, settings.window_months)
    varies = np.ptp(window, axis=0) > 0.0
    funds, window = funds[varies], window[:, varies]
    if len(funds) == 0:
        return None
    with _of_this_month():
        found = equal_risk(ESTIMATORS[settings.risk_parity_covariance](window))
    record = Solved(
        solver="newton",
        status="solved",
        iterations=found.iterations,
        kkt_residual=found.residual,
        budget_error=abs(float(found.weights.sum()) - 1.0),
    )
    return _targets(signals, funds, found.weights, record)


def observed(signals: Signals, months: int) -> tuple[NDArray[np.intp], FloatArray]:
    """Places of the eligible funds with a return in each of the last months, and these returns."""
    window = signals.returns(months)
    funds = np.flatnonzero(signals.eligible & ~np.isnan(window).any(axis=0))
    return funds, window[:, funds]


@contextmanager
def _of_this_month() -> Iterator[None]:
    """What is wrong with one month's funds is no mistake of the user: the month is left out."""
    try:
        yield
    except InputError as error:
        raise SolverError(error.what, where=error.where, remedy=error.remedy) from None


def _targets(
    signals: Signals, funds: NDArray[np.intp], weights: FloatArray, record: Solved
) -> TargetWeights:
    whole = np.zeros(len(signals.eligible))
    whole[funds] = weights
    return TargetWeights(whole, record)
