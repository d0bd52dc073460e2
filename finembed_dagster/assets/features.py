"""Universe, macro factors and PolyModel features, month by month."""

import dagster as dg

from finembed_core.settings import Settings
from finembed_dagster.assets.monthly import BACKFILL, ProgressFor, build_months
from finembed_dagster.partitions import decision_months_definition
from finembed_dagster.pictures import explained_variance, stress_var, universe_size
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
    ) -> None:
        """Who may be bought in each month, and why each other fund may not."""
        build_months(context, study, progress_for, "universe", universe_size)

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
    ) -> None:
        """Principal components of the macro series, as each month would have estimated them."""
        build_months(context, study, progress_for, "macro_factors", explained_variance)

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
    ) -> None:
        """P-value score, selected factors, StressVaR, LTA, LTR, LTS, Sharpe, MRAR per fund."""
        build_months(context, study, progress_for, "polymodel_features", stress_var)

    return [universe, macro_factors, polymodel_features]
