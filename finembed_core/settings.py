"""The settings tree: everything that changes a number, with its default and the default's source.

YAML comes in through `load_settings`, one fingerprint per section goes into the manifests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from finembed_core.calendar import DecisionCalendar, Month
from finembed_core.errors import FinembedError
from finembed_core.settings_file import Once, read_sections

Share = Annotated[float, Field(ge=0.0, le=1.0)]
TerminalReturn = Annotated[float, Field(ge=-1.0, le=0.0)]
PositiveInt = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # what every generator in use takes
Divisor = Literal[1, 2, 3, 4, 6, 12]
ModelKind = Literal["itransformer", "majority", "persistence", "logistic", "lightgbm"]
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
MODEL_KINDS: tuple[ModelKind, ...] = get_args(ModelKind)
PAIR_COLUMNS: tuple[PairColumn, ...] = get_args(PairColumn)


def _month_name(text: str) -> str:
    try:
        return str(Month.parse(text))
    except FinembedError as error:  # pydantic adds which setting it is
        raise ValueError(f"{error.what}; {error.remedy}") from None


def _check_order(first: str | None, last: str | None) -> None:
    if first and last and first > last:
        raise ValueError(f"first_month ({first}) comes after last_month ({last})")


MonthName = Annotated[str, AfterValidator(_month_name)]


class Section(BaseModel):
    """A part of the tree: unknown names are errors, values are finite and do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TableFiles(Section):
    """Where one input table lies, and how its columns are named there.

    ``columns`` maps our names to the file's. ``layout: wide`` reads a matrix of dates x ids, whose
    cells are ``value_column`` (``ret``, ``nav``, ``aum`` or ``value``).
    """

    path: str
    layout: Literal["long", "wide"] = "long"
    columns: dict[str, str] = {}
    constants: dict[str, Any] = {}
    value_column: str | None = None
    date_format: str | None = None


class FilesSource(Section):
    """The user's own tables; relative paths and globs start at the settings file's folder."""

    fund_observations: list[TableFiles] = []
    funds: TableFiles | None = None
    series_observations: list[TableFiles] = []
    series: TableFiles | None = None


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
        _check_order(self.first_month, self.last_month)
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


class IngestSettings(Section):
    """Quality gates, and when a fund that falls silent is taken for dead.

    Funds of ``maturing_categories`` (fixed-term plans, whose end is in their prospectus) have then
    matured; the others have stopped reporting.
    """

    max_abs_return: Annotated[float, Field(gt=0)] = 1.0
    stale_months: Annotated[int, Field(ge=2)] = 6
    duplicate_months: Annotated[int, Field(ge=6)] = 24
    drop_first_months: Annotated[int, Field(ge=0)] = 0
    dead_after_missing: PositiveInt = 3
    maturing_categories: list[str] = []


class UniverseSettings(Section):
    """Who may be bought. Every exclusion is recorded with its reason."""

    min_history_months: PositiveInt = 24
    min_aum: Annotated[float, Field(ge=0)] | None = None
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
        _check_order(self.first_month, self.last_month)
        return self

    @property
    def choice(self) -> PairChoice:
        """What a month holds, whichever other months are kept."""
        return PairChoice(funds=self.funds, factors=self.factors, columns=self.columns)

    def holds(self, month: str) -> bool:
        """Whether a month, ``YYYY-MM``, is kept."""
        return self.first_month <= month and (self.last_month is None or month <= self.last_month)


class ITransformerSettings(Section):
    """Size and training of the trend model (iTransformer: arXiv 2310.06625).

    Far smaller than the paper's: a few thousand samples that move together month by month carry
    little. Neither a second layer nor dropout helped beside early stopping on planted signals, and
    each costs a third of the time or more. An epoch is ``epoch_samples`` draws, whatever the size
    of the data.
    """

    d_model: PositiveInt = 32
    d_ff: PositiveInt = 64
    layers: PositiveInt = 1
    heads: PositiveInt = 2
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    batch_size: PositiveInt = 256
    epoch_samples: PositiveInt = 2048
    max_epochs: PositiveInt = 20
    patience: PositiveInt = 3

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ITransformerSettings:
        if self.d_model % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide d_model ({self.d_model})")
        return self


class LogisticSettings(Section):
    """L2-penalized softmax regression; the inverse penalty (C) is chosen by validation loss."""

    inverse_penalties: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)] = [
        0.001,
        0.01,
        0.1,
    ]
    max_iterations: PositiveInt = 200


class LightGBMSettings(Section):
    """Boosted trees: small, slow learners for a weak signal; rounds stop by validation loss."""

    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    leaves: Annotated[int, Field(ge=2)] = 15
    min_leaf_samples: PositiveInt = 100
    feature_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    sample_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    max_rounds: PositiveInt = 200
    patience: PositiveInt = 20


class LearningSettings(Section):
    """Samples, labels, walk-forward and the model kinds to train."""

    models: Annotated[list[ModelKind], Field(min_length=1), Once] = list(MODEL_KINDS)
    lookback: Annotated[int, Field(ge=2)] = 12
    max_factor_channels: PositiveInt = 8
    band: Literal["fixed", "quantile"] = "quantile"
    band_threshold: Annotated[float, Field(ge=0)] = 0.01
    band_share: Annotated[float, Field(gt=0, lt=1)] = 1 / 3
    retrain_every: Divisor = 12
    window_months: Annotated[int, Field(ge=24)] | None = None
    min_train_months: Annotated[int, Field(ge=12)] = 36
    valid_months: Annotated[int, Field(ge=3)] = 12
    seeds: Annotated[list[Seed], Field(min_length=1), Once] = [1, 2, 3]
    itransformer: ITransformerSettings = ITransformerSettings()
    logistic: LogisticSettings = LogisticSettings()
    lightgbm: LightGBMSettings = LightGBMSettings()


