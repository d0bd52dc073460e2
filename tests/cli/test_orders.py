"""The orders as a terminal shows them."""

import datetime as dt
import io
from dataclasses import replace

import polars as pl
import pytest
from rich.console import Console

from finembed_core.backtest.rebalance import RebalanceReport
from finembed_core.calendar import Month
from finembed_core.portfolio.reasons import FEATURES
from finembed_dagster.cli.orders import counted, followed, show_orders, what_stays

ROW = {
    "side": "buy",
    "fund_id": "F1",
    "name": "Alpha Fund",
    "amount": None,
    "weight": 0.25,
    "reason": "enter",
    "why": "rank 2 of 9, 7 before",
    "status": "pending",
    "blocked_by": "",
    "dealing": dt.date(2000, 1, 31),
    "settle": None,
    "notice": None,
    "p_up": 0.61,
    "p_up_before": 0.42,
    "gated": None,
    "rank": 2,
    "rank_before": 7,
    "n_ranked": 9,
    "n_ranked_before": 8,
    **dict.fromkeys(FEATURES, 0.1234),
    **{f"{name}_before": 0.4321 for name in FEATURES},
    "svar_factor": "MKT",
    "svar_factor_before": "MKT",
}
UNRANKED = dict.fromkeys(["p_up", "rank", *FEATURES], None)


def report(*rows: dict, **changes: object) -> RebalanceReport:
    month = Month.parse("2000-01")
    found = RebalanceReport(
        month=month,
        strategy="sa_logistic",
        model="logistic",
        decision_day=month.end,
        dealing_date=dt.date(2000, 1, 31),
        run_id="r",
        n_selected=4,
        without_aum=(),
        unbought=(),
        orders=pl.DataFrame(list(rows), infer_schema_length=None) if rows else pl.DataFrame(),
    )
    return replace(found, **changes)


def printed(shown: RebalanceReport, width: int, terminal: bool = True) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None)
    show_orders(console, shown, "orders.csv")
    return file.getvalue()


def words(text: str) -> str:
    return " ".join(text.split())


def test_an_order_with_its_why_now_and_before() -> None:
    text = printed(report(ROW), 120)
    for part in ("buy", "F1", "Alpha Fund", "25.00%", "comes in: among the best 4"):
        assert part in text
    for part in (
        "61.0%",
        "(42.0%)",
        "2/9",
        "(7/8)",
        "12.3%",
        "(43.2%)",
        "12.34%",
        "0.12",
        "(0.43)",
    ):
        assert part in text
    assert "orders.csv" in text and "no room" not in text


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"reason": "exit"}, "goes out: not among the best 4"),
        (
            {"reason": "exit", "why": "not eligible: dead: merged", **UNRANKED},
            "goes out: not eligible: dead: merged",
        ),
        ({"reason": "dead: merged", **UNRANKED}, "dead: merged"),
        ({"reason": "exit", "blocked_by": "no_nav"}, "pending: the fund has no NAV to deal at"),
        ({"blocked_by": "notice"}, "pending: notice period"),
        ({"blocked_by": "a_new_term"}, "pending: a_new_term"),
        ({"side": "sell", "notice": dt.date(2000, 1, 1)}, "give notice by 2000-01-01"),
        ({"dealing": dt.date(2000, 3, 31)}, "deals 2000-03-31"),
        ({"settle": dt.date(2000, 2, 29)}, "money moves 2000-02-29"),
        ({"reason": "increase"}, "more: among the best 4"),
    ],
)
def test_reasons_in_words(changes: dict, why: str) -> None:
    assert why in words(printed(report(ROW | changes), 140))


