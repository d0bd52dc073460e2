"""PolyModel at the size of the paper: 10,000 funds x 300 factors x 314 months x 1,000 shuffles.

    python -m benchmarks.polymodel_scale               month, exponents and memory
    python -m benchmarks.polymodel_scale month
    python -m benchmarks.polymodel_scale exponents
    python -m benchmarks.polymodel_scale memory
    python -m benchmarks.polymodel_scale history       the whole history, killed once on its way

Peers of one month are scikit-learn's ridge on all funds at once, refitted for every shuffle, and
a loop of single fits; both are timed on a sample and scaled. Degree 4, lambda 1, p <= 0.01; the
whole history runs with the default settings.
"""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

from finembed_core.calendar import Month, month_ends
from finembed_core.execution import map_items
from finembed_core.histories import ingested_months
from finembed_core.ingest.stage import ingest
from finembed_core.panel import Panel
from finembed_core.polymodel.basis import hermite_basis
from finembed_core.polymodel.features import MonthInputs
from finembed_core.polymodel.history import LongHistory
from finembed_core.polymodel.stage import compute, polymodel_stage
from finembed_core.progress import Progress
from finembed_core.settings import ExecutionSettings, PolyModelSettings, Settings
from finembed_core.stage import build
from finembed_core.store import PartStore

METHODS = ("exact", "moments", "adaptive")
SIZES = ((30, 12), (1_000, 100), (10_000, 300))
MONTH = Month.parse("2005-03")
SAMPLE = 30  # refits timed
CORES = 2
FUNDS, FACTORS, MONTHS = 10_000, 300, 314
LIVED = 48_000  # in the whole history; about FUNDS of them can be fitted in its mean month


def simulated(funds, factors, month=MONTH, births=0.2, history=600):
    """Funds of which a fifth were born in the window or miss months inside it."""
    rng = np.random.default_rng(month.ordinal)
    x = rng.standard_t(5, (history, factors)) * 0.03
    y = rng.standard_normal((36, funds)) * 0.02
    y[:, ::3] += 0.5 * x[-36:, [0]]
    for k in range(int(births * funds)):
        y[: rng.integers(1, 13), k] = np.nan
        if k % 4 == 0:
            y[rng.integers(13, 35), k] = np.nan
    dates = month_ends(np.arange(month.ordinal - 35, month.ordinal + 1))
    return MonthInputs(
        month,
        Panel(dates, tuple(f"fund{k:05d}" for k in range(funds)), y),
        np.full(36, 0.002),
        Panel(dates, tuple(f"factor{k:04d}" for k in range(factors)), x[-36:]),
        LongHistory.of(x, PolyModelSettings()),
    )


def settings_of(method, shuffles=1000):
    """The paper's quartic and a fixed threshold, as the peers fit it."""
    return PolyModelSettings(
        degree=4,
        ridge=1.0,
        selection="absolute",
        alpha=0.01,
        significance=method,
        shuffles=shuffles,
    )


def seconds_per_month(funds, factors, method, months=2 * CORES):
    """Wall seconds of a month, while as many are computed at once as there are cores."""
    execution = ExecutionSettings(mode="processes", workers=CORES)
    work = partial(compute, settings=settings_of(method), execution=execution)
    # the first month of every worker also loads it
    results = map_items(
        work, (simulated(funds, factors, MONTH + k) for k in range(6 * CORES)), execution
    )
    for _ in range(CORES):
        next(results)
    start = time.perf_counter()
    for _ in range(months):
        next(results)
    took = time.perf_counter() - start
    results.close()
    return took / months


def single_core_seconds(inputs, method, shuffles=1000):
    """CPU seconds of one month on one core."""
    work = partial(compute, settings=settings_of(method, shuffles), execution=ExecutionSettings())
    with threadpool_limits(1):
        start = time.process_time()
        work(inputs)
        return time.process_time() - start


def refit_seconds(funds, threads):
    """Median wall seconds of one shuffle, one factor, all funds, with scikit-learn."""
    rng = np.random.default_rng(2)
    y = rng.standard_normal((36, funds))
    basis = hermite_basis(rng.standard_normal(36), 4)[:, 1:]
    times = []
    with threadpool_limits(threads):
        for _ in range(SAMPLE):
            start = time.perf_counter()
            shuffled = y[rng.permutation(36)]
            model = Ridge(alpha=1.0).fit(basis, shuffled)
            np.square(shuffled - model.predict(basis)).sum(axis=0)
            times.append(time.perf_counter() - start)
    return np.median(times)


