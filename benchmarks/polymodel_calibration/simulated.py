"""Parts on simulated universes."""

import numpy as np

from benchmarks.polymodel_calibration.grid import (
    FDR,
    LABELS,
    ONE_PERCENT,
    RULES,
    SHORT,
    label,
    settings_of,
)
from benchmarks.polymodel_calibration.outcomes import outcomes
from benchmarks.polymodel_calibration.tables import (
    markdown,
    progress,
    ratio,
    show_ratios,
    show_selection,
    spread,
)
from benchmarks.polymodel_calibration.universe import (
    ALPHA,
    DRAWS,
    EXPOSURES,
    MONTHS,
    NOISE,
    SWING,
    VOLATILITIES,
    marginal,
    simulate,
    truths,
    volatility,
)
from finembed_core.polymodel.stress import stress_var


def gathered(title, grid, count, swing=SWING):
    """Per settings one record over all months, by field name: arrays over funds and months."""
    records, truth = [{} for _ in grid], truths(swing)
    for seed in range(MONTHS):
        progress(title, seed, MONTHS)
        sample = simulate(seed, count, swing, truth)
        for record, found in zip(records, outcomes(sample, grid), strict=True):
            for name, values in fund_row(sample, found).items():
                record.setdefault(name, []).append(values)
    return [{name: np.concatenate(v) for name, v in record.items()} for record in records]


def fund_row(sample, found):
    names = ("svar", "clamped", "best", "middle", "own", "lta", "extrapolated", "expected_false")
    row = {name: getattr(found, name) for name in names}
    row |= {"kind": sample.kind, "var": sample.var, "mean": sample.mean}
    row["selected"] = found.chosen.sum(axis=0)
    row["false"] = (found.chosen & ~sample.related).sum(axis=0)
    row["hit"] = (found.chosen & sample.own).any(axis=0)
    return row


def formula():
    """StressVaR of the true curve over the true range, with the true residual sd."""
    print("\n## The formula without estimation error\n")
    laws = [(swing, skew) for swing in (0.0, SWING) for skew in (False, True)]
    cells = {kind: [] for kind in EXPOSURES}
    for swing, skew in laws:
        truth, rng = truths(swing), np.random.default_rng(0)
        x = marginal(rng.standard_t(5, DRAWS), skew) * volatility(rng, (1, DRAWS), swing)[0]
        grid = np.linspace(*np.quantile(x, [0.01, 0.99]), 2001)
        for kind, exposure in EXPOSURES.items():
            worst = max(0.0, -(ALPHA + exposure(grid)).min())
            svar = stress_var(np.array([worst]), np.array([NOISE]), 0.99)[0]
            thin, fat = (truth[kind, skew, heavy][0] for heavy in (False, True))
            cells[kind] += [f"{thin:.3f}", f"{svar / thin:.2f}", f"{svar / fat:.2f}"]
    names = [f"{'moving' if a else 'steady'}, {'skewed' if b else 'symmetric'}" for a, b in laws]
    heads = [h for name in names for h in (f"{name}: VaR", "ratio", "ratio, t(5)")]
    markdown(["exposure", *heads], [[kind, *row] for kind, row in cells.items()])


def lambdas():
    grid = []
    for degree in (4, 3, 2, 1):
        grid += [settings_of(ridge, degree) for ridge in (0.1, 1, 3, 5, 10, 30, 100)]
        grid += [settings_of(5, degree, cross_validated=True)]
    print("\n## Lambda and degree")
    for swing, name in VOLATILITIES:
        records = gathered(f"lambda, {name}", grid, 100, swing)
        print(f"\n### {name.capitalize()}")
        show_ratios("StressVaR over true VaR, 100 factors", grid, records)
        show_ratios("The same, clamped to the window", grid, records, "clamped")
        show_ratios("The planted factor alone, selected or not", grid, records, "own")
        show_selection("Selection; long-term alpha: mean error (RMSE), % a month", grid, records)


def rules():
    grid = [base.model_copy(update=rule) for base in SHORT for rule in RULES]
    print("\n## Selection rules, 100 factors")
    for swing, name in VOLATILITIES:
        records = gathered(f"rules, {name}", grid, 100, swing)
        print(f"\n### {name.capitalize()}")
        show_ratios("StressVaR over true VaR", grid, records)
        show_ratios("The best-scoring factor's", grid, records, "best")
        show_selection("Selection; long-term alpha: mean error (RMSE), % a month", grid, records)


def maximum():
    """What the worst of several adds: against the best-scoring, the median and the planted one."""
    print("\n## Number of factors, and the worst of the selected, volatility that moves\n")
    bases = [settings_of(*p) for p in ((1, 4), (10, 4), (5, 2))]
    grid = [base.model_copy(update=rule) for base in bases for rule in (ONE_PERCENT, FDR)]
    table = []
    for count in (30, 100, 300):
        for settings, record in zip(grid, gathered(f"{count} factors", grid, count), strict=True):
            for kind in ("none", "linear", "short put"):
                mask = record["kind"] == kind
                own = ratio(record, kind, "own")[record["selected"][mask] > 0]
                cells = [spread(ratio(record, kind, k)) for k in ("svar", "best", "middle")]
                counts = [f"{record[k][mask].mean():.2f}" for k in ("selected", "false")]
                table.append([str(count), *label(settings), kind, *cells, spread(own), *counts])
    names = ["worst selected", "best-scoring", "median", "planted factor", "selected", "false"]
    markdown(["factors", *LABELS, "exposure", *names], table)