def test_orders_are_counted_with_the_first_notice_and_what_is_held_up() -> None:
    sold = ROW | {"fund_id": "F2", "side": "sell", "notice": dt.date(2000, 1, 9)}
    late = sold | {"fund_id": "F3", "notice": dt.date(2000, 1, 2), "blocked_by": "gate"}
    assert counted(report(ROW, sold, late)) == (
        "1 to subscribe, 2 to redeem, the first notice is due by 2000-01-02, 1 held up"
    )
    assert counted(report(ROW)) == "1 to subscribe, 0 to redeem"
    plain = printed(report(ROW), 140)
    assert "notice" not in plain and "deals" not in plain and "money" not in plain


def test_a_strategy_without_a_model_shows_neither_probability_nor_rank() -> None:
    row = ROW | UNRANKED | {"why": "eligible, not ranked"}
    text = printed(report(row, model=None), 120)
    assert "comes in: eligible" in text
    assert "P(up)" not in text and "rank" not in text
    gone = row | {"reason": "exit", "why": "not eligible: no_report"}
    assert "goes out: not eligible: no_report" in words(printed(report(gone, model=None), 120))


def test_a_name_that_is_the_id_is_not_repeated() -> None:
    for name in (None, "", "F1"):
        assert printed(report(ROW | {"name": name}), 120).count("F1") == 1


def test_own_holdings_show_amounts() -> None:
    text = printed(report(ROW | {"amount": 12345.678}, run_id=None), 120)
    assert "12,345.68" in text and "25.00%" in text


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_a_narrow_terminal_leaves_features_out_and_says_so(width: int) -> None:
    long = ROW | {"name": "A very long name of a fund that does not end" * 2}
    text = printed(report(long, ROW), width)
    table = text.splitlines()[:-1]
    missing = [label for label in ("StressVaR", "LTA", "Sharpe", "score") if label not in table[1]]
    assert all(label in text.splitlines()[-1] for label in missing)
    assert bool(missing) == (width < 100)
    if width >= 80:
        assert max(map(len, table)) <= width
    assert "2/9" in text and "(7/8)" in text


def test_nothing_is_left_out_where_nobody_looks() -> None:
    assert "no room" not in printed(report(ROW), 80, terminal=False)


def test_a_rule_that_selects_by_weight_counts_no_best() -> None:
    """Top 5 or least variance: the order says the rank, not "among the best 0"."""
    text = words(printed(report(ROW | {"why": "rank 2 of 8"}, n_selected=None), 140))
    assert "comes in: rank 2 of 8" in text and "among the best" not in text
    assert followed(report(n_selected=None, rule="least variance")) == "least variance"
    assert followed(report()) == "selects the best 4 by P(up) of logistic"
    assert followed(report(model=None)) == "selects all 4 eligible funds"


def test_fund_names_are_no_markup() -> None:
    assert "[bold]x" in printed(report(ROW | {"name": "[bold]x"}), 120)


def test_what_stays_is_true() -> None:
    assert "no eligible fund can be selected" in what_stays(report(n_selected=0))
    text = what_stays(report(unbought=("A", "B")))
    assert text == "selected and not bought, for lack of cash: A, B"
    many = tuple(f"F{k}" for k in range(8))
    assert what_stays(report(unbought=many)).endswith("F4 and 3 more")
    assert what_stays(report()) == "nothing to trade: what is held is what is selected"
    assert what_stays(report(ROW)) == ""
    assert what_stays(report(ROW, n_selected=None)) == ""
    assert what_stays(report(n_selected=None)) == "nothing to trade: what is held stays as it is"


def test_selected_funds_without_aum_are_told_apart() -> None:
    blind = report(ROW | {"reason": "exit"}, without_aum=("F1",))
    assert "goes out: selected, but without AUM" in words(printed(blind, 140))
    assert what_stays(blind) == "selected but without AUM, so without weight: F1"
    text = what_stays(report(without_aum=("A",), unbought=("B",)))
    assert text.endswith("A\nselected and not bought, for lack of cash: B")
    nobody = report(n_selected=1, without_aum=("A",))
    assert what_stays(nobody).endswith("no selected fund has AUM: what is held stays as it is")
