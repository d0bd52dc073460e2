"""Books through the daily ledger: against a plain account, by hand, and when funds die."""

import dataclasses
import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.embeddings.evaluation.deaths import daily_deaths, recorded_deaths
from finembed_core.embeddings.evaluation.predictions import Predictions
from finembed_core.embeddings.evaluation.simulation import DailyLedger
from finembed_core.errors import InputError
from finembed_core.settings import Settings
from tests.embeddings.evaluation_worlds import EVERY, DailyWorld, own_settings

NAN = np.nan


def ledger_of(world: DailyWorld, panel=None, own: Settings | None = None, risk_free=None):
    panel = panel or world.panel()
    known = Predictions.of(world.predictions(panel), panel)
    own = own or own_settings()
    return DailyLedger.of(panel, known, world.fund_table(), own, risk_free)


def plain_account(
    returns: list[list[float]], book: list[list[float]], dealt: list[int], cost: float, cash_rate
) -> list[float]:
    """Wealth before the dealing of every session from the first dealing on, in plain numbers."""
    held, cash, wealth = [0.0] * len(returns[0]), 1.0, [1.0]
    for session in range(dealt[0], len(returns)):
        if session > dealt[0]:
            earned = [0.0 if r != r else r for r in returns[session]]
            held = [h * (1.0 + r) for h, r in zip(held, earned, strict=True)]
            cash *= 1.0 + cash_rate[session]
            wealth.append(sum(held) + cash)
        if session in dealt and book[dealt.index(session)][0] == book[dealt.index(session)][0]:
            target, nav = book[dealt.index(session)], sum(held) + cash
            after = nav
            for _ in range(200):  # NAV after the costs of reaching the weights of that NAV
                dealt_now = [abs(w * after - h) for w, h in zip(target, held, strict=True)]
                after = nav - cost * sum(dealt_now)
            held, cash = [w * after for w in target], after * (1.0 - sum(target))
    return wealth


@given(seed=st.integers(0, 10**6), lag=st.sampled_from([0, 1, 3]), bps=st.sampled_from([0, 30]))
@settings(max_examples=12, deadline=None)
def test_wealth_equals_a_plain_account(seed: int, lag: int, bps: int) -> None:
    world = DailyWorld(seed=seed, sessions=90, funds=4)
    rng = np.random.default_rng(seed)
    cash_rate = rng.uniform(0.0, 0.001, 90)
    own = own_settings(dealing_lag_sessions=lag)
    own = own.model_copy(
        update={"backtest": own.backtest.model_copy(update={"cost_bps": float(bps)})}
    )
    ledger = ledger_of(world, own=own, risk_free=cash_rate)
    book = rng.dirichlet(np.ones(4), len(ledger.decisions))
    book[:, 3] = 0.0  # the rest is cash
    book[1] = NAN  # holds on
    held = ledger.hold(book)
    assert held is not None and held.decided.tolist() == [k != 1 for k in range(len(book))]
    dealt = [int(s) - world.first + lag for s in ledger.decisions]
    wealth = plain_account(
        ledger.returns.tolist(), book.tolist(), dealt, bps / 1e4, cash_rate[world.first :].tolist()
    )
    mine = np.cumprod(np.concatenate([[1.0], 1.0 + held.net]))
    np.testing.assert_allclose(mine, wealth, rtol=1e-9)
    assert len(held.net) == len(ledger.dates) == len(held.turnover) == len(held.cost)


def test_the_dates_earned_begin_after_the_dealing() -> None:
    world = DailyWorld(sessions=120)
    ledger = ledger_of(world)
    days = world.panel().days
    first, last = world.decisions()[0], world.decisions()[-1]
    assert ledger.dates[0] == days[first + 2]
    assert ledger.dates[-1] == days[min(last + 1 + EVERY, 119)]


def test_one_purchase_by_hand() -> None:
    """Half in a fund that doubles, at 100 bps: 1 / 1.005 is split, a cost of .5 / 1.005 x 1%."""
    world = DailyWorld(sessions=60, funds=2)
    panel = world.panel()
    returns = np.zeros_like(panel.returns)
    returns[world.first + 2, 0] = 1.0  # the first session after the dealing
    panel = dataclasses.replace(panel, returns=returns)
    own = own_settings()
    own = own.model_copy(update={"backtest": own.backtest.model_copy(update={"cost_bps": 100.0})})
    ledger = ledger_of(world, panel, own)
    book = np.full((len(ledger.decisions), 2), NAN)
    book[0] = [0.5, 0.0]
    held = ledger.hold(book)
    assert held is not None
    assert held.net[0] == pytest.approx(1.5 / 1.005 - 1.0)
    assert held.cost[0] == pytest.approx(0.005 / 1.005)
    assert held.turnover[0] == pytest.approx(0.25 / 1.005)
    assert not held.net[1:].any()


def test_the_market_is_bought_once_for_nothing() -> None:
    world = DailyWorld()
    panel, ledger = world.panel(), ledger_of(world)
    series = panel.series[world.first : ledger.last + 1, 0].astype(np.float64)
    held = ledger.hold_series("market", series)
    np.testing.assert_allclose(held.net, series[2:], rtol=1e-9, atol=1e-15)
    assert not held.cost.any() and held.turnover[1:].sum() == 0.0
    assert held.decided.all()  # a fund bought once always has what was decided


