"""Category retrieval and linear probes against brute force and planted truths."""

import math

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score

from finembed_core.embeddings.baseline import principal_vectors, standardized_returns
from finembed_core.embeddings.checks import (
    FEWEST_FUNDS,
    checks,
    linear_probe,
    market_beta,
    retrieval_scores,
    trailing_volatility,
)
from finembed_core.embeddings.retrieval import cosines
from finembed_core.errors import InputError

NAMES = [
    "category_retrieval",
    "category_precision_10",
    "linear_probe_volatility",
    "linear_probe_beta",
    "linear_probe_category",
]


def universe(funds: int = 80, days: int = 64, seed: int = 0):
    """Four categories with a factor each, betas to the market, a tenth of the days missing."""
    rng = np.random.default_rng(seed)
    group, beta = rng.integers(4, size=funds), rng.uniform(0.2, 1.8, funds)
    market, factors = 0.01 * rng.standard_normal(days), 0.01 * rng.standard_normal((4, days))
    own = beta[:, None] * market + factors[group] + 0.005 * rng.standard_normal((funds, days))
    windows = np.stack([own, np.broadcast_to(market, own.shape)], axis=1).astype(np.float32)
    visible = np.ones(windows.shape, dtype=bool)
    visible[:, 0] = rng.random(own.shape) > 0.1
    return np.where(visible, windows, 0), visible, group, beta


def told(vectors, windows, visible, group) -> dict[str, dict]:
    names = [f"category {k}" for k in group]
    return {
        row["check"]: row for row in checks(vectors, windows, visible, names, seed=1).to_dicts()
    }


def test_average_precision_is_that_of_sklearn() -> None:
    rng = np.random.default_rng(0)
    vectors, labels = rng.standard_normal((30, 5)), rng.integers(3, size=30)
    similarity, expected, hits = cosines(vectors, vectors), [], []
    for fund in range(30):
        others = np.arange(30) != fund
        alike = labels[others] == labels[fund]
        expected.append(average_precision_score(alike, similarity[fund, others]))
        hits.append(alike[np.argsort(-similarity[fund, others])[:10]].mean())
    found = retrieval_scores(vectors, labels, np.arange(30))
    assert found == pytest.approx((np.mean(expected), np.mean(hits)))


def test_funds_without_company_are_not_asked_for() -> None:
    vectors = np.eye(4)[[0, 0, 1, 1, 2]]
    assert retrieval_scores(vectors, np.array([1, 1, 2, 2, 3]), np.arange(5))[0] == 1.0


def test_vectors_that_are_the_categories_are_perfect() -> None:
    windows, visible, group, _ = universe()
    rows = told(np.eye(4)[group], windows, visible, group)
    assert list(rows) == NAMES
    assert rows["category_retrieval"]["value"] == rows["linear_probe_category"]["value"] == 1.0
    assert rows["category_precision_10"]["value"] == 1.0
    for row in rows.values():
        assert row["n"] == 80 and row["chance"] < row["baseline"] + 0.05


def test_vectors_that_are_noise_are_no_better_than_chance() -> None:
    windows, visible, group, _ = universe(300)
    rows = told(np.random.default_rng(1).standard_normal((300, 8)), windows, visible, group)
    for name in NAMES:
        assert rows[name]["value"] == pytest.approx(rows[name]["chance"], abs=0.1), name
    assert rows["category_retrieval"]["chance"] == pytest.approx(0.25, abs=0.03)
    assert rows["linear_probe_beta"]["baseline"] > 0.8
    assert rows["linear_probe_category"]["baseline"] > 0.9


def test_the_baseline_is_the_same_check_on_principal_components() -> None:
    windows, visible, group, _ = universe()
    own = told(principal_vectors(windows, visible, 6), windows, visible, group)
    for row in own.values():
        assert row["value"] == pytest.approx(row["baseline"])


