"""Universe, macro factors and PolyModel features, month by month."""

import dagster as dg

from finembed_core.polymodel.stage import PAIRS
from finembed_core.settings import Settings
from finembed_dagster.assets.monthly import monthly_asset
from finembed_dagster.partitions import decision_months_definition
from finembed_dagster.pictures import explained_variance, stress_var, universe_size


def feature_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Assets from observations to features, and pair statistics where they are asked for."""
    months = decision_months_definition(settings)
    observed = ["fund_observations", "series_observations", "series", "macro_factors"]
    pairs = monthly_asset(
        PAIRS,
        "Fit, significance and stress of every pair of fund and factor, in the months asked for.",
        deps=observed,
        months=months,
        group="features",
        kinds={"numpy", "parquet"},
    )
    return [
        monthly_asset(
            "universe",
            "Who may be bought in each month, and why each other fund may not.",
            deps=["fund_observations", "funds"],
            months=months,
            group="features",
            kinds={"polars", "parquet"},
            picture=universe_size,
        ),
        monthly_asset(
            "macro_factors",
            "Principal components of the macro series, as each month would have estimated them.",
            deps=["series_observations", "series"],
            months=months,
            group="features",
            kinds={"numpy", "parquet"},
            picture=explained_variance,
        ),
        monthly_asset(
            "polymodel_features",
            "P-value score, selected factors, StressVaR, LTA, LTR, LTS, Sharpe, MRAR per fund.",
            deps=observed,
            months=months,
            group="features",
            kinds={"numpy", "parquet"},
            picture=stress_var,
        ),
        *([pairs] if settings.pairs else []),
    ]
