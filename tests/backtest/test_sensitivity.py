"""Sensitivities are what a run with the other assumption would say; break-even costs hold."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from finembed_core.backtest.market import Terms
from finembed_core.backtest.run import backtest
from finembed_core.backtest.scenario import Remembered
from finembed_core.backtest.sensitivity import BREAK_EVEN, METRICS, CostCurve, break_even
from finembed_core.calendar import Month
from finembed_core.errors import InputError, UnpayableError
from finembed_core.portfolio.orders import Signals, State, TargetWeights
from finembed_core.settings import BacktestSettings, Settings
from finembed_core.store import PartStore
from tests.backtest.fake_store import FIRST, MODELS, Story, story, write_story

PAPERS = ["sa", "wa", "equal_weight_universe", "aum_weight_universe", "index"]


def settings(**backtest: object) -> Settings:
    return Settings.model_validate(
        {
            "dataset": {"name": "story"},
            "portfolio": {"models": list(MODELS), "strategies": PAPERS},
            "learning": {"seeds": [1, 2]},
            "backtest": {"cost_bps": 25} | backtest,
        }
    )


def ran(store: PartStore, own: Settings, through: Month) -> dict[str, pl.DataFrame]:
    run_id = backtest(store, own, through).run_id
    tables = ("sensitivities", "metrics", "returns", "trades", "strategies")
    return {table: store.read(table, run_id) for table in tables}


def held_until_death() -> Story:
    """F01 dies silently while SA on `logistic` holds it."""
    what = story(months=30)
    what.p_up["logistic"][6:10, 1] = 0.99
    return what


def result(frame: pl.DataFrame, strategy: str, dimension: str, value: str, metric: str) -> float:
    chosen = frame.filter(strategy=strategy, dimension=dimension, value=value, metric=metric)
    return chosen["result"].item()


def plain(frames: dict[str, pl.DataFrame], strategy: str, metric: str) -> float:
    return frames["metrics"].filter(strategy=strategy, metric=metric)["value"].item()


@pytest.mark.parametrize(
    ("dimension", "value", "other"),
    [
        ("cost_bps", "100", {"cost_bps": 100}),
        ("cost_bps", "0", {"cost_bps": 0}),
        (
            "terminal_return",
            "-1",
            {"terminal_return": {"stopped_reporting": -1, "unknown": -1}},
        ),
    ],
)
def test_a_row_is_what_a_run_with_that_assumption_says(
    store: PartStore, dimension: str, value: str, other: dict
) -> None:
    what = held_until_death()
    write_story(store, what)
    own = ran(store, settings(), what.last)
    changed = ran(store, settings(**other), what.last)
    names = own["strategies"].filter(pl.col("strategy") != "index_MKT", status="run")["strategy"]
    assert len(names) == 6
    for strategy in names:
        for metric in METRICS:
            found = result(own["sensitivities"], strategy, dimension, value, metric)
            assert found == pytest.approx(plain(changed, strategy, metric), rel=1e-12)
    moved = result(own["sensitivities"], "sa_logistic", dimension, value, "annual_return")
    assert moved != pytest.approx(plain(own, "sa_logistic", "annual_return"), rel=1e-6)


def test_the_runs_own_assumptions_are_among_the_rows(store: PartStore) -> None:
    what = held_until_death()
    write_story(store, what)
    own = ran(store, settings(), what.last)
    for dimension, value in (("cost_bps", "25"), ("terminal_return", "-0.2")):
        found = result(own["sensitivities"], "sa_logistic", dimension, value, "sharpe")
        assert found == plain(own, "sa_logistic", "sharpe")
    assert "index_MKT" not in own["sensitivities"]["strategy"].to_list()


def test_where_no_such_fund_died_nothing_depends_on_it(store: PartStore) -> None:
    what = story(months=30)
    whole = dataclasses.replace(what, returns=np.nan_to_num(what.returns))
    write_story(store, whole)
    rows = ran(store, settings(), whole.last)["sensitivities"].filter(dimension="terminal_return")
    spread = rows.group_by("strategy", "metric").agg(pl.col("result").n_unique())
    assert spread["result"].unique().to_list() == [1]
    assert rows["note"].str.contains("held no such fund").all()


def test_a_delay_of_a_month_is_a_lag_of_a_month(store: PartStore) -> None:
    """Weights that know no state: dealt a month later they earn what a world shifted would."""
    what = story(months=30)
    whole = dataclasses.replace(what, returns=np.nan_to_num(what.returns))
    write_story(store, whole)
    rows = ran(store, settings(cost_bps=0), whole.last)["sensitivities"]
    earned = whole.returns[7 + 2 :].mean(axis=1)  # all eligible at equal weight, whatever the delay
    expected = np.prod(1 + earned) ** (12 / len(earned)) - 1
    for delay in "012":
        found = result(rows, "equal_weight_universe", "delay_months", delay, "annual_return")
        assert found == pytest.approx(expected, rel=1e-9)
    sa = [result(rows, "sa_logistic", "delay_months", d, "annual_return") for d in "012"]
    assert len(set(sa)) == 3


def test_a_late_hint_is_worth_less(store: PartStore) -> None:
    """Planted: P(up) knows next month's best funds and nothing about the month after."""
    rng = np.random.default_rng(5)
    returns = rng.normal(0.0, 0.03, (60, 20)).round(6)
    p_up = np.full((60, 20), np.nan)
    p_up[6:-1] = 0.3 + 4 * returns[7:]
    p_up[-1] = 0.3
    what = Story(returns, dict.fromkeys(MODELS, p_up), benchmark=rng.normal(0, 0.02, 60))
    write_story(store, what)
    rows = ran(store, settings(cost_bps=0), what.last)["sensitivities"]
    now, *late = [result(rows, "sa_logistic", "delay_months", d, "annual_return") for d in "012"]
    assert now > 0.15
    assert max(late) < now / 3
    bps = result(rows, "sa_logistic", BREAK_EVEN, "equal_weight_universe", "cost_bps")
    assert bps > 50


