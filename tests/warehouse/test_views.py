import datetime as dt

import numpy as np
import polars as pl
import pytest

from finembed_core.portfolio.orders import Signals
from finembed_core.portfolio.policies.selection import ranking
from finembed_core.settings import Settings
from finembed_core.warehouse.publish import publish
from finembed_core.warehouse.query import query
from tests.warehouse.fake_run import FIRST, LAST, STRATEGIES, write_run


@pytest.fixture(scope="module")
def path(template):
    return template / "warehouse.duckdb"


def test_leaderboard_ranks_by_sharpe_and_names_the_absent(path):
    board = query(path, "SELECT * FROM leaderboard")
    assert board["rank"].to_list() == [1, 2, 3, None]
    assert board["sharpe"].drop_nulls().is_sorted(descending=True)
    assert set(board["strategy"][:3]) == set(STRATEGIES)
    absent = board.row(3, named=True)
    assert (absent["strategy"], absent["status"], absent["reason"]) == (
        "wa_logistic",
        "absent",
        "no fund has AUM",
    )
    assert board["months"].to_list() == [12, 12, 12, None]


def test_excess_return_is_the_difference_of_compounded_returns(path, template):
    rows = query(path, "SELECT * FROM returns WHERE strategy = 'sa_logistic'")
    expected = np.prod(1 + rows["net"].to_numpy()) - np.prod(1 + rows["benchmark"].to_numpy())
    sql = "SELECT excess_return FROM leaderboard WHERE strategy = 'sa_logistic'"
    assert query(path, sql).item() == pytest.approx(expected, abs=1e-12)


def test_a_benchmark_with_a_gap_gives_no_excess_return(store, home):
    path = home / "warehouse.duckdb"
    gap = pl.when(pl.col("date") != FIRST.end).then("benchmark")
    store.write("returns", "a" * 16, store.read("returns", "a" * 16).with_columns(benchmark=gap))
    publish(store, path, Settings())
    assert query(path, "SELECT excess_return FROM leaderboard")["excess_return"].null_count() == 4


def test_latest_rebalance_explains_the_orders_of_the_last_decision(path):
    orders = query(path, "SELECT * FROM latest_rebalance WHERE status <> 'waiting'")
    assert orders["decision"].unique().to_list() == [LAST.end]
    assert orders["side"].to_list() == ["sell", "buy"]
    chances = query(path, "SELECT * FROM ranked_predictions WHERE model = 'logistic' AND eligible")
    for order in orders.iter_rows(named=True):
        for month, chance, rank in (
            (LAST, order["p_up"], order["rank"]),
            (LAST - 1, order["p_up_before"], order["rank_before"]),
        ):
            own = chances.filter(pl.col("month") == month.end)
            assert chance == own.filter(pl.col("fund_id") == order["fund_id"])["p_up"].item()
            assert rank == 1 + own.filter(pl.col("p_up") > chance).height
    assert orders["n_ranked"].to_list() == [5, 5]
    assert orders["blocked_by"].to_list() == ["notice", ""]
    assert orders["svar_factor"].to_list() == ["MKT", "MKT"]


def test_latest_rebalance_lists_what_still_waits(path):
    (order,) = query(path, "SELECT * FROM latest_rebalance WHERE status = 'waiting'").to_dicts()
    assert (order["decision"], order["dealing"]) == ((LAST - 1).end, (LAST + 2).end)
    assert (order["fund_id"], order["blocked_by"]) == ("F3", "gate")
    now = query(path, "SELECT * FROM ranked_predictions WHERE model = 'logistic'").filter(
        month=LAST.end, fund_id="F3"
    )
    assert (order["p_up"], order["rank"]) == (now["p_up"].item(), now["rank"].item())
    counts = query(path, "SELECT * FROM reason_counts WHERE \"table\" = 'trades'")
    assert counts["reason"].to_list() == ["notice"]


def test_a_newest_decision_without_orders_shows_what_waits_and_no_older_order(store, home):
    """Nor is a ruined portfolio's end an order, whose day is before the decision day."""
    trades = store.read("trades", "a" * 16)
    kept = trades.filter(pl.col("decision") < LAST.end)
    ruin = kept.filter(status="executed").with_columns(
        decision=pl.lit(LAST.end),
        dealing=pl.lit(LAST.end),
        settle=pl.lit(LAST.end),
        side=pl.lit("sell"),
        reason=pl.lit("ruin"),
    )
    runs = store.read("runs", "a" * 16).with_columns(decision_lag_days=pl.lit(15, dtype=pl.Int64))
    late = pl.col("dealing").dt.offset_by("1mo").dt.month_end()
    store.write("runs", "a" * 16, runs)
    store.write(
        "trades",
        "a" * 16,
        pl.concat([kept.with_columns(late, settle=pl.lit(None, dtype=pl.Date)), ruin]),
    )
    publish(store, home / "warehouse.duckdb", Settings())
    orders = query(home / "warehouse.duckdb", "SELECT * FROM latest_rebalance")
    assert orders["status"].to_list() == ["waiting"]
    assert orders["fund_id"].to_list() == ["F3"]


