"""Deflated Sharpe ratios over all runs of a warehouse."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from finembed_core.backtest.selection import (
    deflated_sharpe,
    expected_max_sharpe,
    sharpe_ratios,
)
from finembed_core.calendar import Month, month_range
from finembed_core.settings import Settings
from finembed_core.warehouse.publish import publish
from finembed_core.warehouse.query import query
from finembed_core.warehouse.trials import Moments, count_trials
from tests.warehouse.fake_run import STRATEGIES, run_tables

MONTHS = month_range(Month.parse("1998-01"), Month.parse("2000-12"))
DEFLATED = "SELECT * FROM significance WHERE test = 'deflated_sharpe'"


def write_noise(
    store, seed: int, skill: float = 0.0, dataset: str | None = None, days: int = 0
) -> str:
    """A run of three years, or so many days, whose first strategy has this much more a period."""
    dates = [month.end for month in MONTHS]
    if days:
        dates = [dt.date(1999, 1, 1) + dt.timedelta(days=k) for k in range(days)]
    rng = np.random.default_rng(seed)
    run_id = f"{seed:016x}"
    tables = run_tables(run_id, rng, Settings())
    frames = []
    for k, strategy in enumerate(STRATEGIES):
        net = rng.normal(0.003 + skill * (k == 0), 0.03, len(dates))
        frame = tables["returns"].filter(strategy=strategy)[[0] * len(dates)]
        frames.append(
            frame.with_columns(
                date=pl.Series(dates),
                gross=pl.Series(net),
                cost=pl.lit(0.0),
                net=pl.Series(net),
                cash=pl.lit(1.0),
            )
        )
    tables["returns"] = pl.concat(frames)
    tables["holdings"] = tables["holdings"].clear()
    if dataset is not None:
        tables["runs"] = tables["runs"].with_columns(dataset=pl.lit(dataset))
    for table, frame in tables.items():
        store.write(table, run_id, frame)
    return run_id


@pytest.fixture
def many(store, path):
    """Ten runs of noise, one with a skilled strategy, and the template's short one."""
    for seed in range(1, 11):
        write_noise(store, seed)
    skilled = write_noise(store, 11, skill=0.04)
    publish(store, path, Settings(), latest=skilled)
    return path, skilled


def test_every_strategy_of_every_run_is_a_trial_but_the_index(many):
    path, _ = many
    rows = query(path, DEFLATED)
    assert rows.height == 12 * 2 == count_trials(path)
    assert set(rows["n_trials"]) == {24}
    assert set(rows["strategy"]) == set(STRATEGIES[:2])
    assert count_trials(path, ["a" * 16, "0" * 15 + "1"]) == 20


def test_values_are_those_of_the_function(many):
    path, _ = many
    rows = query(path, DEFLATED)
    excess = {
        key: own["excess"].to_numpy()
        for key, own in query(
            path, "SELECT *, net - rf AS excess FROM returns ORDER BY run_id, strategy, date"
        )
        .partition_by("run_id", "strategy", as_dict=True)
        .items()
        if key[1] != "index_MKT"
    }
    long = {key: own for key, own in excess.items() if len(own) == len(MONTHS)}
    variance = float(np.var(sharpe_ratios(np.column_stack(list(long.values()))), ddof=1))
    for row in rows.iter_rows(named=True):
        key = (row["run_id"], row["strategy"])
        if key not in long:
            assert row["statistic"] is None and row["note"] == "absent: 12 periods, 24 are needed"
            continue
        expected = deflated_sharpe(long[key], 24, variance)
        assert row["statistic"] == pytest.approx(expected.deflated, rel=1e-9)
        assert row["p_value"] == pytest.approx(1 - expected.deflated, abs=1e-12)
        annual = expected.sharpe * 12**0.5, expected.expected_max * 12**0.5
        assert row["note"] == (
            f"Sharpe ratio {annual[0]:.2f} a year over cash, any premium of the market in it; "
            f"expected best of 24 trials without skill {annual[1]:.2f}"
        )


def test_skill_stands_out_of_many_trials_and_luck_does_not(many):
    path, skilled = many
    rows = query(path, DEFLATED).drop_nulls("p_value").sort("p_value")
    assert rows.row(0, named=True)["run_id"] == skilled
    assert rows["p_value"][0] < 0.05 < 0.3 < rows["p_value"][1]
    (best,) = query(path, "SELECT * FROM leaderboard WHERE strategy = 'sa_logistic'").to_dicts()
    assert (best["deflated_p"], best["n_trials"]) == (rows["p_value"][0], 24)