def test_at_the_break_even_cost_both_earn_the_same(store: PartStore) -> None:
    what = story(months=40, funds=12)
    rng = np.random.default_rng(2)
    hint = 0.3 + np.roll(np.nan_to_num(what.returns), -1, axis=0) + rng.normal(0, 0.05, (40, 12))
    hint[np.isnan(what.returns)] = np.nan
    hint[:6] = np.nan
    hint[-1] = 0.3
    what = dataclasses.replace(what, p_up=dict.fromkeys(MODELS, hint))
    write_story(store, what)
    rows = ran(store, settings(), what.last)["sensitivities"].filter(dimension=BREAK_EVEN)
    found = rows.filter(strategy="sa_logistic", value="equal_weight_universe").row(0, named=True)
    assert found["note"] == "earns more below it"
    at = ran(store, settings(cost_bps=round(found["result"], 6)), what.last)
    gap = plain(at, "sa_logistic", "annual_return")
    gap -= plain(at, "equal_weight_universe", "annual_return")
    assert abs(gap) < 1.1e-5
    risk_free = rows.filter(strategy="sa_logistic", value="risk_free").row(0, named=True)
    at = ran(store, settings(cost_bps=round(risk_free["result"], 6)), what.last)
    rate = at["returns"].filter(strategy="sa_logistic")["rf"].to_numpy()
    assert plain(at, "sa_logistic", "annual_return") == pytest.approx(
        np.prod(1 + rate) ** (12 / len(rate)) - 1, abs=1.1e-5
    )


def test_a_return_that_jumps_with_the_cost_takes_few_simulations() -> None:
    """As the queue of orders makes it: noise of a few basis points a year around a line."""
    asked: list[float] = []

    def own(bps: float) -> float:
        asked.append(bps)
        return 0.08 - 1e-4 * bps + 3e-4 * np.sin(1e5 * bps)

    found, note = break_even(own, lambda _: 0.02, [0.0, 10.0, 100.0])
    assert found == pytest.approx(600, abs=10) and len(asked) <= 12
    assert note.startswith("earns more below it")


@pytest.mark.parametrize(
    ("own", "other", "bps", "words"),
    [
        (lambda c: 0.08 - 2e-4 * c, lambda c: 0.05, 150.0, "earns more below it"),
        (lambda c: 0.05 - 1e-5 * c, lambda c: 0.06 - 1e-4 * c, 1000 / 9, "earns more above it"),
        (lambda c: 0.08 * np.exp(-c / 40), lambda c: 0.01, 40 * np.log(8), "earns more below it"),
        (lambda c: 0.08 - 1e-5 * c, lambda c: 0.05, None, "earns more at every cost"),
        (lambda c: 0.04 - 1e-5 * c, lambda c: 0.05, None, "earns less at every cost"),
        (lambda c: 0.04, lambda c: 0.04, None, "the same at every cost"),
        (lambda c: 0.06 if c < 33 else 0.04, lambda c: 0.05, None, "jump near"),
        (lambda c: np.nan, lambda c: 0.05, None, "not defined"),
    ],
)
def test_break_even_of_known_curves(own, other, bps, words: str) -> None:
    found, note = break_even(own, other, [0.0, 5.0, 10.0, 25.0, 50.0, 100.0])
    assert words in note
    if bps is None:
        assert found is None
    else:
        assert found == pytest.approx(bps, abs=0.5)
        assert abs(own(found) - other(found)) <= 1e-5


