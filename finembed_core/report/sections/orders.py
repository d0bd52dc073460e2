"""What to subscribe and redeem now, by when to give notice, and what is held up."""

from __future__ import annotations

import duckdb

from finembed_core.report.run import Run
from finembed_core.report.section import Column, Section, Table, absent, literals, rows_of
from finembed_core.warehouse.query import answer
from finembed_core.warehouse.quoting import literal

TITLE = "Orders of the newest decision"
MOST = 300
SIDES = {"buy": "subscribe", "sell": "redeem"}
REASONS = {"enter": "comes in", "exit": "goes out", "increase": "more", "reduce": "less"}
"""Of orders; whatever has another one was paid out."""
BLOCKED = {
    "": "",
    "no_nav": "no NAV to deal at",
    "notice": "notice period",
    "frequency": "next dealing date",
    "lockup": "lock-up",
    "gate": "gate",
    "closed": "closed to new money",
}


def orders(connection: duckdb.DuckDBPyConnection, run: Run) -> Section:
    """Orders of the lead strategy; how many every strategy has; what could not be dealt before."""
    reason = rows_of(connection, "trades", run)
    if reason or run.lead is None:
        return absent(TITLE, reason or "no strategy ran")
    latest = f"DATE '{run.last_month}'"
    own = _own(connection, run, latest)
    held_up = _held_up(connection, run, latest)
    counts = _counts(connection, run, latest)
    newest = own.frame.filter(own.frame["status"] != "waiting")
    decided = newest["decision"].to_list()
    waiting = own.frame.height - newest.height
    lead = (
        f"What {run.name(run.lead)} wants to deal, largest first, and by when a redemption must be "
        "announced; distrust a notice date where the table of funds has no terms, and remember "
        "that the orders fit the strategy's own book, not yours: finembed rebalance --holdings "
        "fits them to yours."
    )
    facts = []
    if decided:
        blocked = int((newest["blocked_by"].fill_null("") != "").sum())
        bought = int((newest["side"] == "buy").sum())
        facts = [
            f"Decided {decided[0]:%Y-%m}, subscriptions: {bought}, redemptions: "
            f"{len(decided) - bought}, of them held up: {blocked or 'none'}."
        ]
        if own.frame["notice"].is_null().all():
            facts.append("No fund to be redeemed states a notice period.")
    else:
        facts = [f"{run.name(run.lead)} orders nothing new: what is held stays as it is."]
    if waiting:
        facts.append(f"{waiting} orders of earlier decisions still wait to be dealt.")
    return Section(TITLE, lead, (own, held_up, counts), facts)


def _own(connection: duckdb.DuckDBPyConnection, run: Run, latest: str) -> Table:
    sql = f"""\
SELECT t.side, t.fund_id, f.name, t.weight, t.reason, t.decision,
    CASE WHEN t.side = 'sell' THEN t.dealing - f.notice_days::INTEGER END AS notice,
    t.dealing, t.settle, t.status, t.blocked_by
FROM trades t LEFT JOIN funds f USING (fund_id)
WHERE t.run_id = {literal(run.run_id)} AND t.strategy = {literal(run.lead or "")}
    AND t.reason IN ({literals(REASONS)})
    AND (t.decision = {latest} OR t.status = 'waiting')
ORDER BY t.decision DESC, t.weight DESC, t.fund_id LIMIT {MOST}"""
    return Table(f"{run.name(run.lead)}: orders", sql, answer(connection, sql), _COLUMNS)


_COLUMNS = {
    "side": Column("order", names=SIDES),
    "fund_id": Column("fund"),
    "name": Column("name"),
    "weight": Column("share of NAV", ".2%"),
    "reason": Column("why", names=REASONS),
    "decision": Column("decided", "%Y-%m"),
    "notice": Column("give notice by"),
    "dealing": Column("deals"),
    "settle": Column("money moves"),
    "status": Column("status"),
    "blocked_by": Column("held up by", names=BLOCKED),
}


def _held_up(connection: duckdb.DuckDBPyConnection, run: Run, latest: str) -> Table:
    sql = f"""\
SELECT t.strategy, t.side, t.fund_id, f.name, t.weight, t.decision, t.dealing, t.blocked_by
FROM trades t LEFT JOIN funds f USING (fund_id)
WHERE t.run_id = {literal(run.run_id)} AND (
    t.status = 'waiting'
    OR t.status = 'pending' AND t.blocked_by <> '' AND t.decision = {latest}
    OR t.status = 'pending' AND t.blocked_by = 'no_nav'
        AND t.decision = last_day({latest} - INTERVAL 1 MONTH)
)
ORDER BY t.strategy, t.decision DESC, t.weight DESC, t.fund_id LIMIT {MOST}"""
    columns = {
        "strategy": Column("strategy", names=run.names),
        "side": Column("order", names=SIDES),
        "fund_id": Column("fund"),
        "name": Column("name"),
        "weight": Column("share of NAV", ".2%"),
        "decision": Column("decided", "%Y-%m"),
        "dealing": Column("due"),
        "blocked_by": Column("held up by", names=BLOCKED),
    }
    caption = (
        "Held up: orders of this decision, all that still wait, and those that found no NAV before"
    )
    return Table(caption, sql, answer(connection, sql), columns)


def _counts(connection: duckdb.DuckDBPyConnection, run: Run, latest: str) -> Table:
    sql = f"""\
SELECT strategy,
    count(*) FILTER (side = 'buy') AS subscriptions,
    sum(weight) FILTER (side = 'buy') AS subscribed,
    count(*) FILTER (side = 'sell') AS redemptions,
    sum(weight) FILTER (side = 'sell') AS redeemed,
    count(*) FILTER (blocked_by <> '') AS held_up
FROM trades
WHERE run_id = {literal(run.run_id)} AND reason IN ({literals(REASONS)})
    AND decision = {latest}
GROUP BY strategy ORDER BY strategy"""
    columns = {
        "strategy": Column("strategy", names=run.names),
        "subscriptions": Column("subscriptions"),
        "subscribed": Column("share of NAV", ".1%"),
        "redemptions": Column("redemptions"),
        "redeemed": Column("share of NAV", ".1%"),
        "held_up": Column("held up"),
    }
    return Table("Orders of every strategy, counted", sql, answer(connection, sql), columns)
