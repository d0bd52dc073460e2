import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from finembed_core.backtest.rebalance import rebalance
from finembed_core.backtest.run import backtest
from finembed_core.errors import InputError, MissingPartError, SettingsError
from finembed_core.portfolio.reasons import FEATURES
from finembed_core.settings import Settings
from finembed_core.store import PartStore
from tests.backtest.fake_store import FIRST, story, write_story
from tests.backtest.test_run import SETTINGS

LAST = story().last


@pytest.fixture(scope="module")
def stood(tmp_path_factory) -> PartStore:
    """A store with a run and with features of the last two months."""
    told = story()
    store = write_story(PartStore(tmp_path_factory.mktemp("rebalance")), told)
    for month in (LAST - 1, LAST):
        values = {name: [float(month.ordinal)] * len(told.ids) for name in FEATURES}
        frame = pl.DataFrame({"fund_id": told.ids, **values, "svar_factor": ["MKT"] * 8})
        store.write("polymodel_features", str(month), frame)
    backtest(store, SETTINGS, LAST)
    return store


def holdings(**values: float) -> pl.DataFrame:
    return pl.DataFrame({"fund_id": list(values), "value": list(values.values())})


def test_the_runs_own_orders(stood: PartStore) -> None:
    report = rebalance(stood, SETTINGS, LAST)
    assert report.strategy == "sa_logistic" and report.model == "logistic"
    assert report.decision_day == report.dealing_date == LAST.end
    run = stood.read("trades", str(report.run_id)).filter(
        (pl.col("strategy") == "sa_logistic") & (pl.col("decision") == LAST.end)
    )
    assert set(report.orders["fund_id"]) == set(run["fund_id"])
    assert set(report.orders["status"]) == {"pending"}
    assert report.orders["side"].to_list() == sorted(report.orders["side"], reverse=True)


def test_a_redemption_is_announced_its_notice_before_it_deals(stood: PartStore) -> None:
    funds = stood.read("funds", "all")
    try:
        stood.write("funds", "all", funds.with_columns(notice_days=pl.lit(45, dtype=pl.Int64)))
        for mine in (None, holdings(**{f"F0{k}": 30.0 for k in range(8)})):
            report = rebalance(stood, SETTINGS, LAST, mine)
            sold = report.orders.filter(side="sell")
            assert set((sold["dealing"] - sold["notice"]).dt.total_days()) == {45}
            due = report.dealing_date if mine is None else (LAST + 2).end
            assert set(sold["dealing"]) == {due}
            assert report.orders.filter(side="buy")["notice"].is_null().all()
    finally:
        stood.write("funds", "all", funds)


def test_every_order_is_explained(stood: PartStore) -> None:
    orders = rebalance(stood, SETTINGS, LAST).orders
    told = story()
    chances = told.p_up["logistic"]
    for row in orders.iter_rows(named=True):
        fund = told.ids.index(row["fund_id"])
        assert row["p_up"] == pytest.approx(chances[-1, fund])
        assert row["p_up_before"] == pytest.approx(chances[-2, fund])
        assert row["n_ranked"] == 7 and row["name"] == f"Fund {row['fund_id']}"
        better = np.sum(chances[-1] > chances[-1, fund])
        assert row["rank"] == better + 1
        assert row["why"] == f"rank {row['rank']} of 7, {row['rank_before']} before"
        assert (row["rank"] <= 4) == (row["side"] == "buy")
        assert (row["svar"], row["svar_before"]) == (LAST.ordinal, LAST.ordinal - 1)


def test_own_holdings(stood: PartStore) -> None:
    known = story().p_up["logistic"][-1]
    best, worst = f"F{np.nanargmax(known):02d}", f"F{np.nanargmin(known):02d}"
    mine = holdings(**{best: 500.0, worst: 300.0, "F01": 100.0, "cash": 100.0})
    report = rebalance(stood, SETTINGS, LAST, mine)
    orders = {row["fund_id"]: row for row in report.orders.iter_rows(named=True)}
    assert report.run_id is None
    assert best not in orders  # kept as it is
    assert orders[worst]["amount"] == 300 and orders[worst]["reason"] == "exit"
    assert orders["F01"]["why"] == "not eligible: no_report"
    bought = [row for row in orders.values() if row["side"] == "buy"]
    cost = SETTINGS.backtest.cost_bps / 1e4
    pot = 100 + 400 * (1 - cost)
    assert len(bought) == 3  # four selected, one of them held
    assert [row["amount"] for row in bought] == pytest.approx([pot / 3 / (1 + cost)] * 3)
    assert [row["weight"] for row in bought] == pytest.approx([pot / 3 / (1 + cost) / 1000] * 3)


def test_what_is_selected_and_not_bought_is_told(stood: PartStore) -> None:
    known = story().p_up["logistic"][-1]
    ranked = [f"F{k:02d}" for k in np.argsort(-known, kind="stable") if not np.isnan(known[k])]
    best = ranked[:4]
    held = rebalance(stood, SETTINGS, LAST, holdings(**dict.fromkeys(best, 1.0)))
    assert held.orders.is_empty() and held.n_selected == 4 and held.unbought == ()
    poor = rebalance(stood, SETTINGS, LAST, holdings(**{best[0]: 1.0, best[1]: 1.0}))
    assert poor.orders.is_empty() and set(poor.unbought) == set(best[2:])
    rich = rebalance(stood, SETTINGS, LAST, holdings(**{best[0]: 1.0, "cash": 1.0}))
    assert rich.orders.height == 3 and rich.unbought == ()


