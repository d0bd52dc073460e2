"""Universe, macro factors and PolyModel features, month by month."""

import dagster as dg

from finembed_core.settings import Settings
from finembed_dagster.assets.monthly import BACKFILL, ProgressFor, build_months
from finembed_dagster.partitions import decision_months_definition
from finembed_dagster.pictures import explained_variance, feature_distribution, universe_size
from finembed_dagster.study import Study


def feature_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Assets from observations to features."""
    months = decision_months_definition(settings)

    @dg.asset(
        deps=["fund_observations", "funds"],
        partitions_def=months,
        backfill_policy=BACKFILL,
        group_name="features",
        kinds={"polars", "parquet"},
    )
    def universe(
        context: dg.AssetExecutionContext,
        study: dg.ResourceParam[Study],
        progress_for: dg.ResourceParam[ProgressFor],
    ) -> dg.MaterializeResult:
        """Who may be bought in each month, and why each other fund may not."""
        facts = build_months(context, study, progress_for, "universe")
        return dg.MaterializeResult(metadata=facts | universe_size(study.store))

    @dg.asset(
        deps=["series_observations", "series"],
        partitions_def=months,
        backfill_policy=BACKFILL,
        group_name="features",
        kinds={"numpy", "parquet"},
    )
    def macro_factors(
        context: dg.AssetExecutionContext,
        study: dg.ResourceParam[Study],
        progress_for: dg.ResourceParam[ProgressFor],
    ) -> dg.MaterializeResult:
        """Principal components of the macro series, as each month would have estimated them."""
        facts = build_months(context, study, progress_for, "macro_factors")
        return dg.MaterializeResult(metadata=facts | explained_variance(study.store))

    @dg.asset(
        deps=["fund_observations", "series_observations", "series", "macro_factors"],
        partitions_def=months,
        backfill_policy=BACKFILL,
        group_name="features",
        kinds={"numpy", "parquet"},
    )
    def polymodel_features(
        context: dg.AssetExecutionContext,
        study: dg.ResourceParam[Study],
        progress_for: dg.ResourceParam[ProgressFor],
    ) -> dg.MaterializeResult:
        """P-value score, selected factors, StressVaR, LTA, LTR, LTS, Sharpe, MRAR per fund."""
        facts = build_months(context, study, progress_for, "polymodel_features")
        return dg.MaterializeResult(metadata=facts | feature_distribution(study.store, "svar"))

    return [universe, macro_factors, polymodel_features]
