import dataclasses
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.backtest.contributions import (
    CASH,
    COSTS,
    RECEIVABLES,
    SCHEMAS,
    WRITE_OFFS,
    Contributions,
    contribution_table,
    contributions,
    linking,
)
from finembed_core.backtest.simulator import Death, Market, Terms, Track, simulate
from finembed_core.calendar import DecisionCalendar, Month
from finembed_core.errors import InputError, IntegrityError
from finembed_core.portfolio.orders import Signals, TargetWeights
from finembed_core.portfolio.policies.selection import simple_average, weighted_average
from finembed_core.portfolio.policies.universe import aum_weight, equal_weight
from finembed_core.settings import PortfolioSettings
from tests.backtest.worlds import FIRST, World, world

POLICIES = {
    "sa": simple_average,
    "wa": weighted_average,
    "equal": equal_weight,
    "aum": aum_weight,
}


def run(made: World, name: str = "sa") -> Track:
    own = PortfolioSettings()
    return simulate(
        made.market,
        made.signals,
        lambda state, known: POLICIES[name](state, known, own),
        made.terms,
        made.calendar,
    )


def buy_and_reset(returns, weights, **terms) -> tuple[Track, Market]:
    """All months reset to their weights; `returns` has a first row that nothing earns."""
    returns = np.array(returns, dtype=float)
    ids = tuple("ABCDEF"[: returns.shape[1]])
    market = Market(
        FIRST, ids, returns, terms.pop("rf", np.zeros(len(returns))), terms.pop("d", ())
    )
    nothing = np.full(len(ids), np.nan)
    signals = {
        FIRST + k: Signals(FIRST + k, nothing == 0.0, nothing, nothing) for k in range(len(returns))
    }
    reset = {FIRST + k: TargetWeights(np.array(w)) for k, w in enumerate(weights)}

    def policy(state, known):
        return reset.get(known.month)

    return simulate(market, signals, policy, Terms(**terms), DecisionCalendar(0)), market


def rows(table: pl.DataFrame) -> dict[str, dict[str, float]]:
    return {row.pop("fund_id"): row for row in table.to_dicts()}


def test_published_example() -> None:
    """Christopherson, Carino and Ferson (2009), *Portfolio Performance Measurement and
    Benchmarking*, table 19.1: stocks and bonds over two periods, total 43.125%.

    Contributions at the wealth of their time, which the money earned is: .26875 and .1625 (also
    in the tests of the R package PMwR, `rc`, "0-cumulative"). Linked by logarithms they must lie
    between those and the ones carried forward (.284, .14725).
    """
    track, market = buy_and_reset(
        [[0, 0], [0.40, 0.10], [0.10, 0.20]], [[0.5, 0.5], [0.55, 0.45], [0.5, 0.5]]
    )
    made = contributions(track, market)
    assert made.total_return == pytest.approx(0.43125, abs=1e-15)
    assert made.funds.sum(axis=0) / made.nav[0] == pytest.approx([0.26875, 0.1625], abs=1e-15)
    assert made.per_month(made.funds) == pytest.approx(np.array([[0.2, 0.05], [0.055, 0.09]]))
    one, two = math.log(1.25) / 0.25, math.log(1.145) / 0.145
    whole = math.log(1.43125) / 0.43125
    by_hand = [(0.2 * one + 0.055 * two) / whole, (0.05 * one + 0.09 * two) / whole]
    linked = made.linked(made.funds)
    assert linked == pytest.approx(by_hand, rel=1e-14)
    assert 0.26875 < linked[0] < 0.284 and linked.sum() == pytest.approx(0.43125, abs=1e-15)


def in_plain_words(track: Track, market: Market) -> dict[str, float]:
    """Linked contributions month by month and fund by fund; deaths from the market's list."""
    found: dict[str, float] = dict.fromkeys([*market.ids, CASH, COSTS, WRITE_OFFS], 0.0)
    growth = track.nav[-1] / track.nav[0]
    whole = 1.0 if growth == 1.0 else math.log(growth) / (growth - 1.0)
    spent = {d.dealing: sum(d.dealt.costs.tolist()) for d in track.decisions if d.dealt is not None}
    for k in range(1, len(track.nav)):
        month = track.first + k
        before = float(track.nav[k - 1])
        r = float(track.nav[k]) / before - 1.0
        scale = (1.0 if r == 0.0 else math.log1p(r) / r) / whole / before
        for i, fund in enumerate(market.ids):
            value = float(track.holdings[k - 1, i])
            ret = float(market.returns[market.row(month), i])
            gain = 0.0 if math.isnan(ret) else value * ret
            found[fund] += gain * scale
            for death in market.deaths:
                if death.month == month and death.fund == i:
                    found[WRITE_OFFS] += (value + gain) * death.terminal * scale
        found[CASH] += float(track.cash[k - 1]) * float(market.risk_free[market.row(month)]) * scale
        found[COSTS] -= spent.get(month - 1, 0.0) * scale
    return found


