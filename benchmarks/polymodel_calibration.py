"""Which lambda, degree and selection rule PolyModel should have: simulated funds, real panels.

    python -m benchmarks.polymodel_calibration
    python -m benchmarks.polymodel_calibration formula lambda rules maximum panels placebo

Simulated factors have sd 4%, Student t(5) tails and correlated blocks of five, every other block
skewed to the left; the volatility of a block is steady, or wanders as slowly as that of real
factors. Funds earn 0.3% a month and have a residual of sd 1.5%, every other one's with t(5) tails,
and one exposure or none. A cell ``1.02 [0.80, 1.40]`` is a median and the 5th and 95th percentile
over the funds and months for which something was selected. All parts take about four minutes of
one core. See docs/polymodel_calibration.md.
"""

import sys
from dataclasses import dataclass, replace
from math import gamma, pi, sqrt

import numpy as np
from scipy.special import ndtri
from threadpoolctl import threadpool_limits

from benchmarks.panels import universes
from finembed_core.calendar import Month
from finembed_core.polymodel.features import screen_factors, screen_funds
from finembed_core.polymodel.history import LongHistory
from finembed_core.polymodel.pairs import fit_pairs, fitted_curves, stress_pairs
from finembed_core.polymodel.selection import select_factors
from finembed_core.polymodel.significance import p_values
from finembed_core.polymodel.stress import stress_var
from finembed_core.settings import PolyModelSettings

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
BASE = PolyModelSettings(significance="moments")
PANEL_MONTHS = 240
MARKET = "mkt_rf"


def settings_of(ridge=1.0, degree=4, rule="absolute", alpha=0.01, cross_validated=False):
    return BASE.model_copy(
        update={
            "ridge": ridge,
            "degree": degree,
            "selection": rule,
            "alpha": alpha,
            "cross_validated": cross_validated,
        }
    )


def label(settings):
    ridge = f"{settings.ridge:g}" + (", curve by GCV" if settings.cross_validated else "")
    rules = {
        "absolute": f"p <= {settings.alpha:g}",
        "relative": f"relative {settings.relative_share:g}",
        "benjamini_hochberg": f"BH {settings.alpha:g}",
    }
    return [ridge, str(settings.degree), rules[settings.selection]]


LABELS = ["lambda", "degree", "rule"]
RULES = [
    {"selection": "absolute", "alpha": 0.01},
    {"selection": "absolute", "alpha": 0.001},
    {"selection": "relative"},
    {"selection": "benjamini_hochberg", "alpha": 0.05},
    {"selection": "benjamini_hochberg", "alpha": 0.1},
    {"selection": "benjamini_hochberg", "alpha": 0.2},
]
ONE_PERCENT, FDR = RULES[0], RULES[4]
SHORT = [
    settings_of(*p) for p in ((1, 4), (3, 4), (10, 4), (5, 3), (3, 2), (5, 2), (10, 2), (3, 1))
]
EXTREMES = [settings_of(*p).model_copy(update=FDR) for p in ((1, 4), (10, 4))]
PANEL_GRID = [settings_of(*p) for p in ((0.1, 4), (1, 4), (3, 4), (10, 4), (30, 4))]
PANEL_GRID += [settings_of(5, 4, cross_validated=True)]
PANEL_GRID += [settings_of(*p) for p in ((5, 3), (1, 2), (3, 2), (5, 2), (10, 2), (3, 1))]
PANEL_GRID += [*EXTREMES, *(settings_of(5, 2).model_copy(update=rule) for rule in RULES[1:])]


