"""The moments' p-values against very many shuffles, with other laws of the same moments."""

from itertools import pairwise

import numpy as np
from scipy import special, stats

from benchmarks.polymodel_significance.laws import SHAPES
from benchmarks.polymodel_significance.pairs import (
    COUNTABLE,
    MONTHS,
    TRUTH,
    TRUTH_SEED,
    known_pairs,
)
from benchmarks.polymodel_significance.tables import joined, table
from finembed_core.polymodel.permutation_moments import standardized_moments
from finembed_core.polymodel.significance import moments_p_values

RANGES = [(1e-5, 1e-4), (1e-4, 1e-3), (1e-3, 1e-2), (1e-2, 1e-1), (1e-1, 1.0)]


def two_moments(r2, mean, sd, _):
    """Beta law on [0, 1] with this mean and variance."""
    total = mean * (1.0 - mean) / sd**2 - 1.0
    return special.betaincc(mean * total, (1.0 - mean) * total, r2)


def pearson_three(r2, mean, sd, skewness):
    """Gamma law with these three moments."""
    return stats.pearson3.sf((r2 - mean) / sd, skewness)


def beta_from_zero(r2, mean, sd, skewness):
    """Beta law on [0, C] with these three moments; on [0, 1] with two where there is none."""
    variance, square = sd**2, mean**2
    second = (variance + square) / mean
    third = (skewness * variance * sd + mean * (3.0 * variance + square)) / (variance + square)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = 2.0 * (second - third) / (mean - 2.0 * second + third)
        width = second * (total + 1.0) - mean * total
        a = mean * total / width
        p = special.betaincc(a, total - a, np.clip(r2 / width, 0.0, 1.0))
    fits = (a > 0.0) & (total > a) & (width > 0.0)
    return np.where(fits, p, two_moments(r2, mean, sd, skewness))


OTHERS = {
    "beta [0, 1], two moments": two_moments,
    "gamma (Pearson III)": pearson_three,
    "beta [0, C]": beta_from_zero,
}
OURS = "beta [l, 1], finembed"


def estimates(test):
    """P-values (J, N) of every candidate."""
    unit = test.shuffling.unit
    moments = standardized_moments(test.raw, unit)
    r2 = np.square(test.raw.transpose(0, 2, 1) @ unit).sum(axis=1)
    return {
        **{name: law(r2, *moments) for name, law in OTHERS.items()},
        OURS: moments_p_values(test.shuffling),
    }


def kurtosis(test):
    """Of every fund, (N,); the normal law has 3."""
    return test.months * (test.shuffling.unit**4).sum(axis=0)


def leverage(test):
    """Largest share that one month has in a fit, per factor (J,)."""
    return np.square(test.raw).sum(axis=2).max(axis=1)


def accuracy():
    for shape in SHAPES:
        print(f"\n### {shape}")
        accuracy_of([test for test in known_pairs(shape) if test.panel in MONTHS])


def accuracy_of(tests):
    found = [estimates(test) for test in tests]
    count = joined(test.count for test in tests)
    p = {name: joined(one[name] for one in found) for name in found[0]}
    panels_table(tests)
    errors_table(count, p)
    verdicts_table(count, p)
    small_table(count, p)
    shape = [np.broadcast_arrays(leverage(t)[:, None], kurtosis(t)) for t in tests]
    weight, tails = (joined(s[k] for s in shape) for k in range(2))
    with np.errstate(divide="ignore"):
        error = np.log10(p[OURS]) - np.log10(count / TRUTH)
    shape_table(error, count, weight, tails)
    worst_table(tests, error, count, weight, tails)


def panels_table(tests):
    rows = []
    for name in dict.fromkeys(test.panel for test in tests):
        own = [test for test in tests if test.panel == name]
        count = joined(test.count for test in own)
        rows.append(
            [
                name,
                ", ".join(dict.fromkeys(test.month for test in own)),
                f"{min(t.months for t in own)} to {max(t.months for t in own)}",
                f"{count.size:,}",
                f"{(count >= COUNTABLE).sum():,}",
                f"{(count == 0).sum():,}",
            ]
        )
    table("Pairs", ["panel", "months", "n", "pairs", f"{COUNTABLE} or more", "none"], rows)


