"""Asset checks: what was measured in the months of the run, after they were written."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from finembed_core.calendar import Month, month_range
from finembed_core.daily_panel import read_daily
from finembed_core.embeddings.tables import EMBEDDINGS, PREDICTED, PREDICTIONS
from finembed_core.settings import Settings
from finembed_core.sources import month_bounds
from finembed_core.store import PartStore
from finembed_core.warehouse.checks import TOLERANCE
from finembed_dagster.partitions import months_of
from finembed_dagster.study import Study

LARGEST_DROP, FEWEST_LOST = 0.2, 2
FEATURES = ("sharpe", "mrar", "svar", "lta", "ltr", "lts", "best_score")

MEMBER = ("encoder", "mode", "seed")
WEIGHTS = ("weight", "gmv")

Finding = tuple[bool, dict[str, Any]]


def asset_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """All checks."""
    embedded = [
        _check(PREDICTIONS, "unique_fund_and_member", unique_fund_predictions),
        _check(PREDICTIONS, "weights_sum_to_one", whole_portfolios),
        _check(EMBEDDINGS, "finite_vectors", finite_vectors),
        _check(EMBEDDINGS, "known_funds", known_funds),
    ]
    return [
        *(embedded if settings.embeds else []),
        _check("predictions", "unique_fund_and_month", unique_predictions),
        _check("polymodel_features", "unique_fund_and_month", unique_features),
        _check("polymodel_features", "finite_values", finite_features),
        _check("polymodel_features", "complete_window", complete_window),
        _check("universe", "fund_count", fund_count),
        _known_in_time(),
    ]


def unique_features(study: Study, months: Sequence[Month]) -> Finding:
    """One row per fund and month of the features."""
    return _unique(study.store, "polymodel_features", ["month", "fund_id"], months)


def unique_predictions(study: Study, months: Sequence[Month]) -> Finding:
    """One row per fund, model and month of the predictions."""
    return _unique(study.store, "predictions", ["month", "fund_id", "model"], months)


def finite_features(study: Study, months: Sequence[Month]) -> Finding:
    """No feature is infinite, and none is missing without a reason code."""
    frame = _read(study.store, "polymodel_features", months)
    infinite = frame.select(pl.col(FEATURES).is_infinite().fill_null(False).sum()).row(0)
    silent = frame.filter(
        (pl.col("reason") == "")
        & pl.any_horizontal(pl.col(name).is_null() | pl.col(name).is_nan() for name in FEATURES)
    ).height
    return sum(infinite) == 0 and silent == 0, {"infinite": sum(infinite), "without_reason": silent}


def complete_window(study: Study, months: Sequence[Month]) -> Finding:
    """Every month from the first to the last of the run stands in the store."""
    first, _ = month_bounds(study.settings.dataset)
    start = max(first, months[0] - (study.settings.polymodel.window - 1))
    standing = set(study.store.keys("polymodel_features"))
    missing = [str(m) for m in month_range(start, months[-1]) if str(m) not in standing]
    return not missing, {"missing": missing}


def fund_count(study: Study, months: Sequence[Month]) -> Finding:
    """Eligible funds do not become fewer by more than a fifth (and two) in a month."""
    wanted = [months[0] - 1, *months]
    standing = set(study.store.keys("universe"))
    counts = [
        (str(m), int(_read(study.store, "universe", [m])["eligible"].sum()))
        for m in wanted
        if str(m) in standing
    ]
    drops = [
        f"{month}: {before} to {now}"
        for (_, before), (month, now) in pairwise(counts)
        if before - now > max(LARGEST_DROP * before, FEWEST_LOST)
    ]
    return not drops, {"drops": drops}


def unique_fund_predictions(study: Study, months: Sequence[Month]) -> Finding:
    """One row per fund, decision, encoder, mode and seed of the predictions from embeddings."""
    return _twice(_decided(study.store, months), ["date", "fund_id", *MEMBER])


def whole_portfolios(study: Study, months: Sequence[Month]) -> Finding:
    """Weights of a decision, direct and of least variance, are not negative and sum to one."""
    frame = _decided(study.store, months)
    sums = frame.group_by("date", *MEMBER).agg(
        # no sum where nothing could be certified: nulls sum to null
        *(pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()) for name in WEIGHTS),
        least=pl.min_horizontal(*(pl.min(name) for name in WEIGHTS)),
    )
    off = sums.filter(
        (pl.col("least") < -TOLERANCE)
        | pl.any_horizontal((pl.col(name) - 1.0).abs() > TOLERANCE for name in WEIGHTS)
    )
    whole = sum(sums[name].count() for name in WEIGHTS)
    return off.is_empty(), {"portfolios": whole, "members_off": off.height}


def finite_vectors(study: Study, months: Sequence[Month]) -> Finding:
    """Every number of every vector is finite."""
    vectors = _read(study.store, EMBEDDINGS, months)["vector"]
    broken = (~np.isfinite(vectors.to_numpy())).any(axis=-1).sum() if len(vectors) else 0
    return int(broken) == 0, {"vectors": len(vectors), "broken": int(broken)}


def known_funds(study: Study, months: Sequence[Month]) -> Finding:
    """Only funds of the daily panel have vectors."""
    named = set(_read(study.store, EMBEDDINGS, months)["fund_id"])
    unknown = sorted(named - set(read_daily(study.store).ids)) if named else []
    return not unknown, {"funds": len(named), "unknown": unknown}


def _known_in_time() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset="fund_observations",
        name="known_in_time",
        description="No observation lies in a month whose decision day comes before it was known.",
    )
    def known_in_time(study: dg.ResourceParam[Study]) -> dg.AssetCheckResult:
        late = {
            table: _late_rows(study, table)
            for table in ("fund_observations", "series_observations")
        }
        return dg.AssetCheckResult(passed=not any(late.values()), metadata={"late_rows": late})

    return known_in_time


def _late_rows(study: Study, table: str) -> int:
    calendar = study.settings.dataset.calendar
    late = 0
    for key in study.store.keys(table):
        frame = study.store.read(table, key)
        decision = calendar.decision_day(Month.parse(key))
        late += frame.filter(
            (pl.col("available_at") > decision) | (pl.col("date") > Month.parse(key).end)
        ).height
    return late


def _check(
    asset: str, name: str, measure: Callable[[Study, Sequence[Month]], Finding]
) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset, name=name, description=measure.__doc__)
    def check(
        context: dg.AssetCheckExecutionContext, study: dg.ResourceParam[Study]
    ) -> dg.AssetCheckResult:
        passed, metadata = measure(study, months_of(context.partition_keys))
        return dg.AssetCheckResult(passed=passed, metadata=metadata)

    return check


def _read(store: PartStore, table: str, months: Sequence[Month]) -> pl.DataFrame:
    return store.read_many(table, [str(month) for month in months])


def _decided(store: PartStore, months: Sequence[Month]) -> pl.DataFrame:
    """Predictions from embeddings; a month without a decision has no part."""
    asked = {str(month) for month in months}
    keys = [key for key in store.keys(PREDICTIONS) if key in asked]
    return store.read_many(PREDICTIONS, keys) if keys else pl.DataFrame(schema=PREDICTED)


def _unique(store: PartStore, table: str, key: list[str], months: Sequence[Month]) -> Finding:
    return _twice(_read(store, table, months), key)


def _twice(frame: pl.DataFrame, key: list[str]) -> Finding:
    twice = int(frame.select(key).is_duplicated().sum())
    return twice == 0, {"rows_in_doubt": twice}
