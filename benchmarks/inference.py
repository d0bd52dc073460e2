"""Do intervals cover, do tests keep their size, is skill found; and how fast.

    python -m benchmarks.inference [PART ...]

Simulated monthly returns of a strategy against a benchmark, whose true statistics are known.

coverage: how often the 95% intervals hold the true value. methods: the same for other ways to make
intervals, 60 months. study: the same with the block length of a study of 20 strategies.
differences: intervals of one strategy less another. snooping: SPA and StepM, 20 strategies.
luck: deflated Sharpe ratio and probability of backtest overfitting. speed: against a loop with
arch and empyrical.
"""

import argparse
import time
from functools import cache
from itertools import product

import empyrical
import numpy as np
from arch.bootstrap import StationaryBootstrap, StepM
from scipy import stats
from scipy.signal import lfilter

from benchmarks.other_intervals import RISK_FREE, TAILS, accelerated, studentized
from finembed_core.backtest.inference import (
    COMPARED,
    INTERVALS,
    LEVEL,
    Bootstrap,
    batch_metrics,
    batch_relative_metrics,
    interval,
)
from finembed_core.backtest.metrics import MONTHLY, Series, mrar
from finembed_core.backtest.resampling import block_length, stationary_draws
from finembed_core.backtest.selection import (
    deflated_sharpe,
    overfitting,
    sharpe_ratios,
)
from finembed_core.backtest.superiority import superiority
from finembed_core.calendar import month_ends

DRAWS = 500
PROCESSES = {"normal": "normal", "t4": "t(4)", "ar": "AR(.3)", "garch": "GARCH"}
LENGTHS = {60: 1600, 120: 1200, 314: 800}  # months, and samples of the main table
STRATEGIES = {"strategy": (0.0015, 0.8, 0.02), "other": (0.0, 1.0, 0.01)}  # alpha, beta, residual
PATHS = ("max_drawdown", "calmar")  # their true value is the median over paths of this length
AGAIN = [f"{name}, another path" for name in PATHS]


def noise(process, shape, rng):
    """Unit variance, time last."""
    if process == "normal":
        return rng.standard_normal(shape)
    if process == "t4":  # cut where a month would lose more than everything
        return np.clip(rng.standard_t(4, shape), -25.0, 25.0) / np.sqrt(2.0)
    shocks = rng.standard_normal((*shape[:-1], shape[-1] + 100))
    if process == "ar":
        return lfilter([np.sqrt(1.0 - 0.3**2)], [1.0, -0.3], shocks, axis=-1)[..., 100:]
    variance = np.ones(shape[:-1])
    for t in range(shocks.shape[-1]):  # GARCH(1,1) with .15 and .8: kurtosis 5.6
        shocks[..., t] *= np.sqrt(variance)
        variance = 0.05 + 0.15 * shocks[..., t] ** 2 + 0.8 * variance
    return shocks[..., 100:]


def world(process, shape, rng, count=1):
    """Benchmark and strategies' returns, of `shape` each."""
    benchmark = 0.007 + 0.04 * noise(process, shape, rng)
    own = []
    for alpha, beta, residual in (list(STRATEGIES.values()) * count)[:count]:
        error = residual * noise(process, shape, rng)
        own.append(RISK_FREE + alpha + beta * (benchmark - RISK_FREE) + error)
    return benchmark, own


def statistics(returns, benchmark):
    flat = np.full(returns.shape[-1], RISK_FREE)
    found = batch_metrics(returns, flat, MONTHLY)
    return found | batch_relative_metrics(returns, flat, benchmark, MONTHLY)


@cache
def population(process):
    """Statistics of both strategies over 2 million months."""
    benchmark, own = world(process, (2000, 1000), np.random.default_rng(1), 2)
    values = []
    for returns in own:
        with np.errstate(over="ignore", invalid="ignore"):  # wealth, which comes below
            true = {k: float(v) for k, v in statistics(returns.ravel(), benchmark.ravel()).items()}
        premium = growth(returns) - growth(benchmark)
        true["annual_return"] = growth(returns)
        true["information_ratio"] = premium / true["tracking_error"]
        true["treynor"] = growth(returns - RISK_FREE) / true["beta"]
        values.append(true)
    return values