def test_the_book_of_a_run_tells_it_too(stood: PartStore) -> None:
    report = rebalance(stood, SETTINGS, LAST)
    targets = stood.read("target_weights", str(report.run_id)).filter(
        (pl.col("strategy") == "sa_logistic") & (pl.col("decision") == LAST.end)
    )
    assert report.n_selected == 4
    assert not set(report.unbought) & set(targets["fund_id"])
    assert len(report.unbought) + targets.height == 4


def test_spaces_around_an_id_do_not_matter(stood: PartStore) -> None:
    mine = pl.DataFrame({"fund_id": [" F00", "F03 ", " Cash "], "value": [1.0, 1.0, 1.0]})
    plain = holdings(F00=1.0, F03=1.0, cash=1.0)
    spaced = rebalance(stood, SETTINGS, LAST, mine)
    assert spaced.orders.equals(rebalance(stood, SETTINGS, LAST, plain).orders)


def test_other_strategies(stood: PartStore) -> None:
    report = rebalance(stood, SETTINGS, LAST, holdings(cash=70.0), "equal_weight_universe")
    assert report.orders["amount"].to_list() == pytest.approx([10 / 1.0025] * 7)
    assert set(report.orders["why"]) == {"eligible, not ranked"}
    assert rebalance(stood, SETTINGS, LAST, strategy="wa_persistence").model == "persistence"


def test_an_earlier_month_of_the_run(stood: PartStore) -> None:
    report = rebalance(stood, SETTINGS, LAST - 3)
    assert set(report.orders["status"]) <= {"executed", "pending"}
    first = rebalance(stood, SETTINGS, FIRST + 6)  # nothing ranked before, no features yet
    assert first.orders["rank_before"].null_count() == first.orders.height
    assert first.orders["svar"].null_count() == first.orders.height
    assert first.orders["why"][0].endswith("not ranked before")
    assert first.dealing_date == dt.date(2001, 7, 31)


def test_a_run_with_other_settings_has_no_book_for_these(stood: PartStore) -> None:
    tree = SETTINGS.model_dump()
    tree["portfolio"]["selected_share"] = 0.2
    narrower = Settings.model_validate(tree)
    with pytest.raises(MissingPartError, match="no run with these settings") as caught:
        rebalance(stood, narrower, LAST)
    assert caught.value.where == "table runs: 1 with other settings"
    assert f"`finembed run --through {LAST}`" in str(caught.value.remedy)
    assert rebalance(stood, narrower, LAST, holdings(cash=1.0)).n_selected == 2


