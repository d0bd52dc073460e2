"""Which series enter, from when on, and how they are standardized."""

import numpy as np

from finembed_core.calendar import Month, month_ends
from finembed_core.macro.sample import draw_sample, estimable
from finembed_core.panel import Panel
from finembed_core.settings import MacroSettings

SETTINGS = MacroSettings(min_months=24)


def panel(columns: dict[str, np.ndarray]) -> Panel:
    values = np.column_stack(list(columns.values()))
    dates = month_ends(Month.parse("1990-01").ordinal + np.arange(len(values)))
    return Panel(dates, tuple(columns), values)


def draw(columns, settings=SETTINGS, steps=None):
    known = panel(columns)
    return draw_sample(known, np.array(steps or [1] * len(known.ids)), settings)


def noise(seed: int = 1, months: int = 120) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(months)


def test_every_reason_to_stay_out():
    ended, late, sparse, quarterly = noise(2), noise(3), noise(4), noise(5)
    ended[-13:] = np.nan
    late[:100] = np.nan
    sparse[np.arange(120) % 3 != 0] = np.nan
    quarterly[np.arange(120) % 3 != 2] = np.nan
    sample = draw(
        {
            "good": noise(6),
            "ended": ended,
            "late": late,
            "sparse": sparse,
            "quarterly": quarterly,
            "flat": np.full(120, 0.1),
            "zero": np.zeros(120),
        },
        steps=[1, 1, 1, 1, 3, 1, 1],
    )
    assert sample.excluded == {
        "ended": "ended",
        "late": "short_history",
        "sparse": "low_coverage",
        "flat": "constant",
        "zero": "constant",
    }
    assert sample.panel.ids == ("good", "quarterly")


def test_observed_cells_have_mean_zero_and_unit_spread():
    gappy = noise(2)
    gappy[5:20] = np.nan
    sample = draw({"a": 3 + 0.01 * noise(1), "b": gappy})
    np.testing.assert_allclose(np.nanmean(sample.panel.values, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(sample.panel.values, axis=0), 1, rtol=1e-12)


def test_starts_when_half_of_the_series_have_begun():
    columns = {f"s{k}": noise(k) for k in range(4)}
    for k, begin in enumerate((0, 10, 40, 50)):
        columns[f"s{k}"][:begin] = np.nan
    known = panel(columns)
    sample = draw_sample(known, np.ones(4, dtype=int), SETTINGS)
    assert sample.panel.dates[0] == known.dates[10]
    assert sample.excluded == {}


def test_outliers_count_as_missing():
    spiky = noise(1)
    spiky[50] = 1e6
    sample = draw({"a": spiky, "b": noise(2)})
    assert sample.outliers == 1
    assert np.isnan(sample.panel.values[50, 0])
    kept = draw({"a": spiky, "b": noise(2)}, SETTINGS.model_copy(update={"outlier_iqr": None}))
    assert kept.outliers == 0


def test_a_series_that_mostly_stands_still_has_no_outliers():
    policy_rate = np.zeros(120)
    policy_rate[::10] = 0.25
    assert draw({"rate": policy_rate, "b": noise(2)}).outliers == 0


def test_estimable_drops_thin_months_and_series():
    values = np.random.default_rng(1).standard_normal((30, 4))
    values[3, :2] = np.nan
    values[2:, 3] = np.nan
    dates = month_ends(np.arange(30))
    kept = estimable(Panel(dates, ("a", "b", "c", "d"), values), most=3)
    assert kept.ids == ("a", "b", "c")
    assert len(kept.dates) == 29
