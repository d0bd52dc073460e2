"""Scores against scikit-learn and scipy."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, balanced_accuracy_score, matthews_corrcoef

from finembed_core.calendar import Month
from finembed_core.learning import scores
from finembed_core.learning.scores import model_scores, monthly_confusion, monthly_rank_ic
from tests.learning.synthetic import FIRST

CLASSES = st.lists(st.tuples(st.integers(-1, 1), st.integers(-1, 1)), min_size=2, max_size=80)


@settings(deadline=None)
@given(CLASSES)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_confusion_metrics_equal_scikit_learn(pairs):
    realized, predicted = np.array(pairs).T
    total = monthly_confusion(np.zeros(len(pairs), dtype=int), realized, predicted).sum(axis=0)
    assert scores.accuracy(total) == pytest.approx(accuracy_score(realized, predicted))
    assert scores.balanced_accuracy(total) == pytest.approx(
        balanced_accuracy_score(realized, predicted)
    )
    assert scores.matthews_correlation(total) == pytest.approx(
        matthews_corrcoef(realized, predicted)
    )


def test_rank_ic_equals_scipy_month_by_month():
    rng = np.random.default_rng(0)
    month = rng.integers(0, 4, 60)
    score, realized = rng.integers(0, 6, 60).astype(float), rng.normal(size=60)
    ics = monthly_rank_ic(month, score, realized)
    for k in range(4):
        rows = month == k
        assert ics[k] == pytest.approx(spearmanr(score[rows], realized[rows]).statistic)


def test_rank_ic_needs_funds_and_differences():
    month = np.array([0] * 4 + [1] * 6)
    ics = monthly_rank_ic(month, np.ones(10), np.arange(10.0))
    assert np.isnan(ics).all()


def frames(months: int, funds: int, seed: int):
    rng = np.random.default_rng(seed)
    rows = [
        ((FIRST + m).end, f"fund{f:02d}", "some", (FIRST + (m + 1)).end)
        for m in range(months)
        for f in range(funds)
    ]
    keys = pl.DataFrame(rows, schema=["month", "fund_id", "model", "label_month"], orient="row")
    n = keys.height
    realized = rng.normal(size=n)
    p = rng.dirichlet([1, 1, 1], n)
    outcomes = keys.with_columns(
        realized=realized,
        realized_class=np.sign(realized).astype(int),
        predicted_class=p.argmax(axis=1) - 1,
    )
    return outcomes, keys.with_columns(p_down=p[:, 0], p_up=p[:, 2])


def test_intervals_hold_the_value_and_rows_without_outcome_do_not_count():
    outcomes, predictions = frames(30, 8, 0)
    dead = pl.col("fund_id") == "fund03"
    outcomes = outcomes.with_columns(
        pl.when(~dead).then(name).alias(name) for name in ("realized", "realized_class")
    )
    table = model_scores(outcomes, predictions)
    assert dict(table.schema) == scores.SCORE_SCHEMA
    sampled = table.filter(pl.col("ci_low").is_not_null())
    assert (sampled["ci_low"] <= sampled["value"]).all()
    assert (sampled["value"] <= sampled["ci_high"]).all()
    n = dict(table.select("metric", "n").rows())
    assert n["accuracy"] == 30 * 7
    assert n["rank_ic"] == 30


def test_scores_do_not_depend_on_the_order_of_rows_and_repeat():
    outcomes, predictions = frames(12, 6, 1)
    first = model_scores(outcomes, predictions)
    again = model_scores(outcomes.sample(fraction=1, shuffle=True, seed=3), predictions.reverse())
    assert first.equals(again)


def test_nothing_to_score():
    outcomes, predictions = frames(1, 6, 1)
    assert model_scores(outcomes.clear(), predictions.clear()).is_empty()
    assert model_scores(outcomes, predictions).height == 4  # one month has no t-statistic


def test_outcomes_are_what_became_known(noise_world):
    store, settings = noise_world
    through = Month.parse("2003-06")
    outcomes = scores.prediction_outcomes(store, settings, through)
    assert dict(outcomes.schema) == scores.OUTCOME_SCHEMA
    assert outcomes["label_month"].max() == dt.date(2003, 6, 30)
    row = outcomes.filter(pl.col("fund_id") == "fund00", pl.col("label_month") == through.end)[0]
    observed = store.read("fund_observations", "2003-06").filter(pl.col("fund_id") == "fund00")
    assert row["realized"][0] == observed["ret"][0]
    died = outcomes.filter(pl.col("fund_id") == "fund03", pl.col("label_month") == (FIRST + 31).end)
    assert died.height == 5
    assert died["realized"].null_count() == died["realized_class"].null_count() == 5


def test_no_predictions_yet(noise_world):
    store, settings = noise_world
    assert scores.prediction_outcomes(store, settings, FIRST + 3).is_empty()
