"""Settings of the portfolios: which strategies run, on which models, with which parameters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from finembed_core.settings.learning import ModelKind
from finembed_core.settings.section import PositiveInt, Section, Share
from finembed_core.settings_file import Once

CovarianceName = Literal["sample", "ledoit_wolf", "oas", "factor"]
AssetClass = Literal["stocks", "long_bonds", "intermediate_bonds", "gold", "commodities"]


class MinimumVarianceSettings(Section):
    """Constraints of the minimum variance portfolios: largest weight, and least expected return.

    ``floor`` is a decimal per year, against the mean return of the window; null asks for none.
    """

    cap: Annotated[float, Field(gt=0, le=1)] = 1.0
    floor: float | None = None


class TopKDropSettings(Section):
    """Funds held, and how many of them are replaced in a period at most.

    A tenth a period, as with the 50 and 5 stocks that Qlib (arXiv 2009.11189) holds.
    """

    holdings: PositiveInt = 10
    replaced: PositiveInt = 1


class TiltSettings(Section):
    """How far, and from which base, a portfolio leans towards a model's positions.

    ``strength`` is weight per unit of position; ``active_share`` is where the lean ends.
    """

    base: Literal["equal_weight_universe", "risk_parity", "all_weather"] = "equal_weight_universe"
    strength: Annotated[float, Field(gt=0)] = 1.0
    active_share: Share = 0.2


class PortfolioSettings(Section):
    """Which strategies run, by which models, and their parameters.

    All registered strategies run unless ``strategies`` names some, and by all trained models but
    the majority class, which ranks nothing, unless ``models`` does. ``selected_share`` of the
    ranked funds are in SA and WA. Covariances and expected returns are estimated from the last
    ``window_months``: a fund that misses one of them gets no weight. ``gross_leverage`` is what
    the long-short portfolio buys and sells short together. ``all_weather`` names a fund for
    each asset class: stocks, long_bonds, intermediate_bonds, gold, commodities.
    """

    strategies: Annotated[list[str], Once] | None = None
    models: Annotated[list[ModelKind], Once] = [
        "itransformer",
        "persistence",
        "logistic",
        "lightgbm",
    ]
    selected_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    window_months: Annotated[int, Field(ge=12, le=600)] = 36
    minimum_variance: MinimumVarianceSettings = MinimumVarianceSettings()
    risk_parity_covariance: CovarianceName = "ledoit_wolf"
    topk_drop: TopKDropSettings = TopKDropSettings()
    tilt: TiltSettings = TiltSettings()
    gross_leverage: Annotated[float, Field(gt=0, le=10)] = 1.0
    all_weather: dict[AssetClass, str] = {}