@cache
def truth(process, n):
    """Of the strategy, and over the other one; drawdowns are medians over 10,000 paths."""
    strategy, other = population(process)
    benchmark, own = world(process, (10_000, n), np.random.default_rng(1), 2)
    path, alike = (statistics(returns, benchmark) for returns in own)
    apart = {name: strategy[name] - other[name] for name in COMPARED}
    apart["max_drawdown"] = float(np.median(path["max_drawdown"] - alike["max_drawdown"]))
    return strategy | {name: float(np.median(path[name])) for name in PATHS}, apart


def growth(returns):
    return float(np.expm1(MONTHLY * np.log1p(returns).mean()))


def series_of(returns, benchmark):
    dates = month_ends(24_000 + np.arange(len(returns)))
    return Series.of(dates, returns, np.full(len(returns), RISK_FREE), benchmark)


def table(head, rows):
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def percent(share):
    return f"{100 * share:.1f}"


def generator(process, *seeds):
    return np.random.default_rng([list(PROCESSES).index(process), *seeds])


def covered(process, n, repeats, strategies=1):
    """Share of intervals of the first strategy that hold the true value, and mean block length."""
    rng, true = generator(process, n, strategies), truth(process, n)[0]
    inside = {name: [] for name in [*INTERVALS, *AGAIN, "block"]}
    for k in range(repeats):
        benchmark = 0.007 + 0.04 * noise(process, (n,), rng)
        errors = 0.02 * noise(process, (strategies, n), rng)
        own = RISK_FREE + 0.0015 + 0.8 * (benchmark - RISK_FREE) + errors
        study = {str(j): series_of(returns, benchmark) for j, returns in enumerate(own)}
        block = Bootstrap.of(study, seed=k, draws=1).block if strategies > 1 else None
        first = Bootstrap.of({"0": study["0"]}, seed=k, draws=DRAWS, block=block)
        inside["block"].append(first.block)
        value = statistics(own[0], benchmark)
        fresh, (path,) = world(process, (n,), rng)
        future = statistics(path, fresh)
        for name, scale in INTERVALS.items():
            drawn = first.draws["0"][name]
            low, high = interval(float(value[name]), drawn, scale, first.degrees)
            inside[name].append(low <= true[name] <= high)
            if name in PATHS:
                inside[f"{name}, another path"].append(low <= future[name] <= high)
    return {name: np.mean(hits) for name, hits in inside.items()}


def print_covered(lengths, strategies=1):
    cells = list(product(PROCESSES, lengths))
    columns = [covered(process, n, lengths[n], strategies) for process, n in cells]
    rows = [[name, *(percent(c[name]) for c in columns)] for name in [*INTERVALS, *AGAIN]]
    rows.append(["mean block", *(f"{c['block']:.1f}" for c in columns)])
    table(["statistic", *(f"{PROCESSES[process]} {n}" for process, n in cells)], rows)


def print_coverage():
    """Shipped intervals of a single strategy; and whether another path's drawdown is inside."""
    print_covered(LENGTHS)


def print_study():
    """The same of one strategy of 20, with the block length of all 20."""
    print_covered({60: 400, 120: 300}, 20)


