"""Labels of daily windows by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from finembed_core.learning.forward import forward_labels, label_sessions
from tests.daily_worlds import panel

NAN = np.nan


def labels(returns, session=0, columns=(0,), lag=1, horizon=4, known=None, since=None):
    made = panel(returns, since)
    known = len(made.days) - 1 if known is None else known
    return forward_labels(made, session, np.array(columns), lag=lag, horizon=horizon, known=known)


def test_labels_by_hand():
    """Decided at 0, dealt at the close of 1, earned in 2 to 5."""
    returns = np.array([9.0, 9.0, 0.10, -0.20, 0.05, 0.10, 9.0])[:, None]
    found = labels(returns)
    np.testing.assert_allclose(found.path, [[0.10, -0.20, 0.05, 0.10]], rtol=1e-6)
    np.testing.assert_allclose(found.total, 1.1 * 0.8 * 1.05 * 1.1 - 1.0, rtol=1e-6)
    deviation = np.sqrt((0.0875**2 + 0.2125**2 + 0.0375**2 + 0.0875**2) / 3)
    np.testing.assert_allclose(found.volatility, deviation * np.sqrt(252), rtol=1e-6)
    np.testing.assert_allclose(found.sharpe, 0.0125 / deviation * np.sqrt(252), rtol=1e-5)
    np.testing.assert_allclose(found.drawdown, 0.20, rtol=1e-6)
    assert found.known_from.tolist() == [5]
    assert found.path.dtype == np.float32
    assert found.total.dtype == np.float64
    np.testing.assert_allclose(labels(returns, lag=0).total, 10 * 1.1 * 0.8 * 1.05 - 1, rtol=1e-6)


def test_the_start_is_a_peak_too():
    found = labels(np.array([0, 0, -0.1, 0.0, 0.05, 0.0])[:, None])
    np.testing.assert_allclose(found.drawdown, 0.1, rtol=1e-6)
    rises = labels(np.array([0, 0, 0.1, 0.0, 0.05, 0.01])[:, None])
    assert rises.drawdown[0] == 0.0


def test_missing_days_earn_nothing_and_less_than_half_is_no_label():
    returns = np.array([0, 0, 0.1, NAN, NAN, 0.2])[:, None]
    found = labels(returns)
    np.testing.assert_allclose(found.path, [[0.1, 0.0, 0.0, 0.2]], rtol=1e-6)
    returns[5] = NAN
    gone = labels(returns)
    for value in (gone.path, gone.total, gone.volatility, gone.sharpe, gone.drawdown):
        assert np.isnan(value).all()


def test_a_path_that_does_not_move_has_no_sharpe_ratio():
    found = labels(np.full((6, 1), 0.001))
    assert found.volatility[0] < 1e-7
    assert np.isnan(found.sharpe[0])
    np.testing.assert_allclose(found.total, 1.001**4 - 1, rtol=1e-5)


@pytest.mark.parametrize(("known", "told"), [(4, False), (5, True)])
def test_labels_are_known_with_their_last_session(known, told):
    assert np.isfinite(labels(np.full((9, 1), 0.01), known=known).total[0]) == told


@pytest.mark.parametrize(("known", "days", "since"), [(5, 3, 5), (6, 3, 5), (7, 4, 7), (8, 4, 7)])
def test_a_late_report_changes_the_label_from_then_on(known, days, since):
    told = np.arange(9)[:, None].copy()
    told[3] = 7
    found = labels(np.full((9, 1), 0.01), known=known, since=told)
    np.testing.assert_allclose(found.total, 1.01**days - 1, rtol=1e-6)
    assert found.known_from.tolist() == [since]


def test_beyond_the_data_nothing_is_known():
    found = labels(np.full((5, 2), 0.01), columns=(1, 0), known=99)
    assert found.known_from.tolist() == [5, 5]
    assert found.path.shape == (2, 4)
    assert np.isnan(found.path).all()


def test_columns_come_in_the_order_asked_for():
    returns = np.tile([0.01, 0.02, 0.03], (9, 1))
    found = labels(returns, columns=(2, 0))
    np.testing.assert_allclose(found.path[:, 0], [0.03, 0.01], rtol=1e-6)


@given(
    known=st.integers(0, 300),
    lag=st.integers(0, 3),
    horizon=st.integers(1, 20),
    every=st.integers(1, 9),
    train=st.integers(1, 120),
    valid=st.integers(1, 40),
    first=st.integers(0, 40),
)
@hypothesis_settings(max_examples=200, deadline=None)
def test_label_sessions_lie_on_the_grid_and_are_purged(
    known, lag, horizon, every, train, valid, first
):
    sizes = {"lag": lag, "horizon": horizon, "every": every, "train": train, "valid": valid}
    training, validation = label_sessions(known, **sizes, first=first)
    both = np.r_[training, validation]
    assert ((known - both) % every == 0).all()
    assert (both >= first).all()
    assert (both + lag + horizon <= known).all()
    assert (np.diff(both) > 0).all()
    if len(validation):
        assert validation[-1] - validation[0] < valid
        assert known - lag - horizon - validation[-1] < every  # the newest there is
        assert (training + lag + horizon < validation[0]).all()
    if len(training):
        assert training[-1] - training[0] < train
    slow = [
        s
        for s in range(max(first, known - lag - horizon - valid + 1), known - lag - horizon + 1)
        if (known - s) % every == 0
    ]
    assert validation.tolist() == slow
