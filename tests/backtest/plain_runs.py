"""The same world through the simulator and through the plain account, and what each dealt."""

from __future__ import annotations

import math

import numpy as np
import pytest

from finembed_core.backtest.queue import Block
from finembed_core.backtest.simulator import Track, dealing_months, simulate
from finembed_core.calendar import period_range
from finembed_core.portfolio.orders import Replace, Signals, State
from finembed_core.portfolio.policies.selection import simple_average, weighted_average
from finembed_core.portfolio.policies.universe import equal_weight
from finembed_core.portfolio.rankings import topk_drop_order
from finembed_core.sessions import SessionCalendar
from finembed_core.settings import PortfolioSettings
from tests.backtest.plain_terms import PlainAccount, PlainMonths, PlainSessions, PlainTerms
from tests.backtest.worlds import World

PORTFOLIO = PortfolioSettings()
ROUNDING = 1e-9  # money of which one account may speak and the other not
PLACES, DROP = 3, 1


def topk(state: State, known: Signals, settings: PortfolioSettings) -> Replace:
    return topk_drop_order(known.p_up, state.taken, known.eligible, PLACES, DROP)


POLICIES = {"sa": simple_average, "wa": weighted_average, "equal": equal_weight, "topk": topk}


def run(made: World, policy) -> Track:
    return simulate(
        made.market,
        made.signals,
        lambda state, known: policy(state, known, PORTFOLIO),
        made.terms,
        made.calendar,
    )


def run_plain(made: World, name: str) -> tuple[PlainAccount, list[dict]]:
    """The account after the last month, and what stood at the end of each."""
    market, ids = made.market, made.market.ids
    assert made.terms.dealing is not None
    columns = zip(*(v.tolist() for v in vars(made.terms.dealing).values()), strict=True)
    terms = {fund: PlainTerms(*row) for fund, row in zip(ids, columns, strict=True)}
    deals = dealing_months(list(made.signals), made.calendar)
    dates = PlainMonths()
    if isinstance(made.calendar, SessionCalendar):
        dates = PlainSessions(made.calendar.days.tolist())
    book = PlainAccount(made.terms.initial_nav, made.terms.delay, terms, dates)
    rows: list[dict] = []
    for month in period_range(min(deals), market.last):
        decided = deals.get(month)
        taken = book.taken()
        row = market.returns[market.row(month)]
        reported = {i: None if np.isnan(r) else float(r) for i, r in zip(ids, row, strict=True)}
        open_ = {fund for fund, value in reported.items() if value is not None}
        if month > min(deals):
            book.month(month.ordinal, reported, float(market.risk_free[market.row(month)]))
            for death in market.deaths:
                if death.month == month:
                    book.death(month.ordinal, ids[death.fund], death.terminal)
        nav = book.nav()
        taken = book.taken() if decided == month else taken
        book.fees = 0.0
        known = None if decided is None else made.signals[decided]
        order = None if known is None else ordered(name, known, ids, taken)
        if order is None and decided != market.last:
            book.nothing_new(month.ordinal, open_)
        elif order is not None and decided is not None and decided < market.last:
            day = made.calendar.decision_day(decided)
            when = (month.ordinal, decided.ordinal, day, open_)
            if isinstance(order, dict):
                book.reset(order, *when)
            elif name == "topk":
                book.replace(*order, PLACES, *when)
            else:
                book.swap(*order, *when)
        rows.append(
            {
                "nav": nav,
                "fees": book.fees,
                "cash": book.cash,
                "owed": book.owed(),
                "funds": [book.value(fund) for fund in ids],
            }
        )
    return book, rows


def ordered(name, known, ids, taken):
    """Weights, or whom to leave and whom to join; None where there is nothing to go by."""
    ranked = sorted(
        (-p, fund)
        for fund, p, ok in zip(ids, known.p_up, known.eligible, strict=True)
        if ok and not np.isnan(p)
    )
    selected = {fund for _, fund in ranked[: (len(ranked) + 1) // 2]}
    if name == "topk":
        return exchanged(dict(zip(ids, known.p_up, strict=True)), [f for _, f in ranked], taken)
    if name == "sa":
        return (taken - selected, selected - taken) if selected else None
    aum = {f: a for f, a in zip(ids, known.aum.tolist(), strict=True) if not np.isnan(a)}
    sizes = {f: aum[f] for f in selected & set(aum)}
    if name == "equal":
        sizes = {f: 1.0 for f, ok in zip(ids, known.eligible, strict=True) if ok}
    return {f: a / sum(sizes.values()) for f, a in sizes.items()} or None


def exchanged(scores: dict[str, float], ranked: list[str], taken: set[str]):
    """TopK-Drop: whom to sell, and the candidates, best first."""

    def rank(fund: str):
        return (math.inf if math.isnan(scores[fund]) else -scores[fund], fund)

    others = [fund for fund in ranked if fund not in taken]
    today = others[: max(DROP + PLACES - len(taken), 0)]
    worst = sorted([*taken, *today], key=rank)[-DROP:]
    return taken & set(worst), others


def dealt_lines(track: Track, ids) -> dict[tuple, float]:
    assert track.executed is not None
    found = {}
    for executed in track.executed:
        for k in np.flatnonzero(executed.lines.why == 0):
            line = executed.lines
            side = "buy" if line.buys[k] else "sell"
            key = (ids[line.fund[k]], side, int(line.decided[k]), int(line.date[k]))
            if not executed.pending:
                found[key] = line.amount[k]
    return found


def waiting_lines(track: Track, ids) -> set[tuple]:
    assert track.executed is not None
    return {
        (
            ids[e.lines.fund[k]],
            "buy" if e.lines.buys[k] else "sell",
            int(e.lines.decided[k]),
            int(e.lines.date[k]),
            Block(e.lines.why[k]).name.lower(),
        )
        for e in track.executed
        for k in np.flatnonzero(e.lines.why)
        if not e.pending and e.lines.amount[k] > ROUNDING
    }


def assert_equal(track: Track, made: World, name: str) -> None:
    """NAV, costs, cash, holdings, orders dealt and waiting are those of the plain account."""
    book, rows = run_plain(made, name)
    assert track.nav == pytest.approx([row["nav"] for row in rows], rel=1e-9)
    assert track.costs[1:] == pytest.approx([row["fees"] for row in rows][:-1], abs=1e-9)
    assert track.cash == pytest.approx([row["cash"] for row in rows], abs=1e-9)
    assert track.receivables == pytest.approx([row["owed"] for row in rows], abs=1e-9)
    for k, row in enumerate(rows):
        assert track.holdings[k] == pytest.approx(row["funds"], rel=1e-9, abs=1e-9)
    ids = made.market.ids
    ours = {key: money for key, money in dealt_lines(track, ids).items() if money > ROUNDING}
    theirs = {entry[:4]: entry[4] for entry in book.log if entry[4] > ROUNDING}
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)
    held_up = {entry[:5] for entry in book.held_up if entry[5] > ROUNDING}
    assert waiting_lines(track, ids) == held_up
