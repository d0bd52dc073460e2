"""Trend models: one asset per kind with retrainings as partitions; predictions by month.

Months and retrainings are partitioned differently, and one Dagster job holds one definition. So
`models_in_force`, which is monthly, trains what its months need and reports it on the partitions
of the trend models; these, materialized by themselves, do the same work for one retraining. No
monthly asset depends on them: a backfill of three months would otherwise grow to their years.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from finembed_core.calendar import Month
from finembed_core.chain import Link, chain
from finembed_core.learning.stage import model_table
from finembed_core.settings import ModelKind, Settings
from finembed_core.stage import BuiltPart, build
from finembed_dagster.assets.monthly import (
    BACKFILL,
    ProgressFor,
    monthly_asset,
    part_metadata,
    requested_months,
)
from finembed_dagster.partitions import (
    decision_months_definition,
    months_of,
    partition_key,
    retrainings_definition,
)
from finembed_dagster.pictures import learning_curves
from finembed_dagster.study import Study


def model_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Assets from features to predictions."""
    months = decision_months_definition(settings)
    retrainings = retrainings_definition(settings)
    kinds = settings.learning.models

    @dg.asset(
        deps=["polymodel_features", "macro_factors", "fund_observations"],
        partitions_def=months,
        backfill_policy=BACKFILL,
        group_name="models",
        kinds={"torch", "scikitlearn"},
    )
    def models_in_force(
        context: dg.AssetExecutionContext,
        study: dg.ResourceParam[Study],
        progress_for: dg.ResourceParam[ProgressFor],
    ) -> None:
        """Train the models that decide these months, where they are missing or stale."""
        months = requested_months(context, study)
        links = chain(study.store, study.settings)
        for kind in study.settings.learning.models:
            name = model_table(kind)
            keys = links[name].keys(months, study.settings)
            for part in _train(context, study, progress_for, links[name], keys):
                if part.skipped:
                    continue
                context.log_event(
                    dg.AssetMaterialization(
                        name,
                        partition=partition_key(Month.parse(part.key)),
                        metadata=_model_metadata(study, name, part),
                    )
                )

    predictions = monthly_asset(
        "predictions",
        "P(down), P(unchanged), P(up) of the label month per fund and model.",
        deps=["polymodel_features", "universe", "macro_factors", "models_in_force"],
        months=months,
        group="models",
        kinds={"torch", "parquet"},
    )
    trend_models = [_trend_model_asset(kind, retrainings) for kind in kinds]
    return [*trend_models, models_in_force, predictions]


def _trend_model_asset(
    kind: ModelKind, retrainings: dg.TimeWindowPartitionsDefinition
) -> dg.AssetsDefinition:
    name = model_table(kind)

    @dg.asset(
        name=name,
        description=f"The {kind} trend model that is in force from each retraining month on, "
        "trained on what was known at the end of the month before.",
        deps=["models_in_force"],
        partitions_def=retrainings,
        backfill_policy=BACKFILL,
        group_name="models",
        kinds={_library(kind)},
        tags={"model_kind": kind},
    )
    def trend_model(
        context: dg.AssetExecutionContext,
        study: dg.ResourceParam[Study],
        progress_for: dg.ResourceParam[ProgressFor],
    ) -> None:
        keys = [str(month) for month in months_of(context.partition_keys)]
        link = chain(study.store, study.settings)[name]
        for part in _train(context, study, progress_for, link, keys):
            context.add_asset_metadata(
                _model_metadata(study, name, part),
                partition_key=partition_key(Month.parse(part.key)),
            )

    return trend_model


def _train(
    context: dg.AssetExecutionContext,
    study: Study,
    progress_for: ProgressFor,
    link: Link,
    keys: list[str],
) -> Iterator[BuiltPart]:
    execution = study.settings.execution
    yield from build(link.stage, keys, study.store, execution, progress_for(context))


def _model_metadata(study: Study, name: str, part: BuiltPart) -> dict[str, Any]:
    return learning_curves(study.store, name, part.key) | part_metadata(part)


def _library(kind: ModelKind) -> str:
    libraries = {"itransformer": "torch", "logistic": "scikitlearn", "lightgbm": "lightgbm"}
    return libraries.get(kind, "numpy")
