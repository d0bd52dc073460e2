import numpy as np
import polars as pl
import pytest

from finembed_core.report import figures
from tests.report import tables


def trace(figure, name):
    return next(one for one in figure.data if one.name == name)


def test_wealth_compounds_net_returns_from_one_on_a_log_axis():
    returns = tables.returns()
    figure = figures.wealth(returns)
    own = trace(figure, "sa_logistic")
    net = returns.filter(pl.col("strategy") == "sa_logistic")["net"].to_numpy()
    np.testing.assert_allclose(own.y, np.concatenate([[1.0], np.cumprod(1 + net)]), rtol=1e-14)
    assert str(own.x[0]) == "1999-12-31"
    assert figure.layout.yaxis.type == "log"


def test_the_best_strategy_comes_first():
    ends = [one.y[-1] for one in figures.wealth(tables.returns()).data]
    assert ends == sorted(ends, reverse=True)


def test_a_benchmark_is_drawn_once():
    names = [one.name for one in figures.wealth(tables.returns()).data]
    assert sorted(names) == sorted(tables.STRATEGIES)
    without_index = figures.wealth(tables.returns(("sa_logistic",)))
    assert {one.name for one in without_index.data} == {"sa_logistic", "index_benchmark"}
    nothing = tables.returns(("sa_logistic",)).with_columns(benchmark=pl.lit(None, pl.Float64))
    assert [one.name for one in figures.wealth(nothing).data] == ["sa_logistic"]


def test_colors_stay_with_their_strategy_and_benchmarks_are_gray():
    returns = tables.returns(("sa_a", "sa_b", "index_MKT"))
    wealth, under = figures.wealth(returns), figures.underwater(returns)
    for name in ("sa_a", "sa_b", "index_MKT"):
        assert trace(wealth, name).line.color == trace(under, name).line.color
    assert trace(wealth, "index_MKT").line.color == figures.GRAY


def test_underwater_is_the_fall_from_the_peak():
    table = pl.DataFrame(
        {
            "strategy": ["s"] * 4,
            "date": tables.ENDS[:4],
            "net": [-0.1, 0.2, -0.5, 0.0],
            "benchmark": pl.Series([None] * 4, dtype=pl.Float64),
        }
    )
    np.testing.assert_allclose(figures.underwater(table).data[0].y, [0, -0.1, 0, -0.5, -0.5])


def test_explained_variance_stacks_the_factors_in_order():
    figure = figures.explained_variance(tables.explained())
    assert [one.name for one in figure.data] == ["F1", "F2"]
    assert all(one.stackgroup for one in figure.data)


def test_learning_curves_show_seeds_thin_and_their_mean_bold():
    figure = figures.learning_curves(tables.curves())
    assert len(figure.data) == 2 * (3 + 1)
    np.testing.assert_allclose(trace(figure, "valid").y, 1 / np.arange(1, 13) + 0.2)


def test_bands_are_quantiles_over_the_funds_that_have_a_value():
    table = tables.features()
    figure = figures.feature_bands(table, "svar", percent=True)
    first = table.filter(pl.col("month") == tables.ENDS[0])["svar"].to_numpy()
    assert trace(figure, "median").y[0] == pytest.approx(np.nanmedian(first), rel=1e-12)
    assert trace(figure, "5% to 95%").y[0] == pytest.approx(np.nanquantile(first, 0.95), rel=1e-12)


def test_histogram_counts_every_finite_value():
    values = pl.DataFrame({"svar": [0.1, 0.2, None, float("nan"), float("inf"), 0.2]})
    assert figures.feature_histogram(values, "svar").data[0].y.sum() == 3


def test_universe_counts_known_and_eligible_funds():
    figure = figures.universe_size(tables.universe())
    assert (trace(figure, "known").y[0], trace(figure, "eligible").y[0]) == (9, 6)


def test_weights_show_the_largest_and_add_up_the_rest():
    table = tables.holdings()
    figure = figures.weights(table, largest=3)
    assert [one.name for one in figure.data] == ["F10", "F9", "F8", "others"]
    np.testing.assert_allclose(sum(one.y for one in figure.data), 0.9)


EMPTY = {
    "wealth": lambda: figures.wealth(tables.returns().head(0)),
    "underwater": lambda: figures.underwater(tables.returns().head(0)),
    "explained": lambda: figures.explained_variance(tables.explained().head(0)),
    "curves": lambda: figures.learning_curves(tables.curves().head(0)),
    "bands": lambda: figures.feature_bands(tables.features().head(0), "svar"),
    "histogram": lambda: figures.feature_histogram(tables.features().head(0), "svar"),
    "universe": lambda: figures.universe_size(tables.universe().head(0)),
    "weights": lambda: figures.weights(tables.holdings().head(0)),
}


@pytest.mark.parametrize("name", EMPTY)
def test_empty_tables_give_empty_figures(name):
    assert not any(len(one.y) for one in EMPTY[name]().data)
