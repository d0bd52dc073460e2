"""The orders of one month, from the strategy's own book or the user's, and the why of each."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

from finembed_core.backtest.own_book import ORDERS, OWN_BOOK, own_orders, state_of
from finembed_core.backtest.terms import dealing_terms
from finembed_core.calendar import Month
from finembed_core.errors import InputError, MissingPartError
from finembed_core.fingerprint import digest
from finembed_core.portfolio.orders import Signals
from finembed_core.portfolio.reasons import explain
from finembed_core.portfolio.register import Strategy, find_strategy
from finembed_core.portfolio.signals import read_signals
from finembed_core.settings import Settings
from finembed_core.store import PartStore

ORDERED = ("enter", "increase", "reduce", "exit")


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
    n_selected : int or None
        Funds that the strategy's rule selects; None where its weights alone say which.
    without_aum : tuple of str
        Those of them that get no weight, because the strategy weights by AUM and theirs is unknown.
    unbought : tuple of str
        Those with a weight that are neither held nor bought: there is no cash for them.
    orders : DataFrame
        One row per fund that comes in, goes out or changes: side, fund_id, name, amount (null
        while an order of a run is pending), weight (share of NAV), reason (enter, increase,
        reduce, exit), status (waiting: of an earlier decision), blocked_by, dealing and settle
        (days on which the fund first deals and money moves, null while unknown), gated (share of a
        redemption from given holdings that a gate keeps back on that day), notice (last day on
        which a redemption can be announced, null where the fund states no notice period), why (in
        words), p_up, rank and n_ranked; each feature of `FEATURES`; the same a month before with
        the suffix ``_before``.
    assumed : str
        What is taken for true of holdings that were given, in words.
    rule : str
        What the strategy does, in words.
    """

    month: Month
    strategy: str
    model: str | None
    decision_day: dt.date
    dealing_date: dt.date
    run_id: str | None
    n_selected: int | None
    without_aum: tuple[str, ...]
    unbought: tuple[str, ...]
    orders: pl.DataFrame
    assumed: str = ""
    rule: str = ""


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
        The holdings break their contract, or the strategy is none that funds can follow.
    """
    name = strategy or default_strategy(settings)
    chosen, model = find_strategy(settings, name)
    if not _is_decided(store, month):
        raise _undecided(store, month)
    ids = store.read("funds", "all")["fund_id"].sort()
    signals = _signals(store, settings, month, ids, model)
    if signals is None or (model is not None and np.isnan(signals.p_up).all()):
        raise _without_model(store, month, model)
    run_id, assumed = None, ""
    if holdings is None:
        run_id = covering_run(store, settings, month)
        orders = _of_run(store, run_id, name, month)
        held = _targets(store, run_id, name, month)
    else:
        _check_possible(chosen, name, settings, ids)
        state = state_of(holdings, ids)
        dealing, stating = dealing_terms(store.read("funds", "all"), tuple(ids), settings.backtest)
        orders = own_orders(state, chosen, signals, ids, settings, dealing)
        assumed = OWN_BOOK.format(stating, len(ids))
        bought = orders.filter(pl.col("side") == "buy")["fund_id"]
        held = {*bought, *ids.filter(state.held)}
    selected = chosen.selected(signals, settings.portfolio)
    weightless = selected & ~(signals.aum > 0.0) & chosen.needs_aum
    before = _signals(store, settings, month - 1, ids, model)
    explained = explain(orders, store, month, ids, signals, before)
    calendar = settings.dataset.calendar
    return RebalanceReport(
        month=month,
        strategy=name,
        model=model,
        decision_day=calendar.decision_day(month),
        dealing_date=calendar.dealing_date(month),
        run_id=run_id,
        n_selected=None if chosen.selects is None else int(selected.sum()),
        without_aum=tuple(ids.filter(weightless)),
        unbought=tuple(fund for fund in ids.filter(selected & ~weightless) if fund not in held),
        orders=explained,
        assumed=assumed,
        rule=chosen.rule,
    )


def _check_possible(chosen: Strategy, name: str, settings: Settings, ids: pl.Series) -> None:
    """Refuse a strategy that holdings of funds cannot follow."""
    why = "funds cannot be sold short" if chosen.sells_short else ""
    if chosen.ruled_out is not None:
        why = why or chosen.ruled_out(settings, ids.to_list())
    if why:
        raise InputError(
            f"{name} cannot be followed from your holdings: {why}",
            remedy="choose another strategy",
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
    trades = store.read("trades", run_id).filter(pl.col("strategy") == strategy)
    ordered = pl.col("reason").is_in(ORDERED)  # the rest was paid out
    left = pl.col("status") == "waiting"
    decided = trades.filter(pl.col("decision") == month.end, ordered, ~left)
    newest = Month.of(store.read("runs", run_id)["last_month"][0]) == month
    older = trades.filter(left) if newest else trades.clear()
    return pl.concat([_one_each(decided), older], how="diagonal").select(
        pl.lit(None, dtype=kind).alias(c) if c == "gated" else pl.col(c).cast(kind)
        for c, kind in ORDERS.items()
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
