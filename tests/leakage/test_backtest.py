"""Everything after t replaced by noise: what the backtest says up to t stays, to the bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from finembed_core.backtest.run import backtest
from finembed_core.settings import Settings
from finembed_core.store import PartStore
from tests.backtest.fake_store import MODELS, Story, story, write_story

CUT = 13  # months kept


def noise_after(told: Story) -> Story:
    rng = np.random.default_rng(99)

    def other(values: np.ndarray, low: float, high: float) -> np.ndarray:
        changed = values.copy()
        changed[CUT:] = rng.uniform(low, high, changed[CUT:].shape)
        return changed

    assert told.aum is not None and told.benchmark is not None and told.yields is not None
    return replace(
        told,
        returns=other(told.returns, -0.5, 0.5),
        p_up={model: other(p, 0.0, 0.8) for model, p in told.p_up.items()},
        aum=other(told.aum, 1, 1e9),
        benchmark=other(told.benchmark, -0.5, 0.5),
        yields=other(told.yields, 0, 20),
    )


@pytest.mark.parametrize(("lag", "profile"), [(0, "liquid"), (15, "hedge_funds")])
def test_noise_after_t_changes_nothing_up_to_t(tmp_path: Path, lag: int, profile: str) -> None:
    settings = Settings.model_validate(
        {
            "dataset": {"name": "story", "profile": profile},
            "portfolio": {"models": list(MODELS)},
            "backtest": {"proceeds_delay_months": 1},
        }
    )
    told = story(seed=3, lag=lag)
    frames: list[dict[str, pl.DataFrame]] = []
    for k, version in enumerate((told, noise_after(told))):
        store = write_story(PartStore(tmp_path / str(k)), version)
        run_id = backtest(store, settings, told.last).run_id
        tables = ("target_weights", "trades", "holdings", "returns", "prediction_outcomes")
        frames.append({t: store.read(t, run_id).drop("run_id") for t in tables})
    end = told.months[CUT - 1].end
    dated = {
        "target_weights": "decision",
        "trades": "dealing",
        "holdings": "date",
        "returns": "date",
        "prediction_outcomes": "label_month",
    }
    for table, column in dated.items():
        one, two = (frame[table].filter(pl.col(column) <= end) for frame in frames)
        assert one.height > 0 and one.equals(two), table
        whole, other = (frame[table] for frame in frames)
        assert not whole.equals(other), table
