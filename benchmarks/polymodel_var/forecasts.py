"""What every value at risk forecasts each month, and what came."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from rich.console import Console
from rich.progress import track

from finembed_core.calendar import Month, month_ordinals
from finembed_core.polymodel.features import MonthInputs, polymodel_features, screen_funds
from finembed_core.polymodel.history import SortedHistories, empirical_quantiles
from finembed_core.polymodel.value_at_risk import cornish_fisher_var, gaussian_var, historical_var
from finembed_core.settings import PolyModelSettings

LEVEL, SIGNIFICANCE = 0.99, 0.05
GAUSSIAN_99 = 2.3263478740408408
DECAY, WARM_UP = 0.97, 12  # RiskMetrics (1996), monthly data; months before a volatility counts
BONDS = {"bond", "cash", "fixed_term"}
PAPER = PolyModelSettings(
    significance="moments", degree=4, ridge=1.0, selection="absolute", alpha=0.01
)
RIDGES = {"1": {}, "10": {"ridge": 10.0}, "cross-validated": {"cross_validated": True}}
SHAPES = {
    "p <= .01": {},
    "Benjamini-Hochberg .05": {"selection": "benjamini_hochberg", "alpha": 0.05},
    "p <= .01, straight line": {"degree": 1},
}
VARIANTS = {
    f"{ridge}, {shape}": PAPER.model_copy(update=RIDGES[ridge] | SHAPES[shape])
    for ridge, shape in product(RIDGES, SHAPES)
}


@dataclass(frozen=True)
class Forecasts:
    """Returns (T, N) of some months, and the VaR that was forecast for them a month before.

    ``var`` holds what is compared throughout, ``variants`` StressVaR by settings, full and clamped.
    """

    name: str
    months: np.ndarray  # ordinals
    returns: np.ndarray
    var: dict
    variants: dict
    factor: np.ndarray | None = None  # that SVaR is of

    def select(self, name, columns):
        """Some of the funds."""

        def cut(table):
            return {key: values[:, columns] for key, values in table.items()}

        cells = self.returns[:, columns]
        factor = self.factor[:, columns]
        return Forecasts(name, self.months, cells, cut(self.var), cut(self.variants), factor)

    def judged(self, *tables):
        """Returns where all of the tables' forecasts are known, NaN elsewhere."""
        known = [~np.isnan(values) for table in tables for values in table.values()]
        return np.where(np.all(known, axis=0), self.returns, np.nan)


def month_inputs(universe, month, window, history):
    """A month's information set; cash does not enter a VaR."""
    funds = universe.funds.window(month, window).observed()
    factors = universe.factors.window(month, window)
    return MonthInputs(month, funds, np.zeros(window), factors, history)


def forecast(universe):
    """Every VaR of a universe for every month but its first."""
    months = month_ordinals(universe.funds.dates)
    shape = (len(months), len(universe.funds.ids))
    full = {name: np.full(shape, np.nan) for name in VARIANTS}
    clamped = {f"{name}, clamped": np.full(shape, np.nan) for name in VARIANTS}
    factor = np.full(shape, None)
    own = {name: np.full(shape, np.nan) for name in own_vars(universe.funds.values[:1])}
    default = next(iter(VARIANTS))
    histories = SortedHistories(PAPER)
    place = {name: k for k, name in enumerate(universe.funds.ids)}
    for t in track(range(len(months) - 1), universe.name, console=Console(stderr=True)):
        month = Month(int(months[t]))
        history = histories.summarize(universe.factors.as_of(month.end))
        inputs = month_inputs(universe, month, PAPER.window, history)
        able = screen_funds(inputs.funds.values, PAPER) == ""
        inputs = select_funds(inputs, able)
        columns = [place[name] for name in inputs.funds.ids]
        for name, values in own_vars(universe.funds.values[: t + 1, columns]).items():
            own[name][t + 1, columns] = values
        for name, settings in VARIANTS.items():
            features = polymodel_features(inputs, settings).features
            both = features.select("svar", "svar_clamped").fill_null(np.nan).to_numpy()
            full[name][t + 1, columns], clamped[f"{name}, clamped"][t + 1, columns] = both.T
            if name == default:
                factor[t + 1, columns] = features["svar_factor"].to_list()
    var = {"SVaR": full[default], "SVaR clamped": clamped[f"{default}, clamped"], **own}
    return Forecasts(universe.name, months, universe.funds.values, var, full | clamped, factor)


def select_funds(inputs, able):
    funds = inputs.funds.select([f for f, k in zip(inputs.funds.ids, able, strict=True) if k])
    return MonthInputs(inputs.month, funds, inputs.risk_free, inputs.factors, inputs.history)


def own_vars(returns):
    """VaR of funds from their own returns up to now (L, N)."""
    window = returns[-PAPER.window :]
    volatility = trailing_volatility(returns)
    surprises = returns[1:] / volatility[:-1]
    return {
        "historical": historical_var(window, LEVEL),
        "Gaussian": gaussian_var(window, LEVEL),
        "Cornish-Fisher": cornish_fisher_var(window, LEVEL),
        "historical, all history": historical_var(returns, LEVEL),
        "EWMA Gaussian": GAUSSIAN_99 * volatility[-1],
        "filtered historical": -empirical_quantiles(surprises, [1.0 - LEVEL])[0] * volatility[-1]
        if len(surprises)
        else np.full(returns.shape[1], np.nan),
    }


def trailing_volatility(returns):
    """Exponentially weighted root mean square up to each month, (L, N); NaN in a fund's first."""
    seen = ~np.isnan(returns)
    young = np.cumsum(seen, axis=0) < WARM_UP
    total, weight = np.zeros(returns.shape[1]), np.zeros(returns.shape[1])
    volatility = np.full(returns.shape, np.nan)
    for t, (row, known) in enumerate(zip(np.nan_to_num(returns), seen, strict=True)):
        total, weight = DECAY * total + row**2, DECAY * weight + known
        volatility[t] = np.sqrt(total / np.where(weight > 0.0, weight, np.nan))
    return np.where(young | (volatility <= 0.0), np.nan, volatility)


def split(forecasts, classes):
    """Indian funds of shares and of bonds apart: their losses differ by orders of magnitude."""
    if forecasts.name != "india":
        return [forecasts]
    bonds = np.array([kind in BONDS for kind in classes])
    return [forecasts.select("india equity", ~bonds), forecasts.select("india bonds", bonds)]


def pool(panels):
    """All panels side by side, the same calendar month in the same row."""
    months = np.unique(np.concatenate([panel.months for panel in panels]))

    def joined(tables):
        width = sum(table.shape[1] for table in tables)
        whole, first = np.full((len(months), width), np.nan), 0
        for panel, table in zip(panels, tables, strict=True):
            rows = np.searchsorted(months, panel.months)
            whole[rows, first : first + table.shape[1]] = table
            first += table.shape[1]
        return whole

    def all_of(which):
        tables = [getattr(panel, which) for panel in panels]
        return {key: joined([table[key] for table in tables]) for key in tables[0]}

    returns = joined([panel.returns for panel in panels])
    return Forecasts("all", months, returns, all_of("var"), all_of("variants"))
