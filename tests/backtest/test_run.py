import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from finembed_core.backtest.run import RUN_TABLES, backtest
from finembed_core.errors import MissingPartError, SettingsError
from finembed_core.settings import Settings
from finembed_core.store import PartStore
from tests.backtest.fake_store import FIRST, MODELS, Story, story, without_aum, write_story

PAPERS = ["sa", "wa", "equal_weight_universe", "aum_weight_universe", "index"]
SETTINGS = Settings.model_validate(
    {
        "dataset": {"name": "story"},
        "portfolio": {"models": list(MODELS), "strategies": PAPERS},
        "backtest": {"cost_bps": 25},
    }
)
LAG_15 = Settings.model_validate(
    {**SETTINGS.study, "dataset": {"name": "story", "profile": "hedge_funds"}}
)


def told(store: PartStore, what: Story, settings: Settings = SETTINGS, **update):
    write_story(store, what)
    report = backtest(store, settings, update.pop("through", what.last))
    frames = {table: store.read(table, report.run_id) for table in RUN_TABLES}
    return report, frames


def test_all_strategies_over_the_same_months(store: PartStore) -> None:
    solving = {**SETTINGS.study["portfolio"], "strategies": [*PAPERS, "gmv_oas"]}
    settings = Settings.model_validate(
        {**SETTINGS.study, "portfolio": solving | {"window_months": 12}}
    )
    report, frames = told(store, story(), settings)
    status = dict(frames["strategies"].select("strategy", "status").iter_rows())
    assert status == dict.fromkeys(
        [
            *("sa_logistic", "sa_persistence", "wa_logistic", "wa_persistence"),
            *("equal_weight_universe", "aum_weight_universe", "gmv_oas", "index_MKT"),
        ],
        "run",
    )
    spans = (
        frames["returns"]
        .group_by("strategy")
        .agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"))
    )
    assert spans["first"].unique().to_list() == [(FIRST + 7).end]  # decided in the seventh month
    assert spans["last"].unique().to_list() == [story().last.end]
    (run,) = frames["runs"].to_dicts()
    assert (run["first_month"], run["last_month"]) == ((FIRST + 7).end, story().last.end)
    assert run["status"] == "complete" and not run["simulated"]
    assert report.warnings == tuple(json.loads(run["warnings"]))
    for table, schema in RUN_TABLES.items():
        assert frames[table].columns == ["run_id", *schema]
        rows = {report.run_id} if table != "rolling" else set()  # 36 months have not passed
        assert set(frames[table]["run_id"]) == rows, table


def test_tables_obey_the_warehouse(store: PartStore) -> None:
    for delay in (0, 2):
        settings = SETTINGS.model_copy(
            update={
                "backtest": SETTINGS.backtest.model_copy(update={"proceeds_delay_months": delay})
            }
        )
        _, frames = told(store, story(), settings)
        returns, holdings = frames["returns"], frames["holdings"]
        assert (returns["net"] - returns["gross"] + returns["cost"]).abs().max() < 1e-12
        weights = holdings.group_by("strategy", "date").agg(pl.col("weight").sum())
        whole = returns.join(weights, on=["strategy", "date"], how="left").select(
            pl.col("weight").fill_null(0) + pl.col("cash") + pl.col("receivables")
        )
        assert (whole.to_series() - 1).abs().max() < 1e-12
        targets = (
            frames["target_weights"].group_by("strategy", "decision").agg(pl.col("weight").sum())
        )
        assert targets["weight"].max() < 1 + 1e-12
        trades = frames["trades"]
        assert set(trades["status"].unique()) == {"executed", "pending"}
        key = ["strategy", "decision", "fund_id", "side", "status"]
        assert not trades.select(pl.struct(key).is_duplicated().any()).item()
        assert (trades["dealing"] >= trades["decision"]).all()
        newest = trades.filter((pl.col("status") == "pending") & (pl.col("blocked_by") == ""))
        assert newest["decision"].unique().to_list() == [story().last.end]
        assert newest["amount"].null_count() == newest.height