def month_table():
    """Own seconds and ratios to the peers, at three sizes."""
    print(
        "| funds | factors | | seconds per month, 2 cores | against ridge, 2 threads | "
        "2 single threads | a loop of fits | 2 loops |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for funds, factors in SIZES:
        refits = factors * 1000
        default, single = (refit_seconds(funds, threads) for threads in (CORES, 1))
        loop = refit_seconds(1, 1) * funds
        seconds = (default, single / CORES, loop, loop / CORES)
        peers = [refits * one for one in seconds]
        for method in METHODS:
            own = seconds_per_month(funds, factors, method)
            ratios = " | ".join(f"{peer / own:,.0f}" for peer in peers)
            print(f"| {funds:,} | {factors} | {method} | {own:.3f} | {ratios} |", flush=True)
        print(
            f"| {funds:,} | {factors} | *peers* | | "
            + " | ".join(f"{p:,.0f} s" for p in peers)
            + " |"
        )


def exponents():
    """Slopes of log time against log size, one size at a time; 1 is linear."""
    sizes = {
        "funds": [(n, 100, 1000) for n in (1250, 2500, 5000, 10_000)],
        "factors": [(2500, j, 1000) for j in (50, 100, 200, 400)],
        "shuffles": [(1000, 100, k) for k in (500, 1000, 2000, 4000)],
    }
    print("| estimator | grows with | seconds | exponent |\n|---|---|---|---|")
    for method in METHODS:
        for name, cases in sizes.items():
            if name == "shuffles" and method != "exact":
                continue
            times = []
            for funds, factors, shuffles in cases:
                inputs = simulated(funds, factors)
                times.append(min(single_core_seconds(inputs, method, shuffles) for _ in range(2)))
            grown = [case[["funds", "factors", "shuffles"].index(name)] for case in cases]
            slope = np.polyfit(np.log(grown), np.log(times), 1)[0]
            shown = ", ".join(f"{t:.2f}" for t in times)
            print(f"| {method} | {name} {grown} | {shown} | {slope:.2f} |", flush=True)


def memory():
    """Peak memory of a process by size, each size in a process of its own."""
    print("| funds | factors | months | estimator | peak GB | of it output and input |")
    print("|---|---|---|---|---|---|")
    for funds, factors, months in (
        (2_500, 300, 1),
        (10_000, 300, 1),
        (40_000, 300, 1),
        (10_000, 100, 1),
        (10_000, 900, 1),
        (10_000, 300, 4),
    ):
        for method in ("exact", "adaptive") if funds <= 10_000 else ("adaptive",):
            code = (
                f"from benchmarks.polymodel_scale import peak; peak({funds}, {factors}, {months}, "
                f"{method!r})"
            )
            shown = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            ).stdout.split()
            whole, held = (float(text) for text in shown)
            size = f"{funds:,} | {factors} | {months} | {method}"
            print(f"| {size} | {whole:.2f} | {held:.3f} |", flush=True)


def peak(funds, factors, months, method):
    """Print the peak memory of some months and the size of the largest's inputs and outputs."""
    held = 0
    with threadpool_limits(1):
        for k in range(months):
            inputs = simulated(funds, factors, MONTH + k)
            work = settings_of(method, 200)
            outputs = compute(inputs, work, ExecutionSettings())
            frames = sum(o.frame.estimated_size() for o in outputs.values() if o.frame is not None)
            held = max(held, frames + inputs.funds.values.nbytes)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, held / 2**30)


class Lines(Progress):
    """A line every 20 months."""

    def start(self, name, total):
        """Begin to count."""
        self.count, self.begin, self.total = 0, time.perf_counter(), total

    def advance(self, message):
        """One more month."""
        self.count += 1
        if self.count % 20 == 0:
            took = time.perf_counter() - self.begin
            print(f"  {message}: {self.count} of {self.total}, {took:.0f} s", flush=True)

    def finish(self):
        """Nothing to close."""


def history_settings(method):
    return Settings.model_validate(
        {
            "dataset": {
                "source": "simulated",
                "profile": "hedge_funds",
                "simulated": {"funds": LIVED, "factors": FACTORS, "months": MONTHS},
            },
            "polymodel": {"significance": method},
            "execution": {"mode": "processes", "workers": CORES},
        }
    )


def build_history(folder, method):
    """Features of every month of the simulated universe that is in the store."""
    store, settings = PartStore(Path(folder)), history_settings(method)
    months = [str(month) for month in ingested_months(store)]
    parts = build(polymodel_stage(store, settings), months, store, settings.execution, Lines())
    skipped = sum(part.skipped for part in parts)
    print(f"  {len(months) - skipped} months built, {skipped} were there", flush=True)


def history(method="adaptive"):
    """Simulate, ingest, build, kill, go on; wall times and the size of what is written."""
    with tempfile.TemporaryDirectory() as folder:
        store = PartStore(Path(folder))
        start = time.perf_counter()
        report = ingest(store, history_settings(method))
        rows = report.rows["fund_observations"]
        print(f"ingested {rows:,} fund months in {time.perf_counter() - start:.0f} s", flush=True)
        code = (
            f"from benchmarks.polymodel_scale import build_history as b; b({folder!r}, {method!r})"
        )
        wall = 0.0
        for limit in (60.0, None):
            start = time.perf_counter()
            process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
            try:
                process.wait(limit)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                print(f"killed after {limit:.0f} s", flush=True)
            wall += time.perf_counter() - start
        peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        features = store.read_many("polymodel_features")
        selected = sum(m.rows for m in store.manifests("polymodel_selected"))
        size = sum(p.stat().st_size for p in Path(folder).glob("polymodel_*/*.parquet")) / 2**20
        factors = features["n_factors"]
        print(
            f"{method}: {len(store.keys('polymodel_features'))} months in {wall:.0f} s, "
            f"{len(factors):,} fund months, {(factors > 0).sum():,} fitted, "
            f"{factors.sum():,} pairs tested, "
            f"{selected:,} selected, {size:.0f} MB written, peak {peak_gb:.2f} GB per process"
        )


PARTS = {"month": month_table, "exponents": exponents, "memory": memory, "history": history}


def main():
    chosen = sys.argv[1:] or ["month", "exponents", "memory"]
    for name in chosen:
        print(f"\n{name}")
        PARTS[name]()


if __name__ == "__main__":
    main()
