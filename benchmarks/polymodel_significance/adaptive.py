"""Adaptive verdicts against those of many other shuffles, and the margin that they rest on."""

from dataclasses import dataclass
from unittest.mock import patch

import numpy as np

from benchmarks.polymodel_significance.laws import (
    LAWS,
    SETTINGS,
    SHAPES,
    START,
    shuffling_of,
    students,
)
from benchmarks.polymodel_significance.pairs import TRUTH, known_pairs, month_tests, panels
from benchmarks.polymodel_significance.tables import interval, joined, progress, table
from finembed_core.calendar import Month
from finembed_core.polymodel import adaptive as shipped
from finembed_core.polymodel.adaptive import MARGIN, MEETING, GroupShuffles, settled_p_values
from finembed_core.polymodel.selection import select_factors, thresholds
from finembed_core.polymodel.shuffling import TargetShuffling, exact_p_values, shuffled_rows
from finembed_core.polymodel.significance import moments_p_values

SCANNED, SCAN_SEED = 6, 77  # every how many months
RULES = {"absolute": "p <=", "benjamini_hochberg": "BH"}
TOGETHER = 5


@dataclass
class Meter:
    """Passes on shuffles of chosen pairs, and counts them."""

    shuffling: TargetShuffling
    pairs: int = 0
    spent: int = 0

    def pair_exceedances(self, factor, fund, rows):
        """As of the shuffling."""
        self.pairs = max(self.pairs, len(factor))
        self.spent += len(factor) * len(rows)
        return self.shuffling.pair_exceedances(factor, fund, rows)


def adaptive():
    for shape in SHAPES:
        print(f"\n### {shape}")
        tests = known_pairs(shape)
        verdicts_table(tests, SHAPES[shape])
        margin_table(tests, shape)


def verdicts_table(tests, shape):
    names = list(dict.fromkeys(test.panel for test in tests))
    cases = [(name, [name], "absolute", 0.01, MEETING) for name in names]
    rules = [("absolute", alpha) for alpha in (0.05, 0.01, 0.005, 0.001)]
    rules += [("benjamini_hochberg", alpha) for alpha in (0.1, 0.01)]
    cases += [("all", names, *rule, meeting) for meeting in (MEETING, 0.0) for rule in rules]
    exact = {
        id(test): test.shuffling.exceedances(test.rows(shape.adaptive_shuffles, 2))
        for test in tests
    }
    rows, notes, funds = [], [], []
    for label, wanted, rule, alpha, meeting in progress(cases, "adaptive"):
        settings = shape.model_copy(update={"selection": rule, "alpha": alpha})
        some = [test for test in tests if test.panel in wanted]
        compared = [compare(test, exact[id(test)], settings, meeting) for test in some]
        rule = f"{RULES[rule]} {alpha:g}" + f", {MARGIN:g} alpha alone" * (not meeting)
        rows.append([label, rule, *summary(compared)])
        if len(wanted) > 1:
            notes += [(rule, *note) for one in compared for note in one["differ"]]
            funds += [(rule, *fund) for one in compared for fund in one["together"]]
    many = f"{shape.adaptive_shuffles:,}"
    header = ["panel", "rule", "pairs", "selected", "adaptive misses", "adds", f"{many} miss"]
    header += ["add", "agree", "settled", "agree", "shuffled", "shuffles per pair"]
    table(f"Adaptive (seed 1) and {many} shuffles (seed 2) against {TRUTH:,}", header, rows)
    columns = ["rule", "panel", "moments", "adaptive", many, f"{TRUTH:,}"]
    table("Settled verdicts that differ", columns, sorted(set(notes)))
    columns = ["rule", "panel", "fund", "threshold by moments", f"by {TRUTH:,}", "adaptive", many]
    table(f"Funds with {TOGETHER} wrong verdicts of adaptive or more", columns, funds)


