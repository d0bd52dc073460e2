"""What the embeddings leave in a store, written by hand after the contract of their tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import polars as pl

from finembed_core.chain import chain, study_stages
from finembed_core.embeddings.evaluation.tables import EVALUATIONS, PORTFOLIOS
from finembed_core.settings import EmbeddingsSettings, Settings
from finembed_core.sources.tables import FUNDS
from finembed_core.store import PartStore

SIZE = EmbeddingsSettings().size
ENCODERS, MODES, SEEDS = ("itransformer", "rlinear"), ("multi_modal", "probe"), (1, 2, 3)
PUBLISHED = ("itransformer", "multi_modal")
LOSSES, TOPS, GROUPS = ("listnet", "neuralndcg"), (5, 10), ("all", "equity", "debt")
DATES = (dt.date(2000, 10, 31), dt.date(2000, 11, 30), dt.date(2000, 12, 29))
LAST = f"{DATES[-1]:%Y-%m}"
RETRAINED = dt.date(2000, 10, 2)
EXCLUDED = ("D0", "too_short")  # on the last date

PREDICTIONS = ("forecast", "volatility", "sharpe", "drawdown", "listnet", "neuralndcg")


def fund_ids(n: int) -> list[str]:
    return [f"D{k}" for k in range(n)]


def vectors(n: int, seed: int, categories: int, size: int = SIZE) -> np.ndarray:
    """Clusters by category; each seed turns the same cloud another way."""
    cloud = np.random.default_rng(1)
    centers = 2.0 * cloud.normal(size=(categories, size))
    each = centers[np.arange(n) % categories] + cloud.normal(size=(n, size))
    noise = 0.2 * np.random.default_rng(seed).normal(size=(n, size))
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]
    return ((each + noise) @ turn).astype(np.float32)


def cosines(store: PartStore, key: str, fund: str) -> dict[str, list[float]]:
    """By numpy alone: similarity of every other fund to one, a number per seed."""
    found: dict[str, list[float]] = {}
    for _, own in store.read("embeddings", key).group_by("seed", maintain_order=True):
        vectors = own["vector"].to_numpy().astype(np.float64)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        asked = unit[own["fund_id"].to_list().index(fund)]
        for name, value in zip(own["fund_id"], unit @ asked, strict=True):
            if name != fund:
                found.setdefault(name, []).append(float(value))
    return found


def made_with(store: PartStore, settings: Settings) -> dict[str, str]:
    """Fingerprint of the settings by table, as the stages write it into their parts."""
    links = [link.stage for link in chain(store, settings).values() if link.branch == "embeddings"]
    stages = [*links, *(stage for stage, _ in study_stages(store, settings))]
    return {table: stage.settings for stage in stages for table in stage.tables}


def rewrite(store: PartStore, table: str, key: str, frame: pl.DataFrame) -> None:
    """Another frame in a part of the same settings."""
    manifest = store.manifest(table, key)
    assert manifest is not None
    store.write(table, key, frame, settings=manifest.settings)


def write_embeddings(
    store: PartStore,
    n: int = 25,
    categories: int = 4,
    seeds: Sequence[int] = SEEDS,
    settings: Settings | None = None,
) -> None:
    """Three months of `n` funds, two encoders in two modes, all evaluations and checks."""
    ids = fund_ids(n)
    marks = made_with(store, settings or Settings())

    def write(table: str, key: str, frame: pl.DataFrame, **files: bytes) -> None:
        store.write(table, key, frame, files=files, settings=marks[table])

    store.write("daily_funds", "all", funds(ids, categories))
    for k, date in enumerate(DATES):
        key = f"{date:%Y-%m}"
        shown = ids[1:] if date == DATES[-1] else ids
        write("embeddings", key, embeddings(shown, date, n, categories, seeds))
        write("fund_predictions", key, predictions(ids[1:], date, k))
    out = pl.DataFrame({"date": [DATES[-1]], "fund_id": [EXCLUDED[0]], "reason": [EXCLUDED[1]]})
    write("embedding_exclusions", f"{DATES[-1]:%Y-%m}", out)
    for encoder in ENCODERS:
        write(f"fund_model_{encoder}", "2000-10", curves(), model=b"{}")
    write("embedding_portfolios", "all", portfolios())
    write("embedding_evaluations", "all", evaluations())
    for encoder in ENCODERS:
        for table, frame in (
            ("embedding_information", information()),
            ("embedding_checks", checks()),
        ):
            write(table, encoder, frame.filter(encoder=encoder))


def funds(ids: list[str], categories: int) -> pl.DataFrame:
    rows = [
        {
            **dict.fromkeys(FUNDS),
            "fund_id": fund,
            "name": f"Daily {fund}",
            "category": f"Category {k % categories:02d}",
            "inception": dt.date(1995, 1, 2),
        }
        for k, fund in enumerate(ids)
    ]
    return pl.DataFrame(rows, schema=FUNDS)


def embeddings(
    ids: list[str], date: dt.date, n: int, categories: int, seeds: Sequence[int]
) -> pl.DataFrame:
    place = {fund: k for k, fund in enumerate(fund_ids(n))}
    frames = [
        pl.DataFrame(
            {
                "date": [date] * len(ids),
                "fund_id": ids,
                "encoder": [PUBLISHED[0]] * len(ids),
                "mode": [PUBLISHED[1]] * len(ids),
                "seed": [seed] * len(ids),
                "retrained": [RETRAINED] * len(ids),
                "vector": vectors(n, seed + date.month, categories)[[place[i] for i in ids]],
            },
            schema_overrides={"vector": pl.Array(pl.Float32, SIZE)},
        )
        for seed in seeds
    ]
    return pl.concat(frames)


def predictions(ids: list[str], date: dt.date, number: int) -> pl.DataFrame:
    rng = np.random.default_rng(number)
    frames = []
    for encoder, mode, seed in product(ENCODERS, MODES, SEEDS):
        named = {"date": date, "encoder": encoder, "mode": mode, "seed": seed}
        made = {name: rng.normal(size=len(ids)) for name in PREDICTIONS}
        weights = {name: rng.dirichlet(np.ones(len(ids))) for name in ("weight", "gmv")}
        frame = pl.DataFrame({"fund_id": ids, **made, **weights})
        frames.append(frame.with_columns(**{k: pl.lit(v) for k, v in named.items()}))
    return pl.concat(frames)


def curves() -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "mode": mode,
                "task": task,
                "seed": seed,
                "epoch": epoch,
                "split": split,
                "objective": "total",
                "loss": 1.0 / epoch,
            }
            for mode, task in zip(MODES, ("all", "pretraining"), strict=True)
            for seed in SEEDS
            for epoch in (1, 2)
            for split in ("train", "valid")
        ]
    )


BENCHMARKS = {"gmv": "gmv_sample", "weights": "equal_weight", "ranking": "previous_ranking"}
METRICS = {"annual_return": 0.08, "volatility": 0.12, "sharpe": 0.7}


def portfolios() -> pl.DataFrame:
    rng = np.random.default_rng(2)
    days = pl.date_range(dt.date(1999, 1, 1), DATES[-1], "1w", eager=True).to_list()
    rows: list[dict[str, Any]] = []
    named = [("benchmark", name, None, None) for name in (*BENCHMARKS.values(), "unused")]
    named += [
        (evaluation, f"{evaluation}_{encoder}_{mode}", encoder, mode)
        for evaluation in ("gmv", "weights")
        for encoder, mode in product(ENCODERS, MODES)
    ]
    for evaluation, portfolio, encoder, mode in named:
        drawn = rng.normal(0.001, 0.01, len(days))
        key = {"evaluation": evaluation, "portfolio": portfolio, "encoder": encoder, "mode": mode}
        rows += [
            {**key, "date": day, "ret": float(ret), "turnover": 0.1, "cost": 0.0001}
            for day, ret in zip(days, drawn, strict=True)
        ]
    return pl.DataFrame(rows, schema=PORTFOLIOS)


def evaluations() -> pl.DataFrame:
    return pl.DataFrame(list(_evaluations()), schema=EVALUATIONS)


def _evaluations() -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(3)
    models = list(product(ENCODERS, MODES))
    for evaluation, (encoder, mode) in product(("gmv", "weights"), models):
        for (metric, base), seed in product(METRICS.items(), (None, *SEEDS)):
            yield _compared(rng, evaluation, encoder, mode, metric, base, seed)
    for (encoder, mode), loss, group, k in product(models, LOSSES, GROUPS, TOPS):
        named = {"loss": loss, "fund_group": group, "k": k}
        for seed in (None, *SEEDS):
            yield _compared(rng, "ranking", encoder, mode, "sharpe", 0.7, seed) | named
    for encoder, evaluation in product(ENCODERS, BENCHMARKS):
        row = _compared(rng, evaluation, encoder, "probe", "sharpe", 0.7, None)
        yield row | {"benchmark": "supervised", "note": "mean of 1 portfolios a side"}
    for evaluation in BENCHMARKS:
        yield from _counted(evaluation)
    yield {"evaluation": "weights", "metric": "stepm", "value": 0.4, "note": "p-value"} | {
        "encoder": "rlinear",
        "mode": "probe",
        "benchmark": "equal_weight",
    }
    yield {"evaluation": "gmv", "metric": "annual_return", "note": "never decides"} | {
        "encoder": "rlinear",
        "mode": "supervised",
    }


def _counted(evaluation: str) -> Iterator[dict[str, Any]]:
    """Wins over all models, as the study counts them: 3 of 4."""
    common = {"evaluation": evaluation, "n": 4}
    ends = {"ci_low": -0.2, "ci_high": 0.5}
    yield common | {"metric": "wins_sharpe", "value": 3.0, "benchmark": "half", "difference": 1.0}
    yield common | ends | {"metric": "win_share_sharpe", "value": 0.75, "difference": 0.25}
    yield common | {"metric": "sign_test_sharpe", "value": 0.625, "note": "p-value"}
    yield common | {"metric": "dependent_test_sharpe", "value": 0.5, "note": "p-value"}
    yield common | {"metric": "average_sharpe", "difference": 0.02, "ci_low": -0.1, "ci_high": 0.2}


def _compared(
    rng: np.random.Generator,
    evaluation: str,
    encoder: str,
    mode: str,
    metric: str,
    base: float,
    seed: int | None,
) -> dict[str, Any]:
    difference, half = base * rng.normal(0.0, 0.2), 0.15 * base
    interval = {} if seed else {"ci_low": difference - half, "ci_high": difference + half}
    return {
        "evaluation": evaluation,
        "encoder": encoder,
        "mode": mode,
        "seed": seed,
        "metric": metric,
        "value": base + difference,
        "benchmark": BENCHMARKS[evaluation],
        "benchmark_value": base,
        "difference": difference,
        **interval,
        "n": 500,
    }


INFORMATION = {"entropy_input": 4.0, "entropy_embedding": 7.6, "mutual_information": 4.9}


def information() -> pl.DataFrame:
    rng = np.random.default_rng(4)
    rows = [
        {
            "encoder": encoder,
            "mode": mode,
            "seed": seed,
            "quantity": quantity,
            "estimator": estimator,
            "value": base + 0.1 * rng.normal(),
            "std": None,  # one split for each of several seeds
            "n": 1000,
            "dimension": 10,
            "noise": 0.1,
            "unit": "nats",
            "note": "standardized",
        }
        for encoder, mode, seed in product(ENCODERS, MODES, SEEDS)
        for quantity, base in INFORMATION.items()
        for estimator in (
            ("mine", "ksg") if quantity == "mutual_information" else ("kozachenko_leonenko",)
        )
    ]
    return pl.DataFrame(rows)


def checks() -> pl.DataFrame:
    rng = np.random.default_rng(5)
    rows = [
        {
            "encoder": encoder,
            "mode": mode,
            "seed": seed,
            "date": DATES[-1],
            "check": check,
            "value": 0.6 + 0.05 * rng.normal(),
            "baseline": 0.5,
            "chance": 0.25 if check == "category_retrieval" else 0.0,
            "n": 25,
        }
        for encoder, mode, seed in product(ENCODERS, MODES, SEEDS)
        for check in ("category_retrieval", "linear_probe_volatility")
    ]
    return pl.DataFrame(rows)
