"""What sensitivities add to a run: ``python -m benchmarks.sensitivities [--funds N] [--months T]``.

A simulated market with deaths, SA on two models, equal weight and an index, once where every fund
deals every month and once with terms on every fund; each run with and without sensitivities.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from finembed_core.backtest.run import backtest
from finembed_core.settings import Settings
from finembed_core.store import PartStore
from tests.backtest.fake_store import MODELS, Story, write_story


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--funds", type=int, default=3000)
    parser.add_argument("--months", type=int, default=200)
    given = parser.parse_args()
    print(f"{given.funds:,} funds x {given.months} months, load {os.getloadavg()[0]:.1f}")
    for name, terms in (("no terms", False), ("terms on every fund", True)):
        told = market(given.funds, given.months, terms)
        with tempfile.TemporaryDirectory() as folder:
            store = write_story(PartStore(Path(folder)), told)
            plain, whole = (seconds(store, told, enabled) for enabled in (False, True))
        print(f"{name:20s} plain {plain:6.1f} s, whole {whole:6.1f} s: {whole / plain:.1f} times")


def market(funds, months, terms):
    rng = np.random.default_rng(0)
    returns = rng.normal(0.008, 0.04, (months, funds)).clip(-0.9).round(6)
    for fund, end in enumerate(rng.integers(50, 3 * months, funds)):
        returns[end:, fund] = np.nan
    p_up = {m: np.where(np.isnan(returns), np.nan, rng.random(returns.shape)) for m in MODELS}
    for chances in p_up.values():
        chances[:6] = np.nan
    drawn = {
        "notice_days": (30, 60, 95),
        "redemption_frequency": ("monthly", "quarterly"),
        "gate": (1.0, 0.25),
        "lockup_months": (0, 12),
    }
    own = {name: rng.choice(values, funds).tolist() for name, values in drawn.items()}
    benchmark, yields = rng.normal(0, 0.02, months), rng.uniform(1, 5, months)
    return Story(returns, p_up, None, benchmark, yields, terms=own if terms else {})


def seconds(store, told, enabled):
    settings = Settings.model_validate(
        {
            "dataset": {"name": "story"},
            "portfolio": {"models": list(MODELS)},
            "backtest": {"sensitivities": {"enabled": enabled}},
        }
    )
    start = time.perf_counter()
    backtest(store, settings, told.last)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
