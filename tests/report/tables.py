"""Small tables in the shapes that the figures take."""

import numpy as np
import polars as pl

from finembed_core.calendar import Month, month_range

MONTHS = month_range(Month.parse("2000-01"), Month.parse("2004-12"))
ENDS = [month.end for month in MONTHS]
STRATEGIES = ("sa_logistic", "equal_weight_universe", "index_MKT")


def returns(strategies: tuple[str, ...] = STRATEGIES) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "strategy": [strategy] * len(ENDS),
                    "date": ENDS,
                    "net": rng.normal(0.01 - 0.002 * k, 0.04, len(ENDS)),
                    "benchmark": rng.normal(0.01, 0.04, len(ENDS)),
                }
            )
            for k, strategy in enumerate(strategies)
        ]
    )


def explained() -> pl.DataFrame:
    return pl.concat(
        [
            pl.DataFrame({"as_of": ENDS, "factor": [name] * len(ENDS), "explained": [share] * 60})
            for name, share in (("F1", 0.4), ("F2", 0.2))
        ]
    )


def curves() -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"seed": seed, "epoch": epoch, "split": split, "loss": 1 / epoch + 0.1 * seed}
            for seed in (1, 2, 3)
            for epoch in range(1, 13)
            for split in ("train", "valid")
        ]
    )


def features() -> pl.DataFrame:
    rng = np.random.default_rng(6)
    values = rng.uniform(0.05, 0.4, len(ENDS) * 20)
    values[::17] = np.nan
    months = [end for end in ENDS for _ in range(20)]
    return pl.DataFrame({"month": months, "svar": values})


def universe() -> pl.DataFrame:
    rows = [(end, f"F{k}", k < 6) for end in ENDS for k in range(9)]
    return pl.DataFrame(rows, schema=["month", "fund_id", "eligible"], orient="row")


def holdings() -> pl.DataFrame:
    rng = np.random.default_rng(7)
    rows = [
        (end, f"F{k}", weight)
        for end in ENDS
        for k, weight in enumerate(rng.dirichlet(np.arange(1, 12)) * 0.9)
    ]
    return pl.DataFrame(rows, schema=["date", "fund_id", "weight"], orient="row")
