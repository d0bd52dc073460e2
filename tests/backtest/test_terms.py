import dataclasses
import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finembed_core.backtest.queue import Queue
from finembed_core.backtest.run import backtest
from finembed_core.backtest.terms import FREQUENCIES, DealingTerms, dealing_terms
from finembed_core.calendar import DecisionCalendar, Month
from finembed_core.errors import InputError
from finembed_core.portfolio.orders import Costs
from finembed_core.settings import BacktestSettings, Settings
from finembed_core.store import PartStore
from tests.backtest.fake_store import MODELS, TERMS, story, write_story

SETTINGS = Settings.model_validate(
    {"dataset": {"name": "story"}, "portfolio": {"models": list(MODELS)}}
)


def funds(**columns: list) -> pl.DataFrame:
    n = len(next(iter(columns.values())))
    whole = {name: columns.get(name, [None] * n) for name in TERMS}
    ids = {"fund_id": [f"F{k}" for k in range(n)]}
    return pl.DataFrame(ids | whole, schema={"fund_id": pl.String, **TERMS})


def test_terms_of_the_table() -> None:
    table = funds(
        notice_days=[30, None, None],
        lockup_months=[12, None, 0],
        redemption_frequency=[" Quarterly", None, "Semi-Annual"],
        gate=[0.25, None, None],
    )
    own = BacktestSettings.model_validate(
        {"cost_bps": 10, "slippage_bps": 5, "redemption_fee_bps": 50, "payment_delay_months": 2}
    )
    terms, stating = dealing_terms(table, ("F0", "F1", "F2", "F9"), own)
    assert stating == 2
    assert terms.redemption_every.tolist() == [3, 1, 6, 1]
    assert terms.notice_days.tolist() == [30, 0, 0, 0]
    assert terms.lockup_months.tolist() == [12, 0, 0, 0]
    assert terms.gate.tolist() == [0.25, 1, 1, 1]
    assert terms.payment_months.tolist() == [2] * 4
    assert terms.waits.tolist() == [True, False, True, False]
    assert terms.buy_cost == pytest.approx([0.0015] * 4)
    assert terms.sell_cost == pytest.approx([0.0065] * 4)
    assert not terms.ordinary


def test_defaults_of_the_settings_hold_where_the_table_is_silent() -> None:
    dealing = {"redemption_every": 12, "subscription_every": 3, "notice_days": 90, "gate": 0.5}
    own = BacktestSettings.model_validate({"dealing": {**dealing, "lockup_months": 6}})
    terms, stating = dealing_terms(funds(notice_days=[None, 0]), ("F0", "F1"), own)
    assert stating == 1
    assert terms.redemption_every.tolist() == [12, 12]
    assert terms.subscription_every.tolist() == [3, 3]
    assert terms.notice_days.tolist() == [90, 0]
    assert (terms.lockup_months.tolist(), terms.gate.tolist()) == ([6, 6], [0.5, 0.5])
    assert terms.waits.all()


def test_without_terms_everything_is_ordinary() -> None:
    terms, stating = dealing_terms(funds(gate=[None]), ("F0",), BacktestSettings())
    assert terms.ordinary and stating == 0
    empty, _ = dealing_terms(funds(gate=[None]), (), BacktestSettings())
    assert empty.ordinary and len(empty.gate) == 0


def test_a_strange_frequency_names_the_fund_and_what_is_allowed() -> None:
    table = funds(redemption_frequency=["monthly", "when the moon is full", "never"])
    with pytest.raises(InputError, match="'when the moon is full'") as caught:
        dealing_terms(table, ("F0", "F1", "F2"), BacktestSettings())
    assert "F1, and 1 others" in str(caught.value)
    assert all(word in str(caught.value) for word in FREQUENCIES)


def test_a_gate_of_nothing_is_an_error() -> None:
    with pytest.raises(InputError, match="a gate of 0 ") as caught:
        dealing_terms(funds(gate=[0.5, 0.0]), ("F0", "F1"), BacktestSettings())
    assert "fund F1" in str(caught.value)


@given(st.integers(0, 900), st.sampled_from([1, 3, 6, 12]))
def test_next_dealing_counts_from_january(ordinal: int, every: int) -> None:
    month = Month(ordinal)
    while month.end.month % every:
        month = month + 1
    assert DecisionCalendar().next_dealing(np.array([ordinal]), np.array([every])).tolist() == [
        month.ordinal
    ]


@given(st.dates(dt.date(1990, 1, 1), dt.date(2040, 1, 1)), st.integers(0, 400))
def test_first_month_after_the_notice(day: dt.date, notice: int) -> None:
    (month,) = DecisionCalendar().first_after(day, np.array([notice])).tolist()
    assert Month(month).end >= day + dt.timedelta(days=notice) > (Month(month) - 1).end


def test_select_reorders() -> None:
    terms = dataclasses.replace(DealingTerms.none(3), gate=np.array([0.1, 0.2, 0.3]))
    assert terms.select(np.array([2, 0])).gate.tolist() == [0.3, 0.1]


