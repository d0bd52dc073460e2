"""The tables that are printed."""

from collections import Counter

import numpy as np
from scipy.stats import spearmanr

from benchmarks.polymodel_var.forecasts import LEVEL, SIGNIFICANCE
from benchmarks.polymodel_var.scores import (
    BLOCK,
    DRAWS,
    SCORES,
    SEED,
    kupiec_size,
    loss_ratios,
    rank_correlation,
    right_factor,
    scalable,
    scores,
    size_of,
    table,
    tick_loss,
    with_interval,
)
from finembed_core.calendar import Month
from finembed_core.polymodel.var_exceptions import (
    conditional_coverage_test,
    find_exceptions,
    independence_test,
    kupiec_test,
    pooled_rate,
)

MIN_MONTHS = 60  # judged, for tests per fund
MIN_FUNDS, WORST = 8, 0.1  # in a month, for rank correlations; share of months, by mean return
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


def print_level(panel):
    returns = scalable(panel.judged(panel.var), panel.var)
    known = ~np.isnan(returns)
    target = panel.var["SVaR"][known].mean()
    factors = {name: target / var[known].mean() for name, var in panel.var.items()}
    title = f"{size_of(panel, returns)}, each times a constant: "
    print_scaled(f"{title}all with SVaR's mean", returns, panel.var, factors)
    factors = {name: right_factor(returns, var) for name, var in panel.var.items()}
    print_scaled(f"{title}all with 1% exceptions", returns, panel.var, factors)


def print_scaled(title, returns, var, factors):
    scaled = {name: values * factors[name] for name, values in var.items()}
    found = scores(returns, scaled, scaled["SVaR"])
    rows = [[row[0], f"{factors[row[0]]:.2f}", *row[1:]] for row in found]
    table(title, ["VaR", "times", *SCORES], rows)


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
