"""Is a fit better than luck? One p-value per pair, by one of three estimators.

``exact`` shuffles every pair the same number of times. ``moments`` shuffles nothing: it reads the
p-value from the exact mean, variance and skewness over all shuffles. ``adaptive`` shuffles where
the moments leave the verdict open.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from finembed_core.calendar import Month
from finembed_core.panel import FloatArray
from finembed_core.polymodel.adaptive import GroupShuffles, settled_p_values
from finembed_core.polymodel.basis import FLAT
from finembed_core.polymodel.device import Device
from finembed_core.polymodel.pairs import PairFits
from finembed_core.polymodel.permutation_moments import beta_p_values, standardized_moments
from finembed_core.polymodel.shuffling import (
    Rows,
    TargetShuffling,
    exact_p_values,
    shuffled_rows,
)
from finembed_core.settings import PolyModelSettings

PAIRS_AT_ONCE = 2**15  # whose moments stay in a core's own cache


def p_values(
    fits: PairFits, month: Month, settings: PolyModelSettings, device: Device | None = None
) -> FloatArray:
    """P-values of all pairs by the settings' estimator, shape (J, N); NaN where not tested.

    Parameters
    ----------
    fits : PairFits
    month : Month
        Its shuffles are used.
    settings : PolyModelSettings
    device : Device, optional
        Where shuffles are multiplied out; the CPU by default.
    """
    found = np.full(fits.r2.shape, np.nan)

    @cache
    def rows(n: int, shuffles: int) -> Rows:
        return shuffled_rows(n, shuffles, settings.seed, month)

    tests = [
        (group, TargetShuffling.of(group.tested.factor(settings.ridge), group.unit, device))
        for group in fits.groups
    ]
    if settings.significance == "exact":
        for group, test in tests:
            count = test.exceedances(rows(len(group.unit), settings.shuffles))
            found[group.cells] = exact_p_values(count, settings.shuffles)
        return found
    for group, test in tests:
        found[group.cells] = moments_p_values(test)
    if settings.significance == "adaptive" and tests:
        many = settings.adaptive_shuffles
        groups = [
            GroupShuffles(group.factors, group.funds, test, rows(len(group.unit), many))
            for group, test in tests
        ]
        return settled_p_values(found, groups, settings)
    return found


def moments_p_values(test: TargetShuffling) -> FloatArray:
    """P-values of shape (J, N) from the moments over all shuffles; 1 where no shuffle matters."""
    found = np.ones(test.observed.shape)
    step = max(PAIRS_AT_ONCE // test.observed.shape[1], 1)
    for first in range(0, len(found), step):
        block = slice(first, first + step)
        mean, sd, skewness = standardized_moments(test.factor[block], test.unit)
        p = beta_p_values(test.observed[block], mean, np.maximum(sd, FLAT), skewness)
        found[block] = np.where(sd > FLAT, p, 1.0)
    return found
