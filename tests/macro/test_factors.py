"""Factors against numpy's SVD, planted factors, planted gaps, and FRED-MD."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.macro_filling import fred_md
from finembed_core.calendar import Month, month_ends
from finembed_core.macro.factors import MacroFactors, macro_factors
from finembed_core.panel import Panel
from finembed_core.settings import MacroSettings
from tests.shared_data import SHARED, needs_shared

START = Month.parse("1980-01")


def panel(values: np.ndarray, start: Month = START) -> Panel:
    ids = tuple(f"S{k:03d}" for k in range(values.shape[1]))
    return Panel(month_ends(start.ordinal + np.arange(len(values))), ids, values)


def factors(values: np.ndarray, previous=None, **chosen) -> MacroFactors:
    ones = np.ones(values.shape[1], dtype=int)
    return macro_factors(panel(values), ones, MacroSettings(**chosen), previous)


def planted(months: int, series: int, count: int, noise: float, seed: int = 1):
    """X = F L' + e."""
    random = np.random.default_rng(seed)
    common = random.standard_normal((months, count)) @ random.standard_normal((count, series))
    return common + noise * random.standard_normal((months, series)), common


def test_complete_data_is_numpys_svd():
    values, _ = planted(200, 12, 3, 1.0)
    found = factors(values, n_components=3)
    standard = (values - values.mean(0)) / values.std(0)
    u, s, vt = np.linalg.svd(standard, full_matrices=False)
    for k in range(3):
        sign = np.sign(vt[k, np.abs(vt[k]).argmax()])
        np.testing.assert_allclose(found.factors.values[:, k], sign * u[:, k] * 200**0.5, rtol=1e-8)
        np.testing.assert_allclose(
            found.loadings.values[:, k], sign * vt[k] * s[k] / 200**0.5, rtol=1e-8
        )
    np.testing.assert_allclose(found.explained, s[:3] ** 2 / (s**2).sum(), rtol=1e-10)


def test_loadings_are_correlations_on_complete_data():
    values, _ = planted(150, 8, 2, 1.0)
    found = factors(values, n_components=2)
    both = np.corrcoef(values.T, found.factors.values.T)[:8, 8:]
    np.testing.assert_allclose(found.loadings.values, both, atol=1e-10)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_bai_ng_finds_the_planted_number(count):
    values, _ = planted(300, 60, count, 2.0, seed=count)
    assert len(factors(values, rule="bai_ng").explained) == count


def test_bai_ng_criterion_is_equation_9():
    """IC_p2 by hand from SVD residuals chooses the same number."""
    values, _ = planted(120, 30, 4, 3.0, seed=3)
    standard = (values - values.mean(0)) / values.std(0)
    _, s, _ = np.linalg.svd(standard)
    t, n = standard.shape
    residual = [((s[k:] ** 2).sum()) / (n * t) for k in range(9)]
    penalty = (n + t) / (n * t) * np.log(min(n, t))
    criterion = [np.log(v) + k * penalty for k, v in enumerate(residual)]
    expected = max(int(np.argmin(criterion)), 1)
    assert len(factors(values, rule="bai_ng").explained) == expected


def test_explained_share_takes_the_fewest_that_reach_it():
    values, _ = planted(200, 20, 3, 0.5)
    share = np.cumsum(factors(values, n_components=8).explained)
    found = factors(values, rule="explained", explained_share=float(share[1]) + 1e-6)
    assert len(found.explained) == 3
    assert len(factors(values, rule="explained", explained_share=1.0).explained) == 8


def test_em_recovers_planted_gaps_better_than_the_mean():
    values, common = planted(240, 20, 2, 0.5)
    gaps = np.random.default_rng(2).random(values.shape) < 0.1
    gaps[-3:, ::2] = True  # ragged edge
    found = factors(np.where(gaps, np.nan, values), n_components=2)
    filled = found.factors.values @ found.loadings.values.T
    seen = np.where(gaps, np.nan, values)
    standard = (common - np.nanmean(seen, 0)) / np.nanstd(seen, 0)
    error_em = np.square(filled - standard)[gaps].mean()
    error_mean = np.square(standard)[gaps].mean()
    assert error_em < 0.1 * error_mean
    assert found.notes["em_gap"] < 1e-3