def test_selected_funds_without_aum_count_and_are_named(store: PartStore) -> None:
    told = story()
    known = told.p_up["logistic"][-1]
    best, worst = f"F{np.nanargmax(known):02d}", f"F{np.nanargmin(known):02d}"
    aum = np.ones_like(told.p_up["logistic"])
    aum[:, told.ids.index(best)] = np.nan
    write_story(store, replace(told, aum=aum))
    report = rebalance(store, SETTINGS, LAST, holdings(cash=1.0), "wa_logistic")
    assert (report.n_selected, report.without_aum, report.unbought) == (4, (best,), ())
    assert report.orders.height == 3
    held = rebalance(store, SETTINGS, LAST, holdings(**{best: 1.0, worst: 1.0}), "wa_logistic")
    assert held.without_aum == (best,) and best in set(held.orders["fund_id"])
    assert rebalance(store, SETTINGS, LAST, holdings(cash=1.0)).without_aum == ()
    universe = rebalance(store, SETTINGS, LAST, holdings(cash=1.0), "aum_weight_universe")
    assert (universe.n_selected, universe.without_aum) == (7, (best,))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (pl.DataFrame({"fund": ["F00"]}), "no column fund_id, value"),
        (holdings(F00=-1.0), "negative"),
        (holdings(F00=float("nan")), "not a number"),
        (holdings(ZZ=1.0, F00=1.0), "not among the funds"),
        (holdings(cash=0.0), "worth nothing"),
        (pl.DataFrame({"fund_id": ["F00", "F00"], "value": [1.0, 2.0]}), "fund is listed twice"),
        (holdings(F00=1.0, Cash=1.0, cash=2.0), "cash is listed twice"),
    ],
)
def test_holdings_that_break_the_contract(
    stood: PartStore, bad: pl.DataFrame, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        rebalance(stood, SETTINGS, LAST, bad)


def test_strategies_that_give_no_orders_for_holdings(stood: PartStore) -> None:
    strategies = {"strategies": ["all_weather", "long_short", "tilt", "sa"]}
    tree = {**SETTINGS.study["portfolio"], **strategies, "tilt": {"base": "all_weather"}}
    wide = Settings.model_validate({**SETTINGS.study, "portfolio": tree})
    for name, reason in (
        ("all_weather", "names no fund for stocks"),
        ("tilt_logistic", "names no fund for stocks"),
        ("long_short_logistic", "funds cannot be sold short"),
    ):
        with pytest.raises(InputError, match=reason):
            rebalance(stood, wide, LAST, holdings(cash=1.0), name)


def test_months_and_strategies_that_are_not_there(stood: PartStore, store: PartStore) -> None:
    with pytest.raises(MissingPartError, match="2002-07 has not been decided") as caught:
        rebalance(stood, SETTINGS, LAST + 1)
    assert caught.value.where == "decided months: 2001-01 to 2002-06"
    assert "--through" not in str(caught.value.remedy)
    with pytest.raises(MissingPartError, match="no predictions of logistic for 2001-02") as caught:
        rebalance(stood, SETTINGS, FIRST + 1, holdings(cash=1.0))
    assert "2001-07 or a later month" in str(caught.value.remedy)
    assert rebalance(stood, SETTINGS, FIRST + 1, holdings(cash=1.0), "equal_weight_universe")
    with pytest.raises(MissingPartError, match="has not been decided") as caught:
        rebalance(store, SETTINGS, LAST)
    assert "no month" in str(caught.value.where)
    with pytest.raises(SettingsError, match="no strategy 'gmv'"):
        rebalance(stood, SETTINGS, LAST, strategy="gmv")
    write_story(store, story(months=8))
    with pytest.raises(MissingPartError, match="no run with these settings reaches 2001-08"):
        rebalance(store, SETTINGS, FIRST + 7)


TERMS = {"notice_days": 45, "gate": 0.25, "redemption_frequency": "quarterly"}


def test_own_holdings_deal_on_the_terms_of_their_funds(store: PartStore) -> None:
    """45 days after June 30, 2002 is August 14: a quarterly fund deals at the end of September."""
    told = story()
    chances = told.p_up["logistic"][-1]
    worst, free = (told.ids[k] for k in np.argsort(chances)[:2])  # NaN sorts last
    best = told.ids[int(np.nanargmax(chances))]
    nothing = [None] * len(told.ids)
    terms = {
        name: [value if fund == worst else None for fund in told.ids]
        for name, value in TERMS.items()
    }
    write_story(store, replace(told, terms=terms | {"lockup_months": nothing}))
    mine = holdings(**{worst: 400.0, free: 300.0, best: 200.0, "cash": 100.0})
    report = rebalance(store, SETTINGS, LAST, mine)
    assert LAST.end == dt.date(2002, 6, 30)
    assert "nothing is locked up" in report.assumed and "1 of 8 funds" in report.assumed
    rows = {row["fund_id"]: row for row in report.orders.iter_rows(named=True)}
    bound = rows[worst]
    assert (bound["dealing"], bound["settle"]) == (dt.date(2002, 9, 30), dt.date(2002, 9, 30))
    assert bound["notice"] == dt.date(2002, 8, 16)
    assert (bound["blocked_by"], bound["amount"], bound["reason"]) == ("notice", 400.0, "exit")
    assert bound["gated"] == pytest.approx(0.75)
    assert (rows[free]["blocked_by"], rows[free]["dealing"]) == ("", LAST.end)
    assert rows[free]["gated"] == 0.0
    spent = sum(row["amount"] for row in rows.values() if row["side"] == "buy")
    cash = 100.0 + 300.0 * (1 - 0.0025)  # what waits for its date pays for nothing yet
    assert spent * 1.0025 == pytest.approx(cash, rel=1e-12)


def test_a_gate_lets_a_part_out_at_once(store: PartStore) -> None:
    told = story()
    worst = told.ids[int(np.nanargmin(told.p_up["logistic"][-1]))]
    gates = [0.25 if fund == worst else None for fund in told.ids]
    write_story(store, replace(told, terms={"gate": gates}))
    (sold,) = (
        rebalance(store, SETTINGS, LAST, holdings(**{worst: 400.0}))
        .orders.filter(side="sell")
        .to_dicts()
    )
    assert (sold["amount"], sold["gated"], sold["blocked_by"]) == (400.0, 0.75, "gate")
    assert sold["dealing"] == LAST.end


def test_orders_of_earlier_decisions_that_wait_are_on_the_list(store: PartStore) -> None:
    told = story(months=16)
    up = told.p_up["logistic"].copy()
    up[6:13, 3], up[13:, 3] = 0.99, 0.01
    notice = [100 if k == 3 else None for k in range(8)]
    told = replace(told, p_up=told.p_up | {"logistic": up}, terms={"notice_days": notice})
    write_story(store, told)
    backtest(store, SETTINGS, told.last)
    orders = rebalance(store, SETTINGS, told.last).orders
    (waits,) = orders.filter(fund_id="F03").to_dicts()
    assert (waits["status"], waits["blocked_by"], waits["side"]) == ("waiting", "notice", "sell")
    assert waits["dealing"] > told.last.end and waits["rank"] == 7
    before = rebalance(store, SETTINGS, told.last - 1).orders
    assert "waiting" not in before["status"].to_list()