def test_costs_in_the_returns_are_those_of_the_trades(store: PartStore) -> None:
    _, frames = told(store, story())
    paid = frames["trades"].group_by("strategy").agg(pl.col("cost").sum()).sort("strategy")
    charged = (
        frames["returns"]
        .sort("strategy", "date")
        .with_columns(opening=pl.col("nav").shift(1, fill_value=1.0).over("strategy"))
        .group_by("strategy")
        .agg((pl.col("cost") * pl.col("opening")).sum())
        .sort("strategy")
    )
    assert charged["cost"].to_numpy() == pytest.approx(paid["cost"].to_numpy(), rel=1e-12)
    index = charged.filter(pl.col("strategy") == "index_MKT")
    assert index["cost"].item() == 0


def test_the_first_purchase_is_no_turnover_whenever_it_is(store: PartStore) -> None:
    """Least variance waits five months for its window; what it then buys is its first purchase."""
    portfolio = {"strategies": ["gmv_oas"], "window_months": 12}
    settings = Settings.model_validate({**SETTINGS.study, "portfolio": portfolio})
    _, frames = told(store, story(), settings)
    traded = frames["returns"]["turnover"].to_numpy()
    (first, *_) = np.flatnonzero(traded)
    assert first == 5 and traded[first] == pytest.approx(0.5, abs=0.01)
    found = frames["metrics"].filter(metric="turnover")
    assert found["value"].item() == pytest.approx(12 * traded[first + 1 :].mean())
    assert found["n"].item() == len(traded) - first - 1


def test_the_index_earns_the_index(store: PartStore) -> None:
    what = story()
    _, frames = told(store, what)
    index = frames["returns"].filter(pl.col("strategy") == "index_MKT")
    assert what.benchmark is not None
    assert index["net"].to_numpy() == pytest.approx(what.benchmark[7:], abs=1e-15)
    assert index["benchmark"].to_numpy() == pytest.approx(what.benchmark[7:])
    own = dict(
        frames["metrics"]
        .filter(pl.col("strategy") == "index_MKT")
        .select("metric", "value")
        .iter_rows()
    )
    assert own["beta"] == pytest.approx(1) and own["alpha"] == pytest.approx(0, abs=1e-15)
    assert own["turnover"] == 0


def test_equal_weight_of_the_universe_without_costs_is_the_mean(store: PartStore) -> None:
    what = story(funds=5)
    whole = dataclasses.replace(what, returns=np.nan_to_num(what.returns))
    free = SETTINGS.model_copy(
        update={"backtest": SETTINGS.backtest.model_copy(update={"cost_bps": 0.0})}
    )
    _, frames = told(store, whole, free)
    equal = frames["returns"].filter(pl.col("strategy") == "equal_weight_universe")
    assert equal["net"].to_numpy() == pytest.approx(whole.returns[7:].mean(axis=1), rel=1e-9)


def test_lag_15_earns_a_month_later(store: PartStore) -> None:
    _, frames = told(store, story(lag=15), LAG_15)
    assert frames["returns"]["date"].min() == (FIRST + 8).end
    pending = frames["trades"].filter(
        (pl.col("status") == "pending") & (pl.col("blocked_by") == "")
    )
    assert pending["dealing"].unique().to_list() == [(story().last + 1).end]
    assert frames["target_weights"]["as_of"].max().day == 15


def test_a_silent_fund_is_held_until_its_death_is_known(store: PartStore) -> None:
    """F01 last reports in month 9; three months without a report make it dead in month 12."""
    what = story()
    up = {model: chances.copy() for model, chances in what.p_up.items()}
    up["logistic"][6:10, 1] = 0.99  # selected as long as it reports
    _, frames = told(store, dataclasses.replace(what, p_up=up))
    mine = frames["trades"].filter(
        (pl.col("strategy") == "sa_logistic") & (pl.col("fund_id") == "F01")
    )
    stuck = mine.filter(pl.col("blocked_by") == "no_nav")
    assert stuck["decision"].to_list() == [(FIRST + 10).end, (FIRST + 11).end]
    (end,) = mine.filter(pl.col("reason").str.starts_with("dead")).to_dicts()
    assert end["reason"] == "dead: stopped_reporting"
    assert end["dealing"] == end["settle"] == (FIRST + 12).end
    held = frames["holdings"].filter(
        (pl.col("strategy") == "sa_logistic") & (pl.col("fund_id") == "F01")
    )
    assert held["date"].max() == (FIRST + 11).end
    assert end["amount"] == pytest.approx(0.8 * held["value"][-1])