@dataclass(frozen=True)
class Sample:
    """One month: T x N returns, T x J standardized factors, and what is known of the funds."""

    month: Month
    returns: np.ndarray
    factors: np.ndarray
    history: LongHistory
    own: np.ndarray  # (J, N): pairs to look at whether selected or not; the planted ones
    related: np.ndarray  # (J, N): those and the pairs with factors correlated with them
    kind: np.ndarray
    var: np.ndarray  # what StressVaR should be
    mean: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """What settings make of a month; NaN where nothing was selected."""

    svar: np.ndarray  # the feature: the worst selected factor
    clamped: np.ndarray
    best: np.ndarray  # of the selected factor with the best score
    middle: np.ndarray  # median over the selected factors
    own: np.ndarray  # of the sample's own pair, selected or not
    lta: np.ndarray
    extrapolated: np.ndarray
    chosen: np.ndarray  # (J, N)
    expected_false: np.ndarray


def outcomes(sample, grid):
    """One outcome for each of the settings."""
    fits, tests = {}, {}
    for settings in grid:
        shape = settings.degree
        if shape not in fits:
            fits[shape] = fit_pairs(sample.returns, sample.factors, settings)
        test = (settings.degree, settings.ridge)
        if test not in tests:
            tests[test] = p_values(fits[shape], sample.month, settings)
        yield outcome(sample, fits[shape], tests[test], settings)


def outcome(sample, fits, p, settings):
    selection = select_factors(p, settings)
    chosen = selection.chosen
    wanted = chosen | (sample.own & np.isfinite(p))
    curves = fitted_curves(fits, wanted, settings)
    stress = stress_pairs(curves, sample.returns, sample.factors, sample.history, settings)

    def dense(values, mask=chosen):
        matrix = np.full(p.shape, np.nan)
        matrix[curves.factor, curves.fund] = values
        return np.where(mask, matrix, np.nan)

    svar = dense(stress.svar)
    some = chosen.any(axis=0)
    everyone = np.arange(p.shape[1])
    first = np.where(chosen, p, np.inf).argmin(axis=0)
    worst = np.where(chosen, svar, -1.0).argmax(axis=0)
    return Outcome(
        svar=np.minimum(np.fmax.reduce(svar), 1.0),
        clamped=np.minimum(np.fmax.reduce(dense(stress.svar_clamped)), 1.0),
        best=np.minimum(svar[first, everyone], 1.0),
        middle=medians(svar, some),
        own=np.fmax.reduce(dense(stress.svar, sample.own)),
        lta=medians(dense(stress.lta), some),
        extrapolated=np.where(some, dense(stress.extrapolated)[worst, everyone], np.nan),
        chosen=chosen,
        expected_false=selection.expected_false,
    )


def medians(values, some):
    found = np.full(values.shape[1], np.nan)
    found[some] = np.nanmedian(values[:, some], axis=0)
    return found


# Simulated funds


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


def ratio(record, kind, field="svar"):
    mask = record["kind"] == kind
    return record[field][mask] / record["var"][mask]


def show_ratios(title, grid, records, field="svar"):
    print(f"\n{title}\n")
    table = []
    for settings, record in zip(grid, records, strict=True):
        none = ratio(record, "none", field)
        errors = np.concatenate([np.abs(ratio(record, kind, field) - 1.0) for kind in PLANTED])
        shares = [share(none > 2.0, np.isfinite(none)), f"{(none > 2.0).mean():.1%}"]
        shares.append(share(errors <= 0.25, np.isfinite(errors)))
        cells = [spread(ratio(record, kind, field)) for kind in EXPOSURES]
        table.append([*label(settings), *cells, *shares])
    names = ["none: over 2", "of all none", "planted: within 25%"]
    markdown([*LABELS, *EXPOSURES, *names], table)


def show_selection(title, grid, records):
    print(f"\n{title}\n")
    table = []
    for settings, record in zip(grid, records, strict=True):
        none = record["kind"] == "none"
        row = label(settings)
        row += [f"{(record['selected'][k] == 0).mean():.0%}" for k in (none, ~none)]
        row += [f"{record['hit'][record['kind'] == kind].mean():.0%}" for kind in PLANTED]
        for mask in (none, ~none):
            row += [f"{record[k][mask].mean():.2f}" for k in ("false", "expected_false")]
        row.append(f"{(record['false'] / np.maximum(record['selected'], 1)).mean():.0%}")
        table.append([*row, *(lta_error(record, kind) for kind in EXPOSURES)])
    names = ["no selection: none", "planted", *(f"finds {kind}" for kind in PLANTED)]
    names += ["false: none", "published", "false: planted", "published", "false share"]
    markdown([*LABELS, *names, *(f"LTA, {kind}" for kind in EXPOSURES)], table)


