"""The `finembed` command line: `main` parses, each module holds the commands of one kind."""

from finembed_dagster.cli.main import main

__all__ = ["main"]
