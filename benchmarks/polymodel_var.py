"""StressVaR out of sample: next month's returns against 99% value-at-risk forecasts, real panels.

The test of the StressVaR paper (arXiv 0911.4030): month t forecasts from what is dated t or before,
the return of month t+1 is judged. ``rate`` should be 1%. A VaR can have few exceptions by being
large, so its mean and its quantile (tick) loss stand beside them: the loss is smallest in
expectation for the true quantile, and ``/ SVaR`` above 1 means worse than StressVaR. ``[ ]`` are
95% intervals of a stationary bootstrap over whole months, mean block 12 months.

    python -m benchmarks.polymodel_var [PART ...] [--panels PANEL ...]

rates: exceptions, level, loss. tests: Kupiec and Christoffersen per fund. level: the same mean VaR
for all, and the level that has 1% exceptions. variants: lambda, selection rule, shape of the curve.
crises: what was forecast on the eve, and what came. ranks: does a VaR say which fund, and when.
unjudged: fund-months without a StressVaR.
"""

import argparse
from collections import Counter
from dataclasses import dataclass
from itertools import product

import numpy as np
from arch.bootstrap import StationaryBootstrap
from rich.console import Console
from rich.progress import track
from scipy.stats import binom, spearmanr

from benchmarks.panels import universes
from finembed_core.calendar import Month, month_ordinals
from finembed_core.polymodel.features import MonthInputs, polymodel_features, screen_funds
from finembed_core.polymodel.history import SortedHistories, empirical_quantiles
from finembed_core.polymodel.value_at_risk import (
    cornish_fisher_var,
    gaussian_var,
    historical_var,
)
from finembed_core.polymodel.var_exceptions import (
    conditional_coverage_test,
    find_exceptions,
    independence_test,
    kupiec_test,
    pooled_rate,
)
from finembed_core.settings import PolyModelSettings