@given(
    seed=st.integers(0, 10**6),
    name=st.sampled_from(sorted(POLICIES)),
    lag=st.sampled_from([0, 15, 45]),
    delay=st.sampled_from([0, 2]),
)
@settings(max_examples=60, deadline=None)
def test_equals_plain_bookkeeping_and_sums(seed: int, name: str, lag: int, delay: int) -> None:
    made = world(seed, lag=lag, cost=0.01, delay=delay)
    track = run(made, name)
    split = contributions(track, made.market)
    change = split.funds.sum(axis=1) + split.write_offs.sum(axis=1) + split.cash + split.costs
    assert change == pytest.approx(np.diff(track.nav), abs=1e-12)
    shares = [split.per_month(m) for m in (split.funds, split.write_offs, split.cash, split.costs)]
    months = sum(s.reshape(len(track.net), -1).sum(axis=1) for s in shares)
    assert months == pytest.approx(track.net, abs=1e-12)
    table = contribution_table("x", split)
    assert dict(table.schema) == SCHEMAS["contributions"]
    compounded = float(np.prod(1.0 + track.net)) - 1.0
    assert table["contribution"].sum() == pytest.approx(compounded, abs=1e-9)
    alive = np.mean(track.nav[:-1] > 0.0)  # a world may lose everything
    assert table["average_weight"].sum() == pytest.approx(alive, abs=1e-12)
    if track.nav[-1] == 0.0:
        return
    plain = in_plain_words(track, made.market)
    for fund, row in rows(table).items():
        assert row["contribution"] == pytest.approx(plain.pop(fund, 0.0), abs=1e-12), fund
    assert all(value == 0.0 for value in plain.values())  # funds without a row were never held
    held = {i for k in range(len(track.net)) for i in np.flatnonzero(track.holdings[k]).tolist()}
    assert set(table["fund_id"]) == {made.market.ids[i] for i in held} | {
        *(CASH, COSTS, WRITE_OFFS, RECEIVABLES)
    }


