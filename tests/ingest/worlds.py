"""Small hand-made inputs."""

import datetime as dt

import numpy as np
import polars as pl

from finembed_core.calendar import Month, month_range
from finembed_core.settings import DatasetSettings, IngestSettings, Settings, UniverseSettings
from finembed_core.sources.tables import InputTables, conform, empty

FIRST = Month.parse("2000-01")


def month_end(k: int) -> dt.date:
    """End of the k-th month."""
    return (FIRST + k).end


def returns(fund: str, values, first: int = 0, **columns) -> pl.DataFrame:
    """Monthly returns of one fund; None leaves the month out."""
    rows = [
        {"fund_id": fund, "date": month_end(first + k), "ret": value, **columns}
        for k, value in enumerate(values)
        if value is not None
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def navs(fund: str, values, first: int = 0, **columns) -> pl.DataFrame:
    """Monthly NAVs of one fund; None leaves the month out."""
    return returns(fund, values, first, **columns).rename({"ret": "nav"})


def noise(seed: int, months: int, scale: float = 0.02) -> list[float]:
    """Returns that no gate minds."""
    return np.random.default_rng(seed).normal(0.005, scale, months).tolist()


def tables(*observations: pl.DataFrame, funds=None, series=None, values=None) -> InputTables:
    """Input tables from frames with any of the columns."""
    return InputTables(
        pl.concat([conform("fund_observations", frame) for frame in observations]),
        empty("funds") if funds is None else conform("funds", pl.DataFrame(funds)),
        empty("series_observations")
        if values is None
        else conform("series_observations", pl.DataFrame(values)),
        empty("series") if series is None else conform("series", pl.DataFrame(series)),
    )


def settings(ingest=None, universe=None, **dataset) -> Settings:
    """Settings with the liquid profile unless said otherwise."""
    return Settings(
        dataset=DatasetSettings(source="files", **dataset),
        ingest=IngestSettings(**(ingest or {})),
        universe=UniverseSettings(**(universe or {})),
    )


def long_months(months: int) -> list[dt.date]:
    """Month ends from the first month on."""
    return [m.end for m in month_range(FIRST, FIRST + (months - 1))]