def test_mixed_frequencies_share_their_factor():
    """Half of the series are known as means of their quarters."""
    values, _ = planted(240, 12, 1, 0.3)
    truth = factors(values, n_components=1).factors.values[:, 0]
    mixed = values.copy()
    mixed[:, :6] = np.nan
    mixed[2::3, :6] = values[:, :6].reshape(80, 3, 6).mean(axis=1)
    steps = np.array([3] * 6 + [1] * 6)
    found = macro_factors(panel(mixed), steps, MacroSettings(n_components=1), None)
    monthly = factors(values[:, 6:], n_components=1).factors.values[:, 0]
    quarters = truth.reshape(80, 3).mean(axis=1)
    together = found.factors.values[:, 0].reshape(80, 3).mean(axis=1)
    assert abs(np.corrcoef(together, quarters)[0, 1]) > 0.98
    assert abs(np.corrcoef(monthly, truth)[0, 1]) > 0.98


def test_thin_data_has_a_reason():
    values, _ = planted(59, 6, 1, 1.0)
    assert factors(values[:, :0]).reason == "no_series"
    assert factors(values).reason == "too_few_series"
    assert factors(planted(100, 1, 1, 1.0)[0]).reason == "too_few_series"
    assert set(factors(values).excluded.values()) == {"short_history"}


def test_copies_of_one_series_give_one_factor():
    one = np.random.default_rng(1).standard_normal(100)
    found = factors(np.column_stack([one, one, one]), n_components=2)
    assert found.factors.ids == ("F1",)
    np.testing.assert_allclose(found.explained, 1.0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    months=st.integers(0, 90),
    series=st.integers(0, 7),
    missing=st.floats(0.0, 0.9),
    rule=st.sampled_from(["fixed", "explained", "bai_ng"]),
    step=st.sampled_from([1, 3]),
)
def test_odd_data_never_stops_it(seed, months, series, missing, rule, step):
    """No error and no warning; factors finite, of unit mean square."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((months, series)).round(int(random.integers(0, 3)))
    values[random.random(values.shape) < missing] = np.nan
    known = panel(values)
    chosen = MacroSettings(min_months=24, rule=rule)
    found = macro_factors(known, np.full(series, step), chosen, None)
    assert bool(found.reason) == (len(found.explained) == 0)
    assert np.isfinite(found.factors.values).all()
    assert set(found.loadings.ids) | set(found.excluded) <= set(known.ids)
    if not found.reason:
        np.testing.assert_allclose(np.square(found.factors.values).mean(0), 1.0, rtol=1e-6)


@needs_shared
@pytest.mark.parametrize("months", [range(595, 601), range(733, 740)], ids=["2008", "2020"])
def test_fred_md_factors_keep_their_signs(months):
    """In the two crises: no factor turns round, and the first is real activity."""
    full = fred_md(SHARED / "macro" / "fredmd_2023-06.csv")
    previous = None
    history = None
    for end in months:
        known = Panel(full.dates[:end], full.ids, full.values[:end])
        found = macro_factors(known, np.ones(len(known.ids), dtype=int), MacroSettings(), previous)
        if history is not None:
            before = history.values
            after = found.factors.values[: len(before)]
            kept = [np.corrcoef(before[:, k], after[:, k])[0, 1] for k in range(3)]
            assert min(kept) > 0.7
        previous, history = found.loadings, found.factors
    assert previous is not None
    place = {name: k for k, name in enumerate(previous.ids)}
    production, unemployment = previous.values[[place["INDPRO"], place["UNRATE"]], 0]
    assert production * unemployment < 0
    assert abs(production) > 0.6
