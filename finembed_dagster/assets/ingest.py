"""From the source's tables, through the quality gates, into the store."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from finembed_core.chain import discard_foreign_parts
from finembed_core.daily_panel import TABLE as DAILY
from finembed_core.embeddings.text import ABSENT, text_stage
from finembed_core.embeddings.text import TABLE as TEXTS
from finembed_core.ingest.stage import ingest
from finembed_core.stage import build
from finembed_core.store import PartStore
from finembed_dagster.assets.monthly import ProgressFor
from finembed_dagster.pictures import table_markdown
from finembed_dagster.study import Study

TABLES = {
    "fund_observations": "Monthly fund returns and AUM by the month in which they became known.",
    "funds": "Attributes of the funds; each counts from its own date.",
    "series_observations": "Index, factor and macro values by the month that first knew them.",
    "series": "What each series is: roles, kind, transform.",
    "quarantine": "Rows that a quality gate put aside, with rule, value and reason.",
    "data_quality": "Counts per quality rule and reason code.",
    "daily_panel": "Daily returns of funds and of the market beside them, by trading session.",
    "daily_funds": "Attributes of the funds of the daily panel.",
    "text_vectors": "Sentence vectors of the names and descriptions of these funds.",
}

NO_DAILY = "the data have no daily panel, hence no embeddings (docs/data.md, The daily panel)"


@dg.multi_asset(
    name="read_source",
    specs=[
        dg.AssetSpec(name, description=text, group_name="ingest", kinds={"polars", "parquet"})
        for name, text in TABLES.items()
    ],
)
def ingested(
    context: dg.AssetExecutionContext,
    study: dg.ResourceParam[Study],
    progress_for: dg.ResourceParam[ProgressFor],
) -> Iterator[dg.MaterializeResult]:
    """Read the source once, judge every row, write the parts that changed."""
    report = ingest(study.store, study.settings, progress_for(context))
    foreign = discard_foreign_parts(study.store, study.settings)
    if foreign:
        context.log.info(f"{foreign} parts of months that the data no longer have were deleted")
    warnings = [*report.warnings, *_read_daily(study)]
    for warning in warnings:
        context.log.warning(warning)
    quality = study.store.read("data_quality", "all")
    for table in TABLES:
        metadata: dict[str, Any] = {"dagster/row_count": _rows(study.store, table)}
        if table == "data_quality":
            metadata |= {
                "counts": dg.MetadataValue.md(table_markdown(quality)),
                "warnings": warnings,
                "months": f"{report.months[0]} to {report.months[-1]}",
            }
        yield dg.MaterializeResult(asset_key=table, metadata=metadata)


def _read_daily(study: Study) -> list[str]:
    """Make the sentence vectors where they are wanted; what is missing for embeddings."""
    if not study.settings.embeddings.enabled:
        return []
    if study.store.manifest(DAILY, "all") is None:
        return [NO_DAILY]
    if not study.settings.embeddings.fusion.text:
        return []
    (part,) = build(text_stage(study.store), ["all"], study.store)
    tower = part.manifests[TEXTS].notes["text_tower"]
    return [f"text tower {tower}"] if tower == ABSENT else []


def _rows(store: PartStore, table: str) -> int:
    manifests = (store.manifest(table, key) for key in store.keys(table))
    return sum(manifest.rows for manifest in manifests if manifest is not None)
