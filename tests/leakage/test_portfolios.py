"""Strategies that estimate from past returns see those known when they decide, and no others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from finembed_core.backtest.run import backtest
from finembed_core.calendar import DecisionCalendar
from finembed_core.portfolio.signals import read_signals
from finembed_core.settings import Settings
from finembed_core.store import PartStore
from tests.backtest.fake_store import FIRST, MODELS, Story, story, write_story

MONTHS, CUT, WINDOW = 26, 20, 12  # of the story, months kept, months estimated from
OPTIMIZED = ["gmv_sample", "gmv_ledoit_wolf", "gmv_oas", "gmv_factor", "risk_parity"]
SETTINGS = Settings.model_validate(
    {
        "dataset": {"name": "story"},
        "portfolio": {
            "models": MODELS[:1],
            "strategies": [*OPTIMIZED, "tilt"],
            "window_months": WINDOW,
            "risk_parity_covariance": "oas",
            "tilt": {"base": "risk_parity"},
        },
        "backtest": {"sensitivities": {"enabled": False}},
    }
)


def told(noise: bool = False) -> Story:
    what = story(seed=5, months=MONTHS, funds=10)
    if not noise:
        return what
    returns = what.returns.copy()
    returns[CUT:] = np.random.default_rng(9).uniform(-0.5, 0.5, returns[CUT:].shape)
    return replace(what, returns=returns)


def test_noise_after_t_leaves_every_optimized_target_up_to_t(tmp_path: Path) -> None:
    frames = []
    for name, what in (("true", told()), ("noise", told(noise=True))):
        store = write_story(PartStore(tmp_path / name), what)
        run_id = backtest(store, SETTINGS, what.last).run_id
        frames.append(
            [store.read(t, run_id).drop("run_id") for t in ("target_weights", "solver_log")]
        )
    known = pl.col("decision") <= (FIRST + (CUT - 1)).end
    for strategy in [*OPTIMIZED, f"tilt_{MODELS[0]}"]:
        for true, noisy in zip(*frames, strict=True):
            one, two = (frame.filter(pl.col("strategy") == strategy) for frame in (true, noisy))
            decided = one.filter(known)
            assert decided["decision"].n_unique() == CUT - WINDOW + 1, strategy
            assert decided.equals(two.filter(known)), strategy
            assert not one.equals(two), strategy  # what comes after does matter after


def test_a_window_holds_what_had_been_reported_then(tmp_path: Path) -> None:
    """F03 reports its eleventh month two months late, and F04 corrects its own a month later."""
    what = told()
    store = write_story(PartStore(tmp_path), what)
    key = str(FIRST + 10)
    rows = store.read("fund_observations", key)
    own = {name: rows.filter(pl.col("fund_id") == name) for name in ("F03", "F04")}
    store.write("fund_observations", key, rows.filter(pl.col("fund_id") != "F03"))
    for later, more in (
        (FIRST + 11, own["F04"].with_columns(ret=pl.lit(0.25))),
        (FIRST + 12, own["F03"]),
    ):
        seen = store.read("fund_observations", str(later))
        store.write("fund_observations", str(later), pl.concat([seen, more]))
    signals = read_signals(store, FIRST + 6, what.last, what.ids, MODELS, DecisionCalendar(0)).of(
        None
    )
    cells = [signals[FIRST + k].returns(k - 10 + 1)[0, [3, 4]].tolist() for k in (10, 11, 12)]
    first, second = what.returns[10, [3, 4]]
    assert cells[0] == [pytest.approx(np.nan, nan_ok=True), second]
    assert cells[1] == [pytest.approx(np.nan, nan_ok=True), 0.25]
    assert cells[2] == [first, 0.25]
