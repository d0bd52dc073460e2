"""Which parts of the store fill which table of the warehouse, and which must stay out."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from finembed_core.calendar import Month
from finembed_core.errors import IntegrityError
from finembed_core.fingerprint import settings_fingerprint
from finembed_core.settings import Section, Settings
from finembed_core.store import Manifest, PartStore
from finembed_core.warehouse.schema import SIZE, warehouse_schema

# Columns that a part's frame does not hold, from the part's own place in the store.
# Asked of every part where DuckDB filters before it joins: other keys are no months.
MONTH_OF_KEY = "last_day(try_cast(part.key || '-01' AS DATE))"
DERIVED: Mapping[str, Mapping[str, str]] = {
    "fund_observations": {"known": MONTH_OF_KEY},
    "series_observations": {"known": MONTH_OF_KEY},
    "learning_curves": {
        "model": "replace(part.\"table\", 'trend_model_', '')",
        "retraining": MONTH_OF_KEY,
    },
    "embedding_curves": {
        "encoder": "replace(part.\"table\", 'fund_model_', '')",
        "retraining": MONTH_OF_KEY,
    },
    "runs": {"created_at": "part.created_at"},
}
OWN = ("publication", "parts")  # made here, not loaded
MADE = "embedding_map"  # made here, of what was loaded
PAIRS = "polymodel_pairs"  # not loaded either: a view reads its files
TREND_MODEL = "trend_model_"
FUND_MODEL = "fund_model_"
AT_DATES = ("embeddings", "embedding_exclusions", "fund_predictions")
DESCRIBED = ("embedding_information", "embedding_checks")  # of the last decision, by encoder
EVALUATED = ("embedding_portfolios", "embedding_evaluations")
INPUTS = ("fund_observations", "series_observations")
MONTH_KEY = re.compile(r"\d{4}-\d{2}")


@dataclass(frozen=True)
class Part:
    """A committed part as the warehouse sees it.

    Attributes
    ----------
    manifest : Manifest
    target : str or None
        Table of the warehouse that it fills.
    path : Path or None
        Its parquet file; None where the part has no frame or no rows.
    columns : mapping of str to polars data type
        Schema of that file.
    created_at : datetime or None
        File time of a run's manifest, UTC.
    left_out : str
        Why it is not loaded, empty when it is.
    """

    manifest: Manifest
    target: str | None
    path: Path | None
    created_at: dt.datetime | None
    columns: Mapping[str, pl.DataType] = field(default_factory=dict)
    left_out: str = ""


def target_table(store_table: str) -> str | None:
    """Warehouse table that is filled from this table of the store."""
    if store_table.startswith(TREND_MODEL):
        return "learning_curves"
    if store_table.startswith(FUND_MODEL):
        return "embedding_curves"
    table = warehouse_schema().get(store_table)
    if table is None or table.is_view or store_table in (*OWN, MADE):
        return None
    return store_table


def committed_parts(
    store: PartStore, settings: Settings, through: Month | None = None
) -> list[Part]:
    """All committed parts of a store, by table and key.

    Left out are models that the settings do not have, pair statistics that they do not keep,
    embeddings and what is said of them made with other settings, and what was computed for months
    after `through`, which may rest on other settings or on values that were restated since.
    """
    return [
        Part(
            manifest,
            target_table(table),
            store.frame_path(manifest) if manifest.rows else None,
            _created_at(store, manifest) if table == "runs" else None,
            left_out=_not_in_force(manifest, settings, through),
        )
        for table in store.tables()
        for manifest in store.manifests(table)
    ]


def _not_in_force(manifest: Manifest, settings: Settings, through: Month | None) -> str:
    table = manifest.table
    model = table.removeprefix(TREND_MODEL)
    if model != table and model not in settings.learning.models:
        return "no model of the settings"
    encoder = table.removeprefix(FUND_MODEL)
    if encoder != table and encoder not in settings.embeddings.encoders:
        return "no encoder of the settings"
    if table == PAIRS and not _is_kept(manifest, settings):
        return "not what the settings keep of pair statistics"
    made_with = _embedding_sections(table, settings)
    if made_with and not settings.embeds:
        return "the settings want no embeddings"
    if made_with and manifest.settings != settings_fingerprint(*made_with):
        return "made with other settings of embeddings than those in force"
    computed = table not in INPUTS and MONTH_KEY.fullmatch(manifest.key) is not None
    if through is not None and computed and Month.parse(manifest.key) > through:
        return f"after {through}, up to which the study was computed"
    return ""


def _is_kept(manifest: Manifest, settings: Settings) -> bool:
    pairs = settings.pairs
    if pairs is None or not pairs.holds(manifest.key):
        return False
    return manifest.settings == settings_fingerprint(settings.polymodel, pairs.choice)


def _embedding_sections(table: str, settings: Settings) -> tuple[Section, ...]:
    """What the parts of a table of embeddings are made with; nothing for other tables."""
    own = settings.embeddings
    for encoder in own.encoders:
        if table == FUND_MODEL + encoder:
            return (own.around(encoder),)
    if table in AT_DATES:
        return (own.of_any_decision,)
    if table in DESCRIBED:
        return (own,)
    if table in EVALUATED:
        return (own, settings.backtest, settings.ingest)
    return ()


def _created_at(store: PartStore, manifest: Manifest) -> dt.datetime:
    return store.committed_at(manifest.table, manifest.key).replace(tzinfo=None)


def with_verdicts(parts: list[Part], size: int = SIZE) -> list[Part]:
    """Read the parts' schemas and mark those that must stay out, with the reason.

    Left out are parts without a column that the warehouse demands (written by an older version),
    embeddings of another size, the results of a run whose record, written last, is missing (it was
    killed), and every part of a run of which one part is left out.
    """
    read = [_with_columns(part) for part in parts]
    judged = [replace(part, left_out=part.left_out or _misfit(part, size)) for part in read]
    finished = {p.manifest.key for p in judged if p.target == "runs"}
    broken = {p.manifest.key: _label(p) for p in judged if p.left_out and _is_run_part(p)}
    return [_with_its_run(part, finished, broken) for part in judged]


def _with_columns(part: Part) -> Part:
    if part.path is None or part.target is None:
        return part
    try:
        return replace(part, columns=dict(pl.read_parquet_schema(part.path)))
    except (OSError, pl.exceptions.PolarsError):
        raise IntegrityError(
            f"{part.manifest.table} {part.manifest.key} was changed or damaged after writing",
            where=str(part.path),
            remedy="run `finembed doctor --repair`, then `finembed run`: the part is rebuilt",
        ) from None


def _misfit(part: Part, size: int) -> str:
    """What keeps a part's frame from its table, or an empty string."""
    if part.path is None or part.target is None:
        return ""
    derived = DERIVED.get(part.target, {})
    for column in warehouse_schema(size)[part.target].columns:
        if column.name in derived:
            continue
        found = part.columns.get(column.name)
        if found is None and not column.nullable:
            return f"column {column.name} is missing"
        if found is not None and not fits(found, column.type):
            return f"column {column.name} holds {found}, not {column.type}"
    return ""


