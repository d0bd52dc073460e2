"""A seeded hedge-fund universe with everything that makes real ones hard, and the truth beside it.

The model is in `simulated_model`; here stands what a database shows of it, and what it hides.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.calendar import Month, month_ends
from finembed_core.settings import DatasetSettings, SimulatedSource
from finembed_core.sources.simulated_model import (
    FACTOR_HISTORY,
    FIRST,
    REASONS,
    TYPES,
    WARM_UP,
    BoolArray,
    FloatArray,
    FundTruth,
    Lives,
    after_warm_up,
    autoregression,
    draw_funds,
    factor_returns,
    live,
    smooth,
)
from finembed_core.sources.tables import InputTables, conform

MACRO_SERIES = 12
CATEGORIES = ("market_neutral", "equity", "volatility", "insurance")  # by type
WITHOUT_AUM = 0.1


def month_bounds(settings: DatasetSettings) -> tuple[Month, Month]:
    """The simulated months; factors begin ten years earlier."""
    return FIRST, FIRST + (settings.simulated.months - 1)


def load(settings: DatasetSettings) -> InputTables:
    """Simulate; the same settings give the same universe.

    Returns
    -------
    InputTables
        With ``truth``: ``funds`` (type, alpha, thetas, birth, listed, death, lag), ``exposures``
        (fund, factor, beta, gamma, strike, premium) and ``returns`` (fund, date, true return).
    """
    size = settings.simulated
    draw = np.random.default_rng(size.seed)
    factors, cash = factor_returns(draw, size)
    truth = draw_funds(draw, size, factors)
    lives = live(draw, truth, factors[-size.months - WARM_UP :])
    reported = smooth(lives.true, truth.thetas)[WARM_UP:]
    lives = after_warm_up(lives)
    ids = pl.Series([f"sim{k:05d}" for k in range(1, size.funds + 1)])
    names = [f"factor{k:03d}" for k in range(1, size.factors + 1)]
    series, described = _series(draw, size, factors, cash, names)
    return InputTables(
        _observations(ids, truth, lives, reported),
        _attributes(ids, truth, lives),
        series,
        described,
        simulated=True,
        truth={
            "funds": _fund_table(ids, truth, lives),
            "exposures": _exposures(ids, names, truth),
            "returns": _true_returns(ids, lives),
        },
    )


def _observations(
    ids: pl.Series, truth: FundTruth, lives: Lives, reported: FloatArray
) -> pl.DataFrame:
    """What the database shows: one who stops reporting keeps the last bad month to himself."""
    silent = (lives.death >= 0) & (lives.reason == REASONS.index("stopped_reporting"))
    shown = lives.alive.copy()
    shown[lives.death[silent], np.flatnonzero(silent)] = False
    column, row = np.nonzero(shown.T)
    ends = month_ends(FIRST.ordinal + np.arange(len(shown)))
    told = np.maximum(row, truth.listed[column])
    available = ends[told] + truth.lag[column].astype("timedelta64[D]")
    hides_assets = (np.arange(len(ids)) * 0.6180339887 % 1.0) < WITHOUT_AUM
    aum = np.where(hides_assets[column], np.nan, lives.aum[row, column])
    frame = pl.DataFrame(
        {
            "fund_id": ids.gather(column),
            "date": ends[row],
            "ret": reported[row, column],
            "aum": aum,
            "available_at": available,
        }
    )
    return conform(
        "fund_observations",
        frame.with_columns(pl.col("aum").fill_nan(None), source=pl.lit("simulated")),
    )


def _attributes(ids: pl.Series, truth: FundTruth, lives: Lives) -> pl.DataFrame:
    """What a database tells of its funds; of one that stopped it tells no date."""
    told = (lives.death >= 0) & (lives.reason != REASONS.index("stopped_reporting"))
    frame = pl.DataFrame(
        {
            "fund_id": ids,
            "name": "Simulated " + ids,
            "category": _words(CATEGORIES, truth.kind),
            "currency": ["USD"] * len(ids),
            "inception": month_ends(FIRST.ordinal + truth.birth),
            "death_date": _dates(lives.death, told),
            "death_reason": _words(REASONS, lives.reason, told),
            "notice_days": np.where(truth.lag > 15, 60, 30),
            "open_to_new_money": [True] * len(ids),
        }
    )
    return conform("funds", frame)


def _series(
    draw: np.random.Generator,
    size: SimulatedSource,
    factors: FloatArray,
    cash: FloatArray,
    names: list[str],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Factors, a market benchmark, cash, and macro series moved by three states."""
    months = len(factors)
    ends = month_ends(FIRST.ordinal - FACTOR_HISTORY + np.arange(months))
    states = autoregression(draw, months, 3, 0.9)
    loadings = draw.standard_normal((3, MACRO_SERIES))
    macro = states @ loadings + 0.5 * draw.standard_normal((months, MACRO_SERIES))
    macro_names = [f"macro{k:02d}" for k in range(1, MACRO_SERIES + 1)]
    columns = dict(zip(names, factors.T, strict=True))
    columns |= {"market": factors[:, 0] + cash, "cash": cash}
    columns |= dict(zip(macro_names, macro.T, strict=True))
    values = pl.DataFrame({"date": ends, **columns}).unpivot(
        index="date", variable_name="series_id", value_name="value"
    )
    roles = ["risk_factor"] * len(names) + ["benchmark", "risk_free"] + ["macro"] * MACRO_SERIES
    kinds = ["return"] * (len(names) + 2) + ["level"] * MACRO_SERIES
    described = pl.DataFrame(
        {
            "series_id": list(columns),
            "name": list(columns),
            "roles": [[role] for role in roles],
            "kind": kinds,
            "transform": ["none"] * len(columns),
            "frequency": ["monthly"] * len(columns),
            "aliases": [[] for _ in columns],
        },
        schema_overrides={"aliases": pl.List(pl.String)},
    )
    return conform("series_observations", values), conform("series", described)


