"""Intervals, tests over all strategies and attribution, through the whole path of a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from finembed_core.backtest.evidence import Evidence
from finembed_core.backtest.inference import Bootstrap
from finembed_core.backtest.metrics import Series
from finembed_core.backtest.run import RUN_TABLES, backtest
from finembed_core.settings import InferenceSettings, Settings
from finembed_core.store import PartStore
from finembed_core.warehouse.publish import publish
from finembed_core.warehouse.query import query
from tests.backtest.fake_store import MODELS, Story, story, write_story

SETTINGS = Settings.model_validate(
    {
        "dataset": {"name": "story"},
        "portfolio": {
            "models": list(MODELS),
            "strategies": ["sa", "wa", "equal_weight_universe", "aum_weight_universe", "index"],
        },
        "backtest": {"cost_bps": 5, "inference": {"draws": 400}},
    }
)
ONE_MODEL = SETTINGS.model_copy(
    update={"portfolio": SETTINGS.portfolio.model_copy(update={"models": ["logistic"]})}
)
MONTHS, FUNDS = 66, 16
Frames = dict[str, pl.DataFrame]


def planted(seed: int = 1) -> Story:
    """Funds are the market and noise; logistic knows the next month, persistence nothing."""
    rng = np.random.default_rng(seed)
    market = rng.normal(0.006, 0.03, MONTHS)
    returns = (market[:, None] + rng.normal(0, 0.02, (MONTHS, FUNDS))).round(6)
    knows, guesses = (rng.uniform(0.3, 0.5, returns.shape) for _ in range(2))
    knows[:-1] += 3.0 * (returns[1:] - market[1:, None])
    p_up = {"logistic": np.clip(knows, 0.01, 0.79), "persistence": guesses}
    for chances in p_up.values():
        chances[:6] = np.nan
    return Story(returns, p_up, None, market, np.full(MONTHS, 2.4))


def run(store: PartStore, told: Story, settings: Settings = SETTINGS) -> Frames:
    write_story(store, told)
    run_id = backtest(store, settings, told.last).run_id
    return {table: store.read(table, run_id).drop("run_id") for table in RUN_TABLES}


@pytest.fixture(scope="module")
def skilled(tmp_path_factory: pytest.TempPathFactory) -> tuple[PartStore, Frames]:
    store = PartStore(tmp_path_factory.mktemp("skilled"))
    return store, run(store, planted())


def rows(frames: Frames, table: str, **key: str) -> list[dict]:
    return frames[table].filter(**key).to_dicts()


# Planted skill


def test_planted_skill_is_found_and_noise_is_not(skilled: tuple[PartStore, Frames]) -> None:
    _, frames = skilled
    tests = {(r["strategy"], r["test"]): r for r in frames["significance"].to_dicts()}
    assert tests["", "spa"]["p_value"] < 0.01
    assert tests["sa_logistic", "stepm"]["p_value"] < 0.01
    assert tests["sa_persistence", "stepm"]["p_value"] > 0.1
    assert tests["sa_logistic", "stepm"]["note"].startswith("better than the benchmark MKT")
    assert tests["sa_persistence", "stepm"]["note"].startswith("not shown to be better")
    assert tests["", "pbo"]["statistic"] < 0.05
    (found,) = rows(
        frames, "differences", strategy="sa_logistic", against="equal_weight_universe",
        metric="annual_return",
    )  # fmt: skip
    assert found["ci_low"] > 0.05
    (noise,) = rows(
        frames, "differences", strategy="sa_persistence", against="equal_weight_universe",
        metric="annual_return",
    )  # fmt: skip
    assert noise["ci_low"] < 0 < noise["ci_high"]


def test_the_leaderboard_says_so_in_words(
    skilled: tuple[PartStore, Frames], tmp_path: Path
) -> None:
    publish(skilled[0], tmp_path / "warehouse.duckdb", SETTINGS)
    board = query(tmp_path / "warehouse.duckdb", "SELECT * FROM leaderboard")
    verdicts = dict(board.select("strategy", "verdict").iter_rows())
    assert verdicts["sa_logistic"] == "better than equal weight"
    assert verdicts["sa_persistence"] == "indistinguishable from equal weight"
    assert verdicts["equal_weight_universe"] is None
    first = board.row(0, named=True)
    assert first["strategy"] == "sa_logistic"
    # Of three trials the skilled one is most of the variance that sets its own bar.
    assert first["deflated_p"] < 0.1 < 0.5 < board["deflated_p"][2]
    assert first["sharpe_low"] < first["sharpe"] < first["sharpe_high"]
    assert first["n_trials"] == 3  # two models and equal weight; no AUM, and the index is none


def test_without_skill_nothing_is_found(store: PartStore) -> None:
    told = planted(seed=4)
    blind = {"logistic": told.p_up["persistence"][:, ::-1], "persistence": told.p_up["persistence"]}
    frames = run(store, replace(told, p_up=blind))
    assert rows(frames, "significance", test="spa")[0]["p_value"] > 0.05
    assert frames["significance"].filter(test="stepm")["p_value"].min() > 0.05
    return_gap = frames["differences"].filter(metric="annual_return", against="index_MKT")
    assert (return_gap["ci_low"] < 0).all() and (return_gap["ci_high"] > 0).all()


# What is stored


def test_intervals_are_those_of_one_bootstrap_over_all(skilled: tuple[PartStore, Frames]) -> None:
    _, frames = skilled
    returns = frames["returns"].partition_by("strategy", as_dict=True, maintain_order=True)
    series = {
        name: Series.of(
            own["date"].to_numpy().astype("datetime64[D]"),
            own["net"].to_numpy(),
            own["rf"].to_numpy(),
            own["benchmark"].to_numpy(),
        )
        for (name,), own in returns.items()
    }
    expected = Bootstrap.of(series, seed=1, draws=400)
    key = ["strategy", "metric"]
    columns = [*key, "ci_low", "ci_high"]
    ends = pl.col("ci_low", "ci_high").fill_nan(None)
    wanted = expected.intervals().select(*key, ends).sort(key)
    found = frames["metrics"].select(columns).join(wanted.select(key), on=key).sort(key)
    assert found.equals(wanted)
    assert found["ci_low"].is_not_null().mean() > 0.9
    gaps = expected.differences("index_MKT").select(pl.exclude("strategy")).drop_nulls()
    stored = frames["differences"].filter(against="index_MKT").drop("strategy", "against")
    assert stored.equals(gaps)


def test_another_seed_is_another_run_with_other_intervals(store: PartStore) -> None:
    told = planted()
    frames = run(store, told)
    inference = SETTINGS.backtest.inference.model_copy(update={"seed": 2})
    other = SETTINGS.model_copy(
        update={"backtest": SETTINGS.backtest.model_copy(update={"inference": inference})}
    )
    second = backtest(store, other, told.last)
    assert not second.skipped and len(store.keys("runs")) == 2
    assert second.metrics["value"].equals(frames["metrics"]["value"])
    assert not second.metrics["ci_low"].equals(frames["metrics"]["ci_low"])


def test_the_same_inputs_give_the_same_bytes(
    skilled: tuple[PartStore, Frames], tmp_path: Path
) -> None:
    store, _ = skilled
    other = write_story(PartStore(tmp_path), planted())
    run_id = backtest(other, SETTINGS, planted().last).run_id
    for table in RUN_TABLES:
        assert store.manifest(table, run_id) == other.manifest(table, run_id), table


def test_attribution_adds_up(skilled: tuple[PartStore, Frames]) -> None:
    _, frames = skilled
    parts = frames["contributions"].group_by("strategy").agg(pl.col("contribution").sum())
    whole = frames["metrics"].filter(metric="cumulative_return").select("strategy", "value")
    both = parts.join(whole, on="strategy")
    assert both.height == 4
    assert both["contribution"].to_numpy() == pytest.approx(both["value"].to_numpy(), abs=1e-9)
    years = frames["calendar_returns"].filter(strategy="sa_logistic")
    total = np.prod(1 + years["total"].to_numpy()) - 1
    assert total == pytest.approx(whole.filter(strategy="sa_logistic")["value"].item())
    rolled = frames["rolling"].filter(strategy="index_MKT")
    assert rolled.height == MONTHS - 7 - 35
    assert rolled["beta"].to_numpy() == pytest.approx(1.0)


def test_an_index_that_is_a_risk_factor_explains_its_holder(store: PartStore) -> None:
    """Both over the risk-free rate: beta 1 and no alpha; macro factors are not needed."""
    told = planted()
    assert told.benchmark is not None
    write_story(store, replace(told, benchmark=np.cumprod(1 + told.benchmark)))
    role = pl.when(pl.col("series_id") == "MKT").then(pl.lit(["benchmark", "risk_factor"]))
    kind = pl.when(pl.col("series_id") == "MKT").then(pl.lit("index"))
    table = store.read("series", "all").with_columns(
        roles=role.otherwise("roles"), kind=kind.otherwise("kind")
    )
    store.write("series", "all", table)
    run_id = backtest(store, SETTINGS, told.last).run_id
    found = {r["factor"]: r for r in store.read("exposures", run_id).filter(
        strategy="index_MKT").to_dicts()}  # fmt: skip
    assert set(found) == {"MKT", ":alpha"}
    assert found["MKT"]["beta"] == pytest.approx(1.0)
    assert found[":alpha"]["beta"] == pytest.approx(0.0, abs=1e-12)
    assert found[":alpha"]["note"].startswith("risk factors")


def test_macro_factors_of_the_last_month_are_read_and_hashed(store: PartStore) -> None:
    told = planted()
    without = run(store, told)
    assert set(without["exposures"]["factor"]) == {":benchmark", ":alpha"}
    rng = np.random.default_rng(3)
    macro = pl.DataFrame(
        {
            "as_of": [told.last.end] * MONTHS,
            "date": [month.end for month in told.months],
            "factor": ["F1"] * MONTHS,
            "value": rng.normal(0, 1, MONTHS),
        }
    )
    store.write("macro_factors", str(told.last), macro)
    second = backtest(store, SETTINGS, told.last)
    assert not second.skipped
    assert set(store.read("exposures", second.run_id)["factor"]) == {":benchmark", "F1", ":alpha"}


# Where little can be said


def test_a_short_record_has_rows_that_say_so(store: PartStore) -> None:
    write_story(store, story())
    report = backtest(store, SETTINGS, story().last)
    assert "no intervals and no tests: 11 months, 24 are needed" in report.warnings
    assert report.metrics["ci_low"].null_count() == report.metrics.height
    tests = store.read("significance", report.run_id)
    assert set(tests["test"]) == {"spa", "spa_lower", "spa_upper", "stepm", "pbo"}
    assert tests["statistic"].null_count() == tests["p_value"].null_count() == tests.height
    assert set(tests["note"]) == {"absent: 11 periods are too few for a test"}
    gaps = store.read("differences", report.run_id)
    assert gaps["value"].null_count() == 0 and gaps["ci_low"].null_count() == gaps.height


def test_a_benchmark_that_starts_late(store: PartStore) -> None:
    """Own statistics over all months, relative ones where it is; SPA takes equal weight."""
    told = planted()
    late = told.benchmark.copy()
    late[:20] = np.nan
    frames = run(store, replace(told, benchmark=late))
    metrics = frames["metrics"].filter(strategy="sa_logistic")
    months = MONTHS - 7
    n = dict(metrics.select("metric", "n").iter_rows())
    assert n["sharpe"] == months and n["beta"] == MONTHS - 20
    has = set(metrics.filter(pl.col("ci_low").is_not_null())["metric"])
    assert {"sharpe", "annual_return", "beta", "tracking_error"} <= has
    why = "against equal_weight_universe, as the benchmark MKT does not cover all months"
    assert why in rows(frames, "significance", test="spa")[0]["note"]
    (itself,) = rows(frames, "significance", strategy="equal_weight_universe", test="stepm")
    assert itself["p_value"] is None and itself["note"].startswith("absent: does not differ")
    assert rows(frames, "significance", strategy="sa_logistic", test="stepm")[0]["p_value"] < 0.01
    assert set(frames["differences"]["against"]) == {"equal_weight_universe"}
    rolled = frames["rolling"].filter(strategy="sa_logistic")
    assert rolled["sharpe"].null_count() == 0
    assert rolled.height - rolled["beta"].null_count() == MONTHS - 20 - 35


def test_a_benchmark_with_a_hole_and_none_at_all(store: PartStore, tmp_path: Path) -> None:
    told = planted()
    holed = told.benchmark.copy()
    holed[30] = np.nan
    for where, benchmark in ((store, holed), (PartStore(tmp_path / "none"), None)):
        frames = run(where, replace(told, benchmark=benchmark))
        relative = frames["metrics"].filter(metric="beta")
        assert relative["ci_low"].null_count() == relative.height
        assert frames["metrics"].filter(metric="sharpe")["ci_low"].null_count() == 0
        assert (
            "against equal_weight_universe" in rows(frames, "significance", test="spa")[0]["note"]
        )
        assert rows(frames, "exposures", factor=":alpha")[0]["note"].startswith("absent: no risk")


def test_a_single_candidate_leaves_nothing_to_choose() -> None:
    months = np.arange("2001-01", "2005-01", dtype="datetime64[M]")
    dates = (months + 1).astype("datetime64[D]") - 1
    rng = np.random.default_rng(1)
    market = rng.normal(0.005, 0.03, len(dates))
    luck = Evidence(InferenceSettings(draws=100), "MKT")
    for name, net, index in (("only", market + 0.001 * rng.normal(size=48), None),
                             ("index_MKT", market, "MKT")):  # fmt: skip
        own, against = Series.of(dates, net), Series.of(dates, net, benchmark=market)
        luck.add(name, own, against, index)
    tests = {row["test"]: row for row in luck.tables()[1]["significance"].to_dicts()}
    assert tests["pbo"]["note"] == "absent: there is nothing to choose from one strategy"
    assert tests["stepm"]["p_value"] is not None and tests["spa"]["n_trials"] == 1


def test_a_strategy_all_in_cash_is_no_accident() -> None:
    """No interval where nothing varies, a test where cash can be compared; never an error."""
    months = np.arange("2001-01", "2005-01", dtype="datetime64[M]")
    dates = (months + 1).astype("datetime64[D]") - 1
    market = np.random.default_rng(1).normal(0.005, 0.03, len(dates))
    risk_free = np.full(len(dates), 0.002)
    luck = Evidence(InferenceSettings(draws=100), "MKT")
    for name, net in (("cash", risk_free), ("other", market + 0.001)):
        own = Series.of(dates, net, risk_free)
        luck.add(name, own, Series.of(dates, net, risk_free, market), None)
    intervals, tables = luck.tables()
    cash = intervals.filter(strategy="cash")
    defined = set(cash.drop_nulls("ci_low")["metric"])
    assert "sharpe" not in defined and "volatility" not in defined
    tests = {(r["strategy"], r["test"]): r for r in tables["significance"].to_dicts()}
    assert tests["cash", "stepm"]["p_value"] > 0.1
    assert tests["other", "stepm"]["note"] == "absent: does not differ from the benchmark MKT"
    assert tests["", "pbo"]["statistic"] is not None


def test_a_study_without_any_strategy_has_empty_tables() -> None:
    intervals, tables = Evidence(InferenceSettings(), None).tables()
    assert intervals.is_empty() and all(frame.is_empty() for frame in tables.values())


def test_the_first_month_has_no_evidence_and_no_error(store: PartStore) -> None:
    frames = run(store, story(months=7), ONE_MODEL)
    assert frames["contributions"].is_empty() and frames["calendar_returns"].is_empty()
    assert set(frames["significance"]["n"]) == {0}
    assert frames["differences"]["value"].null_count() == frames["differences"].height