class PortfolioSettings(Section):
    """Selection rules, and the models to select by: unless named, all trained but the majority."""

    selected_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    models: Annotated[list[ModelKind], Once] = [
        "itransformer",
        "persistence",
        "logistic",
        "lightgbm",
    ]


class TerminalReturns(Section):
    """Return from a dead fund's last reported NAV to what it pays out, by reason of death."""

    liquidated: TerminalReturn = 0.0
    matured: TerminalReturn = 0.0
    merged: TerminalReturn = 0.0
    stopped_reporting: TerminalReturn = -0.2
    unknown: TerminalReturn = -0.2


class BacktestSettings(Section):
    """Costs, cash and the fate of dead funds. Costs in basis points of the amount traded.

    ``benchmark`` names the series that statistics are measured against; by default the one of
    role ``benchmark`` that covers most of the months.
    """

    cost_bps: Annotated[float, Field(ge=0, le=1000)] = 10.0
    initial_nav: Annotated[float, Field(gt=0)] = 1.0
    terminal_return: TerminalReturns = TerminalReturns()
    proceeds_delay_months: Annotated[int, Field(ge=0, le=60)] = 0
    benchmark: str | None = None


class ExecutionSettings(Section):
    """How work is spread: serial, over processes or a ray cluster; no number depends on it.

    It is in no fingerprint. ``ray`` uses the cluster that ``RAY_ADDRESS`` names in the environment,
    else one of this machine with ``workers`` CPUs. One worker is serial in every mode.
    ``memory_mb`` bounds what PolyModel works on at once, in each worker.
    """

    mode: Literal["serial", "processes", "ray"] = "processes"
    workers: PositiveInt = 2
    memory_mb: Annotated[int, Field(ge=64)] = 512
    device: Literal["cpu", "cuda"] = "cpu"


class Settings(Section):
    """The whole tree; `finembed init` writes it out with comments.

    Without ``pairs`` no pair statistics are kept.
    """

    dataset: DatasetSettings = DatasetSettings()
    ingest: IngestSettings = IngestSettings()
    universe: UniverseSettings = UniverseSettings()
    macro: MacroSettings = MacroSettings()
    polymodel: PolyModelSettings = PolyModelSettings()
    pairs: PairsSettings | None = None
    learning: LearningSettings = LearningSettings()
    portfolio: PortfolioSettings = PortfolioSettings()
    backtest: BacktestSettings = BacktestSettings()
    execution: ExecutionSettings = ExecutionSettings()

    @model_validator(mode="before")
    @classmethod
    def _all_trained_models_select(cls, tree: Any) -> Any:
        """Unless others are named: all but the majority class, which ranks nothing."""
        if not isinstance(tree, dict):
            return tree
        learning, portfolio = tree.get("learning"), tree.get("portfolio", {})
        trained = learning.get("models") if isinstance(learning, dict) else None
        if isinstance(trained, list) and isinstance(portfolio, dict) and "models" not in portfolio:
            chosen = [model for model in trained if model != "majority"]
            return tree | {"portfolio": portfolio | {"models": chosen}}
        return tree

    @model_validator(mode="after")
    def _selecting_models_are_trained(self) -> Settings:
        absent = [m for m in self.portfolio.models if m not in self.learning.models]
        if absent:
            raise ValueError(
                f"portfolio.models names {', '.join(absent)}, which learning.models does not"
            )
        return self

    @model_validator(mode="after")
    def _kept_coefficients_exist(self) -> Settings:
        if self.pairs and self.pairs.columns:
            kept = self.pairs.statistics(self.polymodel.degree)
            absent = [name for name in self.pairs.columns if name not in kept]
            if absent:
                raise ValueError(
                    f"pairs.columns names {', '.join(absent)}, and polymodel.degree is "
                    f"{self.polymodel.degree}"
                )
        return self

    @property
    def study(self) -> dict[str, Any]:
        """Everything that changes a number, as plain values: what a run is known by.

        Without the way work is spread, without the pair statistics that are kept beside, and
        without the places of input files: their content is hashed as data.
        """
        left_out = {"execution": True, "pairs": True, "dataset": {"files"}}
        return self.model_dump(mode="json", exclude=left_out)


def load_settings(path: Path | None) -> Settings:
    """Read a YAML file; defaults where `path` is None.

    Relative paths of the ``files`` source are resolved against the file's folder.

    Raises
    ------
    SettingsError
        The file is missing or unreadable, a name is misspelt, a value is out of range.
    """
    if path is None:
        return Settings()
    return _resolve_paths(read_sections(path, Settings), path.parent)


def _resolve_paths(settings: Settings, folder: Path) -> Settings:
    def absolute(table: TableFiles) -> TableFiles:
        return table.model_copy(update={"path": str(folder.resolve() / table.path)})

    files = settings.dataset.files
    resolved = FilesSource(
        fund_observations=[absolute(table) for table in files.fund_observations],
        funds=files.funds and absolute(files.funds),
        series_observations=[absolute(table) for table in files.series_observations],
        series=files.series and absolute(files.series),
    )
    dataset = settings.dataset.model_copy(update={"files": resolved})
    return settings.model_copy(update={"dataset": dataset})