def test_a_lost_run_still_counts_against_the_others(store, path, many):
    _, skilled = many
    before = query(path, DEFLATED).filter(run_id=skilled, strategy="sa_logistic")
    for seed in range(12, 40):
        write_noise(store, seed)
    publish(store, path, Settings(), latest=skilled)
    after = query(path, DEFLATED).filter(run_id=skilled, strategy="sa_logistic")
    assert after["n_trials"].item() == before["n_trials"].item() + 2 * 28
    bar = [float(frame["note"].item().split()[-1]) for frame in (before, after)]
    assert bar[0] != bar[1]


def bars(path) -> dict[str, tuple[float, int]]:
    """By run, the bar of its strategies and their number of trials."""
    rows = query(path, DEFLATED).drop_nulls("statistic")
    said = rows["note"].str.split(" ").list.last().cast(pl.Float64)
    return dict(zip(rows["run_id"], zip(said, rows["n_trials"], strict=True), strict=True))


def test_ratios_of_other_data_and_of_days_are_counted_and_not_compared(store, path, many):
    """What they vary by says nothing of a month of these data; that they were tried does."""
    _, skilled = many
    (one, tried) = bars(path)[skilled]
    other = write_noise(store, 50, skill=0.3, dataset="another")
    daily = write_noise(store, 51, skill=0.5, days=300)
    publish(store, path, Settings(), latest=skilled)
    after = bars(path)
    assert {trials for _, trials in after.values()} == {tried + 4}
    assert one < after[skilled][0] < 1.1 * one  # four more, as much luck in each
    assert after[other][0] > 3 * one  # two that differ by far more than luck
    notes = query(path, DEFLATED).filter(run_id=daily)["note"].to_list()
    annual = [float(note.split()[2]) for note in notes]
    returns = query(path, f"SELECT * FROM returns WHERE run_id = '{daily}'")
    for strategy, said in zip(sorted(STRATEGIES[:2]), annual, strict=True):
        own = returns.filter(strategy=strategy)
        excess = (own["net"] - own["rf"]).to_numpy()
        assert said == pytest.approx(sharpe_ratios(excess[:, None])[0] * 365.25**0.5, abs=0.01)


def test_a_lone_ratio_is_held_against_chance(store, path):
    """One ratio has no spread of its own: that of 36 months without skill takes its place."""
    alone = write_noise(store, 60, dataset="another", days=40)
    publish(store, path, Settings(), latest=alone)
    trials = count_trials(path)
    found = query(path, DEFLATED).filter(run_id=alone)
    assert found.height == 2 and found["n_trials"].to_list() == [trials] * 2
    store.write(
        "strategies",
        alone,
        store.read("strategies", alone).with_columns(
            status=pl.when(pl.col("strategy") == "sa_logistic")
            .then(pl.lit("run"))
            .otherwise(pl.lit("absent"))
        ),
    )
    publish(store, path, Settings(), latest=alone)
    ((bar, trials),) = bars(path).values()
    expected = expected_max_sharpe(trials, 1 / 39) * 365.25**0.5
    assert trials > 1 and bar == pytest.approx(expected, abs=0.01)


def test_moments_of_stretches_next_to_each_other():
    rng = np.random.default_rng(2)
    lengths = np.array([30, 0, 1, 40, 25])
    parts = [rng.normal(0.01, 0.02, n) for n in lengths]
    parts[4] = np.full(25, 0.002)
    found = Moments.of(np.concatenate(parts), lengths)
    assert np.isfinite(found.sharpe).tolist() == [True, False, False, True, False]
    for k in (0, 3):
        one = deflated_sharpe(parts[k], 1, 0.0)
        own = found.sharpe[k], found.skewness[k], found.kurtosis[k]
        assert own == pytest.approx((one.sharpe, one.skewness, one.kurtosis), rel=1e-12)


def test_no_run_no_trial(tmp_path):
    from finembed_core.store import PartStore

    publish(PartStore(tmp_path / "store"), tmp_path / "w.duckdb", Settings())
    assert query(tmp_path / "w.duckdb", DEFLATED).is_empty()
    assert count_trials(tmp_path / "w.duckdb") == 0
