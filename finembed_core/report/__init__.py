"""What a person looks at: figures, their pictures for Dagster, and the page of a run."""

from __future__ import annotations

from finembed_core.report.html import wealth
from finembed_core.report.pictures import markdown, svg

__all__ = ["markdown", "svg", "wealth"]