def compare(test, count, settings, meeting):
    """Adaptive's verdicts, those of many shuffles and of very many, and what was spent.

    Many have settled a verdict where their 99.9% interval does not meet the threshold's, which
    may follow from the p-values themselves.
    """
    many, meter = settings.adaptive_shuffles, Meter(test.shuffling)
    moments = moments_p_values(test.shuffling)
    places = [np.arange(size) for size in moments.shape]
    group = GroupShuffles(*places, meter, test.rows(many, settings.seed))
    with patch.object(shipped, "MEETING", meeting):
        found = settled_p_values(moments, [group], settings)
    exact, truth = exact_p_values(count, many), exact_p_values(test.count, TRUTH)
    adaptive, shuffled, right = (select_factors(p, settings).chosen for p in (found, exact, truth))
    low, high = interval(count, many, 0.999)
    limits = thresholds(low, settings), thresholds(high, settings)
    settled = (np.maximum(*limits) < low) | (np.minimum(*limits) > high)
    values = np.stack([moments, found, exact, truth], axis=-1)
    panel = f"{test.panel} {test.month}"
    by_fund = (adaptive != right).sum(axis=0), (shuffled != right).sum(axis=0)
    step = thresholds(moments, settings), thresholds(truth, settings)
    return {
        "verdicts": np.stack([adaptive, shuffled, right, settled]).reshape(4, -1),
        "pairs": meter.pairs,
        "spent": meter.spent,
        "differ": [
            (panel, *(f"{v:.5f}" for v in row)) for row in values[settled & (adaptive != shuffled)]
        ],
        "together": [
            (panel, test.funds[i], *(f"{s[i]:.4f}" for s in step), *(w[i] for w in by_fund))
            for i in np.flatnonzero(by_fund[0] >= TOGETHER)
        ],
    }


def summary(compared):
    verdicts = np.concatenate([one["verdicts"] for one in compared], axis=1)
    adaptive, shuffled, right, settled = verdicts
    pairs, spent = (sum(one[key] for one in compared) for key in ("pairs", "spent"))
    same = adaptive == shuffled
    wrong = [(right & ~chosen, chosen & ~right) for chosen in (adaptive, shuffled)]
    return [
        f"{right.size:,}",
        f"{right.sum():,}",
        *(kind.sum() for both in wrong for kind in both),
        f"{same.mean():.2%}",
        f"{settled.mean():.1%}",
        f"{same[settled].mean():.2%}",
        f"{pairs / right.size:.1%}",
        f"{spent / right.size:,.0f}",
    ]


def margin_table(tests, shape):
    """Pairs that deserve selection, by how far above the threshold the moments put them."""
    known = [(moments_p_values(t.shuffling), t.count / TRUTH, t.months) for t in tests]
    rows = left_out(f"the pairs above, {TRUTH:,} shuffles", known, (0.05, 0.01, 0.005, 0.001, 1e-4))
    label = f"real panels, every {SCANNED}th month"
    rows += left_out(label, scanned(shape), (0.05, 0.01, 0.005, 0.001))
    for law in LAWS:
        rows += left_out(f"returns {law}, factors Student 3", wild(law, shape), (0.05, 0.01, 0.001))
    margins = [f"{margin:g} alpha" for margin in (1.5, 2.0, MARGIN, 5.0)]
    header = ["pairs", "of", "alpha", "p below", "moments above alpha", *margins]
    header += [f"{MARGIN:g} alpha and {MEETING:g}/n", "largest / alpha", "largest times n"]
    table("Pairs that deserve selection and that a margin would leave out", header, rows)


def left_out(label, known, alphas):
    """Rows of `margin_table`, of moments, p-values of shuffles and n."""
    known = list(known)
    moments, p = (joined(one[k] for one in known) for k in range(2))
    n = joined(np.full(one[0].shape, one[2]) for one in known)
    rows = []
    for alpha in alphas:
        right = p <= alpha
        above, months = moments[right], n[right]
        limits = [alpha * margin for margin in (1.0, 1.5, 2.0, MARGIN, 5.0)]
        limits.append(np.maximum(MARGIN * alpha, MEETING / months))
        counts = [f"{(above > limit).sum():,}" for limit in limits]
        far = above[above > alpha], months[above > alpha]
        largest = f"{above.max() / alpha:.2f}", f"{(far[0] * far[1]).max(initial=0.0):.2f}"
        rows.append([label, f"{p.size:,}", f"{alpha:g}", f"{right.sum():,}", *counts, *largest])
    return rows


def scanned(shape):
    """Moments and shuffled p-values of whole real panels, month after month."""
    months = [
        (universe, Month.of(day.item()))
        for universe in panels()
        for day in universe.funds.dates[SETTINGS.window - 1 :: SCANNED]
    ]
    for universe, month in progress(months, "margin, real panels"):
        for test in month_tests(universe, month, len(universe.factors.ids), shape):
            yield against_shuffles(test.shuffling, month)


def wild(law, shape, factors=10, funds=500, draws=4):
    for seed in range(draws):
        generator = np.random.default_rng(seed)
        x, y = students(generator, (36, factors), 3), LAWS[law](generator, (36, funds))
        yield against_shuffles(shuffling_of(x, y, shape), START + seed)


def against_shuffles(test, month, shuffles=10_000):
    rows = shuffled_rows(len(test.unit), shuffles, SCAN_SEED, month)
    exact = exact_p_values(test.exceedances(rows), shuffles)
    return moments_p_values(test), exact, len(test.unit)
