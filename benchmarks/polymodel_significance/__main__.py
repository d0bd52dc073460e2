"""Are PolyModel's p-values right? Real panels, planted exposures and simulated independence.

    python -m benchmarks.polymodel_significance [accuracy] [adaptive] [size] [power]

``accuracy``: the moments' p-values against 1,000,000 shuffles, with three other laws of the same
moments. ``adaptive``: its verdicts against those of 10,000 other shuffles. ``size``: how often luck
passes. ``power``: recall of planted exposures against F tests at the same rate of false positives;
draws docs/figures/polymodel_roc.svg. Prints Markdown; one core. Accuracy and adaptive share their
shuffles, so run them together.
"""

import sys
import time

from threadpoolctl import threadpool_limits

from benchmarks.polymodel_significance.accuracy import accuracy
from benchmarks.polymodel_significance.adaptive import adaptive
from benchmarks.polymodel_significance.power import power
from benchmarks.polymodel_significance.size import size

PARTS = {"accuracy": accuracy, "adaptive": adaptive, "size": size, "power": power}


def main():
    wanted = sys.argv[1:] or list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        sys.exit(f"no part {', '.join(sorted(unknown))}: choose from {', '.join(PARTS)}")
    with threadpool_limits(1):
        for name in wanted:
            begin = time.perf_counter()
            print(f"\n## {name}", flush=True)
            PARTS[name]()
            print(f"{name}: {time.perf_counter() - begin:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