def test_one_portfolio_per_seed(store: PartStore) -> None:
    what = story(months=30)
    write_story(store, what)
    rng = np.random.default_rng(8)
    other = np.where(np.isnan(what.p_up["logistic"]), np.nan, rng.uniform(size=(30, 8)))
    for t, month in enumerate(what.months):
        shown = [
            (month.end, what.ids[k], "logistic", seed, float(p[t, k]))
            for seed, p in ((1, what.p_up["logistic"]), (2, other))
            for k in np.flatnonzero(~np.isnan(p[t]))
        ]
        schema = {
            "month": pl.Date,
            "fund_id": pl.String,
            "model": pl.String,
            "seed": pl.Int64,
            "p_up": pl.Float64,
        }
        store.write("seed_predictions", str(month), pl.DataFrame(shown, schema, orient="row"))
    own = ran(store, settings(), what.last)
    rows = own["sensitivities"].filter(dimension="seed")
    assert rows.filter(strategy="sa_logistic")["value"].unique().sort().to_list() == [
        "1",
        "2",
        "all",
    ]
    for value in ("1", "all"):  # the run's own P(up) here is that of seed 1
        found = result(rows, "sa_logistic", "seed", value, "annual_return")
        assert found == plain(own, "sa_logistic", "annual_return")
    write_story(store, dataclasses.replace(what, p_up=what.p_up | {"logistic": other}))
    swapped = ran(store, settings(), what.last)
    for strategy in ("sa_logistic", "wa_logistic"):
        found = result(rows, strategy, "seed", "2", "sharpe")
        assert found == pytest.approx(plain(swapped, strategy, "sharpe"), rel=1e-12)
    (single,) = rows.filter(strategy="sa_persistence").to_dicts()
    assert single["result"] is None and "single member" in single["note"]
    assert rows.filter(strategy="equal_weight_universe").is_empty()


def test_nothing_where_the_settings_ask_for_nothing(store: PartStore) -> None:
    what = story()
    write_story(store, what)
    off = ran(store, settings(sensitivities={"enabled": False}), what.last)
    assert off["sensitivities"].is_empty()
    some = {"cost_bps": [], "delay_months": [], "seeds": False, "terminal_return": [-1]}
    few = ran(store, settings(sensitivities=some), what.last)["sensitivities"]
    assert few["dimension"].unique().to_list() == ["terminal_return"]
    assert sorted(few["value"].unique()) == ["-0.2", "-1"]


def test_too_short_a_history_says_so(store: PartStore, tmp_path: Path) -> None:
    what = story(months=10)
    write_story(store, what)
    rows = ran(store, settings(), FIRST + 8)["sensitivities"].filter(dimension="delay_months")
    assert rows["result"].null_count() == rows.height > 0
    assert rows["note"].unique().to_list() == ["too few months are earned"]


def test_a_policy_is_asked_again_only_where_it_looked_at_the_state() -> None:
    calls = {"weights": 0, "holdings": 0, "some": 0}

    def weights(state: State, known: Signals) -> TargetWeights:
        calls["weights"] += 1
        return TargetWeights(known.eligible / known.eligible.sum())

    def holdings(state: State, known: Signals) -> TargetWeights:
        calls["holdings"] += 1
        return TargetWeights(state.holdings / state.nav)

    def some(state: State, known: Signals) -> TargetWeights | None:
        calls["some"] += 1
        return None if known.month > FIRST and state.held.any() else weights(state, known)

    yes, nothing = np.ones(3, dtype=bool), np.full(3, np.nan)
    states = [State(np.array([1.0, 2.0, k]), 1.0) for k in (0.0, 5.0)]
    for policy in (weights, holdings, some):
        asked = Remembered(policy)
        for state in states:
            for month in (FIRST, FIRST + 1):
                known = Signals(month, yes, nothing, nothing)
                found, expected = asked(state, known), policy(state, known)
                assert (found is None) == (expected is None)
                if found is not None and expected is not None:
                    assert found.weights.tolist() == expected.weights.tolist()
    assert calls["holdings"] == 2 * 4
    assert calls["some"] == 4 + 3  # once only for the first month, each time for the second


@dataclass
class Failing:  # dataclasses.replace gives it the terms
    """A scenario that cannot run."""

    error: InputError
    terms: Terms = field(default_factory=Terms)

    def run(self) -> None:
        raise self.error


def test_only_what_cannot_be_paid_is_no_result() -> None:
    own = BacktestSettings()
    dear = CostCurve(Failing(UnpayableError("costs all")), own)  # pyright: ignore
    assert all(np.isnan(value) for value in dear.at(1000.0).values())
    broken = CostCurve(Failing(InputError("weights sum to 2")), own)  # pyright: ignore
    with pytest.raises(InputError, match="sum to 2"):
        broken.at(10.0)
