"""Sections about what comes in: dataset, ingest, universe and macro series."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from finembed_core.calendar import DecisionCalendar
from finembed_core.settings.section import MonthName, PositiveInt, Section, Seed, Share, check_order
from finembed_core.settings_file import Once


class TableFiles(Section):
    """Where one input table lies, and how its columns are named there.

    ``columns`` maps our names to the file's. ``layout: wide`` reads a matrix of dates x ids, whose
    cells are ``value_column`` (``ret``, ``nav``, ``aum`` or ``value``); ``layout: fred_md`` reads
    vintages of FRED-MD, with the transform codes in their second row.
    """

    path: str
    layout: Literal["long", "wide", "fred_md"] = "long"
    columns: dict[str, str] = {}
    constants: dict[str, Any] = {}
    value_column: str | None = None
    date_format: str | None = None


class FilesSource(Section):
    """The user's own tables; relative paths and globs start at the settings file's folder.

    ``daily_observations`` is a panel of its own, for embeddings: NAVs or returns by the day. Its
    funds are described in ``daily_funds``, or else in ``funds``.
    """

    fund_observations: list[TableFiles] = []
    funds: TableFiles | None = None
    series_observations: list[TableFiles] = []
    series: TableFiles | None = None
    daily_observations: list[TableFiles] = []
    daily_funds: TableFiles | None = None


class SimulatedSource(Section):
    """Size and seed of the simulated universe."""

    funds: PositiveInt = 200
    months: Annotated[int, Field(ge=48, le=1200)] = 240
    factors: Annotated[int, Field(ge=2, le=1000)] = 20
    seed: Seed = 1


class DatasetSettings(Section):
    """What a study looks at, and when its numbers become known.

    The ``liquid`` profile has funds report at the month's end, ``hedge_funds`` 15 days later;
    prices at once and macro series after 30 days in both (`availability lags`, in days).
    """

    source: Literal["packaged", "files", "simulated"] = "packaged"
    name: str = "french_monthly"
    first_month: MonthName | None = None
    last_month: MonthName | None = None
    profile: Literal["liquid", "hedge_funds"] = "liquid"
    fund_lag_days: Annotated[int, Field(ge=0, le=365)] | None = None
    price_lag_days: Annotated[int, Field(ge=0, le=365)] = 0
    macro_lag_days: Annotated[int, Field(ge=0, le=365)] = 30
    decision_lag_days: Annotated[int, Field(ge=0, le=365)] | None = None
    files: FilesSource = FilesSource()
    simulated: SimulatedSource = SimulatedSource()

    @model_validator(mode="after")
    def _months_are_in_order(self) -> DatasetSettings:
        check_order(self.first_month, self.last_month)
        return self

    @property
    def label(self) -> str:
        """What to call the data: the packaged dataset, or else the name given to them."""
        unnamed = self.source != "packaged" and "name" not in self.model_fields_set
        return self.source if unnamed else self.name

    @property
    def fund_lag(self) -> int:
        """Days from a month's end to its fund returns."""
        default = 15 if self.profile == "hedge_funds" else 0
        return default if self.fund_lag_days is None else self.fund_lag_days

    @property
    def calendar(self) -> DecisionCalendar:
        """Decision calendar: by default decide as soon as the month's fund returns are known."""
        lag = self.fund_lag if self.decision_lag_days is None else self.decision_lag_days
        return DecisionCalendar(lag)


Factors = Annotated[list[Annotated[float, Field(gt=1)]], Field(min_length=1), Once]
FaceValues = Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1), Once]


