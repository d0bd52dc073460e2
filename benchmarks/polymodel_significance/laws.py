"""Laws of returns and factors, exposures to plant, and their tests."""

from functools import lru_cache

import numpy as np
from scipy import signal, stats

from finembed_core.calendar import Month
from finembed_core.polymodel.basis import hermite_basis
from finembed_core.polymodel.fit import Ridge
from finembed_core.polymodel.shuffling import TargetShuffling
from finembed_core.settings import PolyModelSettings

SHAPES = {
    "degree 4, lambda 1": PolyModelSettings(degree=4, ridge=1.0),  # the papers' degree
    "degree 2, lambda 5": PolyModelSettings(degree=2, ridge=5.0),  # finembed's defaults
}
SETTINGS = PolyModelSettings()  # what the shapes share
START = Month.parse("2000-01")  # of simulated months; each has its own shuffles


def students(generator, shape, freedom):
    """Student draws of variance 1."""
    return generator.standard_t(freedom, shape) * np.sqrt((freedom - 2) / freedom)


EXPOSURES = {
    "linear": lambda x: x,
    "quadratic": lambda x: -np.square(x),
    "short put": lambda x: np.minimum(x + 1.0, 0.0),  # struck one standard deviation below
}


@lru_cache
def exposure_sd(kind):
    """Under the factors' law; a sample of fourth powers would not settle."""
    law, curve = stats.t(5, scale=np.sqrt(3 / 5)), EXPOSURES[kind]
    mean = law.expect(curve)
    return np.sqrt(law.expect(lambda x: (curve(x) - mean) ** 2))


def exposed(kind, share, x, noise):
    """Returns of variance 1, `share` of which is the exposure's."""
    return np.sqrt(share) * EXPOSURES[kind](x) / exposure_sd(kind) + np.sqrt(1.0 - share) * noise


def one_outlier(generator, shape):
    returns = generator.standard_normal(shape)
    returns[generator.integers(0, shape[0], shape[1]), np.arange(shape[1])] += 8.0
    return returns


LAWS = {
    "normal": lambda generator, shape: generator.standard_normal(shape),
    "Student 3": lambda generator, shape: students(generator, shape, 3),
    "lognormal": lambda generator, shape: generator.lognormal(0.0, 1.0, shape),
    "one month of 8 sd": one_outlier,
    "rounded to 1 sd": lambda generator, shape: np.round(generator.standard_normal(shape)),
}


def autoregressive(phi):
    return lambda white: signal.lfilter([1.0], [1.0, -phi], white, axis=0)


SERIAL = {
    "white": lambda white: white,
    "AR .3": autoregressive(0.3),
    "AR .5": autoregressive(0.5),
    "MA .5 .3 .2": lambda white: signal.lfilter([0.5, 0.3, 0.2], [1.0], white, axis=0),
}


def shuffling_of(x, y, shape):
    """Factors (n, J) against returns (n, N)."""
    settings = SHAPES[shape]
    ridge = Ridge.on(hermite_basis(x.T, settings.degree))
    return TargetShuffling.of(ridge.factor(settings.ridge), y)
