"""A solver that fails: another takes over; where none is left, the weights stay and it is said."""

import numpy as np
import polars as pl
import pytest

from finembed_core.backtest.run import backtest
from finembed_core.backtest.solving import FAILED, LoggedPolicy, solver_log
from finembed_core.calendar import Month
from finembed_core.errors import SolverError
from finembed_core.portfolio import minimum_variance
from finembed_core.portfolio.orders import Signals, Solved, State, TargetWeights
from finembed_core.settings import PortfolioSettings, Settings
from finembed_core.store import PartStore
from tests.backtest.fake_store import FIRST, MODELS, story, write_story

STRATEGY = "gmv_ledoit_wolf"
SETTINGS = Settings.model_validate(
    {
        "dataset": {"name": "story"},
        "portfolio": {
            "models": MODELS[:1],
            "strategies": [STRATEGY, "equal_weight_universe"],
            "window_months": 12,
        },
        "backtest": {"sensitivities": {"enabled": False}},
    }
)
FIRST_SOLVED = FIRST + 11  # the first whole window
BROKEN = 2  # the decision after it at which solvers fail


def run_where_solvers_fail(store: PartStore, monkeypatch, *broken: str):
    """Warnings and tables of a run in which some solvers fail at the third optimization."""
    decisions: list[float] = []

    def failing(solver):
        def solve(problem):
            decided = float(problem.riskless)  # the same in all rounds of one decision
            if decided not in decisions:
                decisions.append(decided)
            return (None, 0.0, 0, "broken") if decisions[BROKEN:] == [decided] else solver(problem)

        return solve

    for name in broken:
        solver = minimum_variance.SOLVERS[name]
        monkeypatch.setitem(minimum_variance.SOLVERS, name, failing(solver))
    report = backtest(write_story(store, story()), SETTINGS, story().last)
    mine = pl.col("strategy") == STRATEGY
    tables = ("solver_log", "target_weights", "trades")
    return report.warnings, {t: store.read(t, report.run_id).filter(mine) for t in tables}


def test_the_fallback_is_logged_and_decides(store: PartStore, monkeypatch) -> None:
    warned, tables = run_where_solvers_fail(store, monkeypatch, "active_set", "piqp")
    log = tables["solver_log"].sort("decision")
    expected = ["active_set"] * log.height
    expected[BROKEN] = "clarabel"
    assert log["solver"].to_list() == expected
    assert log["status"][BROKEN] == "optimal" and log["excess"].max() < 1e-6
    assert set(tables["target_weights"]["decision"]) == set(log["decision"])
    assert not any("kept its last weights" in warning for warning in warned)


def test_where_no_solver_is_left_the_weights_stay_and_it_is_said(
    store: PartStore, monkeypatch
) -> None:
    warned, tables = run_where_solvers_fail(store, monkeypatch, *minimum_variance.SOLVERS)
    log = tables["solver_log"].sort("decision")
    failed = log.row(BROKEN, named=True)
    assert failed["decision"] == (FIRST_SOLVED + BROKEN).end
    assert (failed["solver"], failed["status"], failed["excess"]) == (None, FAILED, None)
    assert failed["note"].startswith("no solver found the minimum variance portfolio (active_set: ")
    assert log.filter(pl.col("status") == FAILED).height == 1
    assert failed["decision"] not in set(tables["target_weights"]["decision"])
    ordered = tables["trades"].filter(~pl.col("reason").str.starts_with("dead: "))
    assert failed["decision"] not in set(ordered["decision"])
    assert (FIRST_SOLVED + BROKEN + 1).end in set(ordered["decision"])
    text = f"{STRATEGY} kept its last weights in 1 months that could not be solved"
    assert any(warning.startswith(text) for warning in warned)


def test_only_optimizers_leave_lines_and_other_errors_are_no_failures() -> None:
    month, none = Month.parse("2001-01"), np.full(2, np.nan)
    known, state = Signals(month, np.ones(2, bool), none, none), State(np.zeros(2), 1.0)
    solved = Solved("piqp", "solved", 7, 1e-9, 0.0, 1e-8)
    answers = {
        "plain": TargetWeights(np.full(2, 0.5)),
        "optimizer": TargetWeights(np.full(2, 0.5), solved),
    }
    for name, orders in answers.items():
        policy = LoggedPolicy(lambda *_, given=orders: given, PortfolioSettings())
        assert policy(state, known) is orders
        log = solver_log(name, tuple(policy.lines))
        assert log.height == (name == "optimizer")
        assert log["iterations"].to_list() == [7] * log.height

    def fails(*_):
        raise SolverError("nothing was found")

    policy = LoggedPolicy(fails, PortfolioSettings())
    assert policy(state, known) is None
    assert solver_log("x", tuple(policy.lines))["note"].to_list() == ["nothing was found"]
    wrong = LoggedPolicy(lambda *_: [][0], PortfolioSettings())
    with pytest.raises(IndexError):
        wrong(state, known)