def test_queue_gives_to_the_oldest_and_takes_from_the_newest() -> None:
    queue = Queue.empty().add(np.array([1, 4]), 10, np.array([12, 12]), np.array([5.0, 1.0]))
    queue = queue.add(np.array([0, 1]), 11, np.array([13, 13]), np.array([2.0, 4.0]))
    assert queue.fund.tolist() == [0, 1, 1, 4] and queue.decided.tolist() == [11, 10, 11, 10]
    assert queue.totals(6).tolist() == [2, 9, 0, 0, 1, 0]
    limits = np.array([1.0, 6.0, 0.0, 0.0, 7.0, 0.0])
    everyone = np.ones(4, dtype=bool)
    assert queue.fill(limits, everyone).tolist() == [1, 5, 1, 1]
    assert queue.fill(limits, everyone, oldest=False).tolist() == [1, 2, 4, 1]
    assert queue.fill(limits, queue.due < 13).tolist() == [0, 5, 0, 1]
    left = queue.withdraw(np.array([0.0, 3.0, 0, 0, 2.0, 0]), 1e-12)
    assert left.fund.tolist() == [1, 4] and left.amount.tolist() == [3, 1]
    grown = queue.grow(np.array([-1.0, 0.5, 0, 0, np.nan, 0]))
    assert grown.fund.tolist() == [1, 1, 4] and grown.amount.tolist() == [7.5, 6, 1]


def test_costs() -> None:
    sides = Costs.of_bps(10, 5, 50)
    assert sides.uniform is None and Costs.of_bps(10, 5, 0).uniform == 0.0015
    assert sides.of(np.array([1000.0, -1000.0, 0.0])) == pytest.approx([1.5, 6.5, 0.0])


def told(store: PartStore, terms: dict, settings: Settings = SETTINGS, lag: int = 0):
    what = dataclasses.replace(story(months=24, lag=lag), terms=terms)
    report = backtest(write_story(store, what), settings, what.last)
    tables = ("trades", "returns", "holdings", "target_weights")
    return report, {table: store.read(table, report.run_id) for table in tables}


ON_TERMS = {
    "notice_days": [30, None, 65, None, 0, None, 30, None],
    "redemption_frequency": ["quarterly", None, "monthly", "annual", None, None, None, None],
    "lockup_months": [None, None, 6, None, None, None, 3, None],
    "gate": [None, None, None, None, 0.3, None, None, None],
}


@pytest.mark.parametrize("lag", [0, 15])
def test_a_run_on_terms(store: PartStore, lag: int) -> None:
    profile = "hedge_funds" if lag else "liquid"
    settings = Settings.model_validate(
        {
            **SETTINGS.study,
            "dataset": {"name": "story", "profile": profile},
            "backtest": {"payment_delay_months": 2, "redemption_fee_bps": 25},
        }
    )
    report, frames = told(store, ON_TERMS, settings, lag)
    text = "5 of 8 funds state dealing terms, and orders in them wait for their dates, the other 3"
    assert any(line.startswith(text) for line in report.warnings)
    trades = frames["trades"]
    key = ["strategy", "decision", "dealing", "fund_id", "side", "reason", "status"]
    assert not trades.select(pl.struct(key).is_duplicated().any()).item()
    assert {"notice", "frequency", "gate", "lockup"} <= set(trades["blocked_by"].unique())
    assert (trades["dealing"] >= trades["decision"]).all()
    executed = trades.filter(pl.col("status") == "executed")
    ordered = executed.filter(~pl.col("reason").str.starts_with("dead") & (pl.col("cost") > 0))
    assert (ordered["dealing"] > ordered["decision"]).any()  # out of the queue
    waits = (pl.col("settle").dt.month() - pl.col("dealing").dt.month()) % 12
    delay = ordered.group_by("side").agg(waits.unique())
    assert dict(delay.iter_rows()) == {"buy": [0], "sell": [2]}
    pending = trades.filter(pl.col("status") == "pending")
    assert pending["amount"].null_count() == pending.height and pending["weight"].min() > 0
    last = story(months=24).last.end  # what deals then opens a month that is not earned
    opened = ordered.filter(pl.col("dealing") < last)
    paid = opened.group_by("strategy").agg(pl.col("cost").sum()).sort("strategy")
    charged = (
        frames["returns"]
        .sort("strategy", "date")
        .with_columns(opening=pl.col("nav").shift(1, fill_value=1.0).over("strategy"))
        .group_by("strategy")
        .agg((pl.col("cost") * pl.col("opening")).sum())
        .filter(pl.col("cost") > 0)
        .sort("strategy")
    )
    assert charged["strategy"].to_list() == paid["strategy"].to_list()
    assert charged["cost"].to_numpy() == pytest.approx(paid["cost"].to_numpy(), rel=1e-9)
    assert (trades["dealing"] > last).any()  # what is due later is among the pending orders


def test_a_run_whose_terms_are_ordinary_is_that_without(tmp_path) -> None:
    stated = {"notice_days": [None] * 8, "redemption_frequency": [None] * 8}
    one, two = PartStore(tmp_path / "one"), PartStore(tmp_path / "two")
    (left, _), (right, _) = told(one, {}), told(two, stated)
    assert left.run_id == right.run_id
    assert not [line for line in left.warnings if "terms" in line]


def test_an_order_that_waits_is_explained_by_the_run_of_its_month(store: PartStore) -> None:
    """Every waiting order is dealt later, withdrawn, or still open: none deals before its date."""
    _, frames = told(store, ON_TERMS)
    trades = frames["trades"].filter(pl.col("blocked_by").is_in(["notice", "frequency"]))
    done = frames["trades"].filter(pl.col("status") == "executed")
    both = trades.join(done, on=["strategy", "decision", "fund_id", "side"])
    assert both.height > 0
    assert (both["dealing_right"] >= both["dealing"]).all()
