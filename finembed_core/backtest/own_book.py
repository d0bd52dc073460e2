"""The user's own holdings: what to order from them, dealt as the funds' terms let them deal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from finembed_core.backtest.dates import DealingDate
from finembed_core.backtest.dealing import Account, deal_on_terms
from finembed_core.backtest.queue import Block
from finembed_core.backtest.terms import DealingTerms
from finembed_core.calendar import Period, month_ends
from finembed_core.errors import InputError
from finembed_core.portfolio.order_checks import check_orders
from finembed_core.portfolio.orders import Orders, Signals, State
from finembed_core.portfolio.register import Strategy
from finembed_core.settings import Settings

CASH = "cash"
"""The row of a holdings table that is money, not a fund."""

CLOSED = 1e-9  # share of a holding that may be left when it is closed
OWN_BOOK = (
    "assumed of your holdings: nothing is locked up, no order waits, no notice has been given; "
    "{} of {} funds state dealing terms, and the others deal as backtest.dealing says"
)

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
    "gated": pl.Float64,
}


def state_of(holdings: pl.DataFrame, ids: pl.Series) -> State:
    """Holdings that were given as a state: nothing queued.

    Parameters
    ----------
    holdings : DataFrame
        Columns fund_id and value, in money; the row ``cash`` is cash.
    ids : Series
        All funds, sorted.

    Raises
    ------
    InputError
        A column, a value or a fund is wrong, or all is worth nothing.
    """
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
        raise InputError(
            "the holdings are worth nothing",
            where="holdings, column value",
            remedy="give at least some cash",
        )
    return State(dense, cash)


def own_orders(
    state: State,
    strategy: Strategy,
    signals: Signals,
    ids: pl.Series,
    settings: Settings,
    terms: DealingTerms,
) -> pl.DataFrame:
    """Orders of a strategy that finds this state, one row per fund and side, columns `ORDERS`.

    Parameters
    ----------
    state : State
    strategy : Strategy
    signals : Signals
    ids : Series
    settings : Settings
    terms : DealingTerms
        The ledger deals on them: a purchase is paid from free cash and from what redemptions pay
        on this very date. What waits has the date and the reason of its waiting; ``gated`` is the
        share of a redemption that the gate keeps back on its first date.

    Raises
    ------
    InputError
        The strategy sells short, or the settings leave no room for it.
    SolverError
        It optimizes, and no optimum could be vouched for.
    """
    if reason := _ruled_out(strategy, settings, ids):
        raise InputError(
            f"{strategy.name} gives no orders for holdings: {reason}",
            remedy="choose another strategy, or change the settings",
        )
    ordered = strategy.policy(state, signals, settings.portfolio)
    if ordered is None:
        return pl.DataFrame(schema=ORDERS)
    check_orders(ordered, tuple(ids), signals.month, shorts=False)
    lines = _lines(state, ordered, signals.month, settings, terms)
    whole = lines.group_by("fund", "buys", maintain_order=True).agg(
        pl.col("amount").sum(),
        pl.col("dealing", "settle").first(),
        blocked_by=pl.col("why").max(),
    )
    fund, amount = whole["fund"].to_numpy(), whole["amount"].to_numpy()
    held = state.holdings[fund]
    room = np.where(whole["buys"], np.inf, terms.gate[fund] * held)
    blocks = pl.Series(["", *(block.name.lower() for block in Block)], dtype=pl.String)
    closes = np.abs(amount - held) <= CLOSED * held
    buys = pl.when(pl.Series(held > 0.0)).then(pl.lit("increase")).otherwise(pl.lit("enter"))
    sells = pl.when(pl.Series(closes)).then(pl.lit("exit")).otherwise(pl.lit("reduce"))
    return whole.with_columns(
        side=pl.when("buys").then(pl.lit("buy")).otherwise(pl.lit("sell")),
        fund_id=ids.gather(fund),
        weight=pl.col("amount") / state.nav,
        reason=pl.when("buys").then(buys).otherwise(sells),
        status=pl.lit("pending"),
        blocked_by=blocks.gather(whole["blocked_by"]),
        gated=pl.Series(np.maximum(1.0 - room / amount, 0.0)),
    ).select(pl.col(column).cast(kind) for column, kind in ORDERS.items())


def _ruled_out(strategy: Strategy, settings: Settings, ids: pl.Series) -> str:
    if strategy.sells_short:
        return "it sells funds short"
    return "" if strategy.ruled_out is None else strategy.ruled_out(settings, ids.to_list())


def _lines(
    state: State, orders: Orders, month: Period, settings: Settings, terms: DealingTerms
) -> pl.DataFrame:
    """What deals on the first dealing date, and what waits for which, in that order."""
    calendar, n_funds = settings.dataset.calendar, len(state.holdings)
    opened = Account.open(state.cash, n_funds)
    account = replace(opened, book=replace(opened.book, holdings=state.holdings))
    date = calendar.dealing(month).ordinal
    everything = np.ones(n_funds, dtype=bool)
    when = DealingDate(date, month.ordinal, calendar.decision_day(month), everything, calendar)
    lines = deal_on_terms(account, orders, terms, when)[1].lines
    return pl.DataFrame(
        {
            "fund": lines.fund,
            "buys": lines.buys,
            "amount": lines.amount,
            "dealing": month_ends(lines.date),
            "settle": month_ends(lines.settle),
            "why": lines.why,
        }
    ).sort("dealing", maintain_order=True)
