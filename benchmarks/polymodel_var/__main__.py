"""StressVaR out of sample: next month's returns against 99% value-at-risk forecasts, real panels.

The test of the StressVaR paper (arXiv 0911.4030): month t forecasts from what is dated t or before,
the return of month t+1 is judged. ``rate`` should be 1%. A VaR can have few exceptions by being
large, so its mean and its quantile (tick) loss stand beside them: the loss is smallest in
expectation for the true quantile, and ``/ SVaR`` above 1 means worse than StressVaR. ``[ ]`` are
95% intervals of a stationary bootstrap over whole months, mean block 12 months.

    python -m benchmarks.polymodel_var [PART ...] [--panels PANEL ...]

rates: exceptions, level, loss. tests: Kupiec and Christoffersen per fund. level: the same mean VaR
for all, and the level that has 1% exceptions. variants: lambda, selection rule, shape of the curve.
crises: what was forecast on the eve, and what came. ranks: does a VaR say which fund, and when.
unjudged: fund-months without a StressVaR.
"""

import argparse

from benchmarks.panels import universes
from benchmarks.polymodel_var.forecasts import forecast, pool, split
from benchmarks.polymodel_var.parts import (
    print_crises,
    print_level,
    print_ranks,
    print_rates,
    print_tests,
    print_unjudged,
    print_variants,
)

PARTS = {
    "rates": print_rates,
    "tests": print_tests,
    "level": print_level,
    "variants": print_variants,
    "crises": print_crises,
    "ranks": print_ranks,
    "unjudged": print_unjudged,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--panels", nargs="+", help="of french, india, edhec, managers")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    panels = []
    for universe in universes():
        if not chosen.panels or universe.name in chosen.panels:
            kinds = [universe.classes.get(fund) for fund in universe.funds.ids]
            panels += split(forecast(universe), kinds)
    if len(panels) > 1:
        panels.append(pool(panels))
    for part in chosen.parts or PARTS:
        print(f"\n## {part}")
        for panel in panels:
            PARTS[part](panel)


if __name__ == "__main__":
    main()