def print_methods(repeats=500, n=60):
    """Coverage of other intervals on the same draws; width of ours over the percentile one's."""
    names = ["annual_return", "sharpe", "volatility", "alpha", "tracking_error", "omega", "sortino"]
    names += ["skewness", "var_95", "cvar_95", "max_drawdown", "calmar"]
    kinds = ["percentile", "BCa", "studentized", "finembed"]
    inside = {(p, name, kind): [] for p in PROCESSES for name in names for kind in kinds}
    width = {name: [] for name in names}
    drop = np.array([np.delete(np.arange(n), k) for k in range(n)])
    for process in PROCESSES:
        rng, true = generator(process, n, 2), truth(process, n)[0]
        for k in range(repeats):
            benchmark, (returns,) = world(process, (n,), rng)
            bootstrap = Bootstrap.of({"a": series_of(returns, benchmark)}, seed=k, draws=DRAWS)
            index = stationary_draws(n, bootstrap.block, DRAWS, k)
            value = statistics(returns, benchmark)
            left_out = statistics(returns[drop], benchmark[drop])
            pivots = studentized(returns, benchmark, index, bootstrap.block)
            for name in names:
                drawn, estimate = bootstrap.draws["a"][name], float(value[name])
                drawn = drawn[np.isfinite(drawn)]
                plain = np.quantile(drawn, TAILS)
                ours = interval(estimate, drawn, INTERVALS[name], bootstrap.degrees)
                width[name].append((ours[1] - ours[0]) / (plain[1] - plain[0]))
                ends = [plain, accelerated(estimate, drawn, left_out[name])]
                ends += [pivots.get(name, (np.nan, np.nan)), ours]
                for kind, (low, high) in zip(kinds, ends, strict=True):
                    inside[process, name, kind].append(low <= true[name] <= high)
    rows = []
    for name in names:
        cells = [
            " / ".join(percent(np.mean(inside[p, name, kind])) for p in PROCESSES) for kind in kinds
        ]
        if name not in pivots:
            cells[2] = ""
        rows.append([name, *cells, f"{np.median(width[name]):.2f}"])
    table(["statistic", *kinds, "width"], rows)


def print_differences(repeats=500):
    """Strategy less other: beta .8 against 1."""
    cells, columns = list(product(PROCESSES, (60, 120))), []
    for process, n in cells:
        rng, true = generator(process, n, 3), truth(process, n)[1]
        inside = {name: [] for name in COMPARED}
        for k in range(repeats):
            benchmark, own = world(process, (n,), rng, 2)
            pair = dict(zip(STRATEGIES, (series_of(r, benchmark) for r in own), strict=True))
            bootstrap = Bootstrap.of(pair, seed=k, draws=DRAWS)
            values = [statistics(r, benchmark) for r in own]
            ours, theirs = (bootstrap.draws[name] for name in STRATEGIES)
            for name, scale in COMPARED.items():
                value, drawn = values[0][name] - values[1][name], ours[name] - theirs[name]
                low, high = interval(float(value), drawn, scale, bootstrap.degrees)
                inside[name].append(low <= true[name] <= high)
        columns.append([percent(np.mean(hits)) for hits in inside.values()])
    head = [f"{PROCESSES[process]} {n}" for process, n in cells]
    table(["difference", *head], zip(COMPARED, *columns, strict=True))


def family(process, n, rng, edge=0.0):
    """Active returns of 20 strategies with correlation .5 and volatilities from 1% to 5%."""
    common, own = noise(process, (1, n), rng).T, noise(process, (20, n), rng).T
    volatility = np.linspace(0.01, 0.05, 20)
    active = np.sqrt(0.5) * (common + own) * volatility
    active[:, 4] += edge * volatility[4]
    return active


def print_snooping(repeats=250):
    """Rejections: of noise, where the nominal share is right; and of one with an edge."""
    names, rows = [str(k) for k in range(20)], []
    for edge, process, n in product((0.0, 0.3), ("normal", "t4", "ar"), (120, 314)):
        rng, hits = (
            generator(process, n, 4),
            {k: [] for k in ("5", "10", "step", "largest", "arch")},
        )
        for k in range(repeats):
            active = family(process, n, rng, edge)
            found = superiority(names, active, seed=k, draws=DRAWS)
            hits["5"].append(found.p_value <= 0.05)
            hits["10"].append(found.p_value <= 0.1)
            hits["step"].append("4" in found.superior if edge else bool(found.superior))
            longest = max(1, round(block_length(active)))
            at_most = superiority(names, active, seed=k, draws=DRAWS, block=longest)
            hits["largest"].append("4" in at_most.superior if edge else bool(at_most.superior))
            if process == "normal":
                raw = StepM(np.zeros(n), -active, 0.05, found.block, DRAWS, seed=k)
                raw.compute()
                hits["arch"].append(4 in raw.superior_models if edge else bool(raw.superior_models))
        cells = [percent(np.mean(v)) if v else "" for v in hits.values()]
        rows.append(["one has an edge" if edge else "noise", f"{PROCESSES[process]} {n}", *cells])
    head = ["SPA at 5%", "SPA at 10%", "StepM at 5%", "largest block", "arch's StepM at 5%"]
    table(["family", "returns", *head], rows)


