"""Is a fit better than luck? One p-value per pair, by one of three estimators.

``exact`` shuffles every pair the same number of times. ``moments`` shuffles nothing: it reads the
p-value from the exact mean, variance and skewness over all shuffles. ``adaptive`` shuffles where
the moments leave the verdict open.
"""

from __future__ import annotations

import numpy as np

from finembed_core.calendar import Month
from finembed_core.panel import FloatArray
from finembed_core.polymodel.adaptive import settled_p_values
from finembed_core.polymodel.basis import FLAT
from finembed_core.polymodel.device import Device
from finembed_core.polymodel.pairs import GroupFit, PairFits
from finembed_core.polymodel.permutation_moments import beta_p_values, standardized_moments
from finembed_core.polymodel.selection import doubtful_below
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

    def rows(group: GroupFit, shuffles: int) -> Rows:
        return shuffled_rows(len(group.unit), shuffles, settings.seed, month)

    tests = [
        (group, TargetShuffling.of(group.tested.factor(settings.ridge), group.unit, device))
        for group in fits.groups
    ]
    if settings.significance == "exact":
        for group, test in tests:
            count = test.exceedances(rows(group, settings.shuffles))
            found[group.cells] = exact_p_values(count, settings.shuffles)
        return found
    for group, test in tests:
        found[group.cells] = moments_p_values(test)
    if settings.significance == "adaptive":
        limit = doubtful_below(found, settings)
        for group, test in tests:
            found[group.cells] = settled_p_values(
                test,
                found[group.cells],
                limit[group.funds],
                rows(group, settings.adaptive_shuffles),
            )
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
