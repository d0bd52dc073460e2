"""Sections about PolyModel and the pair statistics that are kept."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from finembed_core.settings.section import MonthName, Section, Seed, Share, check_order
from finembed_core.settings_file import Once

PairColumn = Literal[
    "r2",
    "adjusted_r2",
    "p_value",
    "score",
    "beta_0",
    "beta_1",
    "beta_2",
    "beta_3",
    "beta_4",
    "beta_5",
    "beta_6",
    "residual_sd",
    "y_max",
    "y_max_clamped",
    "svar",
    "svar_clamped",
    "lta",
]
ROUNDING = 1e-12  # relative; what a p-value may exceed its threshold by
PAIR_COLUMNS: tuple[PairColumn, ...] = get_args(PairColumn)


class PolyModelSettings(Section):
    """PolyModel (arXiv 2408.03320) and StressVaR (arXiv 0911.4030).

    ``degree``, ``ridge``, ``selection`` and ``alpha`` are what the calibration study recommends
    (docs/polymodel_calibration.md); the papers have degree 4 and leave the rest open. ``ridge`` is
    lambda on the scaled basis He_k / sqrt(k!): near zero a curve explodes outside its window and
    StressVaR with it. With ``cross_validated`` every pair has a lambda of
    its own for its curve; significance keeps to ``ridge``. ``shuffles`` are those of ``exact``,
    ``adaptive_shuffles`` the most that ``adaptive`` spends on one pair. ``factor_lags`` offers
    every factor 1 to 2 months late as well, to funds that report stale prices.
    """

    window: Annotated[int, Field(ge=12)] = 36
    min_obs: Annotated[int, Field(ge=8)] = 24
    degree: Annotated[int, Field(ge=1, le=6)] = 2
    ridge: Annotated[float, Field(gt=0)] = 5.0
    cross_validated: bool = False
    penalize_intercept: bool = False
    factor_lags: Annotated[int, Field(ge=0, le=2)] = 0
    significance: Literal["exact", "moments", "adaptive"] = "adaptive"
    shuffles: Annotated[int, Field(ge=19)] = 1000
    adaptive_shuffles: Annotated[int, Field(ge=1000)] = 10_000
    selection: Literal["absolute", "relative", "benjamini_hochberg"] = "benjamini_hochberg"
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.1
    relative_share: Share = 0.5
    min_factor_history: Annotated[int, Field(ge=24)] = 60
    tail_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.10
    min_tail_exceedances: Annotated[int, Field(ge=5)] = 20
    stress_probability: Annotated[float, Field(gt=0.5, lt=1)] = 0.99
    stability_kappa: Annotated[float, Field(ge=0)] = 0.05
    mrar_gamma: Annotated[float, Field(gt=0)] = 2.0
    mrar_exponent: Literal["annual", "paper"] = "annual"
    macro_factors_as_risk_factors: bool = False
    seed: Seed = 1

    @model_validator(mode="after")
    def _window_holds_enough(self) -> PolyModelSettings:
        if self.min_obs > self.window:
            raise ValueError(
                f"min_obs ({self.min_obs}) is more than the window has months ({self.window}): "
                "nothing could ever be computed"
            )
        return self

    @model_validator(mode="after")
    def _alpha_can_be_reached(self) -> PolyModelSettings:
        least = 1.0 / (1.0 + self.shuffles)  # the smallest p-value there is
        stepped = self.significance == "exact" and self.selection == "absolute"
        if stepped and least > self.alpha * (1.0 + ROUNDING):
            raise ValueError(
                f"alpha ({self.alpha:g}) is less than 1/(shuffles + 1) = {least:.3g}: "
                "no pair could ever be selected"
            )
        return self


class PairChoice(Section):
    """Which statistics of which pairs of fund and factor; null is all of them."""

    funds: Annotated[list[str], Field(min_length=1), Once] | None = None
    factors: Annotated[list[str], Field(min_length=1), Once] | None = None
    columns: Annotated[list[PairColumn], Field(min_length=1), Once] | None = None

    def statistics(self, degree: int) -> list[str]:
        """The chosen columns in the order of the table, for polynomials of this degree."""
        chosen = [name for name in PAIR_COLUMNS if self.columns is None or name in self.columns]
        coefficients = [name for name in PAIR_COLUMNS if name.startswith("beta_")]
        return [name for name in chosen if name not in coefficients[degree + 1 :]]


class PairsSettings(PairChoice):
    """Pair statistics to keep (docs/polymodel_pairs.md), of every month from `first_month` on.

    They are large: 10,000 funds times 300 factors are 0.16 GB a month.
    """

    first_month: MonthName
    last_month: MonthName | None = None

    @model_validator(mode="after")
    def _months_are_in_order(self) -> PairsSettings:
        check_order(self.first_month, self.last_month)
        return self

    @property
    def choice(self) -> PairChoice:
        """What a month holds, whichever other months are kept."""
        return PairChoice(funds=self.funds, factors=self.factors, columns=self.columns)

    def holds(self, month: str) -> bool:
        """Whether a month, ``YYYY-MM``, is kept."""
        return self.first_month <= month and (self.last_month is None or month <= self.last_month)
