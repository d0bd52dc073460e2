"""Simulated factors and funds, and the value at risk that they truly have."""

from math import gamma, pi, sqrt

import numpy as np

from benchmarks.polymodel_calibration.grid import BASE
from benchmarks.polymodel_calibration.outcomes import Sample
from finembed_core.calendar import Month
from finembed_core.polymodel.history import LongHistory

MONTHS, FUNDS, HISTORY, WINDOW = 150, 10, 360, 36  # funds per exposure and month
BLOCK, CORRELATION = 5, 0.6
PERSISTENCE, SWING = 0.97, 0.5  # of the log volatility of a block, where it moves
VOLATILITIES = ((0.0, "steady volatility"), (SWING, "volatility that moves"))
VOLATILITY, NOISE, ALPHA = 0.04, 0.015, 0.003
DRAWS = 1_000_000
EXPOSURES = {
    "none": lambda x: np.zeros_like(x),
    "linear": lambda x: 0.5 * x,
    "weak": lambda x: 0.25 * x,
    "convex": lambda x: 5.0 * x**2,
    "concave": lambda x: -5.0 * x**2,
    "short put": lambda x: np.minimum(x + 0.04, 0.0),
    "collar": lambda x: np.minimum(x + 0.04, 0.0) + np.maximum(x - 0.04, 0.0),
}
PLANTED = [name for name in EXPOSURES if name != "none"]


def marginal(x, skewed):
    """Standard t(5) variables of variance 1, every other block with a heavier left side."""
    x = x * sqrt(3 / 5)
    absolute = sqrt(3 / 5) * 2 * sqrt(5) * gamma(3) / (sqrt(pi) * gamma(2.5) * 4)  # E|x|
    mean = -0.3 * absolute
    turned = (np.where(x < 0.0, 1.3, 0.7) * x - mean) / sqrt(1.09 - mean**2)
    return VOLATILITY * np.where(skewed, turned, x)


def skewed(factor):
    return factor // BLOCK % 2 == 1


def volatility(rng, size, swing):
    """Exponential of an autoregression, months x series, mean square 1."""
    log = rng.standard_normal(size)
    for t in range(1, len(log)):
        log[t] = PERSISTENCE * log[t - 1] + sqrt(1 - PERSISTENCE**2) * log[t]
    return np.exp(swing * log - swing**2)


def draw_factors(rng, months, count, swing):
    """Multivariate t(5) within blocks, blocks independent."""
    block = np.arange(count) // BLOCK
    size = (months, block[-1] + 1)
    common = rng.standard_normal(size)[:, block]
    single = rng.standard_normal((months, count))
    scale = np.sqrt(5 / rng.chisquare(5, size))[:, block]
    normal = sqrt(CORRELATION) * common + sqrt(1 - CORRELATION) * single
    drawn = marginal(normal * scale, skewed(np.arange(count)))
    return drawn * volatility(rng, size, swing)[:, block]


def draw_noise(rng, shape, heavy):
    thin, fat = rng.standard_normal(shape), rng.standard_t(5, shape) * sqrt(3 / 5)
    return NOISE * np.where(heavy, fat, thin)


def truths(swing):
    """(kind, skewed factor, heavy residual) to the 99% VaR and the mean, from many draws."""
    rng = np.random.default_rng(0)
    found = {}
    for name, exposure in EXPOSURES.items():
        for skew in (False, True):
            x = marginal(rng.standard_t(5, DRAWS), skew) * volatility(rng, (1, DRAWS), swing)[0]
            y = ALPHA + exposure(x)
            for heavy in (False, True):
                drawn = y + draw_noise(rng, DRAWS, heavy)
                found[name, skew, heavy] = (-np.quantile(drawn, 0.01), drawn.mean())
    return found


def simulate(seed, count, swing, truth):
    """A month of `FUNDS` funds of every kind on `count` factors."""
    rng = np.random.default_rng([seed, count])
    history = draw_factors(rng, HISTORY, count, swing)
    window = history[-WINDOW:]
    kind = np.repeat(list(EXPOSURES), FUNDS)
    factor = rng.integers(count, size=len(kind))
    heavy = np.arange(len(kind)) % 2 == 1
    returns = ALPHA + draw_noise(rng, (WINDOW, len(kind)), heavy)
    for k, name in enumerate(kind):
        returns[:, k] += EXPOSURES[name](window[:, factor[k]])
    known = [
        truth[a, bool(b), bool(c)] for a, b, c in zip(kind, skewed(factor), heavy, strict=True)
    ]
    index = np.arange(count)[:, None]
    var, mean = np.array(known).T
    long = LongHistory.of(history, BASE)
    return Sample(
        Month.parse("2000-01") + seed,
        returns,
        long.standardize(window),
        long,
        index == factor,
        (index // BLOCK == factor // BLOCK) & (kind != "none"),
        kind,
        var,
        mean,
    )
