"""Filling: exact where the data are, cautious where they say little."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.multivariate.pca import PCA

from finembed_core.macro.missing import fill


def planted(months: int, series: int, count: int, noise: float, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    common = random.standard_normal((months, count)) @ random.standard_normal((count, series))
    return common + noise * random.standard_normal((months, series))


def holed(values: np.ndarray, share: float, seed: int = 2) -> np.ndarray:
    gaps = np.random.default_rng(seed).random(values.shape) < share
    values = np.where(gaps, np.nan, values)
    return (values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0)


def test_a_panel_without_gaps_stays_as_it_is():
    values = planted(50, 4, 1, 1.0)
    filling = fill(values, 1)
    np.testing.assert_array_equal(filling.values, values)
    assert filling.gap == 0.0


def test_without_noise_it_is_statsmodels_em():
    values = holed(planted(200, 12, 2, 1e-3), 0.1)
    em = PCA(
        values, ncomp=2, standardize=False, demean=False, missing="fill-em", tol_em=1e-10
    ).transformed_data
    np.testing.assert_allclose(fill(values, 2).values, em, atol=2e-3)


def test_what_is_observed_is_not_touched():
    values = holed(planted(80, 6, 2, 1.0), 0.3)
    filled = fill(values, 2).values
    seen = ~np.isnan(values)
    np.testing.assert_array_equal(filled[seen], values[seen])


def test_a_factor_that_nobody_shows_does_not_feed_on_its_own_filling():
    """Three copies begin late beside four series that know nothing of them.

    Plain EM lets the copies' factor follow the others' noise in the early half, at several times
    the size that it has where it is observed.
    """
    random = np.random.default_rng(5)
    others = planted(600, 4, 1, 1.0)
    others /= others.std(axis=0)
    copies = random.standard_normal((600, 1)) + 0.2 * random.standard_normal((600, 3))
    copies[:300] = np.nan
    values = np.hstack([others, copies / np.nanstd(copies)])
    early = fill(values, 2).values[:300, 4:]
    plain = PCA(
        values, ncomp=2, standardize=False, demean=False, missing="fill-em", max_em_iter=500
    ).transformed_data[:300, 4:]
    assert np.sqrt(np.square(early).mean()) < 1.0
    assert np.sqrt(np.square(plain).mean()) > 3.0


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_it_beats_the_mean_and_plain_em_on_gaps(noise):
    whole = planted(240, 15, 2, noise)
    values = holed(whole, 0.3)
    gaps = np.isnan(values)
    held = np.where(gaps, np.nan, whole)
    truth = ((whole - np.nanmean(held, axis=0)) / np.nanstd(held, axis=0))[gaps]
    plain = PCA(
        values, ncomp=2, standardize=False, demean=False, missing="fill-em", max_em_iter=500
    ).transformed_data[gaps]
    error = np.square(fill(values, 2).values[gaps] - truth).mean()
    assert error < np.square(truth).mean()
    assert error < np.square(plain - truth).mean() * 1.001


@given(
    seed=st.integers(0, 1000),
    months=st.integers(1, 40),
    series=st.integers(2, 8),
    share=st.floats(0.0, 1.0),
)
def test_odd_panels_are_filled(seed, months, series, share):
    random = np.random.default_rng(seed)
    values = random.standard_normal((months, series)).round(int(random.integers(0, 3)))
    values[random.random(values.shape) < share] = np.nan
    filling = fill(values, 1)
    assert np.isfinite(filling.values).all()
    assert 0.0 <= filling.gap < 2.0