def lta_error(record, kind):
    """Mean error and root mean squared error, % a month."""
    mask = record["kind"] == kind
    error = 100 * (record["lta"] - record["mean"])[mask]
    return f"{np.nanmean(error):+.2f} ({np.sqrt(np.nanmean(error**2)):.2f})"


# Parts


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


# Real panels


def windows(universe):
    """The last months of a panel as samples, with the columns that could be used."""
    last = Month.of(universe.funds.dates[-1].item())
    length = min(PANEL_MONTHS, len(universe.funds.dates) - WINDOW + 1)
    for step in range(length):
        month = last - (length - 1 - step)
        y, x = (part.window(month, WINDOW).values for part in (universe.funds, universe.factors))
        long = LongHistory.of(universe.factors.as_of(month.end).values, BASE)
        funds = np.flatnonzero(screen_funds(y, BASE) == "")
        factors = np.flatnonzero(screen_factors(x, long, BASE) == "")
        if not len(funds) or not len(factors):
            continue
        y, long = y[:, funds], long.select(factors)
        none = np.zeros((len(factors), len(funds)), dtype=bool)
        market = none | (np.array(universe.factors.ids)[factors, None] == MARKET)
        gaussian = ndtri(0.99) * np.nanstd(y, axis=0, ddof=1)
        kind = np.array([universe.classes.get(universe.funds.ids[k], "") for k in funds])
        known = (long, market, none, kind, gaussian, np.zeros(len(funds)))
        yield step, funds, factors, Sample(month, y, long.standardize(x[:, factors]), *known)


def followed(universe, grid):
    """Per settings SVaR and what goes with it, months x funds, and the chosen pairs."""
    shape = (min(PANEL_MONTHS, len(universe.funds.dates) - WINDOW + 1), len(universe.funds.ids))
    names = ("svar", "clamped", "best", "extrapolated", "own", "usual")
    records = [{name: np.full(shape, np.nan) for name in names} for _ in grid]
    for record in records:
        record["chosen"] = np.zeros((shape[0], len(universe.factors.ids), shape[1]), dtype=bool)
    for step, funds, factors, sample in windows(universe):
        progress(universe.name, step, shape[0])
        for record, found in zip(records, outcomes(sample, grid), strict=True):
            for name in names[:-1]:
                record[name][step, funds] = getattr(found, name)
            record["usual"][step, funds] = sample.var
            record["chosen"][step][np.ix_(factors, funds)] = found.chosen
    return records


def panels():
    print("\n## Real panels\n")
    grid = PANEL_GRID
    table, market = [], []
    for universe in universes():
        for settings, record in zip(grid, followed(universe, grid), strict=True):
            table.append([universe.name, *label(settings), *panel_row(universe, record)])
            if MARKET in universe.factors.ids and settings.selection == "absolute":
                industry = [universe.classes[name] == "industry" for name in universe.funds.ids]
                pair = record["own"][:, industry]
                market.append([*label(settings), *quantiles(pair, [0.5, 0.95])])
    names = ["no selection", "selected", "SVaR, median", "95th", "over 2.33 sd", "clamped", "best"]
    more = ["extrapolated", "exceeded", "clamped exceeded", "Jaccard", "change, median", "95th"]
    markdown(["panel", *LABELS, *names, *more], table)
    print("\nStressVaR of industry portfolios against the market\n")
    markdown([*LABELS, "median", "95th percentile"], market)