@given(seed=st.integers(0, 10**6), data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_span_is_the_same_months_alone(seed: int, data: st.DataObject) -> None:
    made = world(seed, delay=1)
    track = run(made)
    earned = track.months[1:]
    begin = data.draw(st.integers(0, len(earned) - 1))
    end = data.draw(st.integers(begin, len(earned) - 1))
    whole = contributions(track, made.market)
    part = contributions(track, made.market, earned[begin], earned[end])
    rows_ = slice(begin, end + 1)
    assert part.months == earned[rows_]
    for field in ("funds", "write_offs", "cash", "costs", "weights", "receivables_weight"):
        assert (getattr(part, field) == getattr(whole, field)[rows_]).all(), field
    table = contribution_table("x", part)
    assert table["contribution"].sum() == pytest.approx(
        float(np.prod(1.0 + track.net[rows_])) - 1.0, abs=1e-9
    )


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_order_of_funds_and_of_months_does_not_matter(seed: int) -> None:
    """Carino's coefficients depend on a month's return, not on its place."""
    made = world(seed)
    track = run(made)
    split = contributions(track, made.market)
    rng = np.random.default_rng(seed)
    funds, months = rng.permutation(len(split.ids)), rng.permutation(len(split.months))
    place = {int(old): new for new, old in enumerate(funds)}
    market = dataclasses.replace(
        made.market,
        ids=tuple(made.market.ids[k] for k in funds),
        returns=made.market.returns[:, funds],
        deaths=tuple(dataclasses.replace(d, fund=place[d.fund]) for d in made.market.deaths),
    )
    moved = dataclasses.replace(
        track,
        holdings=track.holdings[:, funds],
        payouts=tuple(dataclasses.replace(p, fund=place[p.fund]) for p in track.payouts),
    )
    one, other = (
        rows(contribution_table("x", split)),
        rows(contribution_table("x", contributions(moved, market))),
    )
    assert one.keys() == other.keys()
    for fund, row in one.items():
        for column, value in row.items():
            assert other[fund][column] == pytest.approx(value, abs=1e-14), (fund, column)
    shares = split.per_month(split.funds)[months]
    nav = np.concatenate([[1.0], np.cumprod(1.0 + track.net[months])])
    assert linking(nav) @ shares == pytest.approx(split.linked(split.funds), abs=1e-12)


def test_worked_by_hand() -> None:
    """NAV 1, cost 1%, half in A, a quarter in B, a quarter in cash at .4%.

    Dealing: a NAV after costs with a + .01 x .75 a = 1, so a = 1/1.0075 = .992556: A .496278,
    B .248139, cash .248139, costs .007444. Month 2: A +10% earns .049628, B reports nothing, cash
    .000993. At its end B is found dead and returns half: -.124069. NAV .919107.
    """
    track, market = buy_and_reset(
        [[0, 0], [0.1, np.nan]],
        [[0.5, 0.25]],
        rf=np.array([0.9, 0.004]),
        d=(Death(FIRST + 1, 1, -0.5, "unknown"),),
        cost=0.01,
        delay=3,
    )
    table = rows(contribution_table("s", contributions(track, market)))
    assert track.nav[-1] == pytest.approx(0.919107, abs=1e-6)
    assert {fund: row["contribution"] for fund, row in table.items()} == pytest.approx(
        {"A": 0.049628, "B": 0.0, CASH: 0.000993, RECEIVABLES: 0.0, COSTS: -0.007444}
        | {WRITE_OFFS: -0.124069},
        abs=1e-6,
    )
    assert table["A"]["average_weight"] == pytest.approx(0.5)
    assert table[CASH]["average_weight"] == pytest.approx(0.25)
    assert table[COSTS]["average_weight"] is None and table[COSTS]["months_held"] is None
    assert table["A"]["months_held"] == table[CASH]["months_held"] == 1


def test_proceeds_that_wait_have_a_weight_and_earn_nothing() -> None:
    track, market = buy_and_reset(
        [[0], [np.nan], [np.nan], [np.nan]],
        [[1.0]],
        d=(Death(FIRST + 1, 0, -0.2, "unknown"),),
        rf=np.full(4, 0.01),
        delay=2,
    )
    split = contributions(track, market)
    assert split.receivables_weight.tolist() == [0.0, 1.0, 1.0]
    table = rows(contribution_table("s", split))
    assert table[RECEIVABLES] == {
        "strategy": "s",
        "contribution": 0.0,
        "average_weight": pytest.approx(2 / 3),
        "months_held": 2,
    }
    assert table[WRITE_OFFS]["contribution"] == pytest.approx(-0.2)
    assert table["A"]["contribution"] == 0.0


def test_a_total_loss_is_the_limit() -> None:
    """Carino's k goes to infinity with the month's; their ratio to 1, all other months' to 0."""
    track, market = buy_and_reset([[0], [0.5], [-1.0], [0.0]], [[1.0]] * 4)
    split = contributions(track, market)
    assert split.total_return == -1.0
    assert contribution_table("s", split)["contribution"].sum() == -1.0
    nearly = np.array([1.0, 1.5, 1e-300, 1e-300])
    assert linking(nearly) == pytest.approx([0, 1, 0], abs=2e-3)
    assert linking(np.array([1.0, 1.5, 0.0, 0.0])).tolist() == [0.0, 1.0, 0.0]


@given(st.lists(st.floats(-0.9, 2.0) | st.floats(-1e-12, 1e-12), min_size=1, max_size=30))
@settings(deadline=None)
def test_linked_months_compound(returns: list[float]) -> None:
    nav = np.cumprod([1.0, *(1.0 + r for r in returns)])
    r = nav[1:] / nav[:-1] - 1.0
    weights = linking(nav)
    assert (weights > 0.0).all()
    assert weights @ r == pytest.approx(nav[-1] - 1.0, rel=1e-9, abs=1e-11)


def test_no_month_no_rows() -> None:
    market = Market(FIRST, ("A",), np.zeros((1, 1)), np.zeros(1))
    signals = {FIRST: Signals(FIRST, np.array([True]), np.array([0.9]), np.array([np.nan]))}
    for lag in (0, 15):  # dealt but not earned; never dealt
        track = simulate(
            market,
            signals,
            lambda state, known: TargetWeights(np.array([1.0])),
            Terms(),
            DecisionCalendar(lag),
        )
        split = contributions(track, market)
        assert split.total_return == 0.0 and split.linked(split.funds).tolist() == [0.0]
        table = contribution_table("s", split)
        assert table.is_empty() and dict(table.schema) == SCHEMAS["contributions"]
        with pytest.raises(InputError, match="earned no month"):
            contributions(track, market, FIRST, FIRST)


def test_errors_say_what_is_wrong() -> None:
    track, market = buy_and_reset([[0, 0], [0.1, 0.2], [0.3, 0.1]], [[0.5, 0.5]] * 3)
    for first, last in ((FIRST, None), (None, FIRST + 3), (FIRST + 2, FIRST + 1)):
        with pytest.raises(InputError, match="no contributions from") as caught:
            contributions(track, market, first, last)
        assert caught.value.where == "the track earns 2001-02 to 2001-03"
    with pytest.raises(InputError, match="returns where the track holds"):
        contributions(track, dataclasses.replace(market, returns=market.returns[:, :1], ids=("A",)))
    with pytest.raises(IntegrityError, match="contributions sum to") as wrong:
        contributions(track, dataclasses.replace(market, returns=market.returns * 1.001))
    assert wrong.value.where == "2001-02"
    named = dataclasses.replace(market, ids=("A", ":cash"))
    with pytest.raises(InputError, match="a fund is called ':cash'"):
        contribution_table("s", contributions(track, named))


def test_months_and_ids_are_those_of_the_track() -> None:
    track, market = buy_and_reset([[0], [0.1], [0.2]], [[1.0]] * 3)
    split = contributions(track, market)
    assert isinstance(split, Contributions)
    assert split.months == [Month.parse("2001-02"), Month.parse("2001-03")]
    assert split.ids == ("A",) and split.weights.tolist() == [[1.0], [1.0]]