def test_absent_with_a_reason(store: PartStore) -> None:
    three = Settings.model_validate(
        {
            **SETTINGS.study,
            "portfolio": {"models": [*MODELS, "lightgbm"], "strategies": PAPERS},
        }
    )
    late = story().benchmark
    assert late is not None
    late[:10] = np.nan
    report, frames = told(store, dataclasses.replace(without_aum(story()), benchmark=late), three)
    reasons = dict(
        frames["strategies"].filter(pl.col("status") == "absent")["strategy", "reason"].iter_rows()
    )
    assert reasons["wa_logistic"] == reasons["aum_weight_universe"] == "no fund reports AUM"
    assert reasons["sa_lightgbm"] == "model lightgbm has made no predictions"
    assert reasons["index_MKT"].startswith("the series has 8 of 11 months, 2001-11")
    ran = set(frames["strategies"].filter(pl.col("status") == "run")["strategy"])
    assert ran == {"sa_logistic", "sa_persistence", "equal_weight_universe"}
    assert set(frames["returns"]["strategy"]) == ran
    text = "absent: wa_logistic, wa_persistence, aum_weight_universe: no fund reports AUM"
    assert text in report.warnings
    relative = frames["metrics"].filter(pl.col("metric") == "tracking_error")
    assert relative["n"].unique().to_list() == [8]  # the months that the benchmark covers


def test_several_currencies_leave_no_weights_by_aum(store: PartStore) -> None:
    mixed = dataclasses.replace(story(), currencies=("USD", "EUR", *("USD",) * 6))
    _, frames = told(store, mixed)
    reasons = set(frames["strategies"].filter(pl.col("status") == "absent")["reason"])
    assert reasons == {"AUM is in several currencies: EUR, USD"}


def test_warnings_without_rate_and_benchmark(store: PartStore) -> None:
    bare = dataclasses.replace(story(), benchmark=None, yields=None)
    report, frames = told(store, bare)
    assert "no risk-free series: 0 is assumed" in report.warnings
    assert any("no benchmark" in text for text in report.warnings)
    assert frames["returns"]["benchmark"].null_count() == frames["returns"].height
    beta = frames["metrics"].filter(pl.col("metric") == "beta")
    assert beta["value"].null_count() == beta.height


def test_without_predictions_everything_is_absent(store: PartStore) -> None:
    what = story()
    none = {model: np.full_like(p, np.nan) for model, p in what.p_up.items()}
    report, frames = told(store, dataclasses.replace(what, p_up=none))
    assert set(frames["strategies"]["status"]) == {"absent"}
    assert frames["returns"].is_empty() and frames["model_scores"].is_empty()
    assert "no month has predictions: nothing was simulated" in report.warnings


def test_the_first_month_with_predictions_has_orders_and_no_returns(store: PartStore) -> None:
    _, frames = told(store, story(months=7))
    assert frames["returns"].is_empty()
    assert set(frames["trades"]["status"]) == {"pending"}
    assert frames["metrics"]["n"].unique().to_list() == [0]


def test_runs_are_made_once(store: PartStore) -> None:
    report, frames = told(store, story())
    stamps = {table: store.committed_at(table, report.run_id) for table in RUN_TABLES}
    again = backtest(store, SETTINGS, story().last)
    assert again.skipped and again.run_id == report.run_id
    assert again.strategies.equals(frames["strategies"])
    assert stamps == {table: store.committed_at(table, report.run_id) for table in RUN_TABLES}
    cheaper = Settings.model_validate({**SETTINGS.study, "backtest": {"cost_bps": 5}})
    assert backtest(store, cheaper, story().last).run_id != report.run_id
    assert len(store.keys("runs")) == 2  # both stand


def test_same_bytes_in_another_store(store: PartStore, tmp_path) -> None:
    report, _ = told(store, story())
    other = write_story(PartStore(tmp_path / "other"), story())
    assert backtest(other, SETTINGS, story().last).run_id == report.run_id
    for table in RUN_TABLES:
        one, two = (s.manifest(table, report.run_id) for s in (store, other))
        assert one == two


def test_months_beyond_the_last_do_not_matter(store: PartStore, tmp_path) -> None:
    """Also not the funds that are born in them."""
    long = story(months=20, funds=9)
    returns = long.returns.copy()
    returns[:18, 8] = np.nan
    long = dataclasses.replace(long, returns=returns)
    first = {model: p[:18] for model, p in long.p_up.items()}
    assert long.aum is not None and long.benchmark is not None and long.yields is not None
    short = Story(returns[:18], first, long.aum[:18], long.benchmark[:18], long.yields[:18])
    whole, part = write_story(store, long), write_story(PartStore(tmp_path / "part"), short)
    one, two = (backtest(s, SETTINGS, short.last) for s in (whole, part))
    assert one.run_id == two.run_id
    for table in RUN_TABLES:
        assert whole.manifest(table, one.run_id) == part.manifest(table, one.run_id), table