class NavSettings(Section):
    """NAVs that move as no fund does: a changed face value, a misprint put right a month later.

    ``face_factors``: ratios of the face values in use (10, 100, 1000 in India, 5 and 20 of common
    splits); a NAV that rises by one within exp(``face_tolerance``), a month's own return beside
    it, has changed its face value. ``face_values``: where a NAV restarts, to ``face_rounding`` of
    it (NAVs are printed in cents), having lost ``reset_loss`` or more, which of 3,502 Indian funds
    three did in October 2008. ``jump``: return from which a month may be a misprint, seen when the
    next month takes it back to within ``undone`` in logs. Restart and jump count beyond
    ``deviations`` standard deviations of the fund's ``deviation_months`` before, half of them at
    least: a volatile stock may do as much by itself.
    """

    face_factors: Factors = [5.0, 10.0, 20.0, 50.0, 100.0, 1000.0]
    face_tolerance: Annotated[float, Field(gt=0)] = 0.15
    face_values: FaceValues = [10.0, 100.0, 1000.0]
    face_rounding: Annotated[float, Field(gt=0, lt=0.1)] = 0.001
    reset_loss: Annotated[float, Field(gt=0, lt=1)] = 0.45
    jump: Annotated[float, Field(gt=0)] = 0.5
    undone: Annotated[float, Field(gt=0)] = 0.1
    deviations: Annotated[float, Field(ge=0)] = 5.0
    deviation_months: Annotated[int, Field(ge=4)] = 12

    @model_validator(mode="after")
    def _factors_are_beyond_their_tolerance(self) -> NavSettings:
        least = min(self.face_factors)
        if math.log(least) <= self.face_tolerance:
            raise ValueError(
                f"a NAV that does not move at all is within face_tolerance "
                f"({self.face_tolerance:g}) of the face factor {least:g}"
            )
        if math.log1p(self.jump) <= self.undone:
            raise ValueError(
                f"a jump of {self.jump:g} is undone ({self.undone:g}) by a month without a return"
            )
        return self


class IngestSettings(Section):
    """Quality gates, and when a fund that falls silent is taken for dead.

    Funds of ``maturing_categories`` (fixed-term plans, whose end is in their prospectus) have then
    matured; the others have stopped reporting.

    ``max_abs_return`` is the specification's 100% a month. ``stale_months`` reports without a move
    are stale. ``duplicate_months`` returns that equal another fund's to ``duplicate_decimals``
    make a copy, if more than ``duplicate_moving`` of them are not zero: idle funds are all alike. A
    NAV belongs to the return quoted beside it if both agree to ``quoted_tolerance`` (returns are
    rounded to basis points). ``max_silent_months`` without a report of any fund mean a mistyped
    year, and 2 to ``max_double_reports`` returns in one month of a fund that reports monthly a
    double report. ``heavy_autocorrelation``: first autocorrelation from which returns look smoothed
    (Getmansky, Lo and Makarov 2004 find 0.2 to 0.4 for illiquid hedge-fund styles, under 0.1 for
    liquid ones); counted only.
    """

    max_abs_return: Annotated[float, Field(gt=0)] = 1.0
    stale_months: Annotated[int, Field(ge=2)] = 6
    duplicate_months: Annotated[int, Field(ge=6)] = 24
    duplicate_decimals: Annotated[int, Field(ge=3, le=15)] = 12
    duplicate_moving: Annotated[float, Field(ge=0, lt=1)] = 0.5
    drop_first_months: Annotated[int, Field(ge=0)] = 0
    dead_after_missing: PositiveInt = 3
    maturing_categories: list[str] = []
    quoted_tolerance: Annotated[float, Field(ge=0, lt=0.1)] = 1e-4
    max_silent_months: PositiveInt = 12
    max_double_reports: PositiveInt = 3
    heavy_autocorrelation: Annotated[float, Field(gt=0, lt=1)] = 0.3
    nav: NavSettings = NavSettings()


class UniverseSettings(Section):
    """Who may be bought. Every exclusion is recorded with its reason.

    Assets reported ``max_aum_age_months`` ago or earlier are not taken for today's.
    """

    min_history_months: PositiveInt = 24
    min_aum: Annotated[float, Field(ge=0)] | None = None
    max_aum_age_months: PositiveInt = 12
    categories: list[str] | None = None
    exclude_categories: list[str] = []
    currencies: list[str] | None = None
    require_open: bool = True


class MacroSettings(Section):
    """PCA macro factors (McCracken and Ng 2016 for transforms; Bai and Ng 2002 for the count).

    ``min_coverage``: share of the series that have begun when the sample starts, and of a series'
    months that must be observed; too low, and factors rest on filled cells. ``outlier_iqr``: a
    value this many interquartile ranges from its series' median counts as missing (10 in
    McCracken and Ng 2016; null keeps all).
    """

    rule: Literal["fixed", "explained", "bai_ng"] = "fixed"
    n_components: PositiveInt = 3
    explained_share: Share = 0.6
    max_components: PositiveInt = 8
    min_months: Annotated[int, Field(ge=24)] = 60
    min_coverage: Share = 0.8
    max_staleness_months: PositiveInt = 12
    outlier_iqr: Annotated[float, Field(gt=0)] | None = 10.0