def panel_row(universe, record):
    svar, usual = record["svar"], record["usual"]
    tested, known = np.isfinite(usual), np.isfinite(svar)
    following = universe.funds.values[-len(svar) + 1 :]
    change = np.abs(svar[1:] / svar[:-1] - 1.0)
    counts = record["chosen"].sum(axis=1)[tested]
    return [
        f"{(counts == 0).mean():.0%}",
        f"{np.median(counts[counts > 0]):.0f}",
        *quantiles(svar, [0.5, 0.95]),
        *(spread((record[name] / usual)[known]) for name in ("svar", "clamped", "best")),
        f"{np.nanmean(record['extrapolated']):.0%}",
        exceeded(following, svar),
        exceeded(following, record["clamped"]),
        jaccard(record["chosen"]),
        *quantiles(change, [0.5, 0.95], "{:.1%}"),
    ]


def quantiles(values, levels, form="{:.3f}"):
    return [form.format(q) for q in np.nanquantile(values, levels)]


def exceeded(following, svar):
    """Share of the months after that lost more."""
    judged = np.isfinite(following) & np.isfinite(svar[:-1])
    return f"{(following < -svar[:-1])[judged].mean():.2%}"


def jaccard(chosen):
    """Mean overlap of the selected sets of one month and the next, where either has any."""
    both = (chosen[1:] & chosen[:-1]).sum(axis=1)
    either = (chosen[1:] | chosen[:-1]).sum(axis=1)
    return f"{(both[either > 0] / either[either > 0]).mean():.2f}"


def placebo():
    """Real factors, funds with the months of their windows shuffled: exposed to nothing."""
    print("\n## Real factors, shuffled funds\n")
    grid, table = PANEL_GRID, []
    for universe in universes():
        records = [{} for _ in grid]
        for step, _, _, sample in windows(universe):
            if step % 6:
                continue
            progress(f"{universe.name}, shuffled", step, PANEL_MONTHS)
            mixed = replace(sample, returns=shuffled(sample.returns, step))
            for record, found in zip(records, outcomes(mixed, grid), strict=True):
                for name, values in fund_row(mixed, found).items():
                    record.setdefault(name, []).append(values)
        for settings, record in zip(grid, records, strict=True):
            joined = {name: np.concatenate(values) for name, values in record.items()}
            table.append([universe.name, *label(settings), *placebo_row(joined)])
    names = ["no selection", "false", "published", "over 2.33 sd", "over 2", "clamped", "best"]
    markdown(["panel", *LABELS, *names], table)


def shuffled(returns, seed):
    """Every column with its observed months in another order."""
    rng, mixed = np.random.default_rng(seed), returns.copy()
    for column in mixed.T:
        seen = np.isfinite(column)
        column[seen] = rng.permutation(column[seen])
    return mixed


def placebo_row(record):
    times = {name: record[name] / record["var"] for name in ("svar", "clamped", "best")}
    return [
        f"{(record['selected'] == 0).mean():.0%}",
        *(f"{record[name].mean():.2f}" for name in ("false", "expected_false")),
        spread(times["svar"]),
        share(times["svar"] > 2.0, np.isfinite(times["svar"])),
        *(spread(times[name]) for name in ("clamped", "best")),
    ]


# Tables


def spread(values):
    known = values[np.isfinite(values)]
    if not len(known):
        return "-"
    low, middle, high = np.quantile(known, [0.05, 0.5, 0.95])
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def share(hits, among):
    return f"{hits[among].mean():.0%}" if among.any() else "-"


def markdown(names, rows):
    print("| " + " | ".join(names) + " |")
    print("|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def progress(title, done, total):
    print(f"{title}: {done + 1} of {total}", file=sys.stderr, flush=True)


PARTS = {
    "formula": formula,
    "lambda": lambdas,
    "rules": rules,
    "maximum": maximum,
    "panels": panels,
    "placebo": placebo,
}


def main():
    names = sys.argv[1:] or list(PARTS)
    with threadpool_limits(1):
        for name in names:
            PARTS[name]()


if __name__ == "__main__":
    main()
