"""What a person looks at in the Dagster page: charts and small tables as metadata."""

from __future__ import annotations

from typing import Any

import dagster as dg
import polars as pl

from finembed_core.report import figures
from finembed_core.report.html import wealth as write_wealth_page
from finembed_core.report.pictures import markdown
from finembed_core.store import PartStore
from finembed_dagster.study import Study

Metadata = dict[str, Any]
TABLE_ROWS = 60


def universe_size(store: PartStore) -> Metadata:
    """Funds known and eligible over time."""
    return {"funds": _picture(figures.universe_size(store.read_many("universe")))}


def explained_variance(store: PartStore) -> Metadata:
    """Share of variance that each macro factor explains, over time."""
    explained = store.read_many("macro_explained")
    return {"explained_variance": _picture(figures.explained_variance(explained))}


def feature_distribution(store: PartStore, name: str) -> Metadata:
    """A feature's distribution over funds, month by month."""
    features = store.read_many("polymodel_features")
    return {f"{name}_over_time": _picture(figures.feature_bands(features, name, percent=True))}


def learning_curves(store: PartStore, table: str, key: str) -> Metadata:
    """Loss and balanced accuracy by epoch of one retraining, where the model has epochs."""
    curve = store.read(table, key)
    return {} if curve.is_empty() else {"learning_curve": _picture(figures.learning_curves(curve))}


def wealth(study: Study, run_id: str) -> Metadata:
    """Wealth of all strategies, and the page that shows more."""
    page = write_wealth_page(study.store, run_id, study.home.reports / "wealth.html")
    returns = study.store.read("returns", run_id)
    return {
        "wealth": _picture(figures.wealth(returns)),
        "underwater": _picture(figures.underwater(returns)),
        "page": dg.MetadataValue.path(str(page)),
    }


def table_markdown(frame: pl.DataFrame) -> str:
    """A frame as a Markdown table, numbers to four digits."""
    shown = frame.head(TABLE_ROWS)
    lines = [_row(shown.columns), _row(["---"] * shown.width)]
    lines += [_row([_cell(value) for value in row]) for row in shown.rows()]
    if frame.height > TABLE_ROWS:
        lines.append(f"\n{frame.height - TABLE_ROWS} more rows")
    return "\n".join(lines)


def _picture(figure: Any) -> dg.MetadataValue:
    return dg.MetadataValue.md(markdown(figure))


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
