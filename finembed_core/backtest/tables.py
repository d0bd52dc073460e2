"""From simulated tracks to the long frames of a run."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from finembed_core.backtest.market import Market
from finembed_core.backtest.metrics import (
    Series,
    after_purchase,
    drawdowns,
    metrics,
    relative_metrics,
)
from finembed_core.backtest.queue import Block
from finembed_core.backtest.track import RUIN, Decision, Executed, Track
from finembed_core.calendar import Calendar, IntArray, Period
from finembed_core.panel import FloatArray

SCHEMAS: dict[str, dict[str, pl.DataType | type[pl.DataType]]] = {
    "runs": {
        "code_version": pl.String,
        "config": pl.String,
        "config_hash": pl.String,
        "data_hash": pl.String,
        "seed": pl.Int64,
        "dataset": pl.String,
        "simulated": pl.Boolean,
        "first_month": pl.Date,
        "last_month": pl.Date,
        "decision_lag_days": pl.Int64,
        "status": pl.String,
        "warnings": pl.String,
    },
    "strategies": {
        "strategy": pl.String,
        "rule": pl.String,
        "model": pl.String,
        "status": pl.String,
        "reason": pl.String,
    },
    "target_weights": {
        "strategy": pl.String,
        "decision": pl.Date,
        "as_of": pl.Date,
        "fund_id": pl.String,
        "weight": pl.Float64,
    },
    "holdings": {
        "strategy": pl.String,
        "date": pl.Date,
        "fund_id": pl.String,
        "value": pl.Float64,
        "weight": pl.Float64,
    },
    "trades": {
        "strategy": pl.String,
        "decision": pl.Date,
        "dealing": pl.Date,
        "settle": pl.Date,
        "fund_id": pl.String,
        "side": pl.String,
        "amount": pl.Float64,
        "weight": pl.Float64,
        "cost": pl.Float64,
        "reason": pl.String,
        "blocked_by": pl.String,
        "status": pl.String,
    },
    "returns": {
        "strategy": pl.String,
        "date": pl.Date,
        "gross": pl.Float64,
        "cost": pl.Float64,
        "net": pl.Float64,
        "rf": pl.Float64,
        "benchmark": pl.Float64,
        "nav": pl.Float64,
        "cash": pl.Float64,
        "receivables": pl.Float64,
        "turnover": pl.Float64,
        "n_funds": pl.Int64,
    },
    "metrics": {
        "strategy": pl.String,
        "metric": pl.String,
        "value": pl.Float64,
        "ci_low": pl.Float64,
        "ci_high": pl.Float64,
        "n": pl.Int64,
        "convention": pl.String,
    },
    "drawdowns": {
        "strategy": pl.String,
        "rank": pl.Int64,
        "peak": pl.Date,
        "trough": pl.Date,
        "recovery": pl.Date,
        "depth": pl.Float64,
        "months_down": pl.Int64,
        "months_recovering": pl.Int64,
    },
    "sensitivities": {
        "strategy": pl.String,
        "dimension": pl.String,
        "value": pl.String,
        "metric": pl.String,
        "result": pl.Float64,
        "note": pl.String,
    },
}


def strategy_tables(
    name: str,
    track: Track,
    market: Market,
    calendar: Calendar,
    benchmark: FloatArray | None,
) -> dict[str, pl.DataFrame]:
    """All tables of one strategy, without run_id.

    Parameters
    ----------
    name : str
        Strategy id.
    track : Track
    market : Market
        The one that the track went through.
    calendar : Calendar
        The one that the track was simulated by; statistics are per year of its periods.
    benchmark : ndarray, shape (K,), or None
        Returns of the periods earned, NaN where there is none.
    """
    ids = pl.Series("fund_id", market.ids, dtype=pl.String)
    frames = {
        "target_weights": _target_weights(track, ids, calendar),
        "holdings": _holdings(track, ids),
        "trades": _trades(track, ids, calendar),
        "returns": _returns(track, benchmark),
        "metrics": _metrics(name, track, calendar, benchmark),
        "drawdowns": _drawdowns(track),
    }
    return {
        table: frame.with_columns(strategy=pl.lit(name)).select(
            pl.col(column).cast(kind) for column, kind in SCHEMAS[table].items()
        )
        for table, frame in frames.items()
    }


def _ends(periods: list[Period]) -> pl.Series:
    return pl.Series([period.end for period in periods], dtype=pl.Date)


def _target_weights(track: Track, ids: pl.Series, calendar: Calendar) -> pl.DataFrame:
    weights = np.array([d.target for d in track.decisions]).reshape(-1, len(ids))
    row, fund = np.nonzero(weights)
    decided = [d.month for d in track.decisions]
    known = pl.Series([calendar.decision_day(month) for month in decided], dtype=pl.Date)
    return pl.DataFrame(
        {
            "decision": _ends(decided).gather(row),
            "as_of": known.gather(row),
            "fund_id": ids.gather(fund),
            "weight": weights[row, fund],
        }
    )


def _holdings(track: Track, ids: pl.Series) -> pl.DataFrame:
    row, fund = np.nonzero(track.holdings)
    value, nav = track.holdings[row, fund], track.nav_after[row]
    return pl.DataFrame(
        {
            "date": _ends(track.months).gather(row),
            "fund_id": ids.gather(fund),
            "value": value,
            "weight": np.divide(value, nav, out=np.zeros_like(value), where=nav != 0.0),
        }
    )


def _trades(track: Track, ids: pl.Series, calendar: Calendar) -> pl.DataFrame:
    dealt = [(d, d.dealt) for d in track.decisions if d.dealt is not None]
    decided = [d for d, _ in dealt]
    lapsed = _orders(decided, [dealing.blocked for _, dealing in dealt], ids)
    frames = [lapsed.with_columns(blocked_by=pl.lit("no_nav"), status=pl.lit("pending"))]
    if track.executed is not None:
        frames.append(_lines(track.executed, ids, calendar))
        if track.waiting is not None:
            frames.append(
                _lines((track.waiting,), ids, calendar).with_columns(status=pl.lit("waiting"))
            )
    else:
        executed = _orders(decided, [dealing.amounts for _, dealing in dealt], ids)
        costs = np.array([dealing.costs for _, dealing in dealt]).reshape(-1, len(ids))
        row, fund = executed["row"].to_numpy(), executed["fund"].to_numpy()
        pending = [(d, d.wished) for d in track.decisions if d.wished is not None]
        wished = _orders([d for d, _ in pending], [amounts for _, amounts in pending], ids)
        frames += [
            executed.with_columns(
                settle="dealing",
                cost=pl.Series(costs[row, fund], dtype=pl.Float64),
                blocked_by=pl.lit(""),
                status=pl.lit("executed"),
            ),
            wished.with_columns(blocked_by=pl.lit(""), status=pl.lit("pending")),
        ]
    return pl.concat([*map(_as_trades, frames), _payouts(track, ids)])


def _as_trades(orders: pl.DataFrame) -> pl.DataFrame:
    """Orders in the columns of trades; nothing has moved yet where one is pending."""
    moved = pl.col("status") == "executed"
    kinds = {column: kind for column, kind in TRADE_COLUMNS.items() if column in orders.columns}
    known = orders.select(pl.col(column).cast(kind) for column, kind in kinds.items())
    absent = [
        pl.lit(None, dtype=TRADE_COLUMNS[c]).alias(c) for c in TRADE_COLUMNS if c not in kinds
    ]
    return known.with_columns(absent).select(
        pl.when(moved).then(pl.col(c)).alias(c) if c in ("settle", "amount", "cost") else pl.col(c)
        for c in TRADE_COLUMNS
    )


def _lines(executed: tuple[Executed, ...], ids: pl.Series, calendar: Calendar) -> pl.DataFrame:
    """Orders of a market with terms, line by line."""

    def joined(name: str) -> NDArray[np.generic]:
        return np.concatenate([np.empty(0), *(getattr(e.lines, name) for e in executed)])

    def whole(name: str) -> IntArray:
        return joined(name).astype(np.int64)

    def days(name: str) -> NDArray[np.datetime64]:
        return calendar.ends(whole(name))

    lengths = [len(e.lines.fund) for e in executed]
    nav = np.repeat([e.nav for e in executed], lengths)
    buys, opens_or_closes = joined("buys").astype(bool), joined("whole").astype(bool)
    blocks = pl.Series(["", *(block.name.lower() for block in Block)], dtype=pl.String)
    frame = pl.DataFrame(
        {
            "decision": days("decided"),
            "dealing": days("date"),
            "settle": days("settle"),
            "fund_id": ids.gather(whole("fund")),
            "buys": buys,
            "opens": buys & opens_or_closes,
            "closes": ~buys & opens_or_closes,
            "adds": buys,
            "amount": joined("amount"),
            "weight": np.divide(joined("amount"), nav, out=np.zeros(len(nav)), where=nav > 0.0),
            "cost": joined("cost"),
            "blocked_by": blocks.gather(whole("why")),
            "pending": np.repeat([e.pending for e in executed], lengths).astype(bool),
        }
    )
    waits = pl.col("pending") | (pl.col("blocked_by") != "")
    status = pl.when(waits).then(pl.lit("pending")).otherwise(pl.lit("executed"))
    return _sided(frame).with_columns(status=status)


TRADE_COLUMNS = {k: v for k, v in SCHEMAS["trades"].items() if k != "strategy"}


def _orders(decisions: list[Decision], amounts: list[FloatArray], ids: pl.Series) -> pl.DataFrame:
    """Orders of some decisions; ``row`` and ``fund`` say where in `amounts` each stands."""
    matrix = np.array(amounts).reshape(-1, len(ids))
    before = np.array([d.before for d in decisions]).reshape(-1, len(ids))
    nav = np.array([d.nav for d in decisions])
    row, fund = np.nonzero(matrix)
    amount, held = matrix[row, fund], before[row, fund]
    frame = pl.DataFrame(
        {
            "row": row,
            "fund": fund,
            "decision": _ends([d.month for d in decisions]).gather(row),
            "dealing": _ends([d.dealing for d in decisions]).gather(row),
            "fund_id": ids.gather(fund),
            "buys": amount > 0.0,
            "opens": held == 0.0,
            "closes": amount == -held,
            "adds": amount * held > 0.0,
            "amount": np.abs(amount),
            "weight": np.abs(amount) / nav[row],
        }
    )
    return _sided(frame)


def _sided(orders: pl.DataFrame) -> pl.DataFrame:
    """Orders with side and reason; a short position is entered by a sale and left by a purchase."""
    stays = pl.when("adds").then(pl.lit("increase")).otherwise(pl.lit("reduce"))
    new = pl.when("opens").then(pl.lit("enter")).otherwise(stays)
    reason = pl.when("closes").then(pl.lit("exit")).otherwise(new)
    side = pl.when("buys").then(pl.lit("buy")).otherwise(pl.lit("sell"))
    return orders.with_columns(side=side, reason=reason)


def _payouts(track: Track, ids: pl.Series) -> pl.DataFrame:
    rows = [
        {
            "decision": p.month.end,
            "dealing": p.month.end,
            "settle": p.paid.end,
            "fund_id": ids[p.fund],
            "side": "buy" if p.amount < 0.0 else "sell",
            "amount": abs(p.amount),
            "weight": abs(p.amount) / p.nav if p.nav > 0.0 else 0.0,
            "cost": 0.0,
            "reason": RUIN if p.reason == RUIN else f"dead: {p.reason}",
            "blocked_by": "",
            "status": "executed",
        }
        for p in track.payouts
    ]
    return pl.DataFrame(rows, schema=TRADE_COLUMNS)


def _returns(track: Track, benchmark: FloatArray | None) -> pl.DataFrame:
    after = track.nav_after[1:]
    share = np.divide(1.0, after, out=np.zeros_like(after), where=after != 0.0)
    return pl.DataFrame(
        {
            "date": _ends(track.months[1:]),
            "gross": track.gross,
            "cost": track.cost,
            "net": track.net,
            "rf": track.risk_free[1:],
            "benchmark": np.full(len(after), np.nan) if benchmark is None else benchmark,
            "nav": track.nav[1:],
            "cash": track.cash[1:] * share,
            "receivables": (track.receivables - track.payables)[1:] * share,
            "turnover": track.turnover,
            "n_funds": np.count_nonzero(track.holdings[1:], axis=1),
        }
    ).with_columns(pl.col("benchmark").fill_nan(None))


def _metrics(
    name: str, track: Track, calendar: Calendar, benchmark: FloatArray | None
) -> pl.DataFrame:
    own, against = return_series(name, track, calendar, benchmark)
    found = metrics(own, after_purchase(track.turnover)) + relative_metrics(against or own)
    return pl.DataFrame(
        [(m.name, m.value, m.n, m.convention) for m in found],
        schema={"metric": pl.String, "value": pl.Float64, "n": pl.Int64, "convention": pl.String},
        orient="row",
    ).with_columns(value=pl.col("value").fill_nan(None), ci_low=pl.lit(None), ci_high=pl.lit(None))


def return_series(
    name: str, track: Track, calendar: Calendar, benchmark: FloatArray | None
) -> tuple[Series, Series | None]:
    """Net returns of a track over all periods, and over those that the benchmark covers.

    Parameters
    ----------
    name : str
        For messages.
    track : Track
    calendar : Calendar
    benchmark : ndarray, shape (K,), or None

    Returns
    -------
    Series
        Without a benchmark.
    Series or None
        With it; None where there is none, or one with a hole.
    """
    dates = np.array([month.end for month in track.months[1:]], dtype="datetime64[D]")
    risk_free, per_year = track.risk_free[1:], calendar.periods_per_year
    own = Series.of(dates, track.net, risk_free, None, per_year, name)
    if benchmark is None or has_hole(benchmark):
        return own, None
    return own, Series.of(dates, track.net, risk_free, benchmark, per_year, name)


def has_hole(values: FloatArray) -> bool:
    """Whether a value is missing between two others."""
    seen = np.flatnonzero(~np.isnan(values))
    return len(seen) > 0 and len(seen) != seen[-1] - seen[0] + 1


def _drawdowns(track: Track) -> pl.DataFrame:
    dates = np.array([month.end for month in track.months], dtype="datetime64[D]")
    return drawdowns(dates, track.net)