def print_luck(repeats=200):
    """The best of many without skill, and with one that has it; 120 months."""
    rows = []
    for trials, correlation, skill in product((20, 100), (0.0, 0.8), (0.0, 0.2, 0.4)):
        rng, found = np.random.default_rng(trials), []
        for _ in range(repeats):
            common, own = rng.standard_normal((120, 1)), rng.standard_normal((120, trials))
            z = np.sqrt(correlation) * common + np.sqrt(1.0 - correlation) * own
            excess = 0.03 * (z + skill * (np.arange(trials) == 3))
            ratios = sharpe_ratios(excess)
            best = int(np.argmax(ratios))
            held = deflated_sharpe(excess[:, best], trials, float(ratios.var(ddof=1)))
            split = overfitting([str(k) for k in range(trials)], excess, 10)
            pbo = split.probability
            shares = (held.probabilistic > LEVEL, held.deflated > LEVEL, best == 3, pbo < 0.1)
            found.append((*shares, pbo, split.slope))
        mean = np.mean(found, axis=0)
        cells = [*map(percent, mean[:4]), f"{mean[4]:.2f}", f"{mean[5]:.2f}"]
        rows.append([f"{trials}", f"{correlation:.1f}", f"{skill * MONTHLY**0.5:.1f}", *cells])
    head = ["trials", "correlation", "true Sharpe of one", "PSR > .95", "DSR > .95", "it is chosen"]
    table([*head, "PBO < .1", "mean PBO", "mean slope"], rows)


def print_speed(n=314, count=20, few=100):
    """1,000 draws of 20 strategies; the loop makes a tenth of them."""
    rng = np.random.default_rng(0)
    benchmark, own = world("normal", (n,), rng, count)
    study = {str(k): series_of(returns, benchmark) for k, returns in enumerate(own)}
    scalars = (
        lambda r: empyrical.annual_return(r, annualization=MONTHLY),
        lambda r: empyrical.annual_volatility(r, annualization=MONTHLY),
        lambda r: empyrical.sharpe_ratio(r, RISK_FREE, annualization=MONTHLY),
        lambda r: empyrical.sortino_ratio(r, annualization=MONTHLY),
        empyrical.max_drawdown,
        lambda r: empyrical.calmar_ratio(r, annualization=MONTHLY),
        lambda r: empyrical.omega_ratio(r, annualization=1),
        lambda r: mrar(r, np.full(n, RISK_FREE), MONTHLY),
        empyrical.value_at_risk,
        empyrical.conditional_value_at_risk,
        stats.skew,
        stats.kurtosis,
        lambda r: np.mean(r > 0.0),
    )
    ours, theirs = [], []
    for k in range(3):
        began = time.perf_counter()
        bootstrap = Bootstrap.of(study, seed=k)
        bootstrap.intervals()
        bootstrap.differences("0")
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        for returns in own:
            loop = StationaryBootstrap(4, returns, seed=k)
            loop.apply(lambda r: np.array([f(r) for f in scalars]), few)
        theirs.append((time.perf_counter() - began) * 1000 / few)
    peer = ["arch, empyrical", "13", f"{min(theirs):.1f}", f"{min(theirs) / min(ours):.0f}"]
    rows = [["finembed", "19, and 4 differences", f"{min(ours):.2f}", "1"], peer]
    table(["1,000 draws, 20 strategies, 314 months", "statistics", "seconds", "ratio"], rows)


PARTS = {
    "coverage": print_coverage,
    "methods": print_methods,
    "study": print_study,
    "differences": print_differences,
    "snooping": print_snooping,
    "luck": print_luck,
    "speed": print_speed,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    chosen = parser.parse_args().parts
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for part in chosen or PARTS:
        began = time.perf_counter()
        print(f"\n## {part}\n\n{PARTS[part].__doc__}")
        PARTS[part]()
        print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
