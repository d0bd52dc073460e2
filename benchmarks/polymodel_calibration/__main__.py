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

from threadpoolctl import threadpool_limits

from benchmarks.polymodel_calibration.real import panels, placebo
from benchmarks.polymodel_calibration.simulated import formula, lambdas, maximum, rules

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
