"""CPU time of one month of PolyModel, against scikit-learn's ridge refitted for every shuffle.

The peer fits all funds at once per factor and shuffle; it is timed on a sample and scaled.

    python -m benchmarks.polymodel_month
"""

import resource
import time

import numpy as np
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

from finembed_core.calendar import Month, month_ends
from finembed_core.panel import Panel
from finembed_core.polymodel.basis import hermite_basis, standardize
from finembed_core.polymodel.features import MonthInputs, polymodel_features
from finembed_core.settings import PolyModelSettings

MONTH = Month.parse("2005-03")
SETTINGS = PolyModelSettings()
SAMPLE = 50  # refits timed


def simulated(funds, factors, births, history=600, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.standard_t(5, (history, factors)) * 0.03
    y = rng.standard_normal((36, funds)) * 0.02
    y[:, ::3] += 0.5 * x[-36:, [0]]
    for k in range(births):
        y[: rng.integers(1, 13), k] = np.nan
    dates = month_ends(np.arange(MONTH.ordinal - history + 1, MONTH.ordinal + 1))
    return MonthInputs(
        MONTH,
        Panel(dates[-36:], tuple(f"fund{k:05d}" for k in range(funds)), y),
        np.full(36, 0.002),
        Panel(dates, tuple(f"factor{k:04d}" for k in range(factors)), x),
    )


def seconds(inputs):
    times = []
    for _ in range(3):
        start = time.process_time()
        polymodel_features(inputs, SETTINGS)
        times.append(time.process_time() - start)
    return min(times)


def peer_seconds(inputs):
    y = np.nan_to_num(inputs.funds.values)
    basis = hermite_basis(standardize(inputs.factors.values)[-36:, 0], SETTINGS.degree)[:, 1:]
    rng = np.random.default_rng(2)
    start = time.process_time()
    for _ in range(SAMPLE):
        shuffled = y[rng.permutation(36)]
        model = Ridge(alpha=SETTINGS.ridge).fit(basis, shuffled)
        np.square(shuffled - model.predict(basis)).sum(axis=0)
    per_refit = (time.process_time() - start) / SAMPLE
    return per_refit * SETTINGS.shuffles * len(inputs.factors.ids)


def main():
    print(
        f"{'funds':>6} {'factors':>7} {'births':>6} {'month':>9} {'scikit-learn':>13} {'ratio':>7}"
    )
    with threadpool_limits(1):
        for funds, factors, births in ((30, 12, 0), (1000, 100, 0), (1000, 100, 100)):
            inputs = simulated(funds, factors, births)
            own, peer = seconds(inputs), peer_seconds(inputs)
            size = f"{funds:6d} {factors:7d} {births:6d}"
            print(f"{size} {own:7.3f} s {peer:11.1f} s {peer / own:6.0f}x")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GB")


if __name__ == "__main__":
    main()
