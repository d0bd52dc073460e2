"""Months to test on: panels from plain arrays, and a simulated one with planted exposures."""

import numpy as np

from finembed_core.calendar import Month, month_ends
from finembed_core.panel import Panel
from finembed_core.polymodel.features import MonthInputs
from finembed_core.polymodel.history import LongHistory
from finembed_core.settings import PolyModelSettings

MONTH = Month.parse("2005-03")


def paper_settings(**changes):
    """The papers' degree 4, with the lambda and rule that tests count on."""
    paper = {"degree": 4, "ridge": 1.0, "selection": "absolute", "alpha": 0.01}
    return PolyModelSettings(**(paper | changes))


def panel(values, prefix, month=MONTH):
    ordinals = np.arange(month.ordinal - len(values) + 1, month.ordinal + 1)
    ids = tuple(f"{prefix}{k:02d}" for k in range(values.shape[1]))
    return Panel(month_ends(ordinals), ids, values)


def month_inputs(returns, factors, risk_free=None, month=MONTH):
    cash = np.full(len(returns), 0.002) if risk_free is None else risk_free
    window = panel(factors[len(factors) - len(returns) :], "x", month)
    history = LongHistory.of(factors, PolyModelSettings())
    return MonthInputs(month, panel(returns, "f", month), cash, window, history)


def planted(seed=1, funds=30, factors=10, length=300, noise=0.01):
    """Funds 0.. are linear in x00, quadratic in x01, short a put on x02, or noise, in turn."""
    rng = np.random.default_rng(seed)
    x = rng.standard_t(5, (length, factors)) * 0.04
    window = x[-36:]
    returns = rng.standard_normal((36, funds)) * noise + 0.003
    returns[:, 0::4] += 0.8 * window[:, [0]]
    returns[:, 1::4] -= 12.0 * window[:, [1]] ** 2
    returns[:, 2::4] += 1.2 * np.minimum(window[:, [2]] + 0.01, 0.0)
    return month_inputs(returns, x)
