import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finembed_core.errors import InputError
from finembed_core.portfolio.positions import long_only, long_short, tilted

POSITIONS = arrays(float, 6, elements=st.floats(-3, 3))


def test_long_short_has_the_gross_leverage_asked_for() -> None:
    assert long_short(np.array([1.0, -3.0]), 2.0).tolist() == [0.5, -1.5]
    assert long_short(np.zeros(2)).tolist() == [0, 0]


def test_long_only_is_the_positive_part_or_cash() -> None:
    assert long_only(np.array([1.0, -3.0, 3.0])).tolist() == [0.25, 0, 0.75]
    assert long_only(np.array([-1.0, -3.0])).tolist() == [0, 0]


def test_a_tilt_leans_by_its_strength_and_no_farther_than_the_active_share() -> None:
    base = np.array([0.5, 0.3, 0.2])
    positions = np.array([-1.0, 0.0, 1.0])
    np.testing.assert_allclose(tilted(base, positions, 0.1, 1.0), [0.4, 0.3, 0.3])
    np.testing.assert_allclose(tilted(base, positions, 0.1, 0.05), [0.45, 0.3, 0.25])
    np.testing.assert_allclose(tilted(base, positions, 0.6, 1.0), np.array([0, 0.3, 0.8]) / 1.1)


@given(POSITIONS, st.floats(0, 10), st.floats(0, 1))
def test_a_tilt_is_a_long_only_portfolio(positions, strength, share) -> None:
    base = np.array([0.4, 0.3, 0.1, 0.1, 0.1, 0.0])
    weights = tilted(base, positions, strength, share)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert weights.min() >= -1e-15
    assert 0.5 * np.abs(weights - base).sum() <= share + 1e-12


def test_what_cannot_be_a_portfolio_is_refused() -> None:
    with pytest.raises(InputError, match=r"sum to 0\.9"):
        tilted(np.array([0.5, 0.4]), np.zeros(2), 1.0, 1.0)
    with pytest.raises(InputError, match="1 of 2 positions"):
        long_only(np.array([np.nan, 1.0]))
