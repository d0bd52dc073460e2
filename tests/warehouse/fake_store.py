"""A small store with every table of the contract, written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from finembed_core.calendar import Month, month_range
from finembed_core.settings import Settings
from finembed_core.store import PartStore
from tests.warehouse.fake_embeddings import write_embeddings
from tests.warehouse.fake_run import FIRST, FUNDS, MODELS, MONTHS, write_run


def fake_store(root: Path, settings: Settings | None = None) -> PartStore:
    """Six funds, one year, two models, one run of two strategies and an index."""
    store = PartStore(root)
    rng = np.random.default_rng(7)
    write_inputs(store, rng)
    for month in MONTHS:
        write_month(store, month, rng)
    write_curves(store, rng)
    write_embeddings(store)
    write_run(store, "a" * 16, rng, settings or Settings())
    return store


def write_inputs(store: PartStore, rng: np.random.Generator) -> None:
    opening = FIRST - 1
    for known, months in [(opening, month_range(opening - 5, opening))] + [
        (month, [month]) for month in MONTHS
    ]:
        cells = [(m, fund) for m in months for fund in FUNDS]
        store.write(
            "fund_observations",
            str(known),
            pl.DataFrame(
                {
                    "fund_id": [fund for _, fund in cells],
                    "date": [m.end for m, _ in cells],
                    "ret": rng.normal(0.005, 0.03, len(cells)),
                    "aum": [None] * len(cells),
                    "available_at": [m.end for m, _ in cells],
                    "assumed": [True] * len(cells),
                    "source": ["fake"] * len(cells),
                }
            ),
        )
        store.write(
            "series_observations",
            str(known),
            pl.DataFrame(
                {
                    "series_id": ["MKT"] * len(months),
                    "date": [m.end for m in months],
                    "vintage": pl.Series([None] * len(months), dtype=pl.Date),
                    "value": rng.normal(0.006, 0.04, len(months)),
                    "available_at": [m.end for m in months],
                    "assumed": [True] * len(months),
                }
            ),
        )
    store.write(
        "funds",
        "all",
        pl.DataFrame({"fund_id": FUNDS, "name": [f"Fund {f}" for f in FUNDS]}),
    )
    store.write(
        "series",
        "all",
        pl.DataFrame(
            {
                "series_id": ["MKT"],
                "name": ["Market"],
                "roles": [["benchmark", "risk_factor"]],
                "kind": ["return"],
                "transform": ["none"],
                "frequency": ["monthly"],
                "aliases": [[]],
            },
            schema_overrides={"aliases": pl.List(pl.String)},
        ),
    )
    store.write(
        "quarantine",
        "all",
        pl.DataFrame(
            {
                "table": ["fund_observations"],
                "id": ["F5"],
                "date": [FIRST.end],
                "column": ["ret"],
                "rule": ["below_minus_100_percent"],
                "value": [-1.5],
                "reason": ["a fund cannot lose more than everything"],
                "known_at": [FIRST.end],
            }
        ),
    )
    store.write(
        "data_quality",
        "all",
        pl.DataFrame(
            {
                "table": ["fund_observations"],
                "rule": ["below_minus_100_percent"],
                "kind": ["quarantine"],
                "rows": [1],
                "ids": [1],
            }
        ),
    )


def write_month(store: PartStore, month: Month, rng: np.random.Generator) -> None:
    n, key, end = len(FUNDS), str(month), month.end
    eligible = [fund != "F5" for fund in FUNDS]
    store.write(
        "universe",
        key,
        pl.DataFrame(
            {
                "month": [end] * n,
                "fund_id": FUNDS,
                "eligible": eligible,
                "reason": ["" if e else "short_history" for e in eligible],
                "n_history": [month - FIRST + 6] * n,
                "last_aum": pl.Series([None] * n, dtype=pl.Float64),
            }
        ),
    )
    known = month_range(FIRST, month)
    store.write(
        "macro_factors",
        key,
        pl.DataFrame(
            {
                "as_of": [end] * (2 * len(known)),
                "date": [m.end for m in known] * 2,
                "factor": ["F1"] * len(known) + ["F2"] * len(known),
                "value": rng.normal(size=2 * len(known)),
            }
        ),
    )
    store.write(
        "macro_loadings",
        key,
        pl.DataFrame(
            {
                "as_of": [end] * 2,
                "factor": ["F1", "F2"],
                "series_id": ["CPI"] * 2,
                "loading": [1.0, 0.5],
            }
        ),
    )
    first = 0.4 + 0.05 * np.sin(month.ordinal / 4)
    store.write(
        "macro_explained",
        key,
        pl.DataFrame(
            {
                "as_of": [end] * 2,
                "factor": ["F1", "F2"],
                "explained": [first, 0.2],
                "n_series": [3, 3],
                "n_months": [len(known)] * 2,
            }
        ),
    )
    store.write(
        "macro_excluded",
        key,
        pl.DataFrame({"as_of": [end], "series_id": ["VIX"], "reason": ["short_history"]}),
    )
    full = np.array(eligible)
    sharpe = rng.normal(0.2, 0.3, n)
    svar = np.where(full, rng.uniform(0.05, 0.3, n), np.nan)
    lta = rng.normal(0.004, 0.003, n)
    store.write(
        "polymodel_features",
        key,
        pl.DataFrame(
            {
                "month": [end] * n,
                "fund_id": FUNDS,
                "sharpe": sharpe,
                "sharpe_annual": sharpe * 12**0.5,
                "mrar": rng.normal(0.05, 0.05, n),
                "svar": svar,
                "svar_clamped": svar * 0.8,
                "svar_factor": ["MKT" if e else None for e in eligible],
                "extrapolated": [False] * n,
                "lta": np.where(full, lta, np.nan),
                "ltr": np.where(full, lta / svar, np.nan),
                "lts": np.where(full, lta - 0.05 * svar, np.nan),
                "best_score": rng.uniform(3, 7, n),
                "n_selected": [1] * n,
                "n_factors": [4] * n,
                "n_obs": [36] * n,
                "expected_false": [0.04] * n,
                "reason": ["" if e else "no_selected_factor" for e in eligible],
            }
        ),
    )
    store.write(
        "polymodel_excluded",
        key,
        pl.DataFrame({"month": [end], "factor_id": ["VIX"], "reason": ["constant"]}),
    )
    store.write(
        "polymodel_selected",
        key,
        pl.DataFrame(
            {
                "month": [end] * 5,
                "fund_id": FUNDS[:5],
                "factor_id": ["MKT"] * 5,
                "r2": [0.5] * 5,
                "p_value": [0.001] * 5,
                "score": [6.9] * 5,
                "y_max": [0.1] * 5,
                "svar": svar[:5],
                "lta": lta[:5],
            }
        ),
    )
    chances = rng.dirichlet([3, 3, 4], size=n * len(MODELS))
    store.write(
        "predictions",
        key,
        pl.DataFrame(
            {
                "month": [end] * (n * len(MODELS)),
                "fund_id": FUNDS * len(MODELS),
                "model": [model for model in MODELS for _ in FUNDS],
                "p_down": chances[:, 0],
                "p_unchanged": chances[:, 1],
                "p_up": chances[:, 2],
                "label_month": [(month + 1).end] * (n * len(MODELS)),
                "band": [0.01] * (n * len(MODELS)),
                "retraining": [Month.parse(f"{month.year}-01").end] * (n * len(MODELS)),
            }
        ),
    )


def write_curves(store: PartStore, rng: np.random.Generator) -> None:
    rows = [
        {
            "seed": seed,
            "epoch": epoch,
            "split": split,
            "loss": 1.1 - 0.05 * epoch * (1 if split == "train" else 0.6) + rng.normal(0, 0.01),
            "balanced_accuracy": 0.33 + 0.01 * epoch,
        }
        for seed in (1, 2, 3)
        for epoch in range(1, 9)
        for split in ("train", "valid")
    ]
    frame = pl.DataFrame(rows)
    store.write("trend_model_itransformer", "2000-01", frame, files={"model.json": b"{}"})
    store.write("trend_model_majority", "2000-01", None, files={"model.json": b"{}"})