def _fund_table(ids: pl.Series, truth: FundTruth, lives: Lives) -> pl.DataFrame:
    died = lives.death >= 0
    return pl.DataFrame(
        {
            "fund_id": ids,
            "type": _words(TYPES, truth.kind),
            "alpha": truth.alpha,
            "noise": truth.noise,
            "theta0": truth.thetas[:, 0],
            "theta1": truth.thetas[:, 1],
            "theta2": truth.thetas[:, 2],
            "birth": month_ends(FIRST.ordinal + truth.birth),
            "listed": month_ends(FIRST.ordinal + truth.listed),
            "death": _dates(lives.death, died),
            "reason": _words(REASONS, lives.reason, died),
            "lag_days": truth.lag,
        }
    )


def _words(
    words: tuple[str, ...], positions: NDArray[np.int64], shown: BoolArray | None = None
) -> pl.Series:
    """Words by position, null where not shown."""
    found = pl.Series(words, dtype=pl.String).gather(positions)
    if shown is None:
        return found
    return found.zip_with(pl.Series(shown), pl.Series([None], dtype=pl.String))


def _dates(rows: NDArray[np.int64], shown: BoolArray | None = None) -> pl.Series:
    """Month ends of rows, null where not shown."""
    found = pl.Series(month_ends(FIRST.ordinal + np.maximum(rows, 0)), dtype=pl.Date)
    if shown is None:
        return found
    return found.zip_with(pl.Series(shown), pl.Series([None], dtype=pl.Date))


def _exposures(ids: pl.Series, names: list[str], truth: FundTruth) -> pl.DataFrame:
    """One row per fund and factor that moves it."""
    bends = np.zeros(truth.betas.shape, dtype=bool)
    bends[np.arange(len(ids)), truth.bent] = truth.gamma != 0.0
    fund, factor = np.nonzero((truth.betas != 0.0) | bends)
    bent = bends[fund, factor]
    return pl.DataFrame(
        {
            "fund_id": ids.gather(fund),
            "factor_id": pl.Series(names).gather(factor),
            "beta": truth.betas[fund, factor],
            "gamma": np.where(bent, truth.gamma[fund], 0.0),
            "strike": np.where(bent, truth.strike[fund], np.nan),
            "premium": np.where(bent, truth.premium[fund], 0.0),
        }
    ).with_columns(pl.col("strike").fill_nan(None))


def _true_returns(ids: pl.Series, lives: Lives) -> pl.DataFrame:
    column, row = np.nonzero(lives.alive.T)
    ends = month_ends(FIRST.ordinal + np.arange(len(lives.alive)))
    return pl.DataFrame(
        {"fund_id": ids.gather(column), "date": ends[row], "ret": lives.true[row, column]}
    )