LEVEL, SIGNIFICANCE = 0.99, 0.05
GAUSSIAN_99 = 2.3263478740408408
DECAY, WARM_UP = 0.97, 12  # RiskMetrics (1996), monthly data; months before a volatility counts
BLOCK, DRAWS, SEED = 12, 1000, 1
MIN_MONTHS = 60  # judged, for tests per fund
MIN_FUNDS, WORST = 8, 0.1  # in a month, for rank correlations; share of months, by mean return
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
CRISES = {
    "french": {
        "1973-74": ("1973-01", "1974-12"),
        "1987": ("1987-10", "1987-12"),
        "1998": ("1998-08", "1998-10"),
        "2008": ("2008-01", "2009-02"),
    },
    "india equity": {"2008": ("2008-01", "2009-02")},
    "edhec": {"2008": ("2008-01", "2009-02"), "2020": ("2020-02", "2020-04")},
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


def print_rates(panel):
    returns = panel.judged(panel.var)
    rows = scores(returns, panel.var, panel.var["SVaR"])
    table(size_of(panel, returns), ["VaR", *SCORES], rows)


def print_tests(panel):
    returns = panel.judged(panel.var)
    months = (~np.isnan(returns)).sum(axis=0)
    enough = months >= MIN_MONTHS
    rows = [
        ["if right", *(f"{share:.0%}" for share in kupiec_size(months[enough])), "", "", "", ""]
    ]
    for name, var in panel.var.items():
        own = find_exceptions(returns[:, enough], var[:, enough])
        kupiec = kupiec_test(own.count, own.months, LEVEL).p_value < SIGNIFICANCE
        many = own.rate > 1.0 - LEVEL
        follow = independence_test(own.transitions).p_value < SIGNIFICANCE
        joint = conditional_coverage_test(own.count, own.months, own.transitions, LEVEL)
        whole = find_exceptions(returns, var, pooled=True)
        shares = (kupiec & many, kupiec & ~many, follow, joint.p_value < SIGNIFICANCE)
        pooled = (
            kupiec_test(whole.count, whole.months, LEVEL),
            conditional_coverage_test(whole.count, whole.months, whole.transitions, LEVEL),
        )
        rows.append(
            [name, *(f"{s.mean():.0%}" for s in shares), *(f"{p.p_value:.1g}" for p in pooled)]
        )
    tests = ["too many", "too few", "in a row", "joint", "pooled Kupiec p", "pooled joint p"]
    table(
        f"**{panel.name}**: {enough.sum()} funds of {MIN_MONTHS} months or more",
        ["VaR", *tests],
        rows,
    )


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


def print_level(panel):
    returns = scalable(panel.judged(panel.var), panel.var)
    known = ~np.isnan(returns)
    target = panel.var["SVaR"][known].mean()
    factors = {name: target / var[known].mean() for name, var in panel.var.items()}
    title = f"{size_of(panel, returns)}, each times a constant: "
    print_scaled(f"{title}all with SVaR's mean", returns, panel.var, factors)
    factors = {name: right_factor(returns, var) for name, var in panel.var.items()}
    print_scaled(f"{title}all with 1% exceptions", returns, panel.var, factors)


def scalable(returns, var):
    """Returns where every VaR is positive; multiplied, a negative one falls."""
    return np.where(np.all([values > 0.0 for values in var.values()], axis=0), returns, np.nan)


def print_scaled(title, returns, var, factors):
    scaled = {name: values * factors[name] for name, values in var.items()}
    found = scores(returns, scaled, scaled["SVaR"])
    rows = [[row[0], f"{factors[row[0]]:.2f}", *row[1:]] for row in found]
    table(title, ["VaR", "times", *SCORES], rows)


def right_factor(returns, var):
    """What the VaR must be multiplied by to have 1% exceptions, by bisection."""
    low, high = 0.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2.0
        rate = find_exceptions(returns, var * middle, pooled=True).rate
        low, high = (middle, high) if rate > 1.0 - LEVEL else (low, middle)
    return high


def print_variants(panel):
    var = {**panel.variants, "Gaussian": panel.var["Gaussian"]}
    returns = scalable(panel.judged(var), var)
    known = ~np.isnan(returns)
    right = {name: values * right_factor(returns, values) for name, values in var.items()}
    ratios = loss_ratios(returns, right, right[next(iter(right))])
    rows = [
        [*row, f"{right[row[0]][known].mean():.2%}", f"{ratio:.2f} [{low:.2f}, {high:.2f}]"]
        for row, (ratio, low, high) in zip(
            scores(returns, var, panel.var["SVaR"]), ratios, strict=True
        )
    ]
    title = f"{size_of(panel, returns)}: StressVaR by lambda, rule and shape"
    table(title, ["VaR", *SCORES, "mean at 1%", "/ SVaR at 1%"], rows)


def print_crises(panel):
    for crisis, (first, last) in CRISES.get(panel.name, {}).items():
        first, last = Month.parse(first).ordinal, Month.parse(last).ordinal
        returns = panel.judged(panel.var)
        known = ~np.isnan(returns)
        during = np.flatnonzero((panel.months >= first) & (panel.months <= last))
        eve = during[0]  # the forecast made at the end of the month before
        funds = known[eve]
        worst = np.nanmin(returns[np.ix_(during, funds)], axis=0)
        rows = []
        for name, var in panel.var.items():
            found = find_exceptions(returns[during], var[during], pooled=True)
            before = var[eve, funds]
            rows.append(
                [
                    name,
                    f"{before.mean():.1%}",
                    f"{before.mean() / var[:eve, :][known[:eve]].mean():.2f}",
                    f"{found.count} of {found.months}",
                    f"{found.mean_excess:.1%}" if found.count else "",
                    f"{tick_loss(returns[during], var[during])[known[during]].mean() * 1e4:.0f}",
                    f"{spearmanr(before, -worst).statistic:.2f}",
                ]
            )
        title = (
            f"**{panel.name}, {crisis}**: {funds.sum()} funds, mean worst month {worst.mean():.1%}"
        )
        header = ["VaR", "eve", "eve / mean before", "exceptions", "mean beyond VaR"]
        table(title, [*header, "tick loss, bp", "rank correlation"], rows)
        blamed = Counter(panel.factor[eve, funds]).most_common()
        print(f"\nSVaR is of: {', '.join(f'{name} {count}' for name, count in blamed)}")


def print_ranks(panel):
    if panel.factor is None:  # a rank across panels would be one of asset classes
        return
    returns = panel.judged(panel.var)
    some = (~np.isnan(returns)).sum(axis=1) >= MIN_FUNDS
    returns = returns[some]
    mean = np.nanmean(returns, axis=1)
    worst = mean <= np.quantile(mean, WORST)
    rows = []
    for name, var in panel.var.items():
        forecasts = np.where(np.isnan(returns), np.nan, var[some])
        size = [rank_correlation(v, np.abs(r)) for v, r in zip(forecasts, returns, strict=True)]
        pairs = zip(forecasts[worst], returns[worst], strict=True)
        loss = [rank_correlation(v, -r) for v, r in pairs]
        level = np.nanmean(forecasts, axis=1)
        when = spearmanr(level, np.abs(mean)).statistic
        rows.append([name, *(with_interval(np.array(of)) for of in (size, loss)), f"{when:.2f}"])
    title = (
        f"**{panel.name}**: {len(mean)} months of at least {MIN_FUNDS} funds, {worst.sum()} worst"
    )
    header = ["VaR", "which fund: size", "which fund: loss in the worst months", "when: size"]
    table(title, header, rows)


def rank_correlation(forecast, outcome):
    return spearmanr(forecast, outcome, nan_policy="omit").statistic


def with_interval(values):
    bootstrap = StationaryBootstrap(BLOCK, values, seed=SEED)
    low, high = bootstrap.conf_int(np.mean, reps=DRAWS, method="percentile", size=0.95).ravel()
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"


def print_unjudged(panel):
    own = {name: var for name, var in panel.var.items() if not name.startswith("SVaR")}
    returns = panel.judged(own)
    without = np.where(np.isnan(panel.var["SVaR"]), returns, np.nan)
    share = (~np.isnan(without)).sum() / (~np.isnan(returns)).sum()
    rows = []
    for name, var in own.items():
        rates = [pooled_rate(r, var, BLOCK, 0.95, DRAWS, SEED) for r in (without, returns)]
        rows.append([name, *(f"{r.rate:.2%} [{r.low:.2%}, {r.high:.2%}]" for r in rates)])
    title = f"**{panel.name}**: {share:.1%} of the fund-months have no StressVaR"
    table(title, ["VaR", "rate there", "rate in all"], rows)


PARTS = {
    "rates": print_rates,
    "tests": print_tests,
    "level": print_level,
    "variants": print_variants,
    "crises": print_crises,
    "ranks": print_ranks,
    "unjudged": print_unjudged,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--panels", nargs="+", help="of french, india, edhec, managers")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    panels = []
    for universe in universes():
        if not chosen.panels or universe.name in chosen.panels:
            kinds = [universe.classes.get(fund) for fund in universe.funds.ids]
            panels += split(forecast(universe), kinds)
    if len(panels) > 1:
        panels.append(pool(panels))
    for part in chosen.parts or PARTS:
        print(f"\n## {part}")
        for panel in panels:
            PARTS[part](panel)


if __name__ == "__main__":
    main()
