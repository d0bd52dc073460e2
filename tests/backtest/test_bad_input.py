"""What cannot be: a clear message, or a policy that the run records and shows."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from finembed_core.backtest.rebalance import rebalance
from finembed_core.backtest.run import backtest
from finembed_core.errors import InputError
from finembed_core.settings import Settings
from finembed_core.store import PartStore
from tests.backtest.fake_store import MODELS, Story, story, write_story
from tests.backtest.test_run import SETTINGS

HELD = pl.DataFrame({"fund_id": ["F00", "cash"], "value": [100.0, 20.0]})
WHOLE = Settings.model_validate(
    {
        **SETTINGS.study,
        "portfolio": {**SETTINGS.study["portfolio"], "strategies": None, "window_months": 12},
        "backtest": {"short_selling": True, "sensitivities": {"enabled": False}},
    }
)


def changed(**portfolio: object) -> Settings:
    own = WHOLE.study["portfolio"] | portfolio
    return Settings.model_validate({**WHOLE.study, "portfolio": own})


def decided_from(what: Story, month: int) -> Story:
    """The same story where no model predicts anything before a month."""
    late = np.arange(len(what.months))[:, None] >= month
    chances = {model: np.where(late, own, np.nan) for model, own in what.p_up.items()}
    return dataclasses.replace(what, p_up=chances)


@pytest.mark.parametrize(
    ("strategy", "why"),
    [("long_short_logistic", "sold short"), ("all_weather", "names no fund for stocks")],
)
def test_holdings_of_funds_cannot_follow_every_strategy(
    store: PartStore, strategy: str, why: str
) -> None:
    what = story()
    write_story(store, what)
    with pytest.raises(InputError, match=why):
        rebalance(store, WHOLE, what.last, HELD, strategy)


def test_a_tilt_of_a_portfolio_that_is_not_named_is_absent(store: PartStore) -> None:
    what = story()
    write_story(store, what)
    report = backtest(store, changed(strategies=["tilt"], tilt={"base": "all_weather"}), what.last)
    assert set(report.strategies["status"]) == {"absent"}
    assert report.strategies["reason"].str.contains("names no fund for stocks").all()


def test_a_cost_that_leverage_cannot_pay_is_no_result(store: PartStore) -> None:
    """Ten times the NAV dealt at 1,000 basis points is all of it."""
    what = story()
    write_story(store, what)
    own = changed(strategies=["long_short", "equal_weight_universe"], gross_leverage=10)
    varied = {"cost_bps": 10, "sensitivities": {"cost_bps": [10, 1000], "terminal_return": []}}
    own = Settings.model_validate({**own.study, "backtest": {"short_selling": True, **varied}})
    report = backtest(store, own, what.last)
    rows = store.read("sensitivities", report.run_id).filter(strategy="long_short_logistic")
    dear = rows.filter(dimension="cost_bps", value="1000")
    assert dear["result"].is_null().all() and dear.height == 3
    assert set(dear["note"]) == {"no portfolio of this leverage can pay it"}
    assert rows.filter(dimension="cost_bps", value="10")["result"].null_count() == 0
    least = rows.filter(dimension="breakeven_cost_bps")
    assert least["result"].is_null().all()
    assert set(least["note"]) == {"a return is not defined at some cost"}


@pytest.mark.parametrize(("month", "earned"), [(17, 0), (16, 1)])
def test_next_to_no_months_have_no_number_that_needs_more(
    store: PartStore, month: int, earned: int
) -> None:
    what = decided_from(story(), month)
    write_story(store, what)
    report = backtest(store, WHOLE, what.last)
    ran = report.strategies.filter(status="run")["strategy"]
    known = report.metrics.filter(pl.col("value").is_not_null())
    assert len(ran) > 15 and report.metrics["n"].max() == earned
    spread = ["volatility", "sharpe", "beta", "tracking_error", "skewness"]
    assert known.filter(pl.col("metric").is_in(spread)).is_empty()
    assert known["metric"].is_in(["annual_return"]).any() == (earned > 0)
    tests = store.read("significance", report.run_id)
    assert tests["p_value"].is_null().all() and tests["statistic"].is_null().all()
    assert tests["note"].str.contains("periods are too few|cannot be split").all()


def test_one_fund_is_a_portfolio(store: PartStore) -> None:
    """Strategies hold it, keep their cash where one fund says nothing, or say why not."""
    two = story(funds=3)
    one = dataclasses.replace(
        two,
        returns=two.returns[:, :1],
        p_up={model: own[:, :1] for model, own in two.p_up.items()},
        aum=None if two.aum is None else two.aum[:, :1],
    )
    write_story(store, one)
    report = backtest(store, WHOLE, one.last)
    held = store.read("returns", report.run_id).group_by("strategy").agg(pl.col("n_funds").max())
    kept = store.read("solver_log", report.run_id).filter(status="failed")
    idle = set(held.filter(pl.col("n_funds") == 0)["strategy"])
    leaning = {f"{rule}_{model}" for rule in ("long_only", "long_short") for model in MODELS}
    assert idle == {"gmv_factor", *leaning}  # nothing is above the average of one
    assert set(kept["strategy"]) == {"gmv_factor"} and (kept["note"] != "").all()
    assert any(said.startswith("gmv_factor kept its last weights") for said in report.warnings)


def test_nobody_may_be_bought(store: PartStore) -> None:
    """An empty universe leaves everything in cash, and the run says so of each strategy."""
    what = story()
    write_story(store, what)
    for month in what.months:
        universe = store.read("universe", str(month))
        closed = universe.with_columns(eligible=pl.lit(False), reason=pl.lit("closed"))
        store.write("universe", str(month), closed)
    report = backtest(store, SETTINGS, what.last)
    returns = store.read("returns", report.run_id).filter(
        ~pl.col("strategy").str.starts_with("index_")
    )
    assert returns["net"].to_numpy() == pytest.approx(returns["rf"].to_numpy(), abs=1e-15)
    assert (returns["cash"] == 1.0).all()
    for strategy in returns["strategy"].unique():
        told = f"{strategy} had nothing to decide on in 12 months and held on"
        assert told in report.warnings
    sharpe = report.metrics.filter(pl.col("metric") == "sharpe", pl.col("value").is_not_null())
    assert set(sharpe["strategy"]) <= {"index_MKT"}


def test_a_month_without_a_report_is_told_however_short(store: PartStore) -> None:
    """One fund misses one month while it is held: it stands at its last NAV, and that is said."""
    what = story(months=40)
    returns = np.where(np.isnan(what.returns), 0.01, what.returns)
    returns[20, 5] = np.nan
    p_up = {model: np.where(np.isnan(own), 0.3, own) for model, own in what.p_up.items()}
    late = np.arange(40)[:, None] >= 6
    p_up = {model: np.where(late, own, np.nan) for model, own in p_up.items()}
    what = dataclasses.replace(what, returns=returns, p_up=p_up)
    write_story(store, what)
    settings = changed(strategies=["equal_weight_universe"])
    report = backtest(store, settings, what.last)
    share = 1 / (33 * 8)
    told = f"up to {share:.2%} of the fund-months held, in equal_weight_universe"
    assert any(warning.endswith(told) for warning in report.warnings)
    nav = store.read("returns", report.run_id).filter(date=what.months[20].end)
    assert np.isfinite(nav["net"].item())