def test_volatility_is_found_in_vectors_that_hold_it() -> None:
    windows, visible, group, _ = universe()
    vectors = np.column_stack([trailing_volatility(windows, visible), np.ones(80)])
    assert told(vectors, windows, visible, group)["linear_probe_volatility"]["value"] > 0.999


def test_targets_are_those_of_numpy() -> None:
    windows, visible, _, beta = universe()
    seen = visible[3, 0]
    own, market = windows[3].astype(np.float64)[:, seen]
    volatility = own.std(ddof=1) * math.sqrt(252)
    assert trailing_volatility(windows, visible)[3] == pytest.approx(volatility)
    slope = np.cov(own, market)[0, 1] / market.var(ddof=1)
    assert market_beta(windows, visible)[3] == pytest.approx(slope)
    assert np.corrcoef(market_beta(windows, visible), beta)[0, 1] > 0.9
    assert np.isnan(market_beta(windows[:, :1], visible[:, :1])).all()


def test_what_is_hidden_changes_nothing() -> None:
    windows, visible, group, _ = universe()
    noise = np.where(visible, windows, np.float32(7.0))
    vectors = np.random.default_rng(0).standard_normal((80, 3))
    assert told(vectors, windows, visible, group) == told(vectors, noise, visible, group)


def test_the_seed_matters_and_repeats() -> None:
    windows, visible, group, _ = universe()
    vectors, names = np.random.default_rng(0).standard_normal((80, 3)), [str(k) for k in group]
    one, again, other = (checks(vectors, windows, visible, names, seed=s) for s in (1, 1, 2))
    assert one.equals(again) and not one.equals(other)


@pytest.mark.parametrize("case", ["few", "no category", "one category", "all different"])
def test_what_cannot_be_checked_is_null(case: str) -> None:
    windows, visible, group, _ = universe(FEWEST_FUNDS - 1 if case == "few" else 40)
    n = len(group)
    categories = {
        "few": [str(k) for k in group],
        "no category": [None] * n,
        "one category": ["equity"] * n,
        "all different": [str(k) for k in range(n)],
    }[case]
    table = checks(np.eye(n)[:, :4], windows, visible, categories, seed=0)
    lost = table.filter(pl.col("value").is_null())
    expected = NAMES if case == "few" else [n for n in NAMES if "category" in n]
    assert lost["check"].to_list() == expected
    assert lost.select("baseline", "chance").null_count().row(0) == (len(expected),) * 2


def test_rows_that_do_not_match_are_refused() -> None:
    windows, visible, group, _ = universe()
    with pytest.raises(InputError, match="79 vectors, 80 windows and 80 categories"):
        checks(np.zeros((79, 2)), windows, visible, list(map(str, group)), seed=0)


def test_a_collapsed_embedding_is_worth_chance() -> None:
    windows, visible, group, _ = universe()
    for row in told(np.ones((80, 4)), windows, visible, group).values():
        assert row["value"] == pytest.approx(row["chance"], abs=0.12)


def test_a_probe_without_vectors_knows_the_mean() -> None:
    target = np.random.default_rng(0).standard_normal(50)
    assert -0.3 < linear_probe(None, target, 0) <= 0.0
    assert linear_probe(None, np.array(["a"] * 40 + ["b"] * 10), 0) == pytest.approx(0.8)


def test_standardized_returns_hold_the_mean_where_hidden() -> None:
    windows, visible, _, _ = universe()
    table = standardized_returns(windows, visible)
    assert not table[~visible[:, 0]].any()
    seen = np.ma.array(table, mask=~visible[:, 0])
    assert np.ma.getdata(seen.mean(axis=0)) == pytest.approx(np.zeros(64), abs=1e-12)
    assert np.ma.getdata(seen.std(axis=0)) == pytest.approx(np.ones(64))
    visible[:, 0, 5] = False  # a day on which nobody shows anything
    assert not standardized_returns(windows, visible)[:, 5].any()
