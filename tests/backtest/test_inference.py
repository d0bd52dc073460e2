"""Batch statistics against `metrics` one by one, and intervals by hand."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from finembed_core.backtest import inference
from finembed_core.backtest.inference import (
    COMPARED,
    INTERVALS,
    LOG,
    PLAIN,
    Bootstrap,
    batch_metrics,
    batch_relative_metrics,
    interval,
)
from finembed_core.backtest.metrics import Series, metrics, relative_metrics
from finembed_core.backtest.resampling import block_length, stationary_draws
from finembed_core.calendar import Month, month_ends
from finembed_core.errors import InputError

START = Month.parse("1990-01").ordinal


def series(returns, risk_free=None, benchmark=None) -> Series:
    dates = month_ends(START + np.arange(len(returns)))
    columns = [None if v is None else np.array(v, dtype=float) for v in (risk_free, benchmark)]
    return Series.of(dates, np.array(returns, dtype=float), *columns)


def study(n: int = 60, strategies: int = 3, seed: int = 0) -> dict[str, Series]:
    rng = np.random.default_rng(seed)
    benchmark, rf = rng.normal(0.007, 0.04, n), rng.uniform(0.0, 0.004, n)
    own = rng.normal(0.001, 0.02, (strategies, n)) + 0.8 * benchmark
    return {f"s{k}": series(own[k], rf, benchmark) for k in range(strategies)}


def batch(s: Series) -> dict[str, np.ndarray]:
    found = batch_metrics(s.returns, s.risk_free, 12)
    if s.benchmark is not None:
        found |= batch_relative_metrics(s.returns, s.risk_free, s.benchmark, 12)
    return found


def one_by_one(s: Series) -> dict[str, float]:
    return {m.name: m.value for m in [*metrics(s), *relative_metrics(s)] if m.name in INTERVALS}


def ends(frame: pl.DataFrame, strategy: str, metric: str) -> tuple[float, float]:
    row = frame.row(by_predicate=(pl.col("strategy") == strategy) & (pl.col("metric") == metric))
    return row[3], row[4]


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 90), st.booleans())
def test_batch_equals_one_by_one(seed: int, n: int, heavy: bool) -> None:
    rng = np.random.default_rng(seed)
    noise = np.clip(rng.standard_t(3, (2, n)), -15, 15) if heavy else rng.standard_normal((2, n))
    benchmark = 0.006 + 0.04 * noise[0]
    s = series(0.003 + 0.7 * benchmark + 0.01 * noise[1], rng.uniform(0, 0.004, n), benchmark)
    assert batch(s) == pytest.approx(one_by_one(s), rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    "returns",
    [
        [0.01, 0.02, 0.03, 0.01],  # nothing lost
        [-0.01, -0.02, -0.03, -0.01],
        [0.1, -1.0, 0.2, 0.1],  # everything lost
        [0.01] * 6,
        [0.0] * 6,
    ],
)
def test_batch_equals_one_by_one_at_the_edges(returns: list[float]) -> None:
    n = len(returns)
    moving = np.linspace(-0.02, 0.03, n)
    for benchmark in (moving, np.array(returns), np.full(n, 0.01)):
        s = series(returns, None, benchmark)
        assert batch(s) == pytest.approx(one_by_one(s), rel=1e-12, abs=1e-12, nan_ok=True)


def test_more_than_everything_lost_has_no_annual_return() -> None:
    found = batch_metrics(np.array([0.1, 0.1, -1.2]), np.zeros(3), 12)
    assert np.isnan([found["annual_return"], found["calmar"], found["mrar"]]).all()
    assert found["max_drawdown"] == pytest.approx(-1.2)


def test_a_draw_is_the_statistic_of_the_periods_drawn(monkeypatch) -> None:
    monkeypatch.setattr(inference, "CHUNK", 500)  # several chunks, one of them smaller
    strategies = study()
    bootstrap = Bootstrap.of(strategies, seed=4, draws=50, block=3.5)
    index = stationary_draws(60, 3.5, 50, 4)
    for name, s in strategies.items():
        for draw in (0, 17, 49):
            at = index[draw]
            drawn = series(s.returns[at], s.risk_free[at], s.benchmark[at])
            ours = {metric: values[draw] for metric, values in bootstrap.draws[name].items()}
            assert ours == pytest.approx(one_by_one(drawn), rel=1e-12, abs=1e-12)
    assert set(INTERVALS) == set(bootstrap.draws["s0"])


def test_the_automatic_block_is_the_longest_of_the_study() -> None:
    strategies = study(seed=2)
    own = [s.returns for s in strategies.values()]
    active = [s.returns - s.benchmark for s in strategies.values()]
    assert Bootstrap.of(strategies, seed=0, draws=5).block == max(map(block_length, own + active))


def test_intervals_by_hand() -> None:
    strategies = study()
    bootstrap = Bootstrap.of(strategies, seed=1, draws=400)
    frame = bootstrap.intervals()
    assert frame.columns == ["strategy", "metric", "value", "ci_low", "ci_high", "n"]
    assert frame.height == 3 * len(INTERVALS)
    values = one_by_one(strategies["s1"])
    assert dict(frame.filter(strategy="s1").select("metric", "value").rows()) == values
    blocks = 60 / bootstrap.block
    t = stats.t.ppf(0.975, blocks - 1)
    drawn = bootstrap.draws["s1"]

    error = np.std(drawn["sharpe"], ddof=1)
    by_hand = (values["sharpe"] - t * error, values["sharpe"] + t * error)
    assert ends(frame, "s1", "sharpe") == pytest.approx(by_hand, rel=1e-9)

    error = np.std(np.log(drawn["volatility"]), ddof=1)
    by_hand = (values["volatility"] * np.exp(-t * error), values["volatility"] * np.exp(t * error))
    assert ends(frame, "s1", "volatility") == pytest.approx(by_hand, rel=1e-9)

    error = np.std(np.log1p(drawn["annual_return"]), ddof=1)
    grown = 1 + values["annual_return"]
    by_hand = (grown * np.exp(-t * error) - 1, grown * np.exp(t * error) - 1)
    assert ends(frame, "s1", "annual_return") == pytest.approx(by_hand, rel=1e-9)

    tail = stats.norm.cdf(-t * np.sqrt(blocks / (blocks - 1)))
    by_hand = tuple(np.quantile(drawn["max_drawdown"], [tail, 1 - tail]))
    assert ends(frame, "s1", "max_drawdown") == pytest.approx(by_hand, rel=1e-9)


def test_differences_are_paired() -> None:
    """Half a percent more each month, whatever the month: certain, though the return is not."""
    rng = np.random.default_rng(3)
    base = rng.normal(0.005, 0.05, 120)
    strategies = {"base": series(base), "more": series(base + 0.005), "same": series(base)}
    bootstrap = Bootstrap.of(strategies, seed=2, draws=300)
    apart, frame = bootstrap.intervals(), bootstrap.differences("base")
    assert frame["strategy"].unique(maintain_order=True).to_list() == ["more", "same"]
    assert frame["metric"].unique(maintain_order=True).to_list() == list(COMPARED)
    low, high = ends(frame, "more", "sharpe")
    wide = np.subtract(*ends(apart, "more", "sharpe"))
    assert low > 0.0 and high - low < 0.3 * abs(wide)
    drawn = bootstrap.draws["more"]["annual_return"] - bootstrap.draws["base"]["annual_return"]
    t = stats.t.ppf(0.975, 120 / bootstrap.block - 1)
    middle = np.mean(ends(frame, "more", "annual_return"))
    more, less = one_by_one(strategies["more"]), one_by_one(strategies["base"])
    assert middle == pytest.approx(more["annual_return"] - less["annual_return"])
    reach = ends(frame, "more", "annual_return")[1] - middle
    assert reach == pytest.approx(t * np.std(drawn, ddof=1))
    assert np.isnan(ends(frame, "more", "volatility")).all()  # equal in every draw
    assert frame.filter(strategy="same")["ci_low"].is_nan().all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.permutations(range(3)))
def test_the_order_of_strategies_does_not_matter(seed: int, order: list[int]) -> None:
    strategies = study(24, seed=seed)
    shuffled = {f"s{k}": strategies[f"s{k}"] for k in order}
    first, second = (Bootstrap.of(s, seed=1, draws=50) for s in (strategies, shuffled))
    keys = ["strategy", "metric"]
    assert first.intervals().sort(keys).equals(second.intervals().sort(keys))
    assert first.differences("s1").sort(keys).equals(second.differences("s1").sort(keys))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 4.0))
def test_leverage_scales_what_it_should(seed: int, scale: float) -> None:
    returns = np.random.default_rng(seed).normal(0.004, 0.03, 48)
    strategies = {"plain": series(returns), "levered": series(returns * scale)}
    frame = Bootstrap.of(strategies, seed=1, draws=60).intervals()
    for metric, factor in (("sharpe", 1.0), ("sortino", 1.0), ("volatility", scale)):
        plain = np.array(ends(frame, "plain", metric))
        assert ends(frame, "levered", metric) == pytest.approx(factor * plain, rel=1e-9)


def test_seeds() -> None:
    strategies = study()
    one, again, other = (Bootstrap.of(strategies, seed=s, draws=100) for s in (1, 1, 2))
    assert one.intervals().equals(again.intervals())
    assert not one.intervals().equals(other.intervals())


def test_degenerate_series_have_no_interval() -> None:
    rng = np.random.default_rng(0)
    benchmark = rng.normal(0, 0.02, 40)
    strategies = {
        "constant": series(np.full(40, 0.01), None, benchmark),
        "nothing": series(np.zeros(40), None, benchmark),
        "benchmark": series(benchmark, None, benchmark),
        "gains": series(np.abs(benchmark) + 0.001, None, benchmark),
        "one loss": series(
            np.where(np.arange(40) == 7, -0.01, 0.01 + benchmark**2), None, benchmark
        ),
    }
    frame = Bootstrap.of(strategies, seed=0, draws=200).intervals()

    def without(strategy: str) -> set[str]:
        rows = frame.filter(pl.col("strategy") == strategy, pl.col("ci_low").is_nan())
        assert rows["ci_high"].is_nan().all()
        return set(rows["metric"])

    active = {"beta", "alpha", "tracking_error", "information_ratio", "hit_rate_benchmark"}
    relative = active | {"treynor"}
    assert without("constant") == set(INTERVALS) - (relative - {"beta", "alpha", "treynor"})
    assert without("nothing") >= {"annual_return", "sharpe", "beta"}
    assert without("benchmark") == active
    lossless = {"sortino", "max_drawdown", "calmar", "omega", "hit_rate"}
    assert without("gains") == lossless | {"hit_rate_benchmark"}  # also always above it
    assert without("one loss") == {"sortino", "calmar", "omega"}


def test_short_records_have_no_interval() -> None:
    for n in (0, 1, 2, 23):
        bootstrap = Bootstrap.of(study(n, 2), seed=0, draws=20)
        frame = bootstrap.intervals()
        assert frame.height == 2 * len(INTERVALS) and frame["ci_low"].is_nan().all()
        assert bootstrap.differences("s0")["ci_low"].is_nan().all()
    assert frame.filter(metric="volatility")["value"].is_finite().all()
    enough = Bootstrap.of(study(24, 2), seed=0, draws=50).intervals()
    assert enough.filter(metric="sharpe")["ci_low"].is_finite().all()


def test_without_benchmark_nothing_is_relative() -> None:
    frame = Bootstrap.of({"a": series(study()["s0"].returns)}, seed=0, draws=50).intervals()
    missing = set(frame.filter(pl.col("ci_low").is_nan())["metric"])
    assert missing == set(batch_relative_metrics(*np.ones((3, 4)), 12))


def test_undefined_draws() -> None:
    drawn = np.linspace(1.0, 2.0, 1000)
    drawn[:10] = np.nan
    assert np.isfinite(interval(1.5, drawn, None, 50.0)).all()
    drawn[:11] = np.nan
    assert np.isnan(interval(1.5, drawn, None, 50.0)).all()
    drawn[:11] = 0.0  # no logarithm
    assert np.isnan(interval(1.5, drawn, LOG, 50.0)).all()
    assert np.isnan(interval(np.nan, np.linspace(0, 1, 9), PLAIN, 50.0)).all()
    assert np.isnan(interval(0.0, np.linspace(1, 2, 9), LOG, 50.0)).all()


def test_errors() -> None:
    strategies = study()
    with pytest.raises(InputError, match="no strategy to draw from"):
        Bootstrap.of({}, seed=0)
    with pytest.raises(InputError, match="late and s0 are not over the same periods"):
        Bootstrap.of(strategies | {"late": series(np.zeros(59))}, seed=0)
    with pytest.raises(InputError, match="fewer than two blocks"):
        Bootstrap.of(strategies, seed=0, block=31)
    with pytest.raises(InputError, match="no strategy 'x'") as caught:
        Bootstrap.of(strategies, seed=0, draws=5).differences("x")
    assert caught.value.remedy == "one of s0, s1, s2"


def test_intervals_hold_the_true_value_about_as_often_as_they_say() -> None:
    """Independent normal months: `benchmarks.inference` has the full table."""
    rng, held = np.random.default_rng(8), {"sharpe": [], "volatility": [], "alpha": []}
    true = {"sharpe": 0.01 / 0.04 * 12**0.5, "volatility": 0.04 * 12**0.5, "alpha": 0.06}
    for k in range(200):
        benchmark = rng.normal(0.01, 0.05, 60)
        own = 0.005 + 0.5 * benchmark + rng.normal(0, np.sqrt(0.04**2 - 0.025**2), 60)
        strategies = {"a": series(own, None, benchmark)}
        frame = Bootstrap.of(strategies, seed=k, draws=200).intervals()
        for metric, value in true.items():
            low, high = ends(frame, "a", metric)
            held[metric].append(low <= value <= high)
    for metric, inside in held.items():
        assert 0.90 <= np.mean(inside) <= 0.99, metric
