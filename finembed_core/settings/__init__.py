"""The settings tree: everything that changes a number, with its default and the default's source.

YAML comes in through `load_settings`, one fingerprint per section goes into the manifests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from finembed_core.settings.data import (
    DatasetSettings,
    FilesSource,
    IngestSettings,
    MacroSettings,
    SimulatedSource,
    TableFiles,
    UniverseSettings,
)
from finembed_core.settings.learning import (
    MODEL_KINDS,
    ITransformerSettings,
    LearningSettings,
    LightGBMSettings,
    LogisticSettings,
    ModelKind,
)
from finembed_core.settings.polymodel import (
    PAIR_COLUMNS,
    PairChoice,
    PairsSettings,
    PolyModelSettings,
)
from finembed_core.settings.section import PositiveInt, Section
from finembed_core.settings_file import Once, read_sections

__all__ = [
    "MODEL_KINDS",
    "PAIR_COLUMNS",
    "BacktestSettings",
    "DatasetSettings",
    "DealingSettings",
    "ExecutionSettings",
    "FilesSource",
    "ITransformerSettings",
    "IngestSettings",
    "LearningSettings",
    "LightGBMSettings",
    "LogisticSettings",
    "MacroSettings",
    "ModelKind",
    "PairChoice",
    "PairsSettings",
    "PolyModelSettings",
    "PortfolioSettings",
    "ReportSettings",
    "Section",
    "SensitivitySettings",
    "Settings",
    "SimulatedSource",
    "TableFiles",
    "TerminalReturns",
    "UniverseSettings",
    "load_settings",
]

TerminalReturn = Annotated[float, Field(ge=-1.0, le=0.0)]


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


DealingMonths = Literal[1, 3, 6, 12]
BasisPoints = Annotated[float, Field(ge=0, le=1000)]


class DealingSettings(Section):
    """Terms of funds that state none: months between dealing dates, days of notice, and so on.

    The defaults are those of a fund that deals at every month end, at once and in full.
    ``subscription_every`` holds for all funds, as the funds table has no column for it.
    """

    redemption_every: DealingMonths = 1
    subscription_every: DealingMonths = 1
    notice_days: Annotated[int, Field(ge=0, le=730)] = 0
    lockup_months: Annotated[int, Field(ge=0, le=120)] = 0
    gate: Annotated[float, Field(gt=0, le=1)] = 1.0


class SensitivitySettings(Section):
    """Assumptions to vary, one at a time; an empty list leaves one out.

    ``terminal_return`` is what funds pay that stopped reporting or died for no known reason: from
    the last NAV to nothing. ``cost_bps`` spans what institutions and private investors pay, and
    with it comes the break-even cost. ``delay_months`` deals the same decisions later, as funds
    with a month's notice or a slow committee would. ``seeds`` makes one portfolio per member of a
    model that averages over seeds.
    """

    enabled: bool = True
    terminal_return: Annotated[list[TerminalReturn], Once] = [0.0, -0.2, -0.5, -1.0]
    cost_bps: Annotated[list[BasisPoints], Once] = [0.0, 5.0, 10.0, 25.0, 50.0, 100.0]
    delay_months: Annotated[list[Annotated[int, Field(ge=1, le=12)]], Once] = [1, 2]
    seeds: bool = True


class BacktestSettings(Section):
    """Costs, cash, dealing and the fate of dead funds. Costs in basis points of the amount traded.

    ``slippage_bps`` comes on top of ``cost_bps`` both ways, ``redemption_fee_bps`` on sales only.
    ``payment_delay_months`` is the wait from a redemption's dealing date to its proceeds,
    ``proceeds_delay_months`` that from a death. ``benchmark`` names the series that statistics are
    measured against; by default the one of role ``benchmark`` that covers most of the months.
    """

    cost_bps: BasisPoints = 10.0
    slippage_bps: BasisPoints = 0.0
    redemption_fee_bps: BasisPoints = 0.0
    payment_delay_months: Annotated[int, Field(ge=0, le=60)] = 0
    dealing: DealingSettings = DealingSettings()
    initial_nav: Annotated[float, Field(gt=0)] = 1.0
    terminal_return: TerminalReturns = TerminalReturns()
    proceeds_delay_months: Annotated[int, Field(ge=0, le=60)] = 0
    benchmark: str | None = None
    sensitivities: SensitivitySettings = SensitivitySettings()


class ReportSettings(Section):
    """What a report assumes and no result depends on; in no fingerprint.

    ``portfolio_size`` is the money, in the funds' currency, whose share of each fund's assets is
    shown: an institution's mandate by default, set it to your own.
    """

    portfolio_size: Annotated[float, Field(gt=0)] = 100e6


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
    report: ReportSettings = ReportSettings()
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

        Without the way work is spread and reported, without the pair statistics that are kept
        beside, and without the places of input files: their content is hashed as data.
        """
        left_out = {"execution": True, "report": True, "pairs": True, "dataset": {"files"}}
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
