"""What the house holds: a large ingest, a long backfill, readers while the warehouse changes.

    python -m benchmarks.load ingest      10,000 funds x 350 months x 300 factors, in five shapes
    python -m benchmarks.load backfill    350 months, launched from the web page of `finembed ui`
    python -m benchmarks.load readers     ten readers, twenty publications

Each fails (exit code 1) where a limit of docs/load.md does not hold; seconds have none.
"""

import sys

from benchmarks.load.backfill import backfill
from benchmarks.load.ingest import ingest
from benchmarks.load.readers import readers

PARTS = {"ingest": ingest, "backfill": backfill, "readers": readers}


def main():
    for name in sys.argv[1:] or list(PARTS):
        print(f"\n{name}", flush=True)
        PARTS[name]()


if __name__ == "__main__":
    main()
