"""Samples: what stands in a window, and when."""

import numpy as np
import polars as pl
import pytest

from finembed_core.errors import MissingPartError
from finembed_core.learning.samples import FEATURES, OWN, SampleReader
from tests.learning.synthetic import FACTORS, FIRST, World, quick_settings


@pytest.fixture(scope="module")
def reader(noise_world):
    return SampleReader(*noise_world)


def test_windows_hold_each_months_own_features(noise_world, reader):
    store, settings = noise_world
    lookback = settings.learning.lookback
    samples = reader.read(FIRST + 10, FIRST + 14)
    row = 17
    month, fund = int(samples.months[row]), samples.funds[row]
    window = samples.feature_windows(np.array([row]))[0]
    for step in range(lookback):
        key = str(FIRST + (month - lookback + 1 + step - FIRST.ordinal))
        part = store.read("polymodel_features", key).filter(pl.col("fund_id") == fund)
        expected = part.select(FEATURES).cast(pl.Float32).fill_null(float("nan")).to_numpy()[0]
        np.testing.assert_array_equal(window[step], expected)


def test_own_series_end_with_the_samples_month(noise_world, reader):
    store, _ = noise_world
    samples = reader.read(FIRST + 10, FIRST + 10)
    now = store.read("fund_observations", str(FIRST + 10)).sort("fund_id")
    before = store.read("fund_observations", str(FIRST + 9)).sort("fund_id")
    ret, log_aum, flow = (samples.own[:, -1, OWN.index(name)] for name in OWN)
    np.testing.assert_allclose(ret, now["ret"], rtol=1e-6)
    np.testing.assert_allclose(samples.latest_return, ret)
    np.testing.assert_allclose(log_aum, np.log(now["aum"]), rtol=1e-6)
    growth = now["aum"].to_numpy() / before["aum"].to_numpy() - 1
    np.testing.assert_allclose(flow, growth - now["ret"].to_numpy(), rtol=1e-4, atol=1e-5)


def test_macro_look_back_comes_from_the_months_own_fit(noise_world, reader):
    store, settings = noise_world
    samples = reader.read(FIRST + 20, FIRST + 21)
    for k in range(2):
        part = store.read("macro_factors", str(FIRST + (20 + k))).sort("date", "factor")
        values = part["value"].to_numpy().reshape(-1, 3)[-settings.learning.lookback :]
        np.testing.assert_allclose(samples.macro[k], values, rtol=1e-6)


def test_the_history_before_the_study_is_missing_not_an_error(noise_world, reader):
    samples = reader.read(FIRST, FIRST)
    assert np.isnan(samples.features[:-1]).all()
    assert not np.isnan(samples.latest_return).any()
    assert reader.read(FIRST - 3, FIRST - 1).months.size == 0


def test_a_month_that_was_not_built_is_an_error_with_a_remedy(tmp_path):
    store = World(months=8, funds=3).write(tmp_path)
    store.delete("polymodel_features", str(FIRST + 5))
    reader = SampleReader(store, quick_settings())
    with pytest.raises(MissingPartError, match=str(FIRST + 5)):
        reader.read(FIRST + 6, FIRST + 6)


def test_a_dead_fund_has_no_samples(reader):
    alive, dead = reader.read(FIRST + 30, FIRST + 30), reader.read(FIRST + 31, FIRST + 31)
    assert "fund03" in alive.funds
    assert "fund03" not in dead.funds


def test_months_read_together_or_alone_are_the_same(noise_world, reader):
    together = reader.read(FIRST + 12, FIRST + 15)
    alone = SampleReader(*noise_world).read(FIRST + 14, FIRST + 14)
    rows = np.nonzero(together.months == (FIRST + 14).ordinal)[0]
    np.testing.assert_array_equal(together.funds[rows], alone.funds)
    np.testing.assert_array_equal(together.own[rows], alone.own)
    np.testing.assert_array_equal(
        together.feature_windows(rows), alone.feature_windows(np.arange(len(alone)))
    )
    assert together.factor_ids == alone.factor_ids == tuple(sorted(FACTORS))
    np.testing.assert_array_equal(together.factors[2], alone.factors[0])
