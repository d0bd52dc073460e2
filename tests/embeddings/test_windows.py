"""Windows by hand: what is visible, who is listed, when one decides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finembed_core.calendar import Month
from finembed_core.embeddings.macro_steps import MacroSteps
from finembed_core.embeddings.windows import Windows, decision_sessions
from finembed_core.errors import InputError, MissingPartError
from finembed_core.store import PartStore
from tests.daily_worlds import (
    embedding_settings,
    panel,
    sessions,
    write_factors,
    write_months,
    write_panel,
)

NAN = np.nan
ALL = np.array([0])


def windows(made, store: PartStore, **embeddings) -> Windows:
    chosen = embedding_settings(**embeddings)
    return Windows(made, chosen.embeddings, MacroSteps.read(store, chosen))


def noise(length: int, width: int = 1, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (length, width)).astype(np.float32)


def test_a_window_shows_fund_market_and_factors_as_known(store):
    returns = noise(40)
    returns[30, 0] = NAN
    known = np.arange(40)[:, None].copy()
    known[33] = 36  # reported three sessions late
    write_panel(store, panel(returns, known))
    months = write_months(store, Month.parse("2000-01"), 2)
    write_factors(store, months[0], {"F1": [1.0, 2.0, 3.0], "F2": [7.0, NAN, 9.0]})
    write_factors(store, months[1], {"F1": [-1.0, -2.0, -3.0, -4.0]})
    found = Windows.read(store, embedding_settings())
    assert found.channels == ("fund", "MARKET", "macro_1", "macro_2", "macro_3")
    values, visible = found.at(35, ALL)
    assert values.dtype == np.float32
    assert values.shape == visible.shape == (1, 5, 16)
    rows = np.arange(20, 36)
    hidden = np.isin(rows, [30, 33])
    np.testing.assert_array_equal(visible[0, 0], ~hidden)
    np.testing.assert_array_equal(values[0, 0], np.where(hidden, 0.0, returns[rows, 0]))
    assert found.at(36, ALL)[1][0, 0, -4]  # session 33, known by now
    np.testing.assert_array_equal(values[0, 1], np.float32(0.01))
    # Session 35 is 23 February: January's fit is in force. It shows December's value, the second,
    # in January, and January's, the third, in February.
    assert str(found.panel.days[35]) == "2000-02-22"
    february = found.panel.days[rows] >= np.datetime64("2000-02-01")
    np.testing.assert_array_equal(values[0, 2], np.where(february, 3.0, 2.0))
    np.testing.assert_array_equal(values[0, 3], np.where(february, 9.0, 0.0))
    np.testing.assert_array_equal(visible[0, 3], february)
    assert not visible[0, 4].any()


def test_all_days_of_a_window_show_one_fit(store):
    write_panel(store, panel(noise(60)))
    months = write_months(store, Month.parse("2000-01"), 2)
    write_factors(store, months[0], {"F1": [1.0, 2.0, 3.0]})
    write_factors(store, months[1], {"F1": [-1.0, -2.0, -3.0, -4.0]})
    found = Windows.read(store, embedding_settings(lookback=40))
    days = found.panel.days
    last_of_february = int(np.searchsorted(days, np.datetime64("2000-02-29")))
    before, _ = found.at(last_of_february - 1, ALL)
    assert (before[0, 2] > 0).all()
    after, _ = found.at(last_of_february, ALL)  # decided at the month's end
    month = days[last_of_february - 39 : last_of_february + 1].astype("datetime64[M]")
    expected = np.where(month == np.datetime64("2000-01"), -2.0, -3.0)
    np.testing.assert_array_equal(after[0, 2], expected)


def test_before_the_first_month_there_are_no_factors_and_missing_ones_are_asked_for(store):
    write_panel(store, panel(noise(60)))
    write_months(store, Month.parse("2000-02"), 1)
    found = Windows.read(store, embedding_settings())
    _, visible = found.at(30, ALL)  # 15 February: nothing has been decided yet
    assert not visible[:, 2:].any()
    for ask in (lambda: found.at(45, ALL), lambda: found.as_of(45, 1000).digest()):
        with pytest.raises(MissingPartError, match="factors of 2000-02 have not been built"):
            ask()


def test_a_month_without_factors_hides_them(store):
    write_panel(store, panel(noise(60)))
    (month,) = write_months(store, Month.parse("2000-01"), 1)
    write_factors(store, month, {})
    _, visible = Windows.read(store, embedding_settings()).at(45, ALL)
    assert visible[:, :2].all()
    assert not visible[:, 2:].any()


def test_a_market_that_is_told_late_is_hidden_not_the_fund(store):
    made = panel(noise(40), market_known=np.arange(40) + 1)
    _, visible = windows(made, store).at(20, ALL)
    assert visible[0, 0].all()
    assert visible[0, 1].tolist() == [True] * 15 + [False]


def test_listing_names_why_a_fund_has_no_window(store):
    returns = np.tile(noise(40), (1, 8))
    returns[:30, 0] = NAN  # ten sessions old
    returns[:, 1] = 0.0002  # never moves
    returns[36:, 2] = NAN  # the last four: still heard of
    returns[35:, 3] = NAN  # the last five
    returns[20:, 4] = NAN  # long dead
    returns[:, 5] = NAN  # born later, as far as one knows
    returns[26:29, 6] = NAN  # three of sixteen are missing
    known = np.broadcast_to(np.arange(40)[:, None], returns.shape).copy()
    known[:, 7] = 40  # published after
    found = windows(panel(returns, known), store).listed(39)
    assert found.columns.tolist() == [2, 6]
    assert found.columns.dtype == np.int64
    assert found.excluded == (
        ("F00", "too_short"),
        ("F01", "constant"),
        ("F03", "silent"),
        ("F04", "all_hidden"),
    )


@pytest.mark.parametrize(("share", "listed"), [(0.6, [0]), (0.7, [])])
def test_the_least_share_of_visible_days_is_a_setting(store, share, listed):
    returns = noise(40)
    returns[:30] = NAN  # ten of sixteen are left: 0.625
    found = windows(panel(returns), store, min_visible=share).listed(39)
    assert found.columns.tolist() == listed


def test_a_nav_that_grows_by_a_fixed_rate_is_constant_up_to_rounding(store):
    nav = 1000.0 * 1.0002 ** np.arange(41)
    found = windows(panel((nav[1:] / nav[:-1] - 1.0)[:, None]), store).listed(39)
    assert found.excluded == (("F00", "constant"),)


@pytest.mark.parametrize("session", [-1, 14, 40])
def test_a_session_without_a_window_is_an_error(store, session):
    found = windows(panel(noise(40)), store)
    for ask in (found.listed, lambda s: found.at(s, ALL)):
        with pytest.raises(InputError, match=f"session {session} has no window of 16"):
            ask(session)


def test_nothing_daily_was_ingested(store):
    with pytest.raises(MissingPartError, match="daily_panel has no part"):
        Windows.read(store, embedding_settings())


def test_another_market_needs_another_ingest(store):
    write_panel(store, panel(noise(40)))
    assert Windows.read(store, embedding_settings(market="MARKET")).panel.market == "MARKET"
    with pytest.raises(MissingPartError, match="ingested beside MARKET, and the market is OTHER"):
        Windows.read(store, embedding_settings(market="OTHER"))


def test_the_arrays_stay_on_disk(store):
    write_panel(store, panel(noise(40, 3)))
    found = Windows.read(store, embedding_settings())
    for array in (found.panel.returns, found.panel.known, found.panel.series):
        assert isinstance(array, np.memmap)
    values, _ = found.at(39, np.array([2, 0]))
    values[:] = 5.0  # the reader's own
    assert (np.abs(found.panel.returns) < 1.0).all()


CELLS = arrays(np.float32, (40, 4), elements=st.sampled_from([0.01, -0.02, 0.0, NAN]))
DELAYS = arrays(np.int64, (40, 4), elements=st.sampled_from([0, 0, 0, 1, 5, 30]))


@given(CELLS, DELAYS, st.integers(15, 39))
@hypothesis_settings(max_examples=60, deadline=None)
def test_what_is_visible_is_known_and_what_is_not_is_zero(tmp_path_factory, cells, delays, session):
    known = np.arange(40)[:, None] + delays
    made = panel(cells, known)
    found = windows(made, PartStore(tmp_path_factory.mktemp("none")))
    columns = np.array([2, 0, 3])
    values, visible = found.at(session, columns)
    for place, column in enumerate(columns):
        for step in range(16):
            row = session - 15 + step
            there = not np.isnan(cells[row, column]) and known[row, column] <= session
            assert visible[place, 0, step] == there
            assert values[place, 0, step] == (cells[row, column] if there else 0.0)
    assert np.isfinite(values).all()
    single, mask = found.at(session, columns[1:2])  # whoever else is asked for
    np.testing.assert_array_equal(single[0], values[1])
    np.testing.assert_array_equal(mask[0], visible[1])
    listing = found.listed(session)
    heard = {f"F{k:02d}" for k in range(4) if (~np.isnan(cells) & (known <= session))[:, k].any()}
    named = {name for name, _ in listing.excluded}
    listed = {made.ids[k] for k in listing.columns}
    assert named | listed == heard
    assert not named & listed
    shown = found.at(session, listing.columns)[1][:, 0]
    assert (shown.mean(axis=1) >= 0.75).all()


def test_decisions_are_64_sessions_apart_from_the_anchor_on(store):
    made = panel(noise(400))
    found = windows(made, store, anchor="2000-02-01", lookback=64).decisions()
    assert (np.diff(found) == 64).all()
    first = int(np.searchsorted(made.days, np.datetime64("2000-02-01")))
    assert found[0] == first + 64  # the anchor's own session has no full look-back
    days = made.days[found]
    bounds = {"first_decision": str(days[1]), "last_decision": str(days[3])}
    again = windows(made, store, anchor="2000-02-01", lookback=64, **bounds).decisions()
    assert again.tolist() == found[1:4].tolist()
    longer = windows(made, store, anchor="2000-02-01", lookback=200).decisions()
    assert longer.tolist() == found[found >= 199].tolist()


@pytest.mark.parametrize("anchor", ["2000-03-01", "2000-03-04", "2000-01-12", "1999-01-04"])
@pytest.mark.parametrize("cut", [1, 7, 30])
def test_older_and_newer_data_move_no_decision(anchor, cut):
    """An anchor in the data (a session, a Saturday, a holiday), and one before all of them."""
    days, start = sessions(500), np.datetime64(anchor)
    older = np.busday_offset(days[0], np.arange(-40, 0))
    whole = days[decision_sessions(days, start, 64)]
    assert len(whole) >= 7
    for other in (days[:-cut], np.r_[older, days], np.r_[older[cut:], days[:-cut]]):
        found = other[decision_sessions(other, start, 64)]
        assert found[found >= days[0]].tolist() == whole[whole <= other[-1]].tolist()


def test_before_the_data_weekdays_count():
    days = sessions(300, np.datetime64("2005-06-01"))
    anchor = np.datetime64("2000-01-03")
    found = days[decision_sessions(days, anchor, 64)]
    weekdays = np.busday_count(anchor, found)
    assert (weekdays % 64 == 0).all()
    assert (np.diff(weekdays) == 64).all()
    without = days[days != found[1]]  # a holiday
    moved = without[decision_sessions(without, anchor, 64)]
    assert moved[1] == without[np.searchsorted(without, found[1])]  # the session after
    assert moved[2:].tolist() == found[2:].tolist()


def test_an_anchor_after_the_data_has_no_decision():
    assert decision_sessions(sessions(50), np.datetime64("2020-01-01"), 64).size == 0


def test_the_digest_follows_what_is_known(store):
    returns = noise(40, 2)
    known = np.broadcast_to(np.arange(40)[:, None], returns.shape).copy()
    known[20, 1] = 30
    base = windows(panel(returns, known), store)

    def digest(session: int, cells=returns, since=known, **changes) -> str:
        return windows(panel(cells, since, **changes), store).as_of(session, 1000).digest()

    later = returns.copy()
    later[20, 1] += 1.0
    assert digest(29, later) == base.as_of(29, 1000).digest()
    assert digest(30, later) != base.as_of(30, 1000).digest()
    sooner = known.copy()
    sooner[20, 1] = 29
    assert digest(29, returns, sooner) != base.as_of(29, 1000).digest()
    market = np.full(40, 0.01)
    market[25] = 0.5
    assert digest(24, market=market) == base.as_of(24, 1000).digest()
    assert digest(25, market=market) != base.as_of(25, 1000).digest()
    born = np.column_stack([returns, np.full(40, NAN)])
    born[30:, 2] = 0.01
    since = np.column_stack([known, np.arange(40)])
    assert digest(29, born, since) == base.as_of(29, 1000).digest()
    assert digest(30, born, since) != base.as_of(30, 1000).digest()


def test_the_digest_follows_the_factors_of_months_decided(store):
    write_panel(store, panel(noise(60)))
    months = write_months(store, Month.parse("2000-01"), 2)
    write_factors(store, months[0], {"F1": [1.0]})
    write_factors(store, months[1], {"F1": [1.0, 2.0]})
    before = [Windows.read(store, embedding_settings()).as_of(s, 1000).digest() for s in (30, 45)]
    write_factors(store, months[1], {"F1": [1.0, 5.0]})
    after = [Windows.read(store, embedding_settings()).as_of(s, 1000).digest() for s in (30, 45)]
    assert before[0] == after[0]
    assert before[1] != after[1]
