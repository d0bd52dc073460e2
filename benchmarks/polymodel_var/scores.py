"""How forecasts are judged."""

import numpy as np
from arch.bootstrap import StationaryBootstrap
from scipy.stats import binom, spearmanr

from benchmarks.polymodel_var.forecasts import LEVEL, SIGNIFICANCE
from finembed_core.calendar import Month
from finembed_core.polymodel.var_exceptions import find_exceptions, kupiec_test, pooled_rate

BLOCK, DRAWS, SEED = 12, 1000, 1


def tick_loss(returns, var):
    """Quantile loss of the forecast -var at 1%, Koenker and Bassett (1978)."""
    short = -returns - var  # beyond the VaR
    return np.where(short > 0.0, LEVEL, LEVEL - 1.0) * short


def loss_ratios(returns, var, reference):
    """Tick loss of each VaR over that of the reference, with intervals: three rows."""
    losses = [np.nansum(tick_loss(returns, v), axis=1) for v in (*var.values(), reference)]
    losses = np.column_stack(losses)[(~np.isnan(returns)).any(axis=1)]
    bootstrap = StationaryBootstrap(BLOCK, losses, seed=SEED)
    low, high = bootstrap.conf_int(_ratios, reps=DRAWS, method="percentile", size=0.95)
    return np.array([_ratios(losses), low, high]).T


def _ratios(losses):
    total = losses.sum(axis=0)
    return total[:-1] / total[-1]


def table(title, header, rows):
    print(f"\n{title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def scores(returns, var, reference):
    """Of each VaR: exceptions, rate and interval, excess, mean, tick loss, ratio and interval."""
    ratios = loss_ratios(returns, var, reference)
    known = ~np.isnan(returns)
    for (name, values), (ratio, low, high) in zip(var.items(), ratios, strict=True):
        found = find_exceptions(returns, values, pooled=True)
        rate = pooled_rate(returns, values, BLOCK, 0.95, DRAWS, SEED)
        yield [
            name,
            f"{found.count:,}",
            f"{rate.rate:.2%} [{rate.low:.2%}, {rate.high:.2%}]",
            f"{found.mean_excess:.2%}" if found.count else "",
            f"{values[known].mean():.2%}",
            f"{tick_loss(returns, values)[known].mean() * 1e4:.2f}",
            f"{ratio:.2f} [{low:.2f}, {high:.2f}]",
        ]


SCORES = ["exceptions", "rate", "mean beyond VaR", "mean VaR", "tick loss, bp", "/ SVaR"]


def size_of(panel, returns):
    months = (~np.isnan(returns)).any(axis=1)
    funds = (~np.isnan(returns)).any(axis=0).sum()
    first, last = (Month(int(k)) for k in panel.months[np.flatnonzero(months)[[0, -1]]])
    cells = (~np.isnan(returns)).sum()
    return f"**{panel.name}**: {cells:,} fund-months of {funds} funds, {first} to {last}"


def kupiec_size(months):
    """Share of funds that Kupiec's test rejects for too many and too few if all VaRs are right."""
    many, few = 0.0, 0.0
    for n in months:
        x = np.arange(n + 1)
        rejected = kupiec_test(x, np.full(n + 1, n), LEVEL).p_value < SIGNIFICANCE
        chance = binom.pmf(x, n, 1.0 - LEVEL) * rejected
        many += chance[x > n * (1.0 - LEVEL)].sum()
        few += chance[x <= n * (1.0 - LEVEL)].sum()
    return many / len(months), few / len(months)


def scalable(returns, var):
    """Returns where every VaR is positive; multiplied, a negative one falls."""
    return np.where(np.all([values > 0.0 for values in var.values()], axis=0), returns, np.nan)


def right_factor(returns, var):
    """What the VaR must be multiplied by to have 1% exceptions, by bisection."""
    low, high = 0.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2.0
        rate = find_exceptions(returns, var * middle, pooled=True).rate
        low, high = (middle, high) if rate > 1.0 - LEVEL else (low, middle)
    return high


def rank_correlation(forecast, outcome):
    return spearmanr(forecast, outcome, nan_policy="omit").statistic


def with_interval(values):
    bootstrap = StationaryBootstrap(BLOCK, values, seed=SEED)
    low, high = bootstrap.conf_int(np.mean, reps=DRAWS, method="percentile", size=0.95).ravel()
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"
