"""The warehouse: one DuckDB file, derived from the part store, rebuilt beside and swapped in."""

from __future__ import annotations

from finembed_core.warehouse.publish import PublishReport, publish
from finembed_core.warehouse.query import export, query

__all__ = ["PublishReport", "export", "publish", "query"]
