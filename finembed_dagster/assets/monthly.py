"""What all monthly assets share: build the months of the run, tell what came out."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from finembed_core.calendar import Month
from finembed_core.chain import chain, decision_months
from finembed_core.progress import Progress
from finembed_core.stage import BuiltPart, build
from finembed_core.store import PartStore
from finembed_dagster.partitions import months_of, partition_key
from finembed_dagster.study import Study

ProgressFor = Callable[[dg.AssetExecutionContext], Progress]
Picture = Callable[[PartStore], dict[str, Any]]

NONE_DUE = {
    "decision": "no decision falls into this month: nothing is computed",
    "kept": "the settings keep nothing of this month",
}
"""Why a month of the run has no part."""

BACKFILL = dg.BackfillPolicy.single_run()
"""All months of a range in one run: a run per month would cost seconds for each."""

warnings.filterwarnings("ignore", message="Parameter `backfill_policy`")  # which Dagster calls beta


def requested_months(context: dg.AssetExecutionContext, study: Study) -> list[Month]:
    """Months of the run, all of which must have data.

    Raises
    ------
    MissingPartError
        A month was asked for that the data do not cover.
    """
    months = months_of(context.partition_keys)
    for month in (months[0], months[-1]):
        decision_months(study.store, month)
    return months


def monthly_asset(
    name: str,
    description: str,
    *,
    deps: Sequence[str],
    months: dg.TimeWindowPartitionsDefinition,
    group: str,
    kinds: set[str],
    picture: Picture | None = None,
) -> dg.AssetsDefinition:
    """Asset that builds one stage of the chain, a month per partition.

    The picture, which shows all months, goes to the newest month of the run alone: Dagster
    stores what is returned for a run once per partition.
    """

    @dg.asset(
        name=name,
        description=description,
        deps=deps,
        partitions_def=months,
        backfill_policy=BACKFILL,
        group_name=group,
        kinds=kinds,
    )
    def stage_of_months(
        context: dg.AssetExecutionContext,
        study: dg.ResourceParam[Study],
        progress_for: dg.ResourceParam[ProgressFor],
    ) -> None:
        requested = requested_months(context, study)
        link = chain(study.store, study.settings)[name]
        keys = link.keys(requested, study.settings)
        progress = progress_for(context)
        built = 0
        for part in build(link.stage, keys, study.store, study.settings.execution, progress):
            built += not part.skipped
            context.add_asset_metadata(
                part_metadata(part), partition_key=partition_key(Month.parse(part.key))
            )
        idle = [month for month in requested if str(month) not in set(keys)]
        for month in idle:
            note = {"note": NONE_DUE[link.keyed_by]}
            context.add_asset_metadata(note, partition_key=partition_key(month))
        context.log.info(
            f"{name}: {built} months built, {len(keys) - built} were current"
            + (f", {len(idle)} had nothing due" if idle else "")
        )
        if picture is not None:
            newest = partition_key(requested[-1])
            context.add_asset_metadata(picture(study.store), partition_key=newest)

    return stage_of_months


def part_metadata(part: BuiltPart) -> dict[str, Any]:
    """Rows and notes of one part, as Dagster metadata."""
    notes = {key: note for m in part.manifests.values() for key, note in m.notes.items()}
    rows = sum(manifest.rows for manifest in part.manifests.values())
    return {"dagster/partition_row_count": rows, "was_current": part.skipped, **notes}
