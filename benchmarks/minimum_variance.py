"""Minimum variance portfolios against skfolio and a plain formulation in cvxpy.

    python -m benchmarks.minimum_variance [PART ...] [--limit SECONDS]

    peers     time and excess variance, ours and theirs
    units     excess variance by the unit of variance
    forms     dense matrix or factors
    months    a rolling history: each month anew, or what can be reused of the month before

In `peers` everybody estimates the Ledoit-Wolf covariance of the same returns and minimizes its
variance, long only. Excess variance is that of the weights in this covariance (what is negative set
to 0, the rest scaled to a sum of 1) over the certified lower bound of our solution. Peers run in
processes of their own with `LIMIT_BYTES` of memory, each on the solver that it takes by default;
their seconds are those of the fit, without imports. One that has not finished after ``--limit``
seconds is not asked about more observations of as many funds.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

import cvxpy as cp
import numpy as np
import piqp
from scipy import sparse

from finembed_core.portfolio import minimum_variance as mv
from finembed_core.portfolio.active_set import active_set
from finembed_core.portfolio.covariance import factor, ledoit_wolf

SIZES = (50, 500, 2_000, 10_000)
WINDOWS = {36: 1.0, 252: 21.0}  # months, and days: observations, and how many make a month
LIMIT_BYTES = 12 * 2**30
REPEATS = 5
HISTORY = {50: 200, 500: 200, 2_000: 20}  # months of a rolling history, by funds


def simulated(observations, funds, calmest=0.003, wildest=0.06, seed=0):
    """Returns with five fat-tailed factors; monthly deviations from 0.3% to 6%."""
    rng = np.random.default_rng([observations, funds, seed])
    common = rng.standard_t(5, (observations, 5)) @ rng.normal(
        [[1.0]] + 4 * [[0.0]], 0.5, (5, funds)
    )
    returns = 0.7 * common + rng.standard_t(5, (observations, funds))
    deviations = np.exp(rng.uniform(np.log(calmest), np.log(wildest), funds))
    per_month = WINDOWS.get(observations, 1.0)
    return 0.005 / per_month + returns * deviations / returns.std(axis=0) / np.sqrt(per_month)


def skfolio_fit(returns):
    from skfolio.moments import LedoitWolf
    from skfolio.optimization import MeanRisk
    from skfolio.prior import EmpiricalPrior

    model = MeanRisk(prior_estimator=EmpiricalPrior(covariance_estimator=LedoitWolf()))
    start = time.perf_counter()
    model.fit(returns)
    return model.weights_, time.perf_counter() - start, model.solver


def cvxpy_fit(returns):
    from sklearn.covariance import LedoitWolf

    start = time.perf_counter()
    covariance = LedoitWolf().fit(returns).covariance_
    weights = cp.Variable(returns.shape[1])
    task = cp.Problem(
        cp.Minimize(cp.quad_form(weights, covariance)), [cp.sum(weights) == 1, weights >= 0]
    )
    task.solve()
    return weights.value, time.perf_counter() - start, task.solver_stats.solver_name


PEERS = {"skfolio": skfolio_fit, "cvxpy": cvxpy_fit}


def peer(name, observations, funds, path):
    """Fit one peer and save what it found."""
    warnings.simplefilter("ignore")
    weights, seconds, solver = PEERS[name](simulated(observations, funds))
    np.savez(path, weights=weights, seconds=seconds, solver=solver)


def from_peer(name, observations, funds, limit):
    """Weights, seconds and solver of a peer; without weights the words why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.npz"
        code = (
            f"from benchmarks.minimum_variance import peer; peer({name!r}, {observations}, {funds},"
            f" {str(path)!r})"
        )
        try:
            ended = subprocess.run(
                [sys.executable, "-c", code],
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES,) * 2),
                timeout=limit,
                capture_output=True,
                text=True,
            )
        except subprocess.TimeoutExpired:
            return None, f"none in {limit:.0f} s", ""
        if not path.exists():
            memory = "MemoryError" in ended.stderr or "alloc" in ended.stderr
            last = (ended.stderr.strip().splitlines() or ["ended without a message"])[-1]
            return None, f"over {LIMIT_BYTES >> 30} GB" if memory else last[:60], ""
        found = np.load(path)
        return found["weights"], float(found["seconds"]), str(found["solver"])