def errors_table(count, p):
    rows = []
    truth = count / TRUTH
    for low, high in RANGES:
        inside = (count >= COUNTABLE) & (truth > low * (low > 1e-5)) & (truth <= high)
        for name, values in p.items() if inside.any() else ():
            error = np.log10(values[inside]) - np.log10(truth[inside])
            size = [np.median(np.abs(error)), np.quantile(np.abs(error), 0.95)]
            worst = [error.min(), error.max(), error.mean()]
            numbers = [f"{v:.3f}" for v in size] + [f"{v:+.3f}" for v in worst]
            rows.append([f"{low:g} to {high:g}", f"{inside.sum():,}", name, *numbers])
    header = ["true p", "pairs", "law", "median", "95%", "lowest", "highest", "mean"]
    table("Error of log10 p", header, rows)


def verdicts_table(count, p):
    rows = []
    for name, values in p.items():
        row = [name]
        for alpha in (0.05, 0.01, 0.001):
            chosen, right = values <= alpha, count / TRUTH <= alpha
            row += [(~chosen & right).sum(), (chosen & ~right).sum()]
        rows.append(row)
    header = ["law", "5%: missed", "false", "1%: missed", "false", "0.1%: missed", "false"]
    true = ", ".join(f"{(count / TRUTH <= a).sum():,} at {a:g}" for a in (0.05, 0.01, 0.001))
    table(f"Verdicts of moments alone; to be selected: {true}", header, rows)


def small_table(count, p):
    few = (count > 0) & (count < COUNTABLE)
    rows = [
        [name, *(f"{v:.1e}" for s in (count == 0, few) for v in (np.median(q[s]), q[s].max()))]
        for name, q in p.items()
    ]
    sizes = f"{(count == 0).sum():,} pairs without an exceedance, {few.sum():,} with 1 to 9"
    table(sizes, ["law", "none: median", "largest", "1 to 9: median", "largest"], rows)


def shape_table(error, count, weight, tails):
    known = (count >= COUNTABLE) & (count <= 0.1 * TRUTH)
    edges = [0.0, 0.5, 0.7, 0.9, np.inf]
    rows = []
    for low, high in ((0, 3), (3, 5), (5, 8), (8, 15), (15, 99)):
        row = [f"{low} to {high}" if high < 99 else f"above {low}"]
        for left, right in pairwise(edges):
            cell = known & (tails > low) & (tails <= high) & (weight > left) & (weight <= right)
            size = np.abs(error[cell])
            some = len(size) >= 10
            row.append(f"{np.median(size):.3f}, {np.quantile(size, 0.95):.3f}" if some else "")
            row.append(f"{cell.sum()}")
        rows.append(row)
    header = ["kurtosis", "leverage below .5", "", ".5 to .7", "", ".7 to .9", "", "above .9", ""]
    table(f"{OURS}, p up to .1: median and 95% of |error|, pairs", header, rows)


def worst_table(tests, error, count, weight, tails):
    place = [
        (test, j, i)
        for test in tests
        for j in range(len(test.factors))
        for i in range(len(test.funds))
    ]
    worst = {}
    order = np.argsort(np.where(count >= COUNTABLE, np.abs(error), 0.0))[::-1]
    for k in order:
        test, j, i = place[k]
        true = count[k] / TRUTH
        numbers = f"{tails[k]:.1f}", f"{weight[k]:.2f}", f"{true:.2g}"
        label, found = f"{test.panel} {test.month}", f"{true * 10 ** error[k]:.2g}"
        worst.setdefault(label, [label, test.funds[i], test.factors[j], *numbers, found])
        if len(worst) == 8:
            break
    header = ["panel", "fund", "factor", "kurtosis", "leverage", "true p", "moments"]
    table(f"{OURS}: the worst pair of the eight worst months", header, worst.values())
    humps_table(*place[order[0]])


def humps_table(test, j, i, shuffles=100_000):
    """R2 of the shuffles in which the largest months of fund and factor meet, and of the others."""
    factor, unit = test.shuffling.factor[j], test.shuffling.unit[:, i]
    rows = test.rows(shuffles, TRUTH_SEED)
    meet = rows[:, np.square(factor).sum(axis=1).argmax()] == np.abs(unit).argmax()
    r2 = np.square(unit[rows] @ factor).sum(axis=1)
    levels = (0.05, 0.5, 0.95)
    table(
        f"{test.funds[i]} on {test.factors[j]}, R2 {test.shuffling.observed[j, i]:.2f}; shuffled",
        ["largest months", "share", *(f"{level:.0%}" for level in levels)],
        [
            [name, f"{some.mean():.3f}", *(f"{v:.2f}" for v in np.quantile(r2[some], levels))]
            for name, some in (("meet", meet), ("do not", ~meet))
        ],
    )
