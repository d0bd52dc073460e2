"""A study of a user's own daily NAVs, small enough to train embeddings in a test.

Its files lie in one folder; the command line computes it as any other study.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from finembed_core.calendar import Month
from tests.daily_worlds import sessions
from tests.embeddings.small_store import SMALL

FUNDS, SESSIONS = 8, 260
MONTHLY: dict[str, Any] = {
    "dataset": {"source": "files", "name": "small_daily", "profile": "liquid"},
    "polymodel": {
        "selection": "absolute",
        "alpha": 0.1,
        "window": 18,
        "min_obs": 8,
        "min_factor_history": 24,
    },
    "macro": {"min_months": 24, "n_components": 1},
    "learning": {
        "models": ["persistence"],
        "lookback": 4,
        "min_train_months": 12,
        "valid_months": 6,
        "seeds": [1],
    },
    "portfolio": {"models": ["persistence"], "strategies": ["sa", "equal_weight_universe"]},
    "execution": {"mode": "serial", "workers": 1},
}
FILES: dict[str, Any] = {
    "fund_observations": [{"path": "nav.csv"}],
    "series_observations": [{"path": "series.csv"}],
    "series": {"path": "series_attributes.csv"},
    "daily_observations": [{"path": "nav.csv"}],
    "daily_funds": {"path": "funds.csv"},
}


def write_study(folder: Path, *, daily: bool = True, length: int = SESSIONS, **own: Any) -> Path:
    """Tables and ``finembed.yaml`` in a folder; returns the settings file.

    Parameters
    ----------
    folder : Path
    daily : bool
        Whether the settings name the daily files.
    length : int
        Sessions.
    own
        Settings of the section `embeddings` other than `SMALL`.
    """
    draw = np.random.default_rng(3)
    days = sessions(length)
    factors = draw.normal(0.0003, 0.01, (length, 2))
    returns = factors[:, np.arange(FUNDS) % 2] + draw.normal(0.0, 0.004, (length, FUNDS))
    ids = [f"F{k}" for k in range(FUNDS)]
    nav = pl.DataFrame(100.0 * np.cumprod(1.0 + returns, axis=0), schema=ids)
    long = nav.with_columns(date=pl.Series(days)).unpivot(
        index="date", variable_name="fund_id", value_name="nav"
    )
    long.write_csv(folder / "nav.csv")
    kinds = [("stocks", "bonds")[k % 2] for k in range(FUNDS)]
    names = [f"{kind.title()} fund {k}" for k, kind in enumerate(kinds)]
    pl.DataFrame({"fund_id": ids, "name": names, "category": kinds}).write_csv(folder / "funds.csv")
    market = np.cumprod(1.0 + returns.mean(axis=1))
    months = [(Month.parse("1995-01") + k).end for k in range(60 + length // 21)]
    paths = np.cumprod(1.0 + draw.normal(0.0, 0.04, (len(months), 2)), axis=0)
    pl.concat(
        pl.DataFrame({"series_id": name, "date": dates, "value": values})
        for name, dates, values in (
            ("MKT", days, market),
            ("OIL", months, paths[:, 0]),
            ("GOLD", months, paths[:, 1]),
        )
    ).write_csv(folder / "series.csv")
    (folder / "series_attributes.csv").write_text(
        "series_id,name,roles,kind,transform,frequency\n"
        "MKT,Market,benchmark,index,log_diff,daily\n"
        "OIL,Oil,risk_factor|macro,index,log_diff,monthly\n"
        "GOLD,Gold,risk_factor|macro,index,log_diff,monthly\n"
    )
    files = {name: at for name, at in FILES.items() if daily or not name.startswith("daily")}
    tree = MONTHLY | {
        "dataset": MONTHLY["dataset"] | {"files": files},
        "embeddings": SMALL | {"modes": ["supervised", "multi_modal"]} | own,
    }
    target = folder / "finembed.yaml"
    target.write_text(yaml.safe_dump(tree, sort_keys=False))
    return target
