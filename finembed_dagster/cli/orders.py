"""The orders of a month in a terminal: what to deal, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from finembed_core.backtest.rebalance import RebalanceReport
from finembed_dagster.cli.tables import print_whole, unbounded
from finembed_dagster.cli.texts import seen

FEATURES = {
    "svar": ("StressVaR", ".1%"),
    "lta": ("LTA", ".2%"),
    "sharpe_annual": ("Sharpe", ".2f"),
    "best_score": ("score", ".1f"),
}
"""Most telling first: a narrow terminal leaves out the last."""

WIDE = 120  # where nobody looks, as in a file, nothing is left out
BLOCKED = {
    "no_nav": "the fund has no NAV to deal at",
    "notice": "notice period",
    "frequency": "next dealing date",
    "lockup": "lock-up",
    "gate": "gate",
}
MOST_NAMED = 5
LEAST_FUND, MOST_FUND = 10, 26
LEAST_WHY, MOST_WHY = 18, 44


def show_orders(console: Console, report: RebalanceReport, file: str) -> None:
    """Print one row per order: its reason, and now (before) of probability, rank and features."""
    width = console.width if console.is_terminal else max(console.width, WIDE)
    table, shown = _fitted(console, report, width)
    print_whole(console, table)
    left_out = ", ".join(FEATURES[name][0] for name in FEATURES if name not in shown)
    narrow = f"no room for: {left_out}; " if left_out else ""
    console.print(
        f"in brackets: the month before; {narrow}all features: {seen(file)}", soft_wrap=True
    )


def followed(report: RebalanceReport) -> str:
    """What the strategy goes by, in words."""
    if report.n_selected is None:
        return report.rule
    if report.model is None:
        return f"selects all {report.n_selected} eligible funds"
    return f"selects the best {report.n_selected} by P(up) of {report.model}"


def counted(report: RebalanceReport) -> str:
    """How many of each side, by when the first notice is due, and how many are held up."""
    orders = report.orders
    bought = int((orders["side"] == "buy").sum())
    held_up = int((orders["blocked_by"].fill_null("") != "").sum())
    first = orders["notice"].drop_nulls()
    said = [f"{bought} to subscribe, {orders.height - bought} to redeem"]
    if len(first):
        said.append(f"the first notice is due by {first.sort()[0]}")
    if held_up:
        said.append(f"{held_up} held up")
    return ", ".join(said)


def what_stays(report: RebalanceReport) -> str:
    """Why there are no orders, or what is selected and not bought; empty where nothing is left."""
    if report.n_selected is None:
        return "" if report.orders.height else "nothing to trade: what is held stays as it is"
    if report.n_selected == 0:
        return "no eligible fund can be selected: what is held stays as it is"
    remarks = []
    if report.without_aum:
        remarks.append(f"selected but without AUM, so without weight: {_some(report.without_aum)}")
    if len(report.without_aum) == report.n_selected:
        remarks.append("no selected fund has AUM: what is held stays as it is")
    elif report.unbought:
        remarks.append(f"selected and not bought, for lack of cash: {_some(report.unbought)}")
    elif report.orders.is_empty():
        remarks.append("nothing to trade: what is held is what is selected")
    return "\n".join(remarks)


def _some(funds: Sequence[str]) -> str:
    more = len(funds) - MOST_NAMED
    return ", ".join(funds[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _fitted(console: Console, report: RebalanceReport, width: int) -> tuple[Table, list[str]]:
    """The table with as many features as there is room for, and these."""
    names = [line for row in report.orders.iter_rows(named=True) for line in _fund(row).split("\n")]
    longest = max(map(len, names), default=0)
    shown = list(FEATURES)
    while True:
        room = width - unbounded(console, _table(report, shown, 1, 1)).maximum + 2
        if room >= LEAST_FUND + LEAST_WHY or not shown:
            fund = max(min(longest, MOST_FUND, room - LEAST_WHY), LEAST_FUND)
            why = min(max(room - fund, LEAST_WHY), MOST_WHY)
            return _table(report, shown, fund, why), shown
        shown.pop()


def _table(report: RebalanceReport, features: list[str], fund: int, why: int) -> Table:
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("order", no_wrap=True)
    table.add_column("fund", width=fund, overflow="fold")
    table.add_column("weight" if report.run_id else "amount", justify="right", no_wrap=True)
    table.add_column("why", width=why, overflow="fold")
    if report.model is not None:
        table.add_column("P(up)", justify="right", no_wrap=True)
        table.add_column("rank", justify="right", no_wrap=True)
    for name in features:
        table.add_column(FEATURES[name][0], justify="right", no_wrap=True)
    for row in report.orders.iter_rows(named=True):
        cells = [row["side"], _fund(row), _size(row, report.run_id is None), _why(row, report)]
        if report.model is not None:
            cells += [_pair(row, "p_up", ".1%"), _ranks(row)]
        cells += [_pair(row, name, FEATURES[name][1]) for name in features]
        table.add_row(*(seen(cell) for cell in cells))
    return table


def _fund(row: Mapping[str, Any]) -> str:
    fund, name = row["fund_id"], row["name"]
    return fund if name in (None, "", fund) else f"{fund}\n{name}"


def _size(row: Mapping[str, Any], in_money: bool) -> str:
    weight = f"{row['weight']:.2%}"
    return f"{row['amount']:,.2f}\n{weight}" if in_money else weight


def _why(row: Mapping[str, Any], report: RebalanceReport) -> str:
    """The order's reason, its cause, and what holds it up."""
    reason = row["reason"]
    if row["fund_id"] in report.without_aum:
        cause = "selected, but without AUM"
    elif report.n_selected is None or (
        row["rank"] is None and (report.model is not None or reason == "exit")
    ):
        cause = row["why"]
    elif report.model is None:
        cause = "eligible"
    else:
        cause = f"{'not ' if reason == 'exit' else ''}among the best {report.n_selected}"
    words = {"enter": "comes in", "exit": "goes out", "increase": "more", "reduce": "less"}
    text = f"{words[reason]}: {cause}" if reason in words else reason
    if row["blocked_by"]:
        held_up = BLOCKED.get(row["blocked_by"], row["blocked_by"])
        text += f"\n{row['status']}: {held_up}"
    elif row["status"] == "waiting":
        text += "\nof an earlier decision"
    if row["gated"]:
        text += f"\ngate: {row['gated']:.0%} of it waits for later dates"
    if row["notice"] is not None:
        text += f"\ngive notice by {row['notice']}"
    if row["dealing"] not in (None, report.dealing_date):
        text += f"\ndeals {row['dealing']}"
    if row["settle"] not in (None, row["dealing"]):
        text += f"\nmoney moves {row['settle']}"
    return text


def _ranks(row: Mapping[str, Any]) -> str:
    return "\n".join(
        shape.format("-" if rank is None else f"{rank}/{count}")
        for shape, rank, count in (
            ("{}", row["rank"], row["n_ranked"]),
            ("({})", row["rank_before"], row["n_ranked_before"]),
        )
    )


def _pair(row: Mapping[str, Any], name: str, style: str) -> str:
    now, before = row[name], row[f"{name}_before"]
    shown = "-" if now is None else format(now, style)
    return f"{shown}\n({'-' if before is None else format(before, style)})"
