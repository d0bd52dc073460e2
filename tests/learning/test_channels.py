"""Channels: scaled by training data, filled, masked, the same after a round trip."""

from dataclasses import replace

import numpy as np
import pytest

from finembed_core.learning.channels import CLIP, ChannelScaler, FactorBasis
from finembed_core.learning.samples import FEATURES
from tests.learning.random_samples import random_samples


def test_scaled_by_median_and_quartiles_of_training_data_alone():
    samples = random_samples(months=60)
    train = samples.take(np.nonzero(samples.month_index < 40)[0])
    scaler = ChannelScaler.fit(train, 8)
    wild = replace(samples, features=samples.features.copy(), factors=samples.factors.copy())
    wild.features[45:] = 1e6
    wild.factors[40:] = -1e6
    again = ChannelScaler.fit(wild.take(np.nonzero(wild.month_index < 40)[0]), 8)
    np.testing.assert_array_equal(again.features.center, scaler.features.center)
    np.testing.assert_array_equal(again.shared.scale, scaler.shared.scale)
    values = scaler.view(train).windows(np.arange(len(train)))[:, FEATURES.index("lta")]
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    assert middle == pytest.approx(0.0, abs=1e-6)
    assert high - low == pytest.approx(1.349, rel=1e-5)


def test_outliers_are_clipped_and_levels_stay():
    samples = random_samples()
    scaler = ChannelScaler.fit(samples, 8)
    shifted = replace(samples, features=samples.features + np.float32(1.0))
    rows = np.arange(len(samples))
    low, high = scaler.view(samples).windows(rows), scaler.view(shifted).windows(rows)
    assert high[:, : len(FEATURES)].mean() > low[:, : len(FEATURES)].mean() + 0.5
    extreme = replace(samples, features=samples.features * np.float32(1e6))
    assert np.abs(scaler.view(extreme).windows(rows)).max() == CLIP


def test_a_missing_value_is_the_median_and_shows_in_its_mask():
    samples = random_samples()
    samples.features[20, 0, FEATURES.index("svar")] = np.nan
    scaler = ChannelScaler.fit(samples, 8)
    assert "missing_stress" in scaler.channels
    assert "log_aum" not in scaler.channels  # never observed
    assert "missing_assets" not in scaler.channels  # always missing tells nothing
    row = np.nonzero((samples.month_index == 20) & (samples.fund_index == 0))[0]
    window = dict(zip(scaler.channels, scaler.view(samples).windows(row)[0], strict=True))
    np.testing.assert_array_equal(window["missing_stress"], [0.25, 0, 0, 0, 0, 0])
    assert window["svar"][0] == 0.0


def test_many_factors_become_their_leading_components():
    samples = random_samples(factors=12)
    common = np.random.default_rng(1).normal(size=(30, 6, 1)).astype(np.float32)
    loadings = np.linspace(1.0, 2.0, 12, dtype=np.float32)
    factors = common * loadings + 0.1 * samples.factors
    basis = FactorBasis.fit(factors, samples.factor_ids, 3)
    assert basis.names == ("factor_pc1", "factor_pc2", "factor_pc3")
    scores = basis.apply(replace(samples, factors=factors))
    first = np.corrcoef(scores[:, :, 0].ravel(), common.ravel())[0, 1]
    assert abs(first) > 0.99
    np.testing.assert_allclose(basis.components @ basis.components.T, np.eye(3), atol=1e-12)


def test_factors_are_found_by_name():
    samples = random_samples(factors=4)
    scaler = ChannelScaler.fit(samples, 8)
    rows = np.arange(len(samples))
    order = [2, 0, 3, 1]
    shuffled = replace(
        samples,
        factors=samples.factors[:, :, order],
        factor_ids=tuple(samples.factor_ids[k] for k in order),
    )
    expected = scaler.view(samples).windows(rows)
    np.testing.assert_array_equal(scaler.view(shuffled).windows(rows), expected)
    fewer = replace(samples, factors=samples.factors[:, :, :3], factor_ids=samples.factor_ids[:3])
    assert scaler.view(fewer).windows(rows).shape == expected.shape


def test_round_trip_is_exact():
    samples = random_samples(factors=12)
    scaler = ChannelScaler.fit(samples, 5)
    again = ChannelScaler.from_state(*scaler.state())
    rows = np.arange(len(samples))
    np.testing.assert_array_equal(
        again.view(samples).windows(rows), scaler.view(samples).windows(rows)
    )
    assert again.channels == scaler.channels


def test_table_is_the_latest_value_and_the_mean():
    samples = random_samples()
    view = ChannelScaler.fit(samples, 8).view(samples)
    windows, table = view.windows(np.arange(len(view))), view.table()
    np.testing.assert_array_equal(table[:, : view.width], windows[:, :, -1])
    np.testing.assert_allclose(table[:, view.width :], windows.mean(axis=2), atol=1e-6)


def test_a_study_without_any_series_has_the_funds_own_channels():
    samples = random_samples(factors=0)
    samples.macro[:] = np.nan
    scaler = ChannelScaler.fit(samples, 8)
    assert scaler.channels == (*FEATURES, "ret")
    assert scaler.view(samples).windows(np.arange(3)).shape == (3, len(FEATURES) + 1, 6)