def fits(found: pl.DataType, wanted: str) -> bool:
    """Whether a polars column can fill a DuckDB column without a loss."""
    if found == pl.Null:
        return True
    if wanted == "VARCHAR":
        return found == pl.String or isinstance(found, (pl.Categorical, pl.Enum))
    if wanted == "DOUBLE":
        return found.is_numeric()
    if wanted in ("BIGINT", "INTEGER"):
        return found.is_integer()
    if wanted == "BOOLEAN":
        return found == pl.Boolean
    if wanted == "DATE":
        return found == pl.Date
    if wanted.startswith("FLOAT["):
        return wanted == f"FLOAT[{_width(found)}]"
    return found == pl.List(pl.String)


def _width(found: pl.DataType) -> int | None:
    """Numbers in each vector of a column of vectors in single precision."""
    if isinstance(found, pl.Array) and found.inner == pl.Float32 and len(found.shape) == 1:
        return found.shape[0]
    return None


def _is_run_part(part: Part) -> bool:
    return part.target is not None and "run_id" in warehouse_schema()[part.target].key


def _label(part: Part) -> str:
    return f"{part.manifest.table}: {part.left_out}"


def _with_its_run(part: Part, finished: set[str], broken: Mapping[str, str]) -> Part:
    if not _is_run_part(part) or part.left_out:
        return part
    if part.manifest.key not in finished:
        return replace(part, left_out="the run is not finished")
    return replace(part, left_out=broken.get(part.manifest.key, ""))
