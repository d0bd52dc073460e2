"""How often luck passes: independence under several laws, and dependence over time."""

import numpy as np
from scipy import stats

from benchmarks.polymodel_significance.laws import (
    LAWS,
    SERIAL,
    SETTINGS,
    SHAPES,
    START,
    autoregressive,
    shuffling_of,
    students,
)
from benchmarks.polymodel_significance.tables import progress, rate, table
from finembed_core.polymodel.adaptive import GroupShuffles, settled_p_values
from finembed_core.polymodel.shuffling import circular_shifts, exact_p_values, shuffled_rows
from finembed_core.polymodel.significance import moments_p_values

BATCH = 25  # funds, each with a factor of its own
LUCKY, SERIALLY = 20_000, 10_000  # independent tests per law, per kind of dependence
EXACT = 999  # shuffles: 5% and 1% are steps
SHARED = (0.3, 0.5)  # standard deviation of log volatility
STRICT = [
    SETTINGS.model_copy(update={"selection": "absolute", "alpha": alpha}) for alpha in (0.05, 0.01)
]


def size():
    for shape in SHAPES:
        print(f"\n### {shape}")
        laws_table(shape)
        serial_table(shape)


def laws_table(shape):
    rows = []
    for law, draw in LAWS.items():
        batches = progress(range(LUCKY // BATCH), f"size, {law}")
        p = [independent(draw, shape, k) for k in batches]
        exact, moments, at5, at1 = (np.concatenate(one) for one in zip(*p, strict=True))
        kept = [exact <= 0.05, exact <= 0.01, moments <= 0.05, moments <= 0.01, at5, at1]
        gap = [stats.kstest(one, "uniform").statistic for one in (exact, moments)]
        rows.append([law, *map(rate, kept), *(f"{value:.4f}" for value in gap)])
    names = [f"{e}, {a}" for e in ("exact", "moments", "adaptive") for a in ("5%", "1%")]
    header = ["returns", *names, "gap, exact", "gap, moments"]
    noise = f"gap to the uniform law (luck: {1.36 / np.sqrt(LUCKY):.4f} at 5%)"
    table(f"False positives in {LUCKY:,} tests, percent, 95% interval; {noise}", header, rows)


def independent(draw, shape, k):
    """P-values by shuffling and moments, adaptive verdicts at 5% and 1%, of one batch."""
    generator = np.random.default_rng([1, k])
    x, y = students(generator, (36, BATCH), 5), draw(generator, (36, BATCH))
    test = shuffling_of(x, y, shape)
    exact = test.exceedances(shuffled_rows(36, EXACT, 1, START + k)).diagonal()
    every = moments_p_values(test)
    moments = np.where(np.eye(BATCH, dtype=bool), every, 1.0)
    places = np.arange(BATCH)
    many = shuffled_rows(36, SETTINGS.adaptive_shuffles, 2, START + k)
    group = GroupShuffles(places, places, test, many)
    verdicts = [
        settled_p_values(moments, [group], rule).diagonal() <= rule.alpha for rule in STRICT
    ]
    return exact_p_values(exact, EXACT), every.diagonal(), *verdicts


def serial_table(shape):
    step = 2 / 36
    cases = [(r, f) for r in ("AR .3", "AR .5", "MA .5 .3 .2") for f in ("white", "AR .3", "AR .5")]
    cases += [("MA .5 .3 .2", "MA .5 .3 .2")]
    cases += [(f"volatility shared, {spread}", "white") for spread in SHARED]
    rows = []
    for number, case in enumerate(progress(cases, "size, autocorrelated")):
        p = [dependent(*case, shape, [2, number, k]) for k in range(SERIALLY // BATCH)]
        shuffled, shifted = (np.concatenate(one) for one in zip(*p, strict=True))
        kept = shuffled <= 0.05, shuffled <= 0.01, shuffled <= step, shifted <= step + 1e-9
        rows.append([*case, *map(rate, kept)])
    header = ["returns", "factor", "shuffles, 5%", "1%", "5.56% = 2/36", "shifts, 2/36"]
    title = f"Months that are not exchangeable, {SERIALLY:,} tests each: false positives, percent"
    table(title, header, rows)


def dependent(returns, factor, shape, seed, burn=60):
    """P-values by shuffles and by shifts of one batch; fund and factor are independent in mean."""
    generator = np.random.default_rng(seed)
    both = 36 + burn, BATCH
    x, y = students(generator, both, 5), generator.standard_normal(both)
    if "shared" in returns:  # one log volatility, AR .9, for the fund and its factor
        spread = float(returns.split(", ")[1])
        level = generator.standard_normal(both) * spread * np.sqrt(1 - 0.9**2)
        volatility = np.exp(autoregressive(0.9)(level))
        x, y = x * volatility, y * volatility
    x = SERIAL[factor](x)[burn:]
    y = SERIAL.get(returns, SERIAL["white"])(y)[burn:]
    test = shuffling_of(x / x.std(), y, shape)
    shuffled = test.exceedances(shuffled_rows(36, EXACT, 3, START + seed[-1])).diagonal()
    shifted = test.exceedances(circular_shifts(36)).diagonal()
    return exact_p_values(shuffled, EXACT), exact_p_values(shifted, 35)
