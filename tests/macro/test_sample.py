"""Which series enter, from when on, and how they are standardized."""

import numpy as np
import pytest

from finembed_core.calendar import Month, month_ends
from finembed_core.macro.sample import draw_sample
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


@pytest.mark.parametrize(("share", "start"), [(0.5, 10), (0.75, 40), (1.0, 50)])
def test_starts_when_that_share_of_the_series_has_begun(share, start):
    columns = {f"s{k}": noise(k) for k in range(4)}
    for k, begin in enumerate((0, 10, 40, 50)):
        columns[f"s{k}"][:begin] = np.nan
    known = panel(columns)
    chosen = SETTINGS.model_copy(update={"min_coverage": share})
    sample = draw_sample(known, np.ones(4, dtype=int), chosen)
    assert sample.panel.dates[0] == known.dates[start]
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


def test_a_quarterly_value_stands_for_its_quarter():
    quarterly = np.full(120, np.nan)
    quarterly[2::3] = noise(1, 40)
    quarterly[-1] = np.nan  # not published yet
    found = draw({"q": quarterly, "a": noise(2)}, steps=[3, 1]).panel.values[:, 0]
    np.testing.assert_array_equal(found[:117:3], found[2:117:3])
    np.testing.assert_array_equal(found[1:117:3], found[2:117:3])
    assert np.isnan(found[117:]).all()
    assert not np.isnan(found[:117]).any()


def test_an_outlier_of_a_quarter_is_not_replaced_by_its_neighbor():
    quarterly = np.full(120, np.nan)
    quarterly[2::3] = noise(1, 40)
    quarterly[62] = 1e6
    found = draw({"q": quarterly, "a": noise(2)}, steps=[3, 1]).panel.values[:, 0]
    assert np.flatnonzero(np.isnan(found)).tolist() == [60, 61, 62]


def test_a_month_without_any_value_is_left_out():
    columns = {f"s{k}": noise(k) for k in range(3)}
    for column in columns.values():
        column[70] = np.nan
    assert len(draw(columns).panel.dates) == 119
