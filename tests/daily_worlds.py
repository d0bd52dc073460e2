"""Small daily worlds: input tables by the day, panels by hand, macro factors by hand."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl

from finembed_core.calendar import Month
from finembed_core.daily_panel import DailyPanel, daily_files
from finembed_core.settings import Settings
from finembed_core.sources.tables import InputTables, conform
from finembed_core.store import PartStore
from tests.ingest.worlds import tables

MONDAY = np.datetime64("2000-01-03")
HOLIDAY = np.datetime64("2000-01-12")  # a Wednesday


def sessions(count: int, first: np.datetime64 = MONDAY) -> np.ndarray:
    """Weekdays without the holiday."""
    days = np.busday_offset(first, np.arange(count + 1), roll="forward")
    return days[days != HOLIDAY][:count]


def index(days: np.ndarray, values=None) -> pl.DataFrame:
    """A market index."""
    levels = 100.0 * 1.01 ** np.arange(len(days)) if values is None else values
    return pl.DataFrame({"series_id": "MARKET", "date": days, "value": levels})


def prints(fund: str, days, column: str, values, known=None) -> pl.DataFrame:
    """Prints of one fund: `column` is ret or nav, `known` days or None."""
    dates = [np.datetime64(day, "D").item() for day in days]
    available = [None] * len(dates) if known is None else known
    frame = {"fund_id": fund, "date": dates, column: values, "available_at": available}
    return conform("daily_observations", pl.DataFrame(frame, strict=False))


def daily_tables(*observations: pl.DataFrame, values=None, series=(), funds=None) -> InputTables:
    """Tables with a monthly fund, a daily market index, other series, and daily prints."""
    described = [
        {"series_id": "MARKET", "roles": ["benchmark"], "kind": "index", "frequency": "daily"},
        *series,
    ]
    monthly = pl.DataFrame(
        [{"fund_id": "M", "date": (Month(360) + k).end, "ret": 0.01} for k in range(12)]
    )
    world = tables(
        monthly,
        series=pl.DataFrame(described),
        values=index(sessions(60)) if values is None else values,
    )
    daily = pl.concat(observations) if observations else world.daily_observations
    table = world.daily_funds if funds is None else conform("daily_funds", pl.DataFrame(funds))
    return replace(world, daily_observations=daily, daily_funds=table)


def embedding_settings(**embeddings) -> Settings:
    """Settings of a files study with a short look-back unless said otherwise."""
    return Settings.model_validate(
        {
            "dataset": {"source": "files"},
            "embeddings": {"lookback": 16, "horizon": 5, "anchor": "2000-01-03", **embeddings},
        }
    )


def panel(
    returns,
    known=None,
    days=None,
    market=None,
    market_known=None,
    ids=None,
    series_ids=("MARKET",),
) -> DailyPanel:
    """A panel from a (T, N) matrix, every cell known in its own session unless said otherwise.

    `market` holds the series as well where there are several: (T,) or (T, S).
    """
    returns = np.asarray(returns, dtype=np.float32)
    length, width = returns.shape
    own = np.arange(length, dtype=np.int32)
    series = np.full(length, 0.01) if market is None else np.asarray(market)
    series = series.reshape(length, -1).astype(np.float32)
    told = own if market_known is None else np.asarray(market_known, dtype=np.int32)
    known = np.broadcast_to(own[:, None], returns.shape) if known is None else known
    return DailyPanel(
        sessions(length) if days is None else days,
        tuple(f"F{k:02d}" for k in range(width)) if ids is None else ids,
        returns,
        np.where(np.isnan(returns), length, known).astype(np.int32),
        series_ids,
        series,
        np.repeat(told.reshape(length, -1), series.shape[1], axis=1),
    )


def write_panel(store: PartStore, made: DailyPanel) -> None:
    """Commit a panel as ingest does."""
    store.write("daily_panel", "all", files=daily_files(made), inputs=made.digest())


def write_months(store: PartStore, first: Month, count: int) -> list[Month]:
    """Say that some months were ingested."""
    for k in range(-1, count):
        store.write("fund_observations", str(first + k), pl.DataFrame({"fund_id": ["M"]}))
    return [first + k for k in range(count)]


def write_factors(store: PartStore, month: Month, values: dict[str, list[float]]) -> None:
    """Macro factors of one month's fit: the last value is the month's own."""
    rows = [
        (month.end, (month - (len(own) - 1 - k)).end, factor, value)
        for factor, own in values.items()
        for k, value in enumerate(own)
    ]
    schema = {"as_of": pl.Date, "date": pl.Date, "factor": pl.String, "value": pl.Float64}
    store.write("macro_factors", str(month), pl.DataFrame(rows, schema=schema, orient="row"))


def day(text: str) -> dt.date:
    """A date."""
    return dt.date.fromisoformat(text)