def test_a_run_that_was_cut_off_is_made_again(store: PartStore) -> None:
    report, _ = told(store, story())
    store.delete("trades", report.run_id)
    assert not backtest(store, SETTINGS, story().last).skipped
    assert store.manifest("trades", report.run_id) is not None


def test_a_missing_month_is_named(store: PartStore) -> None:
    write_story(store, story())
    store.delete("universe", "2001-09")
    with pytest.raises(MissingPartError, match="universe has no part 2001-09"):
        backtest(store, SETTINGS, story().last)


def test_nothing_predicted_yet(store: PartStore) -> None:
    with pytest.raises(MissingPartError, match="no predictions up to 2001-05"):
        backtest(store, SETTINGS, FIRST + 4)


def test_a_benchmark_that_is_none(store: PartStore) -> None:
    write_story(store, story())
    wrong = Settings.model_validate({**SETTINGS.study, "backtest": {"benchmark": "SPX"}})
    with pytest.raises(SettingsError, match="'SPX'"):
        backtest(store, wrong, story().last)


def test_a_fund_found_to_be_a_duplicate_is_still_worth_what_it_paid(tmp_path: Path) -> None:
    """Its returns leave learning, not the ledger: they are earned, and the fund can be sold."""
    what = story()
    plain = write_story(PartStore(tmp_path / "plain"), what)
    found_out = write_story(PartStore(tmp_path / "found out"), what)
    fund, begin = what.ids[1], what.months[9].end
    asides: list[pl.DataFrame] = []
    twin = (pl.col("fund_id") == fund) & (pl.col("date") >= begin)
    for key in found_out.keys("fund_observations"):
        rows = found_out.read("fund_observations", key)
        asides.append(rows.filter(twin).drop_nulls("ret"))
        without = rows.with_columns(ret=pl.when(~twin).then("ret"))
        found_out.write("fund_observations", key, without)
    aside = pl.concat(asides).select(
        id="fund_id",
        date="date",
        value="ret",
        table=pl.lit("fund_observations"),
        rule=pl.lit("duplicate_fund"),
        known_at="available_at",
    )
    found_out.write("quarantine", "all", aside)
    frames = []
    for store in (plain, found_out):
        run_id = backtest(store, SETTINGS, what.last).run_id
        frames.append([store.read(t, run_id).drop("run_id") for t in ("returns", "trades")])
    assert aside.height > 0
    assert all(one.equals(two) for one, two in zip(*frames, strict=True))


def test_orders_that_wait_are_listed_again_with_the_newest_decision(store: PartStore) -> None:
    """F03 is sold in month 14 with 100 days of notice and deals after the last decision."""
    what = story(months=16)
    up = what.p_up["logistic"].copy()
    up[6:13, 3], up[13:, 3] = 0.99, 0.01
    notice = [100 if k == 3 else None for k in range(8)]
    what = dataclasses.replace(
        what, p_up=what.p_up | {"logistic": up}, terms={"notice_days": notice}
    )
    _, frames = told(store, what)
    mine = frames["trades"].filter(strategy="sa_logistic", fund_id="F03")
    (again,) = mine.filter(status="waiting").to_dicts()
    (said,) = (
        mine.filter(pl.col("side") == "sell", pl.col("blocked_by") == "notice")
        .filter(status="pending")
        .to_dicts()
    )
    assert (again["decision"], again["dealing"]) == (said["decision"], said["dealing"])
    assert again["decision"] == (FIRST + 13).end and again["dealing"] > what.last.end
    assert (again["blocked_by"], again["reason"]) == ("notice", "exit")
    assert again["amount"] is None and 0 < again["weight"] < 1
    up[14:, 3] = 0.99  # selected again before its date: nothing waits any more
    other = dataclasses.replace(what, p_up=what.p_up | {"logistic": up})
    _, frames = told(store, other)
    mine = frames["trades"].filter(strategy="sa_logistic", fund_id="F03")
    assert mine.filter(status="waiting").is_empty()
