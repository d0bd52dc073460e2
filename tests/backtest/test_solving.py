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


def simulated(store: PartStore, monkeypatch, *broken: str) -> tuple[tuple[str, ...], dict]:
    """Warnings and tables of a run in which some solvers fail at the third optimization."""
    for name in broken:
        solver, called = minimum_variance.SOLVERS[name], []

        def failing(problem, solver=solver, called=called):
            decided = tuple(problem.model.specific)
            if decided not in called:
                called.append(decided)
            return solver(problem) if len(called) != 1 + BROKEN else (None, 0.0, 0, "broken")

        monkeypatch.setitem(minimum_variance.SOLVERS, name, failing)
    what = write_story(store, story()), story().last
    report = backtest(what[0], SETTINGS, what[1])
    tables = ("solver_log", "target_weights", "trades", "holdings")
    mine = pl.col("strategy") == STRATEGY
    return report.warnings, {t: store.read(t, report.run_id).filter(mine) for t in tables}
