"""The orders of one month, from the strategy's own book or the user's, and the why of each."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

from finembed_core.calendar import Month
from finembed_core.errors import InputError, MissingPartError
from finembed_core.fingerprint import digest
from finembed_core.panel import FloatArray
from finembed_core.portfolio.orders import Costs, Signals, State, size
from finembed_core.portfolio.policies.selection import ranking
from finembed_core.portfolio.register import Strategy, find_strategy
from finembed_core.portfolio.signals import read_signals
from finembed_core.settings import Settings
from finembed_core.store import PartStore

CASH = "cash"
"""The row of a holdings table that is money, not a fund."""

FEATURES = ("sharpe_annual", "mrar", "svar", "svar_factor", "lta", "ltr", "lts", "best_score")

ORDERS = {
    "side": pl.String,
    "fund_id": pl.String,
    "amount": pl.Float64,
    "weight": pl.Float64,
    "reason": pl.String,
    "status": pl.String,
    "blocked_by": pl.String,
    "dealing": pl.Date,
    "settle": pl.Date,
}


@dataclass(frozen=True)
class RebalanceReport:
    """What to deal and why.

    Attributes
    ----------
    month : Month
    strategy : str
    model : str or None
        The model whose P(up) selects.
    decision_day, dealing_date : date
    run_id : str or None
        The run whose book was taken; None for holdings that were given.
    n_selected : int
        Funds that the strategy's rule selects.
    without_aum : tuple of str
        Those of them that get no weight, because the strategy weights by AUM and theirs is unknown.
    unbought : tuple of str
        Those with a weight that are neither held nor bought: there is no cash for them.
    orders : DataFrame
        One row per fund that comes in, goes out or changes: side, fund_id, name, amount (null
        while an order of a run is pending), weight (share of NAV), reason (enter, increase,
        reduce, exit), status, blocked_by, dealing and settle (days on which the fund deals and
        money moves, null while unknown), notice (last day on which a redemption can be announced,
        null where the fund states no notice period), why (in words), p_up, rank and n_ranked; each
        feature of `FEATURES`; the same a month before with the suffix ``_before``.
    """

    month: Month
    strategy: str
    model: str | None
    decision_day: dt.date
    dealing_date: dt.date
    run_id: str | None
    n_selected: int
    without_aum: tuple[str, ...]
    unbought: tuple[str, ...]
    orders: pl.DataFrame


def rebalance(
    store: PartStore,
    settings: Settings,
    month: Month,
    holdings: pl.DataFrame | None = None,
    strategy: str | None = None,
) -> RebalanceReport:
    """Orders of the decision of `month`.

    Parameters
    ----------
    store : PartStore
        With universe and predictions of the month.
    settings : Settings
    month : Month
    holdings : DataFrame, optional
        What is held in fact: fund_id and value in money; the row ``cash`` is cash. The book of
        the strategy's latest run with these settings when None.
    strategy : str, optional
        SA on the first model of the settings by default.

    Raises
    ------
    MissingPartError
        The month has not been decided, by this model or at all, or no run with these settings
        covers it.
    SettingsError
        There is no such strategy.
    InputError
        The holdings break their contract.
    """
    name = strategy or default_strategy(settings)
    chosen, model = find_strategy(settings, name)
    if not _is_decided(store, month):
        raise _undecided(store, month)
    ids = store.read("funds", "all")["fund_id"].sort()
    signals = _signals(store, settings, month, ids, model)
    if signals is None or (model is not None and np.isnan(signals.p_up).all()):
        raise _without_model(store, month, model)
    run_id = None
    if holdings is None:
        run_id = covering_run(store, settings, month)
        orders = _of_run(store, run_id, name, month)
        held = _targets(store, run_id, name, month)
    else:
        state = _state(holdings, ids)
        orders = _of_book(state, chosen, signals, ids, settings)
        dealing = settings.dataset.calendar.dealing_date(month)
        orders = orders.with_columns(dealing=pl.lit(dealing))
        bought = orders.filter(pl.col("side") == "buy")["fund_id"]
        held = {*bought, *ids.filter(state.held)}
    selected = chosen.selected(signals, settings.portfolio)
    weightless = selected & ~(signals.aum > 0.0) & chosen.needs_aum
    before = _signals(store, settings, month - 1, ids, model)
    explained = _explain(orders, store, month, ids, signals, before)
    calendar = settings.dataset.calendar
    return RebalanceReport(
        month=month,
        strategy=name,
        model=model,
        decision_day=calendar.decision_day(month),
        dealing_date=calendar.dealing_date(month),
        run_id=run_id,
        n_selected=int(selected.sum()),
        without_aum=tuple(ids.filter(weightless)),
        unbought=tuple(fund for fund in ids.filter(selected & ~weightless) if fund not in held),
        orders=explained,
    )


def default_strategy(settings: Settings) -> str:
    """SA on the first model, or the equal-weight universe where there is no model."""
    models = settings.portfolio.models
    return f"sa_{models[0]}" if models else "equal_weight_universe"


def covering_run(store: PartStore, settings: Settings, month: Month) -> str:
    """The run to take a month's book from: made with these settings.

    Those that end soonest after the month come first, then the newest.

    Raises
    ------
    MissingPartError
        No run with these settings reaches the month.
    """
    config = digest(settings.study)
    found: list[tuple[int, float, str]] = []
    others = 0
    for run_id in store.keys("runs"):
        row = store.read("runs", run_id).row(0, named=True)
        ends = Month.of(row["last_month"])
        if ends >= month and row["config_hash"] == config:
            found.append((ends - month, -store.committed_at("runs", run_id).timestamp(), run_id))
        others += ends >= month and row["config_hash"] != config
    if not found:
        raise MissingPartError(
            f"no run with these settings reaches {month}",
            where="table runs" + (f": {others} with other settings" if others else ""),
            remedy=f"`finembed run` or `finembed run --through {month}`, then ask again",
        )
    return min(found)[-1]


def _is_decided(store: PartStore, month: Month) -> bool:
    return all(store.manifest(t, str(month)) is not None for t in ("universe", "predictions"))


def _undecided(store: PartStore, month: Month) -> MissingPartError:
    done = store.keys("predictions")
    return MissingPartError(
        f"{month} has not been decided",
        where=f"decided months: {done[0]} to {done[-1]}" if done else "no month has been decided",
        remedy="`finembed run` decides every month that the data cover"
        + (", or ask for one of these" if done else ""),
    )


def _without_model(store: PartStore, month: Month, model: str | None) -> MissingPartError:
    decided = (m for m in store.manifests("predictions") if m.rows)
    first = next(
        (m.key for m in decided if model in store.read("predictions", m.key)["model"]), None
    )
    return MissingPartError(
        f"there are no predictions of {model} for {month}, so that there is nothing to select by",
        where="table predictions: no model had been trained, or no fund had what it needs",
        remedy=f"ask for {first} or a later month, or for another strategy"
        if first
        else "ask for another strategy",
    )


def _targets(store: PartStore, run_id: str, strategy: str, month: Month) -> set[str]:
    """Funds that a decision of a run leaves in the book."""
    mine = (pl.col("strategy") == strategy) & (pl.col("decision") == month.end)
    return set(store.read("target_weights", run_id).filter(mine)["fund_id"])


def _signals(
    store: PartStore, settings: Settings, month: Month, ids: pl.Series, model: str | None
) -> Signals | None:
    """Signals of one month; None where it has not been built."""
    if not _is_decided(store, month):
        return None
    models, calendar = [model] if model else [], settings.dataset.calendar
    table = read_signals(store, month, month, ids.to_list(), models, calendar)
    return table.of(model if model in table.p_up else None)[month]


def _of_run(store: PartStore, run_id: str, strategy: str, month: Month) -> pl.DataFrame:
    status = store.read("strategies", run_id).filter(pl.col("strategy") == strategy)
    if status.is_empty() or status["status"][0] != "run":
        reason = status["reason"][0] if status.height else "it was not part of the run"
        raise MissingPartError(
            f"run {run_id} has no book of {strategy}: {reason}",
            remedy="choose another strategy, or give your own holdings",
        )
    trades = store.read("trades", run_id)
    mine = (pl.col("strategy") == strategy) & (pl.col("decision") == month.end)
    paid_out = pl.col("reason").str.starts_with("dead: ")  # nobody ordered that
    return _one_each(trades.filter(mine & ~paid_out)).select(
        pl.col(c).cast(kind) for c, kind in ORDERS.items()
    )


def _one_each(trades: pl.DataFrame) -> pl.DataFrame:
    """One row per fund and side: what was dealt on all its dates, or what still waits."""
    done = pl.col("status") == "executed"
    some, weight = done.any(), pl.col("weight")
    newest = trades.sort("dealing", maintain_order=True)
    return newest.group_by("fund_id", "side", maintain_order=True).agg(
        pl.col("reason", "dealing", "settle").last(),
        amount=pl.when(some).then(pl.col("amount").filter(done).sum()),
        weight=pl.when(some).then(weight.filter(done).sum()).otherwise(weight.last()),
        status=pl.when(some).then(pl.lit("executed")).otherwise(pl.lit("pending")),
        blocked_by=pl.when(some).then(pl.lit("")).otherwise(pl.col("blocked_by").last()),
    )


def _state(holdings: pl.DataFrame, ids: pl.Series) -> State:
    missing = {"fund_id", "value"} - set(holdings.columns)
    if missing:
        raise InputError(
            f"the holdings have no column {', '.join(sorted(missing))}",
            where=f"columns: {', '.join(holdings.columns)}",
            remedy="give fund_id and value (in money), and a row `cash` for the cash",
        )
    names = holdings["fund_id"].cast(pl.String).str.strip_chars()
    values = holdings["value"].cast(pl.Float64, strict=False)
    bad = names.filter(values.is_null() | ~values.is_finite().fill_null(False) | (values < 0))
    if len(bad) or names.null_count():
        raise InputError(
            "a holding has no value, or one that is negative or not a number",
            where=", ".join(str(name) for name in bad[:5]) or "a row without fund_id",
            remedy="give each fund's value in money, 0 or more",
        )
    is_cash = names.str.to_lowercase() == CASH
    if is_cash.sum() > 1:
        where = ", ".join(names.filter(is_cash))
        raise InputError("cash is listed twice", where=where, remedy="give all of it in one row")
    twice = names.filter(names.is_duplicated()).unique().sort()
    if len(twice):
        where = ", ".join(twice[:5])
        raise InputError("a fund is listed twice", where=where, remedy="give one row per fund")
    unknown = names.filter(~is_cash & ~names.is_in(ids.to_list()))
    if len(unknown):
        raise InputError(
            f"{len(unknown)} of the holdings are not among the funds of this data set",
            where=", ".join(unknown.sort()[:5]),
            remedy="write the ids as in table funds, and leave out what finembed cannot judge",
        )
    dense = np.zeros(len(ids))
    dense[ids.search_sorted(names.filter(~is_cash)).to_numpy()] = values.filter(~is_cash).to_numpy()
    cash = float(values.filter(is_cash).sum())
    if dense.sum() + cash <= 0.0:
        raise InputError("the holdings are worth nothing", remedy="give at least some cash")
    return State(dense, cash)


def _of_book(
    state: State, strategy: Strategy, signals: Signals, ids: pl.Series, settings: Settings
) -> pl.DataFrame:
    ordered = strategy.policy(state, signals, settings.portfolio)
    amounts = np.zeros(len(ids))
    if ordered is not None:
        everything = np.ones(len(ids), dtype=bool)
        own = settings.backtest
        costs = Costs.of_bps(own.cost_bps, own.slippage_bps, own.redemption_fee_bps)
        amounts = size(ordered, state, everything, costs)
    fund = np.flatnonzero(amounts)
    amount, held = amounts[fund], state.holdings[fund]
    rows = [
        {
            "side": "buy" if a > 0.0 else "sell",
            "fund_id": ids[int(k)],
            "amount": abs(a),
            "weight": abs(a) / state.nav,
            "reason": ("increase" if h > 0.0 else "enter")
            if a > 0.0
            else ("exit" if a == -h else "reduce"),
            "status": "pending",
            "blocked_by": "",
        }
        for k, a, h in zip(fund, amount.tolist(), held.tolist(), strict=True)
    ]
    return pl.DataFrame(rows, schema=ORDERS)


def _explain(
    orders: pl.DataFrame,
    store: PartStore,
    month: Month,
    ids: pl.Series,
    signals: Signals,
    before: Signals | None,
) -> pl.DataFrame:
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
