"""The study of the evaluations as a whole: its tables, planted skill, leaks, bad input."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from finembed_core.backtest.metrics import Series, metrics
from finembed_core.embeddings.evaluation.portfolios import _model_books, fund_groups, simulate_all
from finembed_core.embeddings.evaluation.predictions import PREDICTED, Predictions
from finembed_core.embeddings.evaluation.simulation import DailyLedger
from finembed_core.embeddings.evaluation.study import KEY, StudyInputs, evaluate, evaluation_stage
from finembed_core.embeddings.evaluation.tables import EVALUATIONS, PORTFOLIOS
from finembed_core.errors import MissingPartError, NothingToEvaluateError
from finembed_core.settings import Settings
from finembed_core.stage import BuiltPart, build
from finembed_core.store import PartStore
from tests.embeddings.evaluation_worlds import EVERY, DailyWorld, own_settings, write_world

WORLD = DailyWorld(
    sessions=320, funds=20, skill=2.0, modes=("supervised", "probe"), seeds=(1, 2), seed=3
)


def study(world: DailyWorld, panel=None, table=None, **changes: object) -> dict[str, pl.DataFrame]:
    panel = panel or world.panel()
    table = world.predictions(panel) if table is None else table
    return evaluate(
        StudyInputs(panel, world.fund_table(), table, None, own_settings(**changes), {})
    )


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return study(WORLD)


def built(store: PartStore, own: Settings) -> BuiltPart:
    (part,) = build(evaluation_stage(store, own), [KEY], store)
    return part


def one(table: pl.DataFrame, **where: object) -> dict:
    """The row with these values, null where None."""
    for name, value in where.items():
        column = pl.col(name)
        table = table.filter(column.is_null() if value is None else column == value)
    return table.row(0, named=True) if table.height == 1 else pytest.fail(f"{table.height} rows")


WHOLE = {"loss": None, "fund_group": None, "k": None, "seed": None}
OVERALL = {"encoder": None, "mode": None, **WHOLE}


def test_schemas_are_those_of_the_contract(tables: dict[str, pl.DataFrame]) -> None:
    assert tables["embedding_portfolios"].schema == pl.Schema(PORTFOLIOS)
    assert tables["embedding_evaluations"].schema == pl.Schema(EVALUATIONS)
    for table in tables.values():
        numbers = table.select(pl.selectors.float())
        assert not any(numbers[name].is_nan().any() for name in numbers.columns)


def test_planted_skill_is_found(tables: dict[str, pl.DataFrame]) -> None:
    table = tables["embedding_evaluations"]
    wins = one(table, evaluation="ranking", metric="wins_annual_return", **OVERALL)
    groups = 4  # all: top 5 and 10; two categories of ten: top 5
    assert (wins["value"], wins["n"]) == (groups * 3 * 2, groups * 3 * 2)
    sign = one(table, evaluation="ranking", metric="sign_test_annual_return", **OVERALL)
    assert sign["value"] == pytest.approx(2 * 0.5**24)
    average = one(table, evaluation="ranking", metric="average_annual_return", **OVERALL)
    assert average["ci_low"] > 0.0 and average["note"].endswith("; significant")


def test_statistics_are_those_of_the_stored_returns(tables: dict[str, pl.DataFrame]) -> None:
    """Value and benchmark value of every portfolio whose days are stored."""
    daily = tables["embedding_portfolios"]
    name = "weights_linear_probe"
    own = daily.filter(portfolio=name).filter(pl.col("seed").is_null())
    dates = own["date"].to_numpy().astype("datetime64[D]")
    series = Series.of(dates, own["ret"].to_numpy(), periods_per_year=252)
    found = {m.name: m.value for m in metrics(series, own["turnover"].to_numpy()[1:])}
    rows = tables["embedding_evaluations"].filter(
        pl.col("seed").is_null(), evaluation="weights", mode="probe", benchmark="equal_weight"
    )
    values = dict(rows.drop_nulls("encoder").select("metric", "value").iter_rows())
    for metric in ("annual_return", "volatility", "sharpe", "max_drawdown", "turnover"):
        assert values[metric] == pytest.approx(found[metric], rel=1e-9)
    market = daily.filter(portfolio="market")
    assert market["date"].to_list() == own["date"].to_list()


def test_every_evaluation_names_its_benchmarks(tables: dict[str, pl.DataFrame]) -> None:
    table = tables["embedding_evaluations"].filter(metric="sharpe")
    found = {
        name: set(part["benchmark"]) - {"supervised"}
        for (name,), part in table.group_by("evaluation")
    }
    assert found == {
        "gmv": {"gmv_history", "gmv_ledoit_wolf", "gmv_sample"},
        "weights": {"market", "equal_weight", "gmv_ledoit_wolf"},
        "ranking": {"previous_ranking", "equal_weight"},
    }
    seeds = table.filter(evaluation="gmv", mode="probe", benchmark="gmv_sample")["seed"]
    assert sorted(seeds.to_list(), key=str) == [1, 2, None]


def test_self_supervision_is_compared_with_supervision(tables: dict[str, pl.DataFrame]) -> None:
    table = tables["embedding_evaluations"].filter(benchmark="supervised")
    assert set(table["mode"]) == {"probe"}
    for evaluation in ("gmv", "weights", "ranking"):
        where = {"evaluation": evaluation, "metric": "sharpe", "mode": "probe", **WHOLE}
        by_encoder = one(table, encoder="linear", **where)
        covers = by_encoder["ci_low"] <= 0.0 <= by_encoder["ci_high"]
        assert by_encoder["note"].endswith("not significant") == covers
        together = one(table, encoder=None, **where)
        assert together["difference"] == pytest.approx(by_encoder["difference"])


def test_too_few_periods_for_superiority_say_so(tables: dict[str, pl.DataFrame]) -> None:
    row = one(tables["embedding_evaluations"], evaluation="ranking", metric="spa", **OVERALL)
    assert row["value"] is None and row["note"].endswith("24 are needed")


def test_superiority_over_many_periods() -> None:
    world = DailyWorld(sessions=480, funds=10, skill=3.0, seed=5, categories=(None,))
    table = study(world)["embedding_evaluations"]
    spa = one(table, evaluation="ranking", metric="spa", **OVERALL)
    assert spa["value"] <= 0.05 and spa["n"] == 3
    stepm = table.filter(evaluation="ranking", metric="stepm")
    assert stepm.height == 3 and stepm["value"].min() <= 0.05


def test_pure_noise_is_not_significant() -> None:
    """Twelve studies without skill: about one of 20 intervals misses 0."""
    missed = 0
    for seed in range(12):
        world = DailyWorld(sessions=200, funds=10, seed=100 + seed, categories=(None,))
        table = study(world)["embedding_evaluations"]
        row = one(table, evaluation="weights", metric="average_sharpe", **OVERALL)
        missed += "not significant" not in row["note"]
    assert missed <= 3  # of a binomial (12, 5%): a chance of 0.2% beyond


def all_seeds() -> list[tuple[np.ndarray, int]]:
    """Books of the rankings of all seeds together, each with its k."""
    panel = WORLD.panel()
    known = Predictions.of(WORLD.predictions(panel), panel)
    groups = fund_groups(known, WORLD.fund_table())
    made = _model_books(known, groups, "linear", "probe")
    return [(book, one.k) for (one, *_), book in made if one.k and one.seed is None]


def targets(panel, table, world: DailyWorld = WORLD) -> dict[str, np.ndarray]:
    """Every book, as it goes to the ledger."""
    seen: dict[str, np.ndarray] = {}
    known = Predictions.of(table, panel)
    ledger = DailyLedger.of(panel, known, world.fund_table(), own_settings())

    class Watched(DailyLedger):
        def hold(self, book, reason=""):
            seen[str(len(seen))] = book

    watched = Watched(**{f.name: getattr(ledger, f.name) for f in dataclasses.fields(ledger)})
    simulate_all(
        panel,
        known,
        fund_groups(known, world.fund_table()),
        watched,
        lookback=32,
        history=64,
        horizon=EVERY,
    )
    return seen


def test_noise_after_a_session_changes_no_decision_up_to_it() -> None:
    panel = WORLD.panel()
    table = WORLD.predictions(panel)
    session = WORLD.decisions()[6]
    rng = np.random.default_rng(9)
    returns, known = panel.returns.copy(), panel.known.copy()
    returns[session + 1 :] = rng.normal(0.0, 0.05, returns[session + 1 :].shape)
    late = rng.random(known.shape) < 0.1  # values that come out only after it may be anything
    late[: session - 40], late[session + 1 :] = False, False
    known[late] = session + 3
    other = returns.copy()
    other[late] = 0.5
    later = pl.col("date") > panel.days[session].item()
    noise = table.with_columns(
        pl.when(later).then(1.0 - pl.col(name)).otherwise(name).alias(name)
        for name in PREDICTED
        if name not in ("weight", "gmv")
    )
    one = targets(dataclasses.replace(panel, returns=returns, known=known), table)
    two = targets(dataclasses.replace(panel, returns=other, known=known), noise)
    changed = 0
    for name, book in one.items():
        np.testing.assert_array_equal(book[:7], two[name][:7])
        changed += not np.array_equal(book[7:], two[name][7:])
    assert len(one) > 20 and changed > 10


def test_predictions_that_are_missing_hold_on_or_are_absent() -> None:
    world = DailyWorld(sessions=200, funds=10, encoders=("dlinear", "linear"), categories=(None,))
    panel = world.panel()
    first = panel.days[world.decisions()[0]].item()
    broken = pl.col("encoder") == "dlinear"
    table = world.predictions(panel).with_columns(
        listnet=pl.when(broken).then(float("nan")).otherwise("listnet"),
        gmv=pl.when(broken & (pl.col("date") == first)).then(None).otherwise("gmv"),
    )
    rows = study(world, table=table)["embedding_evaluations"]
    absent = rows.filter(encoder="dlinear", loss="listnet", metric="annual_return")
    assert set(absent["note"]) == {"no prediction at any decision"}
    assert absent["value"].null_count() == absent.height == 2  # a seed, and all seeds
    late = one(
        rows, encoder="dlinear", metric="sharpe", benchmark="gmv_sample", mode="supervised", **WHOLE
    )
    assert "in cash at the first 1 of 10 decisions" in late["note"]


def test_turnover_leaves_out_the_first_purchase_whenever_it_was() -> None:
    world = DailyWorld(sessions=200, funds=10, categories=(None,))
    panel = world.panel()
    first = panel.days[world.decisions()[0]].item()
    table = world.predictions(panel).with_columns(
        weight=pl.when(pl.col("date") == first).then(None).otherwise("weight")
    )
    found = study(world, table=table)
    daily = found["embedding_portfolios"].filter(evaluation="weights", seed=1).sort("date")
    traded = daily["turnover"].to_numpy()
    bought = np.flatnonzero(traded)[0]
    assert bought == EVERY
    row = one(
        found["embedding_evaluations"],
        **{**WHOLE, "seed": 1},
        evaluation="weights",
        metric="turnover",
        benchmark="market",
    )
    assert row["value"] == pytest.approx(traded[bought + 1 :].mean() * 252)
    assert row["benchmark_value"] == 0.0
    assert row["note"] == "in cash at the first 1 of 10 decisions"


def test_rankings_of_all_seeds_hold_as_many_funds_as_those_they_are_held_against() -> None:
    for book, k in all_seeds():
        assert ((book > 0.0).sum(axis=1) == k).all()


def test_intervals_count_holding_periods(tables: dict[str, pl.DataFrame]) -> None:
    rows = tables["embedding_evaluations"].filter(pl.col("ci_low").is_not_null())
    assert set(rows["n"]) == {len(WORLD.decisions())}


def test_a_share_of_wins_is_judged_against_one_half(tables: dict[str, pl.DataFrame]) -> None:
    rows = tables["embedding_evaluations"].filter(pl.col("metric").str.starts_with("win_share"))
    assert set(rows.filter(evaluation="ranking")["note"]) == {"no interval: every draw agrees"}
    noise = study(DailyWorld(sessions=320, funds=20, seeds=(1, 2), modes=("supervised", "probe")))
    rows = noise["embedding_evaluations"].filter(pl.col("metric").str.starts_with("win_share"))
    known = rows.filter(pl.col("ci_low").is_not_null())
    assert known.height and known["ci_low"].min() >= -0.5 and known["ci_high"].max() <= 0.5
    for row in known.iter_rows(named=True):
        covers = row["ci_low"] <= 0.0 <= row["ci_high"]
        assert row["note"] == ("not significant" if covers else "significant")


def test_one_seed_is_simulated_once() -> None:
    world = DailyWorld(sessions=120, funds=10, categories=(None,))
    panel = world.panel()
    seen = targets(panel, world.predictions(panel), world)
    models = 2 + 3  # gmv, weights; top 5 by three scores
    benchmarks = 1 + 3 + 2  # equal weight, three of least variance, two of the group
    assert len(seen) == models + benchmarks


def test_one_fund_is_a_study_without_rankings() -> None:
    world = DailyWorld(sessions=120, funds=1)
    found = study(world)
    rows = found["embedding_evaluations"]
    assert set(rows["evaluation"]) == {"gmv", "weights"}
    same = rows.filter(metric="sharpe", benchmark="gmv_ledoit_wolf")
    assert same["difference"].abs().max() < 1e-9 and same["note"].str.contains("no interval").all()


def test_a_fund_that_dies_is_booked_once_for_all() -> None:
    world = DailyWorld(sessions=250, funds=10, categories=(None,))
    panel = world.panel()
    returns = panel.returns.copy()
    returns[world.first + 5 :, 0] = np.nan
    panel = dataclasses.replace(panel, returns=returns)
    daily = study(world, panel=panel)["embedding_portfolios"]
    equal = daily.filter(portfolio="equal_weight").sort("ret")
    assert equal["ret"][0] == pytest.approx(-0.02, abs=0.02)  # a tenth that pays 80%
    assert daily["ret"].is_finite().all()


def test_the_stage_is_skipped_when_current(tmp_path) -> None:
    world = DailyWorld(sessions=120, funds=10, categories=(None,))
    store, own = write_world(PartStore(tmp_path), world), own_settings()
    assert not built(store, own).skipped
    assert built(store, own).skipped
    table = store.read("embedding_evaluations", "all")
    expected = study(world)
    assert_frame_equal(table, expected["embedding_evaluations"])
    assert_frame_equal(store.read("embedding_portfolios", "all"), expected["embedding_portfolios"])
    key = store.keys("fund_predictions")[-1]
    part = store.read("fund_predictions", key)
    store.write("fund_predictions", key, part.with_columns(listnet=-pl.col("listnet")))
    assert not built(store, own).skipped
    assert not built(store, own_settings(dealing_lag_sessions=2)).skipped


def test_before_the_first_decision_the_tables_are_empty_and_say_why(tmp_path) -> None:
    store = write_world(PartStore(tmp_path), DailyWorld(sessions=120, funds=10))
    for key in store.keys("fund_predictions"):
        store.delete("fund_predictions", key)
    part = built(store, own_settings())
    for name, schema in (("portfolios", PORTFOLIOS), ("evaluations", EVALUATIONS)):
        frame = store.read(f"embedding_{name}", "all")
        assert frame.is_empty() and frame.schema == pl.Schema(schema)
        assert "no decision has predictions" in part.manifests[f"embedding_{name}"].notes["absent"]


def test_a_decision_of_the_last_session_has_earned_nothing_yet() -> None:
    world = DailyWorld(sessions=120, funds=10)
    panel = world.panel()
    table = world.predictions(panel)
    last = table.with_columns(date=pl.lit(panel.days[-1].item())).unique(
        ["fund_id", "encoder", "mode", "seed"], keep="first"
    )
    with pytest.raises(NothingToEvaluateError, match="fewer than two sessions"):
        study(world, table=last)


def test_without_daily_returns_there_is_no_study(tmp_path) -> None:
    with pytest.raises(MissingPartError, match="daily_panel"):
        built(PartStore(tmp_path), own_settings())
