"""One small world for proofs: every way to be late, and a study of it that takes seconds."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl

from finembed_core.calendar import Month
from finembed_core.settings import Settings

FIRST, CUT, LAST = (Month.parse(text) for text in ("1998-01", "2001-12", "2002-04"))
FUNDS = 10
SETTINGS = {
    "ingest": {"duplicate_months": 12, "stale_months": 4},
    "universe": {"min_history_months": 12},
    "polymodel": {
        "shuffles": 39,
        "window": 18,
        "min_obs": 12,
        "min_factor_history": 24,
        "alpha": 0.1,
        "macro_factors_as_risk_factors": True,
    },
    "pairs": {"first_month": "2001-06"},
    "macro": {"min_months": 24, "n_components": 2},
    "learning": {
        "models": ["majority", "persistence", "logistic", "lightgbm"],
        "lookback": 4,
        "max_factor_channels": 2,
        "min_train_months": 12,
        "valid_months": 6,
        "retrain_every": 3,
        "seeds": [1],
        "lightgbm": {"max_rounds": 5, "min_leaf_samples": 10},
    },
    "portfolio": {
        "models": ["logistic", "lightgbm"],
        "strategies": ["sa", "wa", "topk_drop", "gmv_oas", "equal_weight_universe", "index"],
    },
    "execution": {"mode": "serial", "workers": 1},
}


def month_ends() -> list[dt.date]:
    return [Month(k).end for k in range(FIRST.ordinal, LAST.ordinal + 1)]


def one_world() -> dict[str, pl.DataFrame]:
    """Four tables with every way to be late: lags, vintages, late verdicts, deaths, gaps."""
    draw = np.random.default_rng(4)
    days = month_ends()
    n = len(days)
    factors = 0.04 * draw.standard_normal((n, 3))
    returns = factors @ draw.normal(0.4, 0.4, (3, FUNDS)) + 0.01 * draw.standard_normal((n, FUNDS))
    returns[CUT - FIRST - 2 : CUT - FIRST + 4, 0] = 0.0  # stale: seen in the month after the cut
    returns[CUT - FIRST - 11 :, 1] = returns[CUT - FIRST - 11 :, 2]  # a twin: seen in the cut's
    returns[:20, 3] = np.nan  # born late
    returns[CUT - FIRST - 9 :, 3] = returns[CUT - FIRST - 9 :, 5]  # a twin: seen after the cut
    returns[CUT - FIRST - 1 :, 4] = np.nan  # falls silent
    returns[30:32, 5] = np.nan  # a gap
    returns[CUT - FIRST, 8] = np.nan  # another, in the cut's month
    macro = 100.0 + draw.standard_normal((n, 4)).cumsum(axis=0)
    funds = [
        {
            "fund_id": f"F{i}",
            "date": day,
            "ret": returns[t, i],
            "aum": 1e6 * (i + 1) * np.exp(0.2 * draw.standard_normal()),
            "available_at": day + dt.timedelta(days=40 if i == 6 else 10) if i > 5 else None,
        }
        for t, day in enumerate(days)
        for i in range(FUNDS)
        if not np.isnan(returns[t, i])
    ]
    series = [("X0", day, None, factors[t, 0]) for t, day in enumerate(days)]
    series += [("X1", day, None, factors[t, 1]) for t, day in enumerate(days)]
    series += [("M", day, None, factors[t].mean()) for t, day in enumerate(days)]
    series += [("C", day, None, 2.0 + 0.01 * t) for t, day in enumerate(days)]
    series += [(f"S{k}", day, None, macro[t, k]) for t, day in enumerate(days) for k in range(3)]
    series += [  # revised every half year, with another base each time
        ("S3", day, vintage.end, macro[t, 3] * (1.0 + 0.1 * j) + draw.normal(0.0, 0.1))
        for j, vintage in enumerate(FIRST + k for k in range(24, n, 6))
        for t, day in enumerate(days)
        if day < vintage.start
    ]
    roles = {"X0": "risk_factor", "X1": "risk_factor", "M": "benchmark", "C": "risk_free"}
    kinds = {"X0": "return", "X1": "return", "M": "return", "C": "yield"}
    names = [*roles, "S0", "S1", "S2", "S3"]
    return {
        "fund_observations": pl.DataFrame(funds, infer_schema_length=None),
        "funds": pl.DataFrame(
            {
                "fund_id": ["F7", "F8", "F9"],
                "death_date": [(CUT - 6).end, (CUT + 2).end, None],
                "death_reason": ["liquidated", "merged", None],
                "closed_date": [None, None, (CUT + 1).end],
                "open_to_new_money": [None, None, False],
            }
        ),
        "series_observations": pl.DataFrame(
            series,
            ["series_id", "date", "vintage", "value"],
            orient="row",
            infer_schema_length=None,
        ),
        "series": pl.DataFrame(
            {
                "series_id": names,
                "roles": [roles.get(name, "macro") for name in names],
                "kind": [kinds.get(name, "level") for name in names],
            }
        ),
    }


def settings_of(folder: Path, profile: str) -> Settings:
    files = {
        "fund_observations": [{"path": str(folder / "fund_observations.parquet")}],
        "funds": {"path": str(folder / "funds.parquet")},
        "series_observations": [{"path": str(folder / "series_observations.parquet")}],
        "series": {"path": str(folder / "series.parquet")},
    }
    dataset = {"source": "files", "profile": profile, "files": files}
    return Settings.model_validate({"dataset": dataset, **SETTINGS})


def written(folder: Path, profile: str) -> Settings:
    """Settings of a study whose files, now in the folder, hold this world."""
    for table, frame in one_world().items():
        frame.write_parquet(folder / f"{table}.parquet")
    return settings_of(folder, profile)
