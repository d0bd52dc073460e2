"""What a person looks at: figures, their pictures for Dagster, and the report of a run."""

from __future__ import annotations

from finembed_core.report.pictures import markdown, svg
from finembed_core.report.write import write_report

__all__ = ["markdown", "svg", "write_report"]
