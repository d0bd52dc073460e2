import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finembed_core.portfolio.rankings import top_k, topk_drop

NAN = np.nan
DAYS = [
    {"A": 6, "B": 5, "C": 4, "D": 3, "E": 2, "F": 1},
    {"A": 1, "B": 6, "C": 2, "D": 5, "E": 4, "F": 3},
    {"A": 6, "B": 5, "C": 4.5, "D": 4, "E": 1, "F": 2},
]


def exchange(scores, held, k=3, drop=1, eligible=None, sellable=None):
    """Names held after a day."""
    names = list(scores)
    n = len(names)
    yes = np.ones(n, dtype=bool)
    has = np.array([name in held for name in names])
    may = yes if eligible is None else np.array([name in eligible for name in names])
    can = yes if sellable is None else np.array([name in sellable for name in names])
    values = np.array([scores[name] for name in names], dtype=float)
    done = topk_drop(values, has, may, can, k, drop)
    has[done.sell], has[done.buy] = False, True
    return "".join(name for name, there in zip(names, has, strict=True) if there)


@pytest.mark.parametrize(
    ("drop", "after"), [(1, ["ABC", "BCD", "ABC"]), (2, ["ABC", "BDE", "ABC"])]
)
def test_the_worked_example(drop: int, after: list[str]) -> None:
    held = ""
    for day, expected in zip(DAYS, after, strict=True):
        held = exchange(day, held, drop=drop)
        assert held == expected


def test_a_blocked_sale_frees_no_place() -> None:
    assert exchange(DAYS[1], "ABC", drop=1, sellable="BC") == "ABC"
    assert exchange(DAYS[1], "ABC", drop=2, sellable="AB") == "BCD"


def test_a_holding_without_score_ranks_last_and_is_not_bought() -> None:
    scores = {"A": NAN, "B": 3, "C": 2, "D": 1, "E": NAN}
    assert exchange(scores, "ABC", drop=1) == "BCD"
    assert exchange(scores, "", drop=1) == "BCD"


def test_only_the_eligible_are_bought_and_others_may_be_kept() -> None:
    assert exchange(DAYS[0], "F", drop=1, eligible="BCD") == "BCD"
    assert exchange(DAYS[0], "A", drop=0, eligible="BCD") == "ABC"


@given(
    scores=arrays(float, 12, elements=st.floats(-5, 5)),
    held=arrays(bool, 12),
    sellable=arrays(bool, 12),
    k=st.integers(1, 8),
    drop=st.integers(0, 8),
)
def test_never_more_than_k_and_at_most_drop(scores, held, sellable, k, drop) -> None:
    done = topk_drop(scores, held, np.ones(12, dtype=bool), sellable, k, drop)
    after = held.copy()
    after[done.sell], after[done.buy] = False, True
    assert after.sum() <= max(k, held.sum() - len(done.sell))
    assert len(done.sell) <= drop
    assert not held[done.buy].any()
    assert held[done.sell].all()
    enough = (~held).sum() >= drop + k - held.sum()
    if held.sum() <= k and enough:
        assert after.sum() == k


def test_top_k_takes_the_best_and_all_where_there_are_fewer() -> None:
    scores = np.array([0.1, 0.9, NAN, 0.5, 0.9])
    eligible = np.array([True, True, True, True, False])
    assert top_k(scores, eligible, 2).tolist() == [0, 0.5, 0, 0.5, 0]
    np.testing.assert_allclose(top_k(scores, eligible, 5), [1 / 3, 1 / 3, 0, 1 / 3, 0])
    assert top_k(scores, np.zeros(5, dtype=bool), 2).sum() == 0.0
