"""Pair statistics: those that features are made from, cut to what is asked for."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from finembed_core.polymodel import features, pair_table
from finembed_core.polymodel.features import MonthInputs, polymodel_features
from finembed_core.polymodel.history import LongHistory
from finembed_core.polymodel.pair_table import pair_table as pairs_of
from finembed_core.settings import ExecutionSettings, PairChoice
from tests.polymodel.months import MONTH, panel, paper_settings, planted

EVERYTHING = PairChoice()
SETTINGS = paper_settings(shuffles=199)
KEY = ["month", "fund_id", "factor_id"]


@pytest.fixture(scope="module")
def inputs() -> MonthInputs:
    """A fund that is born, one with gaps, one that is dead; a factor with gaps, one that ended."""
    month = planted(funds=24, factors=8)
    month.funds.values[:6, 3] = month.funds.values[[9, 20], 5] = month.funds.values[-1, 7] = np.nan
    month.factors.values[:10, 4] = month.factors.values[-2:, 6] = np.nan
    return month


@pytest.fixture(scope="module")
def whole(inputs) -> pl.DataFrame:
    return pairs_of(inputs, SETTINGS, EVERYTHING)


def test_one_row_per_tested_pair_in_the_order_of_its_key(inputs, whole):
    tested = polymodel_features(inputs, SETTINGS).features
    assert whole.height == tested["n_factors"].sum() == 23 * 7
    assert whole.columns == [*KEY, *EVERYTHING.statistics(4)]
    assert set(whole.dtypes[3:]) == {pl.Float32}
    assert whole.equals(whole.sort("fund_id", "factor_id"))
    assert not whole.select(KEY).is_duplicated().any()
    assert whole["month"].unique().to_list() == [MONTH.end]
    assert not set(whole["fund_id"]) & {"f07"} and not set(whole["factor_id"]) & {"x06"}
    assert whole.select(pl.exclude(KEY).is_finite().all()).row(0) == (True,) * 15


@pytest.mark.parametrize("significance", ["exact", "moments", "adaptive"])
@pytest.mark.parametrize("selection", ["absolute", "relative", "benjamini_hochberg"])
@pytest.mark.parametrize("curve", ["plain", "cross_validated", "penalize_intercept"])
def test_selected_pairs_have_the_numbers_that_features_are_made_from(
    inputs, significance, selection, curve
):
    changes = {"significance": significance, "selection": selection, "alpha": 0.05, curve: True}
    changes.pop("plain", None)
    settings = SETTINGS.model_copy(update=changes)
    result = polymodel_features(inputs, settings)
    selected = result.selected.cast({pl.Float64: pl.Float32})
    pairs = pairs_of(inputs, settings, EVERYTHING)
    found = pairs.join(selected, on=["fund_id", "factor_id"], how="semi").select(selected.columns)
    assert selected.height > 10
    assert_frame_equal(found, selected, check_exact=True)
    best = pairs.group_by("fund_id").agg(pl.col("score").max())["score"]
    known = result.features["best_score"].drop_nulls().cast(pl.Float32)
    assert sorted(best) == sorted(known)


def test_statistics_follow_from_each_other(inputs, whole):
    n = {f: np.isfinite(inputs.funds.values[:, k]) for k, f in enumerate(inputs.funds.ids)}
    own = {f: np.isfinite(inputs.factors.values[:, k]) for k, f in enumerate(inputs.factors.ids)}
    shared = np.array([(n[f] & own[x]).sum() for f, x in whole.select(KEY[1:]).rows()])
    assert sorted(set(shared.tolist())) == [25, 26, 30, 34, 36]
    stats = {name: whole[name].cast(pl.Float64).to_numpy() for name in whole.columns[3:]}
    adjusted = 1 - (1 - stats["r2"]) * (shared - 1) / (shared - 5)
    np.testing.assert_allclose(stats["adjusted_r2"], adjusted, atol=1e-6)
    np.testing.assert_allclose(stats["score"], -np.log(stats["p_value"]), rtol=1e-6, atol=1e-6)
    for kind in ("", "_clamped"):
        svar = np.hypot(stats[f"y_max{kind}"], 2.3263479 * stats["residual_sd"])
        np.testing.assert_allclose(stats[f"svar{kind}"], svar, rtol=1e-6)


def test_one_pair_by_least_squares(inputs, whole):
    """Of the fund with a linear exposure, by the normal equations."""
    y, x = inputs.funds.values[:, 0], inputs.factors.values[:, 0]
    z = (x - inputs.history.mean[0]) / inputs.history.sd[0]
    basis = np.polynomial.hermite_e.hermevander(z, 4) / np.sqrt([1, 1, 2, 6, 24])
    penalty = np.diag([0.0, 1, 1, 1, 1])
    beta = np.linalg.solve(basis.T @ basis + penalty, basis.T @ y)
    rss = np.square(y - basis @ beta).sum()
    pair = whole.row(by_predicate=(pl.col("fund_id") == "f00") & (pl.col("factor_id") == "x00"))
    found = dict(zip(whole.columns, pair, strict=True))
    np.testing.assert_allclose([found[f"beta_{k}"] for k in range(5)], beta, rtol=1e-5, atol=1e-9)
    assert found["r2"] == pytest.approx(1 - rss / np.square(y - y.mean()).sum(), rel=1e-6)
    assert found["residual_sd"] == pytest.approx((rss / 31) ** 0.5, rel=1e-6)


@pytest.mark.parametrize("significance", ["exact", "moments", "adaptive"])
def test_what_is_chosen_has_the_bits_that_it_has_among_all(inputs, significance):
    settings = SETTINGS.model_copy(
        update={"significance": significance, "selection": "benjamini_hochberg", "alpha": 0.2}
    )
    whole = pairs_of(inputs, settings, EVERYTHING)
    choice = PairChoice(
        funds=["f20", "f03", "f05", "f99"], factors=["x04", "x00"], columns=["lta", "p_value"]
    )
    cut = whole.filter(
        pl.col("fund_id").is_in(choice.funds) & pl.col("factor_id").is_in(choice.factors)
    ).select(*KEY, "p_value", "lta")
    assert cut.height == 6
    assert_frame_equal(pairs_of(inputs, settings, choice), cut, check_exact=True)


def test_blocks_and_portions_change_no_number(inputs, whole, monkeypatch):
    monkeypatch.setattr(features, "BYTES_PER_PAIR", 64 * 2**20 / (5 * 7))
    monkeypatch.setattr(pair_table, "PAIRS_AT_ONCE", 3)
    again = pairs_of(inputs, SETTINGS, EVERYTHING, ExecutionSettings(memory_mb=64))
    assert_frame_equal(again, whole, check_exact=True)


def test_ids_are_sorted_whatever_the_order_of_the_factors(inputs):
    """Lagged and macro factors stand after the others."""
    order = np.array([5, 0, 3])
    names = ("x_lag1", "x", "macro_F1")
    some = MonthInputs(
        inputs.month,
        inputs.funds,
        inputs.risk_free,
        type(inputs.factors)(inputs.factors.dates, names, inputs.factors.values[:, order]),
        inputs.history.select(order),
    )
    found = pairs_of(some, SETTINGS, PairChoice(columns=["r2"]))
    assert found["factor_id"].unique(maintain_order=True).to_list() == ["macro_F1", "x", "x_lag1"]
    by_name = found.filter(pl.col("factor_id") == "x")["r2"]
    own = pairs_of(inputs, SETTINGS, PairChoice(factors=["x00"], columns=["r2"]))["r2"]
    assert_frame_equal(by_name.to_frame(), own.to_frame(), check_exact=True)


@pytest.mark.parametrize("degree", [1, 2, 6])
def test_there_are_as_many_coefficients_as_the_degree_has(inputs, degree):
    settings = SETTINGS.model_copy(update={"degree": degree})
    found = pairs_of(inputs, settings, EVERYTHING)
    betas = [name for name in found.columns if name.startswith("beta")]
    assert betas == [f"beta_{k}" for k in range(degree + 1)]


@pytest.mark.parametrize("nobody", ["fund", "factor", "name"])
def test_a_month_without_pairs_has_the_columns_all_the_same(inputs, whole, nobody):
    funds = panel(np.zeros((36, 0 if nobody == "fund" else 3)), "f")
    factors = panel(np.zeros((36, 0)), "x") if nobody == "factor" else inputs.factors
    history = LongHistory.of(np.zeros((60, 0)), SETTINGS) if nobody == "factor" else inputs.history
    empty = MonthInputs(inputs.month, funds, inputs.risk_free, factors, history)
    found = pairs_of(empty, SETTINGS, EVERYTHING)
    if nobody == "name":
        found = pairs_of(inputs, SETTINGS, PairChoice(factors=["x06"]))
    assert found.height == 0
    assert found.schema == whole.schema
