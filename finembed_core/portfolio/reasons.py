"""Why each order: rank and probability now and before, features, the universe's verdict."""

from __future__ import annotations

import numpy as np
import polars as pl

from finembed_core.calendar import Month
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import Signals
from finembed_core.portfolio.policies.selection import ranking
from finembed_core.store import PartStore

FEATURES = ("sharpe_annual", "mrar", "svar", "svar_factor", "lta", "ltr", "lts", "best_score")


def explain(
    orders: pl.DataFrame,
    store: PartStore,
    month: Month,
    ids: pl.Series,
    signals: Signals,
    before: Signals | None,
) -> pl.DataFrame:
    """Orders with name, notice date, why in words, and what was known of each fund.

    Parameters
    ----------
    orders : DataFrame
        With fund_id, side and dealing.
    store : PartStore
    month : Month
    ids : Series
        Funds, sorted, as the signals run over them.
    signals, before : Signals
        Of the month and of the one before, None where that has not been built.
    """
    names = store.read("funds", "all").select("fund_id", "name", "notice_days")
    universe = store.read("universe", str(month)).select("fund_id", excluded="reason")
    now, then = _scores(signals, ids), _scores(before, ids)
    table = orders.join(names, on="fund_id", how="left").join(universe, on="fund_id", how="left")
    for suffix, scores, when in (("", now, month), ("_before", then, month - 1)):
        facts = scores.join(_features(store, when), on="fund_id", how="left")
        renamed = {c: f"{c}{suffix}" for c in facts.columns if c != "fund_id"}
        table = table.join(facts.rename(renamed), on="fund_id", how="left")
    table = table.with_columns(why=_why(), notice=_notice())
    leading = ["side", "fund_id", "name", "amount", "weight", "reason", "why"]
    others = [c for c in table.columns if c not in (*leading, "excluded", "notice_days")]
    return table.select(*leading, *others).sort(
        pl.col("side") == "buy", "rank", "fund_id", nulls_last=True
    )


def _scores(signals: Signals | None, ids: pl.Series) -> pl.DataFrame:
    nothing: FloatArray = np.full(len(ids), np.nan)
    ranks = nothing if signals is None else ranking(signals)
    p_up = nothing if signals is None else signals.p_up
    count = int(np.count_nonzero(~np.isnan(ranks)))
    return pl.DataFrame({"fund_id": ids, "p_up": p_up, "rank": ranks}).with_columns(
        p_up=pl.col("p_up").fill_nan(None),
        rank=pl.col("rank").fill_nan(None).cast(pl.Int64),
        n_ranked=pl.lit(count if signals is not None else None, dtype=pl.Int64),
    )


def _features(store: PartStore, month: Month) -> pl.DataFrame:
    """PolyModel features of one month; nulls where they have not been built."""
    if store.manifest("polymodel_features", str(month)) is None:
        kinds = {c: pl.String if c == "svar_factor" else pl.Float64 for c in FEATURES}
        return pl.DataFrame(schema={"fund_id": pl.String, **kinds})
    return store.read("polymodel_features", str(month)).select("fund_id", *FEATURES)


def _notice() -> pl.Expr:
    """Last day on which a redemption can be announced."""
    last = pl.col("dealing") - pl.duration(days="notice_days")
    return pl.when(pl.col("side") == "sell").then(last)


def _why() -> pl.Expr:
    """A sentence from rank, rank before and the universe's verdict."""
    rank, before = pl.col("rank").cast(pl.String), pl.col("rank_before").cast(pl.String)
    place = pl.concat_str(pl.lit("rank "), rank, pl.lit(" of "), pl.col("n_ranked").cast(pl.String))
    moved = pl.when(before.is_null()).then(pl.lit(", not ranked before"))
    moved = moved.otherwise(pl.concat_str(pl.lit(", "), before, pl.lit(" before")))
    excluded = pl.concat_str(pl.lit("not eligible: "), pl.col("excluded"))
    return (
        pl.when(rank.is_not_null())
        .then(pl.concat_str(place, moved))
        .when(pl.col("excluded").fill_null("") != "")
        .then(excluded)
        .when(pl.col("excluded").is_null())
        .then(pl.lit("not in the universe"))
        .otherwise(pl.lit("eligible, not ranked"))
    )