def median_seconds(work, repeats=REPEATS):
    """Median wall seconds of some runs, and what the last one returned."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return np.median(times), result


def peers(limit):
    """Time and excess variance, ours and theirs."""
    print(
        "| funds | observations | seconds | excess at most | skfolio: seconds | excess | "
        "times ours | cvxpy: seconds | excess | times ours |\n|" + "---|" * 10
    )
    solvers = {}
    for funds in SIZES:
        gave_up = set()
        for observations in WINDOWS:
            returns = simulated(observations, funds)
            own, solution = median_seconds(lambda r=returns: mv.minimum_variance(ledoit_wolf(r)))
            model = ledoit_wolf(returns)
            least = model.variance(solution.weights) * (1.0 - solution.excess)
            cells = []
            for name in PEERS:
                if name in gave_up:
                    cells += ["not asked", "", ""]
                    continue
                weights, seconds, solver = from_peer(name, observations, funds, limit)
                if weights is None:
                    gave_up.add(name)
                    cells += [seconds, "", f"over {limit / own:,.0f}" if "none" in seconds else ""]
                    continue
                solvers[name] = solver
                weights = np.maximum(weights, 0.0)
                excess = model.variance(weights / weights.sum()) / least - 1.0
                cells += [f"{seconds:.3f}", f"{excess:.1e}", f"{seconds / own:,.0f}"]
            print(
                f"| {funds:,} | {observations} | {own:.4f} | {solution.excess:.0e} | "
                + " | ".join(cells)
                + " |",
                flush=True,
            )
    print("\nsolvers: " + ", ".join(f"{name} {solver}" for name, solver in solvers.items()))


def units():
    """Largest excess variance that PIQP, run once on all funds, leaves in each unit of variance."""
    print(
        "| monthly deviations | covariance | tolerance | raw returns | mean variance 1 | "
        "unit of `minimum_variance` |\n|---|---|---|---|---|---|"
    )
    kept = mv.SOLVER_TOLERANCE
    for calmest in (0.01, 0.001, 0.0001):
        for estimator in (ledoit_wolf, factor):
            models = [estimator(simulated(36, 500, calmest, seed=seed)) for seed in range(10)]
            for tolerance in (1e-8, kept):  # the solver's own, and ours
                mv.SOLVER_TOLERANCE = tolerance
                worst = np.max([excess_by_unit(model) for model in models], axis=0)
                cells = " | ".join(f"{value:.0e}" for value in worst)
                print(
                    f"| {calmest:.2%} to 6% | {estimator.__name__} | {tolerance:.0e} | {cells} |",
                    flush=True,
                )
    mv.SOLVER_TOLERANCE = kept


def excess_by_unit(model):
    own, level = mv._Problem.of(model, 1.0, None, None), model.diagonal.mean()
    others = (
        replace(own, model=model.scaled(unit), riskless=mv.RISKLESS * level / unit)
        for unit in (1.0, level)
    )
    return [excess_of_one_run(problem) for problem in (*others, own)]


def excess_of_one_run(problem):
    weights, multiplier, _, _ = mv._piqp(problem)
    return problem.certified(problem.feasible(weights), multiplier).excess


def forms():
    """Milliseconds of one run of PIQP with the dense matrix and with the factors."""
    print("| rank | funds | funds / rank | dense, ms | factors, ms |\n|---|---|---|---|---|")
    kept = mv.DENSE_FROM
    for observations in (36, 120, 252):
        for multiple in (2, 4, 6, 8, 10):
            funds = multiple * observations
            problem = mv._Problem.of(ledoit_wolf(simulated(observations, funds)), 1.0, None, None)
            times = []
            for limit in (np.inf, 0.0):
                mv.DENSE_FROM = limit
                times.append(1e3 * median_seconds(lambda p=problem: mv._piqp(p), 3)[0])
            cells = " | ".join(f"{value:.1f}" for value in times)
            print(f"| {observations} | {funds} | {multiple} | {cells} |", flush=True)
    mv.DENSE_FROM = kept


def months():
    """Milliseconds a month of a history whose window of 36 months moves on by one."""
    print(
        "| funds | months | `minimum_variance` | active set anew | from the funds held before | "
        "PIQP anew | PIQP updated | cvxpy anew | cvxpy with parameters |\n|" + "---|" * 9
    )
    for funds, count in HISTORY.items():
        returns = simulated(36 + count, funds)
        models = [ledoit_wolf(returns[k : k + 36]) for k in range(count + 1)]
        problems = [mv._Problem.of(model, 1.0, None, None) for model in models]
        updated = once_set_up(problems[0])
        solved = through_cvxpy(cp.Parameter((36, funds)), cp.Parameter(funds, nonneg=True))
        solved(*terms(problems[0]))  # compiles
        few = problems[1:21]  # of what takes long
        cells = (
            each(models[1:], mv.minimum_variance),
            each(problems[1:], mv._active_set),
            each(problems[1:], from_funds_held_before(problems[0])),
            each(problems[1:], mv._piqp),
            each(problems[1:], updated),
            each(few, lambda p: through_cvxpy(*terms(p))()),
            each(few, lambda p, s=solved: s(*terms(p))),
        )
        row = " | ".join(f"{1e3 * cell:.1f}" for cell in cells)
        print(f"| {funds:,} | {count} | {row} |", flush=True)


def each(problems, work):
    """Median seconds."""
    return np.median([median_seconds(lambda p=p: work(p), 1)[0] for p in problems])


def from_funds_held_before(problem):
    """The active set method whose first guess are the funds that it held last."""
    held = mv._first_funds(problem)

    def solve(problem):
        nonlocal held
        weights, *_ = active_set(problem.model, problem.caps, None, held)
        held = np.flatnonzero(weights > 0.0)

    return solve


def once_set_up(problem):
    """The factor form in PIQP, set up once; months after change its numbers."""
    rank, funds = problem.model.loadings.shape
    pad = np.zeros(rank)

    def matrices(problem):
        loadings, specific = problem.model.loadings, problem.model.specific
        budget = np.append(np.ones(funds), pad)
        rows = np.vstack([np.hstack([loadings, -np.eye(rank)]), budget])
        quadratic = sparse.diags_array(np.append(2.0 * specific, pad + 2.0), format="csc")
        return quadratic, sparse.csc_array(rows)

    solver = piqp.SparseSolver()
    solver.settings.eps_abs = solver.settings.eps_duality_gap_abs = mv.SOLVER_TOLERANCE
    solver.settings.eps_rel = solver.settings.eps_duality_gap_rel = 0.0
    quadratic, equal = matrices(problem)
    lower = np.append(np.zeros(funds), pad - np.inf)
    right, free = np.append(pad, 1.0), np.full(funds + rank, np.inf)
    solver.setup(quadratic, np.zeros(funds + rank), equal, right, None, None, None, lower, free)

    def solve(problem):
        quadratic, equal = matrices(problem)
        solver.update(P=quadratic, A=equal)
        solver.solve()
        return np.array(solver.result.x[:funds])

    return solve


def terms(problem):
    return problem.model.loadings, np.sqrt(problem.model.specific)


def through_cvxpy(loadings, roots):
    """The factor form of constants, or of parameters: compiled once for any model of this shape."""
    weights = cp.Variable(loadings.shape[1], bounds=[0.0, None])
    factors = cp.Variable(loadings.shape[0])
    task = cp.Problem(
        cp.Minimize(cp.sum_squares(factors) + cp.sum_squares(cp.multiply(roots, weights))),
        [factors == loadings @ weights, cp.sum(weights) == 1.0],
    )

    def solve(*values):
        for parameter, value in zip((loadings, roots), values, strict=False):
            parameter.value = value
        tolerances = dict.fromkeys(("eps_abs", "eps_duality_gap_abs"), mv.SOLVER_TOLERANCE)
        task.solve(solver=cp.PIQP, eps_rel=0.0, eps_duality_gap_rel=0.0, **tolerances)
        return weights.value

    return solve


PARTS = {"peers": peers, "units": units, "forms": forms, "months": months}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), metavar="PART")
    parser.add_argument("--limit", type=float, default=120.0)
    given = parser.parse_args()
    for name in given.parts:
        print(f"\n{name}, load {os.getloadavg()[0]:.1f}")
        PARTS[name](*[given.limit] if name == "peers" else [])


if __name__ == "__main__":
    main()