def test_ranks_are_those_that_the_strategies_use(path):
    ranked = query(path, f"SELECT * FROM ranked_predictions WHERE month = DATE '{LAST.end}'")
    assert ranked.filter(pl.col("rank").is_null())["fund_id"].unique().to_list() == ["F5"]
    for (_model,), own in ranked.sort("fund_id").group_by("model"):
        nothing = np.full(own.height, np.nan)
        signals = Signals(LAST, own["eligible"].to_numpy(), own["p_up"].to_numpy(), nothing)
        ranks = own["rank"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        np.testing.assert_array_equal(ranks, ranking(signals))


def test_scored_predictions_know_outcomes_where_there_are_any(path):
    scored = query(path, "SELECT * FROM scored_predictions")
    open_ = scored.filter(pl.col("realized").is_null())
    assert open_["month"].unique().to_list() == [LAST.end]
    closed = scored.filter(pl.col("realized").is_not_null())
    assert (closed["correct"] == (closed["realized_class"] == closed["predicted_class"])).all()


def test_reasons_are_counted_by_table(path):
    counts = query(path, "SELECT * FROM reason_counts")
    found = {(r["table"], r["reason"]): r["rows"] for r in counts.iter_rows(named=True)}
    assert found == {
        ("embedding_exclusions", "too_short"): 1,
        ("macro_excluded", "short_history"): 12,
        ("polymodel_excluded", "constant"): 12,
        ("polymodel_features", "no_selected_factor"): 12,
        ("quarantine", "below_minus_100_percent"): 1,
        ("strategies", "no fund has AUM"): 1,
        ("trades", "notice"): 1,
        ("universe", "short_history"): 12,
    }


def test_fund_returns_show_what_was_known_last(store, home):
    """A restatement replaces, a withdrawal takes away."""
    path = home / "warehouse.duckdb"
    known = str(LAST)
    later = pl.DataFrame(
        {
            "fund_id": ["F0", "F1"],
            "date": [FIRST.end, FIRST.end],
            "ret": [0.0123, None],
            "aum": [None, None],
            "available_at": [LAST.end, LAST.end],
            "assumed": [False, False],
            "source": ["fake", "fake"],
        },
        schema=store.read("fund_observations", known).schema,
    )
    store.write(
        "fund_observations", known, pl.concat([store.read("fund_observations", known), later])
    )
    publish(store, path, Settings())
    january = query(path, "SELECT * FROM fund_returns WHERE date = DATE '2000-01-31'")
    assert january["fund_id"].to_list() == ["F0", "F2", "F3", "F4", "F5"]
    assert january["ret"][0] == 0.0123
    assert january["known"][0] == dt.date(2000, 12, 31)


def test_the_leaderboard_has_the_verdict_in_words(path):
    board = {row["strategy"]: row for row in query(path, "SELECT * FROM leaderboard").to_dicts()}
    verdicts = {name: row["verdict"] for name, row in board.items()}
    assert verdicts == {
        "sa_logistic": "better than equal weight",
        "equal_weight_universe": None,
        "index_MKT": "worse than equal weight",
        "wa_logistic": None,
    }
    assert board["sa_logistic"]["over_equal_weight"] == 0.02
    assert board["sa_logistic"]["n_trials"] == 2 and board["index_MKT"]["n_trials"] is None


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.01, 0.02, "indistinguishable from equal weight"),
        (0.0, 0.02, "indistinguishable from equal weight"),
        (None, None, "not known: no interval"),
    ],
)
def test_an_interval_with_0_in_it_tells_nothing_apart(store, home, low, high, verdict):
    ends = {"ci_low": low, "ci_high": high}
    changed = store.read("differences", "a" * 16).with_columns(
        pl.lit(value, dtype=pl.Float64).alias(name) for name, value in ends.items()
    )
    store.write("differences", "a" * 16, changed)
    publish(store, home / "warehouse.duckdb", Settings())
    sql = "SELECT verdict FROM leaderboard WHERE strategy = 'sa_logistic'"
    assert query(home / "warehouse.duckdb", sql).item() == verdict


def test_run_diff_compares_what_either_run_has(store, home):
    other = "b" * 16
    write_run(store, other, np.random.default_rng(1), Settings(), skip=("metrics", "strategies"))
    metrics = store.read("metrics", "a" * 16).with_columns(
        run_id=pl.lit(other),
        value=pl.col("value") + 0.25,
        strategy=pl.col("strategy").replace("index_MKT", "new"),
    )
    store.write("metrics", other, metrics)
    publish(store, home / "warehouse.duckdb", Settings())
    for run_id, other_run, sign in (("a" * 16, other, -1), (other, "a" * 16, 1)):
        found = query(
            home / "warehouse.duckdb",
            f"SELECT * FROM run_diff WHERE run_id = '{run_id}' AND other_run = '{other_run}'",
        )
        assert found.height == 6 * 4
        both = found.drop_nulls()
        assert set(both["strategy"]) == {"sa_logistic", "equal_weight_universe"}
        assert both["difference"].to_numpy() == pytest.approx(0.25 * sign)
        lacking = found.filter(pl.col("difference").is_null())
        assert set(lacking["strategy"]) == {"index_MKT", "new"}
        assert (lacking["value"].is_null() != lacking["other_value"].is_null()).all()
    assert query(home / "warehouse.duckdb", "SELECT * FROM run_diff").height == 2 * 24