def test_a_book_that_never_decides_is_absent() -> None:
    ledger = ledger_of(DailyWorld())
    assert ledger.hold(np.full((len(ledger.decisions), 12), NAN)) is None


def test_a_fund_that_dies_pays_its_terminal_return() -> None:
    """Silent from a session on: given up three months later, at a loss of 20%."""
    world = DailyWorld(sessions=200, funds=2)
    panel = world.panel()
    returns = np.zeros_like(panel.returns)
    silent = world.first + 10
    returns[silent:, 0] = NAN
    panel = dataclasses.replace(panel, returns=returns)
    own = own_settings()
    (death,) = daily_deaths(panel, world.fund_table(), own)
    expected = panel.days[silent - 1].astype("datetime64[M]") + 3
    assert np.datetime64(death.month.end).astype("datetime64[M]") == expected
    assert (death.fund, death.terminal, death.reason) == (0, -0.2, "stopped_reporting")
    ledger = ledger_of(world, panel, own)
    book = np.full((len(ledger.decisions), 2), NAN)
    book[0] = [0.5, 0.5]
    held = ledger.hold(book)
    assert held is not None
    lost = np.flatnonzero(held.net < -0.05)
    assert ledger.dates[lost].tolist() == [death.month.end]
    assert held.net[lost[0]] == pytest.approx(-0.1)


def test_recorded_deaths_and_categories_that_mature() -> None:
    day = dt.date(2001, 5, 1)
    deaths: dict[str, list] = {"death_date": [day, None], "death_reason": ["liquidated", None]}
    world = DailyWorld(sessions=200, funds=2, attributes=deaths)
    panel = world.panel()
    returns = panel.returns.copy()
    returns[60:, 1] = NAN
    panel = dataclasses.replace(panel, returns=returns)
    own = own_settings(daily_lag_days=2)
    own = own.model_copy(
        update={"ingest": own.ingest.model_copy(update={"maturing_categories": ["stocks"]})}
    )
    one, two = daily_deaths(panel, world.fund_table(), own)
    assert (one.fund, one.month.end, one.reason) == (0, dt.date(2001, 5, 3), "liquidated")
    assert (two.fund, two.terminal, two.reason) == (1, 0.0, "matured")


@pytest.mark.parametrize("late", [-1, 0, 5])
def test_nothing_is_bought_of_a_fund_after_its_death(late: int) -> None:
    """Dead so many sessions after the second dealing, and reporting for ever: it pays 80% once."""
    world = DailyWorld(sessions=200, funds=2)
    panel = world.panel()
    died = world.decisions()[1] + 1 + late
    day = panel.days[died].item() - dt.timedelta(1)
    reasons = ["stopped_reporting", None]
    deaths: dict[str, list] = {"death_date": [day, None], "death_reason": reasons}
    world = dataclasses.replace(world, attributes=deaths)
    returns = np.zeros_like(panel.returns)
    returns[died + 1 :, 0] = 0.5
    panel = dataclasses.replace(panel, returns=returns)
    ledger = ledger_of(world, panel, own_settings(daily_lag_days=1))
    held = ledger.hold(np.full((len(ledger.decisions), 2), 0.5))
    assert held is not None
    moved = np.flatnonzero(np.abs(held.net) > 0.01)  # more than costs
    assert ledger.dates[moved].tolist() == [panel.days[died].item()]
    assert held.net[moved[0]] == pytest.approx(-0.1, rel=0.02)


def test_the_dead_are_not_listed() -> None:
    day = dt.date(2001, 5, 1)
    world = DailyWorld(sessions=200, funds=2, attributes={"death_date": [day, None]})
    panel, own = world.panel(), own_settings(daily_lag_days=2)
    known = Predictions.of(world.predictions(panel), panel)
    known = known.without(recorded_deaths(panel, world.fund_table(), own))
    alive = panel.days[world.decisions()] < np.datetime64("2001-05-03")
    assert known.listed[:, 0].tolist() == alive.tolist() and known.listed[:, 1].all()


def test_a_fund_that_reports_again_after_a_silence_is_dealt_again() -> None:
    world = DailyWorld(sessions=300, funds=2)
    panel = world.panel()
    returns = np.zeros_like(panel.returns)
    returns[60:160, 0] = NAN
    returns[250, 0] = 0.1
    panel = dataclasses.replace(panel, returns=returns)
    ledger = ledger_of(world, panel)
    held = ledger.hold(np.full((len(ledger.decisions), 2), 0.5))
    assert held is not None
    days = dict(zip(ledger.dates.tolist(), held.net.tolist(), strict=True))
    assert days[panel.days[250].item()] == pytest.approx(0.05, rel=0.01)


def test_a_short_pause_is_no_death() -> None:
    world = DailyWorld(sessions=200, funds=2)
    panel = world.panel()
    returns = panel.returns.copy()
    returns[60:110, 0] = NAN  # ten weeks
    panel = dataclasses.replace(panel, returns=returns)
    assert daily_deaths(panel, pl.DataFrame(world.fund_table()), own_settings()) == ()


def test_nothing_to_earn_is_refused() -> None:
    world = DailyWorld(sessions=60)
    panel = world.panel()
    table = world.predictions(panel).filter(pl.col("date") == panel.days[40].item())
    late = table.with_columns(date=pl.lit(panel.days[58].item()))
    with pytest.raises(InputError, match="fewer than two sessions"):
        DailyLedger.of(panel, Predictions.of(late, panel), world.fund_table(), own_settings())
