"""What a run makes of policies that fail or sell short."""

import numpy as np
import polars as pl

from finembed_core.settings import Settings
from finembed_core.store import PartStore
from tests.backtest.fake_store import MODELS, story
from tests.backtest.test_run import SETTINGS, told


def test_a_month_that_cannot_be_solved_keeps_the_weights_and_says_so(store: PartStore) -> None:
    """Nobody reaches the floor in some windows: the portfolio drifts on, the log has the reason."""
    what = story(months=30)
    mean = np.array([what.returns[t - 11 : t + 1].mean(axis=0) for t in range(12, 30)])
    floor = 12.0 * float(np.median(np.nanmax(mean, axis=1)))
    portfolio = {
        "models": list(MODELS),
        "strategies": ["gmv_ledoit_wolf", "equal_weight_universe"],
        "window_months": 12,
        "minimum_variance": {"floor": floor},
    }
    report, frames = told(
        store, what, Settings.model_validate({**SETTINGS.study, "portfolio": portfolio})
    )
    log = frames["solver_log"]
    failed = log.filter(pl.col("status") == "failed")
    assert 0 < failed.height < log.height
    assert failed["solver"].null_count() == failed.height
    assert failed["note"].str.contains("no portfolio within the caps has a mean of").all()
    solved = log.filter(pl.col("status") != "failed")
    assert solved["excess"].max() < 1e-6 and solved["budget_error"].max() < 1e-9
    targets = frames["target_weights"].filter(pl.col("strategy") == "gmv_ledoit_wolf")
    assert set(targets["decision"]) == set(solved["decision"])
    assert any("kept its last weights" in warning for warning in report.warnings)


def test_short_sales_are_simulated_on_request_only(store: PartStore) -> None:
    short = {**SETTINGS.study["portfolio"], "strategies": ["long_short", "equal_weight_universe"]}
    asked = Settings.model_validate(
        {**SETTINGS.study, "portfolio": short, "backtest": {"short_selling": True}}
    )
    _, frames = told(store, story(), asked)
    own = frames["holdings"].filter(pl.col("strategy") == "long_short_logistic")
    books = own.group_by("date").agg(
        net=pl.col("weight").sum(), gross=pl.col("weight").abs().sum(), n=pl.len()
    )
    assert books["net"].abs().median() < 1e-12  # a fund that could not be dealt stays
    assert books["gross"].min() > 0.5 and own["weight"].min() < 0.0
    refused = Settings.model_validate({**asked.study, "backtest": {}})
    _, frames = told(store, story(), refused)
    absent = frames["strategies"].filter(pl.col("status") == "absent")
    assert absent["reason"].unique().to_list() == [
        "funds cannot be sold short (backtest.short_selling simulates it)"
    ]
