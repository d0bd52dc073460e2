"""The settings tree: everything that changes a number, with its default and the default's source.

YAML comes in through `load_settings`, one fingerprint per section goes into the manifests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from finembed_core.settings.backtest import (
    BacktestSettings,
    DealingSettings,
    InferenceSettings,
    ReportSettings,
    SensitivitySettings,
    TerminalReturns,
)
from finembed_core.settings.data import (
    DatasetSettings,
    FilesSource,
    IngestSettings,
    MacroSettings,
    NavSettings,
    SimulatedSource,
    TableFiles,
    UniverseSettings,
)
from finembed_core.settings.embeddings import (
    ENCODERS,
    LEAST_DATES,
    MODES,
    PACKAGED_FROM,
    EmbeddingsSettings,
    EncoderName,
    EncoderSettings,
    FusionSettings,
    ModeName,
    ObjectiveSettings,
    TrainingSettings,
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
from finembed_core.settings.portfolio import AssetClass, CovarianceName, PortfolioSettings
from finembed_core.settings.section import PositiveInt, Section
from finembed_core.settings_file import read_sections

__all__ = [
    "ENCODERS",
    "LEAST_DATES",
    "MODEL_KINDS",
    "MODES",
    "PAIR_COLUMNS",
    "AssetClass",
    "BacktestSettings",
    "CovarianceName",
    "DatasetSettings",
    "DealingSettings",
    "EmbeddingsSettings",
    "EncoderName",
    "EncoderSettings",
    "ExecutionSettings",
    "FilesSource",
    "FusionSettings",
    "ITransformerSettings",
    "InferenceSettings",
    "IngestSettings",
    "LearningSettings",
    "LightGBMSettings",
    "LogisticSettings",
    "MacroSettings",
    "ModeName",
    "ModelKind",
    "NavSettings",
    "ObjectiveSettings",
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
    "TrainingSettings",
    "UniverseSettings",
    "load_settings",
]


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
    embeddings: EmbeddingsSettings = EmbeddingsSettings()
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
        learning, portfolio = _given(tree.get("learning")), _given(tree.get("portfolio", {}))
        trained = learning.get("models") if isinstance(learning, dict) else None
        if isinstance(trained, list) and isinstance(portfolio, dict) and "models" not in portfolio:
            chosen = [model for model in trained if model != "majority"]
            return tree | {"portfolio": portfolio | {"models": chosen}}
        return tree

    @model_validator(mode="before")
    @classmethod
    def _packaged_funds_are_decided_late(cls, tree: Any) -> Any:
        """Unless told otherwise: from when the packaged daily panel holds its factor funds."""
        if not isinstance(tree, dict):
            return tree
        dataset, own = _given(tree.get("dataset") or {}), _given(tree.get("embeddings") or {})
        plain = isinstance(dataset, dict) and isinstance(own, dict)
        if plain and dataset.get("source", "packaged") == "packaged":
            return tree | {"embeddings": {"first_decision": PACKAGED_FROM} | own}
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
    def embeds(self) -> bool:
        """Whether funds are to be embedded, and the dataset brings daily returns."""
        source, files = self.dataset.source, self.dataset.files
        daily = source == "packaged" or (source == "files" and bool(files.daily_observations))
        return self.embeddings.enabled and daily

    @property
    def study(self) -> dict[str, Any]:
        """Everything that changes a number, as plain values: what a run is known by.

        Without the way work is spread and reported, without the pair statistics that are kept
        beside, and without the places of input files: their content is hashed as data.
        """
        left_out = {
            "execution": True,
            "report": True,
            "pairs": True,
            "embeddings": True,
            "dataset": {"files"},
        }
        return self.model_dump(mode="json", exclude=left_out)


def _given(section: Any) -> Any:
    """What was set in a section, of an object as of a mapping."""
    return section.model_dump(exclude_unset=True) if isinstance(section, Section) else section


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
        daily_observations=[absolute(table) for table in files.daily_observations],
        daily_funds=files.daily_funds and absolute(files.daily_funds),
    )
    dataset = settings.dataset.model_copy(update={"files": resolved})
    return settings.model_copy(update={"dataset": dataset})
