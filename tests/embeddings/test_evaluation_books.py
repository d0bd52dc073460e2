"""Books of the evaluations: what is chosen, what is refused, what was known."""

import dataclasses
import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finembed_core.embeddings.evaluation.books import (
    equal_weight,
    least_variance,
    mean_ranks,
    mixed,
    predicted_weights,
    top,
)
from finembed_core.embeddings.evaluation.portfolios import fund_groups
from finembed_core.embeddings.evaluation.predictions import Predictions, previous_returns, visible
from finembed_core.errors import InputError
from finembed_core.portfolio.covariance import ESTIMATORS, RiskModel
from tests.embeddings.evaluation_worlds import DailyWorld

NAN = np.nan
ALL = np.ones((1, 6), dtype=bool)
DAYS = np.array(["2001-01-01", "2001-04-02"], dtype="datetime64[D]")


def test_top_by_hand() -> None:
    """Ties go to the lower id; a fund without a score, or not listed, is not held."""
    scores = np.array([[0.1, 0.9, 0.5, 0.5, NAN, 9.0]])
    listed = np.array([[True, True, True, True, True, False]])
    assert top(scores, 2, listed).tolist() == [[0, 0.5, 0.5, 0, 0, 0]]


def test_top_holds_fewer_where_fewer_are_scored() -> None:
    scores = np.array([[NAN, 0.9, NAN, NAN, NAN, NAN]])
    assert top(scores, 2, ALL).tolist() == [[0, 1, 0, 0, 0, 0]]


@pytest.mark.parametrize("k", [4, 5])
def test_fewer_than_twice_k_funds_decide_nothing(k: int) -> None:
    assert np.isnan(top(np.arange(6.0)[None], k, ALL)).all()


def test_scores_that_are_all_missing_decide_nothing() -> None:
    assert np.isnan(top(np.full((1, 6), NAN), 2, ALL)).all()


@given(seed=st.integers(0, 10**6), k=st.integers(1, 6), share=st.floats(0.0, 1.0))
@settings(max_examples=60, deadline=None)
def test_top_is_a_portfolio_of_the_best(seed: int, k: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (4, 12)).astype(float)
    scores[rng.random(scores.shape) < 0.2] = NAN
    listed = rng.random(scores.shape) < share
    for row, score, there in zip(top(scores, k, listed), scores, listed, strict=True):
        ranked = there & np.isfinite(score)
        if there.sum() < 2 * k or not ranked.any():
            assert np.isnan(row).all()
            continue
        held = row > 0.0
        assert row.sum() == pytest.approx(1.0) and np.ptp(row[held]) == 0.0
        assert held.sum() == min(k, ranked.sum()) and not (held & ~ranked).any()
        left = ranked & ~held
        assert not left.any() or score[left].max() <= score[held].min()


def test_equal_weight_of_the_listed() -> None:
    listed = np.array([[True, False, True], [False, False, False]])
    book = equal_weight(listed)
    assert book[0].tolist() == [0.5, 0.0, 0.5] and np.isnan(book[1]).all()


def test_mixed_takes_equal_parts_of_those_that_decide() -> None:
    one = np.array([[1.0, 0.0], [1.0, 0.0], [NAN, NAN]])
    two = np.array([[0.0, 1.0], [NAN, NAN], [NAN, NAN]])
    book = mixed([one, two])
    assert book[:2].tolist() == [[0.5, 0.5], [1.0, 0.0]] and np.isnan(book[2]).all()


def test_ranks_are_averaged_over_seeds_whose_scores_differ_in_scale() -> None:
    one = np.array([[1.0, 2.0, 3.0, 4.0]])
    two = np.array([[300.0, 100.0, NAN, 200.0]])
    among = np.array([[True, True, True, False]])
    found = mean_ranks([one, two], among)
    np.testing.assert_allclose(found, [[(1 / 3 + 1) / 2, (2 / 3 + 1 / 2) / 2, 1.0, NAN]])
    assert np.isnan(mean_ranks([np.full((1, 4), NAN)] * 2, among)).all()


def test_predicted_weights_lose_their_rounding() -> None:
    weights = np.array([[0.6, 0.400001, NAN, -1e-9], [NAN] * 4])
    book = predicted_weights(weights, "weight", DAYS)
    assert book[0].sum() == pytest.approx(1.0, abs=1e-15) and book[0].min() == 0.0
    assert np.isnan(book[1]).all()


@pytest.mark.parametrize("row", [[0.5, 0.6], [1.5, -0.5], [0.0, 0.0]])
def test_weights_that_are_no_portfolio_are_refused(row: list[float]) -> None:
    with pytest.raises(InputError, match="predicted weights sum to") as caught:
        predicted_weights(np.array([[0.5, 0.5], row]), "weight of linear, probe, seed 2", DAYS)
    assert caught.value.where == "fund_predictions, weight of linear, probe, seed 2, 2001-04-02"


