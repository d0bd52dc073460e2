"""`python -m finembed_dagster.cli`."""

import sys

from finembed_dagster.cli import main

if __name__ == "__main__":
    sys.exit(main())
