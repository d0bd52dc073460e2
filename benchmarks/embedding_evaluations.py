"""The evaluations of embeddings: do their intervals keep their size, and how long they take.

    python -m benchmarks.embedding_evaluations [PART ...]

size: how often a 95% interval misses 0 where nobody has skill, in 400 simulated studies of 12
portfolios whose books each have a luck of their own for their whole life; draws of whole holding
periods, as the study makes them, against stationary blocks of days. wins: the sign test and the
dependent test of m of n on the same studies. speed: seconds of one core for 1,000 portfolios.
"""

import argparse
import time
from dataclasses import replace

import numpy as np

from finembed_core.backtest.inference import PLAIN, interval
from finembed_core.backtest.resampling import stationary_draws
from finembed_core.embeddings.evaluation.paired import PairedDraws
from finembed_core.embeddings.evaluation.portfolios import Benchmark, Label, Portfolios
from finembed_core.embeddings.evaluation.predictions import Predictions
from finembed_core.embeddings.evaluation.simulation import DailyLedger, Held
from finembed_core.embeddings.evaluation.tables import evaluation_table
from finembed_core.embeddings.evaluation.wins import count_wins
from finembed_core.settings import Settings
from tests.embeddings.evaluation_worlds import DailyWorld

HOLDING, STUDIES, DRAWS, PORTFOLIOS = 64, 400, 300, 12
SHARED = {"mostly shared": 3.0, "mostly own": 0.5}  # luck of a book, next to its own


def studies(periods: int, shared: float):
    """Active returns without skill, shape (n, P), one study after the other."""
    rng = np.random.default_rng(6)
    for _ in range(STUDIES):
        luck = rng.normal(0.0, 0.0005, (periods, PORTFOLIOS))
        luck += shared * rng.normal(0.0, 0.0005, (periods, 1))
        noise = rng.normal(0.0, 0.004, (periods * HOLDING, PORTFOLIOS))
        yield np.repeat(luck, HOLDING, axis=0) + noise


def size() -> None:
    print("missed by 95% intervals of the mean of 12 portfolios: 5% would be right")
    for periods in (30, 12):
        starts = np.arange(periods) * HOLDING
        for name, shared in SHARED.items():
            missed = np.zeros(3)
            for seed, active in enumerate(studies(periods, shared)):
                paired = PairedDraws.of(active, starts, draws=DRAWS, seed=seed)
                drawn = paired.moments(active, np.zeros(len(active)))["mean_return"].mean(axis=1)
                mean = active.mean(axis=1)
                ends = [paired.interval("mean_return", mean.mean() * 252, drawn)]
                for blocks in (1, 2):
                    index = stationary_draws(len(mean), HOLDING * blocks, DRAWS, seed)
                    days = mean[index].mean(axis=1)
                    ends.append(interval(mean.mean(), days, PLAIN, periods / blocks - 1))
                missed += [not low <= 0.0 <= high for low, high in ends]
            whole, one, two = missed / STUDIES
            print(
                f"{periods} periods, luck {name}: whole periods {whole:.1%}, "
                f"blocks of days of one period {one:.1%}, of two {two:.1%}"
            )


def wins() -> None:
    print("m of 12 found significant at 5% without skill")
    starts = np.arange(30) * HOLDING
    for name, shared in SHARED.items():
        sign = dependent = 0
        for seed, active in enumerate(studies(30, shared)):
            paired = PairedDraws.of(active, starts, draws=DRAWS, seed=seed)
            drawn = paired.moments(active, np.zeros(len(active)))["mean_return"]
            found = count_wins(active.mean(axis=0) * 252, drawn, paired)
            sign += found.sign_p <= 0.05
            dependent += found.dependent_p <= 0.05
        print(
            f"luck {name}: sign test {sign / STUDIES:.1%}, dependent test {dependent / STUDIES:.1%}"
        )


def speed() -> None:
    world = DailyWorld(sessions=1150, funds=300, first=130)
    panel = world.panel()
    settings = Settings()
    table = world.predictions(panel).filter(date=panel.days[130].item())
    table = table.vstack(table.with_columns(date=panel.days[130 + 15 * 64].item()))
    ledger = DailyLedger.of(panel, Predictions.of(table, panel), world.fund_table(), settings)
    sessions = np.arange(130, 130 + 16 * 64, 64)
    ledger = replace(ledger, decisions=sessions)
    rng = np.random.default_rng(1)
    begin, simulated = time.process_time(), 20
    for _ in range(simulated):
        ledger.hold(rng.dirichlet(np.ones(300), len(sessions)))
    each = (time.process_time() - begin) / simulated
    n = len(ledger.dates)
    print(f"ledger: {each * 1e3:.0f} ms for a portfolio of 300 funds over {n} sessions")
    made, always = Portfolios(), np.ones(16, bool)
    for encoder in range(250):
        for mode in ("supervised", "probe", "finetune", "multi_modal"):
            held = Held(rng.normal(0, 0.01, n), rng.random(n), rng.random(n), always)
            made.candidates[Label("weights", str(encoder), mode)] = held
    none = np.zeros(n)
    made.benchmarks[Benchmark("equal_weight")] = Held(rng.normal(0, 0.01, n), none, none, always)
    begin = time.process_time()
    rows = evaluation_table(made, ledger, settings.backtest.inference).height
    took = time.process_time() - begin
    print(f"comparisons: {took:.1f} s for 1,000 portfolios, {rows:,} rows")


PARTS = {"size": size, "wins": wins, "speed": speed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART")
    for name in parser.parse_args().parts or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