def test_what_is_not_known_yet_is_not_seen() -> None:
    panel = DailyWorld().panel()
    known = panel.known.copy()
    known[60, 3] = 62
    late = dataclasses.replace(panel, known=known)
    columns = np.array([2, 3])
    assert np.isnan(visible(late, 61, 5, columns)).tolist() == [[False, k == 3] for k in range(5)]
    assert not np.isnan(visible(late, 62, 5, columns)).any()
    assert len(visible(late, 1, 5, columns)) == 2


def test_previous_returns_by_hand() -> None:
    panel = DailyWorld().panel()
    returns = panel.returns.copy()
    returns[58:61, 0] = [0.1, NAN, 0.2]
    returns[58:61, 1] = [NAN, NAN, 0.2]
    panel = dataclasses.replace(panel, returns=returns)
    found = previous_returns(panel, np.array([60]), 3, np.array([0, 1]))
    assert found[0, 0] == pytest.approx(1.1 * 1.2 - 1.0) and np.isnan(found[0, 1])


def test_the_safest_fund_is_the_least_variance() -> None:
    world = DailyWorld()
    panel = world.panel()
    returns = panel.returns.copy()
    returns[:, 4] *= 0.001
    panel = dataclasses.replace(panel, returns=returns)
    known = Predictions.of(world.predictions(panel), panel)
    book, reason = least_variance(panel, known, 32, ESTIMATORS["sample"], known.listed)
    assert not reason
    assert (book[:, 4] > 0.95).all()
    np.testing.assert_allclose(book.sum(axis=1), 1.0)


def test_a_window_that_cannot_be_solved_holds_on() -> None:
    world = DailyWorld()
    panel = world.panel()
    returns = panel.returns.copy()
    first = world.decisions()[0]
    returns[: first + 1] = NAN
    panel = dataclasses.replace(panel, returns=returns)
    known = Predictions.of(world.predictions(panel), panel)
    book, reason = least_variance(panel, known, 32, ESTIMATORS["ledoit_wolf"], known.listed)
    assert np.isnan(book[0]).all() and not np.isnan(book[1:]).any()
    assert reason == f"{panel.days[first]}: no fund has 2 returns"


def test_funds_that_stand_still_have_no_least_variance() -> None:
    world = DailyWorld()
    panel = world.panel()
    panel = dataclasses.replace(panel, returns=np.zeros_like(panel.returns))
    known = Predictions.of(world.predictions(world.panel()), panel)
    book, reason = least_variance(panel, known, 32, ESTIMATORS["ledoit_wolf"], known.listed)
    assert np.isnan(book).all() and "no fund varies" in reason


def test_a_window_that_breaks_its_contract_is_an_error() -> None:
    world = DailyWorld()
    panel = world.panel()
    known = Predictions.of(world.predictions(panel), panel)

    def broken(window: np.ndarray) -> RiskModel:
        return RiskModel(np.full((1, window.shape[1]), np.nan), np.zeros(window.shape[1]))

    with pytest.raises(InputError, match="a variance is missing"):
        least_variance(panel, known, 32, broken, known.listed)


def test_history_weighs_the_funds_that_the_models_weighed() -> None:
    """Young funds have no weight by variance; where no model has any, all that are listed count."""
    world = DailyWorld(funds=4, seeds=(1, 2))
    panel = world.panel()
    day = world.predictions(panel)["date"].unique().sort()
    young = (pl.col("fund_id") == "F003") & (pl.col("date") == day[0])
    nobody = pl.col("date") == day[1]
    table = world.predictions(panel).with_columns(
        gmv=pl.when(young | nobody).then(None).otherwise("gmv")
    )
    weighed = Predictions.of(table, panel).weighed
    assert weighed[:3].tolist() == [[True, True, True, False], [True] * 4, [True] * 4]


def test_groups_are_large_enough() -> None:
    world = DailyWorld(funds=21, categories=("stocks", "stocks", None))
    panel = world.panel()
    known = Predictions.of(world.predictions(panel), panel)
    groups = fund_groups(known, world.fund_table())
    assert list(groups) == [("all", 5), ("all", 10), ("stocks", 5)]
    assert groups["stocks", 5].sum(axis=1).tolist() == [14] * len(known.sessions)


def changed(**columns: object) -> pl.DataFrame:
    world = DailyWorld()
    frame = world.predictions(world.panel())
    first = pl.int_range(pl.len()) == 0
    return frame.with_columns(
        pl.when(first).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
        for name, value in columns.items()
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (changed()[:0], "nothing to evaluate"),
        (changed(fund_id="nobody"), "fund nobody is not in the daily panel"),
        (changed(date=dt.date(1990, 1, 1)), "decision 1990-01-01 is not in the daily panel"),
        (pl.concat([changed(), changed()[:1]]), "two predictions of one model"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(table: pl.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Predictions.of(table, DailyWorld().panel())
