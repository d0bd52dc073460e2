"""Embeddings of the funds with daily returns: encoders trained at each decision, and their answers.

Decisions lie 64 sessions apart, and which months hold one is told by the data; so these assets are
monthly as the chain is, and a month without a decision leaves no part.
"""

from functools import partial

import dagster as dg

from finembed_core.chain import study_stages
from finembed_core.daily_panel import TABLE as DAILY
from finembed_core.embeddings.evaluation.study import KEY
from finembed_core.embeddings.tables import EMBEDDINGS, PREDICTIONS, model_table
from finembed_core.settings import Settings
from finembed_core.stage import build
from finembed_dagster.assets.monthly import ProgressFor, monthly_asset
from finembed_dagster.partitions import decision_months_definition
from finembed_dagster.pictures import embedded_funds, fund_learning_curves, scoreboard
from finembed_dagster.study import Study

GROUP = "embeddings"
STUDY = "embedding_study"
EVALUATIONS = "embedding_evaluations"


def embedding_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Assets from the daily panel to embeddings and what is predicted from them."""
    months = decision_months_definition(settings)
    observed = ["daily_panel", "daily_funds", "text_vectors", "macro_factors"]
    trained = [model_table(name) for name in settings.embeddings.encoders]
    encoders = [
        monthly_asset(
            model_table(name),
            f"Networks around the encoder {name}, of every training mode and seed, trained at each "
            "decision on what was known then.",
            deps=observed,
            months=months,
            group=GROUP,
            kinds={"torch"},
            picture=partial(fund_learning_curves, table=model_table(name)),
        )
        for name in settings.embeddings.encoders
    ]
    return [
        *encoders,
        monthly_asset(
            EMBEDDINGS,
            "A vector for every fund at each month's end and each decision.",
            deps=[*observed, model_table(settings.embeddings.published_encoder)],
            months=months,
            group=GROUP,
            kinds={"torch", "parquet"},
            picture=embedded_funds,
        ),
        monthly_asset(
            PREDICTIONS,
            "Forecasts, ranks and weights at each decision, by encoder, mode and seed.",
            deps=[*observed, *trained],
            months=months,
            group=GROUP,
            kinds={"torch", "parquet"},
        ),
        _study,
    ]


@dg.asset(name=STUDY, deps=[PREDICTIONS], group_name=GROUP, kinds={"polars", "parquet"})
def _study(
    context: dg.AssetExecutionContext,
    study: dg.ResourceParam[Study],
    progress_for: dg.ResourceParam[ProgressFor],
) -> dg.MaterializeResult:
    """What embeddings are worth: information, and three kinds of portfolios against doing less."""
    store, settings, progress = study.store, study.settings, progress_for(context)
    if store.manifest(DAILY, "all") is None:
        return dg.MaterializeResult(metadata={"note": "the data have no daily panel"})
    parts = [
        part
        for stage, keys in study_stages(store, settings, progress)
        for part in build(stage, keys, store, settings.execution, progress)
    ]
    rows: dict[str, int] = {}
    for name, manifest in (found for part in parts for found in part.manifests.items()):
        rows[name] = rows.get(name, 0) + manifest.rows
    absent = parts[-1].manifests[EVALUATIONS].notes.get("absent")
    return dg.MaterializeResult(
        metadata=scoreboard(store.read(EVALUATIONS, KEY))
        | {
            "warnings": [f"embeddings: {absent}"] if absent else [],
            "was_current": all(part.skipped for part in parts),
            "rows": rows,
        }
    )
