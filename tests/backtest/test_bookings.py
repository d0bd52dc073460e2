"""What the ledger books of returns that ingest took back."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from finembed_core.backtest.bookings import booked_returns
from finembed_core.calendar import Month, month_range
from finembed_core.ingest.stage import ingest
from finembed_core.settings import Settings
from finembed_core.store import PartStore

FIRST, LAST = Month.parse("2000-01"), Month.parse("2000-12")
MONTHS = month_range(FIRST, LAST)
SETTINGS = Settings()


def _store(root: Path, rule: str, taken_back: dict[int, tuple[float, int]]) -> PartStore:
    """One fund that earns 1% a month; month k reported `value`, taken back in month `known`.

    A report that is judged in its own month was never visible.
    """
    store = PartStore(root)
    schema = {"fund_id": pl.String, "date": pl.Date, "ret": pl.Float64, "available_at": pl.Date}
    for k, month in enumerate(MONTHS):
        value, known = taken_back.get(k, (0.01, -1))
        rows = [("f", month.end, None if known == k else value, month.end)]
        rows += [
            ("f", MONTHS[j].end, None, month.end)
            for j, (_, known) in taken_back.items()
            if known == k > j
        ]
        store.write("fund_observations", str(month), pl.DataFrame(rows, schema, orient="row"))
    judged = [
        ("fund_observations", rule, "f", MONTHS[k].end, value, MONTHS[known].end)
        for k, (value, known) in taken_back.items()
    ]
    # A fund's namesake in the daily panel: its verdicts are none of the ledger's.
    judged += [("daily_observations", *row[1:4], 0.9, row[-1]) for row in judged]
    columns = ["table", "rule", "id", "date", "value", "known_at"]
    store.write("quarantine", "all", pl.DataFrame(judged, columns, orient="row"))
    return store


def _booked(store: PartStore, through: int) -> np.ndarray:
    return booked_returns(store, SETTINGS, MONTHS[through], through + 1).values[:, 0]


def test_a_stale_price_stands_until_somebody_knew(tmp_path: Path) -> None:
    store = _store(tmp_path, "stale_nav", {4: (0.0, 6), 5: (0.0, 6), 6: (0.0, 6), 7: (0.0, 7)})
    np.testing.assert_array_equal(_booked(store, 5)[4:], [0.0, 0.0])
    np.testing.assert_array_equal(_booked(store, 8)[4:], [0.0, 0.0, np.nan, np.nan, 0.01])


def test_a_duplicate_is_booked_before_and_after_it_is_found_out(tmp_path: Path) -> None:
    store = _store(tmp_path, "duplicate_fund", {4: (0.02, 6), 5: (0.03, 6), 6: (0.04, 6)})
    np.testing.assert_array_equal(_booked(store, 7)[4:], [0.02, 0.03, 0.04, 0.01])


def test_a_price_put_right_earns_what_both_months_make(tmp_path: Path) -> None:
    wrong = {4: (1.0, 5), 5: (-0.48, 5), 8: (0.8, 9), 9: (-0.4, 9)}
    store = _store(tmp_path, "nav_jump_undone", wrong)
    np.testing.assert_array_equal(_booked(store, 4)[4:], [1.0])
    np.testing.assert_allclose(
        _booked(store, 11)[4:], [np.nan, 0.04, 0.01, 0.01, np.nan, 0.08, 0.01, 0.01]
    )


def test_a_wrong_price_that_nothing_put_right_is_not_booked(tmp_path: Path) -> None:
    store = _store(tmp_path, "nav_jump_undone", {4: (-0.9, 5)})
    np.testing.assert_array_equal(_booked(store, 5)[4:], [np.nan, 0.01])


@pytest.mark.parametrize("factor", [0.01, 0.1, 0.3, 0.55, 1.8, 2.5, 10.0, 100.0])
def test_one_wrong_nav_costs_a_holder_nothing(tmp_path: Path, factor: float) -> None:
    """Through the gates: whichever rule catches which of the two returns."""
    draw = np.random.default_rng(3)
    nav = 123.4 * np.cumprod(1.0 + 0.01 * draw.standard_normal(48))
    months = month_range(FIRST, FIRST + 47)
    printed = nav.copy()
    printed[30] *= factor
    rows = pl.DataFrame({"fund_id": "f", "date": [m.end for m in months], "nav": printed})
    rows.write_csv(tmp_path / "nav.csv")
    files = {"fund_observations": [{"path": str(tmp_path / "nav.csv")}]}
    settings = Settings.model_validate({"dataset": {"source": "files", "files": files}})
    store = PartStore(tmp_path / "store")
    ingest(store, settings)
    booked = booked_returns(store, settings, months[-1], 48).values[:, 0]
    assert np.isnan(booked[30])
    assert np.nanprod(1.0 + booked) == pytest.approx(nav[-1] / nav[0])


@pytest.mark.parametrize("rule", ["face_value_change", "return_above_limit"])
def test_any_other_return_in_quarantine_is_none(tmp_path: Path, rule: str) -> None:
    store = _store(tmp_path, rule, {4: (9.0, 4)})
    assert np.isnan(_booked(store, 6)[4])
