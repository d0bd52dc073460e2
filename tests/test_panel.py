"""Panels, and histories that show nothing before it was known."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finembed_core.calendar import DecisionCalendar, Month, month_ends
from finembed_core.panel import History, Panel

FIRST = Month.parse("2000-01")
ROWS = st.tuples(
    st.integers(0, 11),  # month of the observation
    st.sampled_from("abc"),
    st.floats(-1, 1) | st.just(np.nan),
    st.integers(0, 6),  # months until it is known
    st.integers(0, 3),  # vintage
)


def _panel(values: np.ndarray) -> Panel:
    months, funds = values.shape
    ids = tuple(f"f{k}" for k in range(funds))
    return Panel(month_ends(np.arange(months) + FIRST.ordinal), ids, values)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="dates x ids"):
        Panel(month_ends([0, 1]), ("a",), np.zeros((3, 1)))


def test_long_and_back() -> None:
    values = np.array([[1.0, np.nan], [np.nan, 2.0], [3.0, 4.0]])
    panel = _panel(values)
    long = panel.to_long(id="fund_id", value="ret")
    assert long.columns == ["date", "fund_id", "ret"]
    assert long.height == 4
    again = Panel.from_long(
        long.sample(fraction=1.0, shuffle=True, seed=1), id="fund_id", value="ret"
    )
    np.testing.assert_array_equal(again.values, values)
    assert again.ids == panel.ids


def test_cuts() -> None:
    panel = _panel(np.arange(8.0).reshape(4, 2))
    assert panel.as_of(dt.date(2000, 2, 29)).values.tolist() == [[0, 1], [2, 3]]
    assert panel.as_of(dt.date(2000, 2, 28)).values.tolist() == [[0, 1]]
    window = panel.window(Month.parse("2000-05"), 3)
    np.testing.assert_array_equal(window.values, [[4, 5], [6, 7], [np.nan, np.nan]])
    np.testing.assert_array_equal(panel.at(Month.parse("2000-02")), [2, 3])
    np.testing.assert_array_equal(panel.select(["f1", "x"]).values[0], [1, np.nan])


def _history(rows: list[tuple[int, str, float, int, int]]) -> History:
    month, ids, values, delay, vintage = (np.array(column) for column in zip(*rows, strict=True))
    own = FIRST.ordinal + month
    return History(month_ends(own), ids, values, own + delay, vintage)


def _brute(
    rows: list[tuple[int, str, float, int, int]], month: int, ids: tuple[str, ...]
) -> np.ndarray:
    """The same by definition: of the rows known in a month, each cell's latest."""
    first = min(row[0] for row in rows)
    dense = np.full((max(month - first + 1, 0), len(ids)), np.nan)
    ordered = sorted(range(len(rows)), key=lambda k: (rows[k][0] + rows[k][3], rows[k][4], k))
    for k in ordered:
        own, name, value, delay, _ = rows[k]
        if own + delay <= month:
            dense[own - first, ids.index(name)] = value
    return dense


@given(st.lists(ROWS, min_size=1, max_size=40), st.integers(0, 18))
def test_as_of_equals_its_definition(
    rows: list[tuple[int, str, float, int, int]], month: int
) -> None:
    history = _history(rows)
    panel = history.as_of(FIRST + month)
    np.testing.assert_array_equal(panel.values, _brute(rows, month, history.ids))
    if len(panel.dates):
        assert panel.dates[-1] == np.datetime64((FIRST + month).end)
    window = history.as_of(FIRST + month, 4)
    np.testing.assert_array_equal(window.values, panel.window(FIRST + month, 4).values)


@given(st.lists(ROWS, min_size=2, max_size=40), st.integers(0, 12))
def test_what_becomes_known_later_changes_nothing(
    rows: list[tuple[int, str, float, int, int]], month: int
) -> None:
    before = _history(rows)
    noisy = [
        row if row[0] + row[3] <= month else (row[0], row[1], 99.0, row[3], row[4]) for row in rows
    ]
    np.testing.assert_array_equal(
        before.as_of(FIRST + month).values, _history(noisy).as_of(FIRST + month).values
    )


def test_a_late_report_shows_from_its_month_of_knowledge() -> None:
    frame = pl.DataFrame(
        {
            "date": [dt.date(2000, 1, 31), dt.date(2000, 2, 29)],
            "fund_id": ["a", "a"],
            "ret": [0.01, 0.02],
            "available_at": [dt.date(2000, 2, 15), dt.date(2000, 4, 20)],
        }
    )
    history = History.from_long(frame, DecisionCalendar(15), id="fund_id", value="ret")
    assert history.as_of(FIRST).values.tolist() == [[0.01]]
    assert np.isnan(history.as_of(FIRST + 2).at(FIRST + 1)).all()
    assert history.as_of(FIRST + 3).at(FIRST + 1).tolist() == [0.02]
    assert history.known_from(FIRST + 3)[1].tolist() == [(FIRST + 3).ordinal]
