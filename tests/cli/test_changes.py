"""A study that is changed is the one that a fresh home would hold."""

from pathlib import Path

import polars as pl
import pytest
import yaml

from finembed_core.backtest.run import RUN_TABLES
from tests.study_runs import finembed, store_bytes


def _change(study: Path, section: str, **settings: object) -> None:
    path = study / "finembed.yaml"
    tree = yaml.safe_load(path.read_text())
    tree.setdefault(section, {}).update(settings)
    path.write_text(yaml.safe_dump(tree))


def _table(name: str, *home: object) -> pl.DataFrame:
    assert finembed("export", name, "out.parquet", *home) == 0
    return pl.read_parquet("out.parquet")


TRIALS = ("deflated_p", "n_trials")  # what was tried before in this home counts


def _same_results(*tables: str) -> None:
    for name in tables:
        changed, fresh = (
            _table(name, *home).drop(TRIALS, strict=False) for home in ((), ("--home", "fresh"))
        )
        assert changed.height > 0
        assert changed.equals(fresh), name


@pytest.mark.parametrize(("name", "value"), [("last_month", "1994-06"), ("first_month", "1991-03")])
def test_other_months_leave_nothing_of_the_old_ones(study: Path, name: str, value: str) -> None:
    _change(study, "dataset", **{name: value})
    assert finembed("run") == 0
    assert finembed("run", "--home", "fresh") == 0
    stands, fresh = store_bytes(study / "home"), store_bytes(study / "fresh")
    assert fresh.items() <= stands.items()
    assert {Path(file).parts[0] for file in stands.keys() - fresh.keys()} == set(RUN_TABLES)
    _same_results("leaderboard", "universe", "predictions", "macro_factors")


def test_a_range_under_other_settings_shows_nothing_made_before(study: Path) -> None:
    _change(study, "polymodel", shuffles=59)
    assert finembed("run", "--through", "1994-06") == 0
    assert finembed("run", "--home", "fresh", "--through", "1994-06") == 0
    _same_results("leaderboard", "predictions", "polymodel_features", "latest_rebalance")


def test_a_value_restated_after_the_end_leaves_nothing_that_rests_on_the_old_one(
    study: Path,
) -> None:
    _change(study, "dataset", simulated={"funds": 10, "months": 60, "factors": 4, "seed": 4})
    assert finembed("run", "--through", "1993-12") == 0
    assert finembed("run", "--home", "fresh", "--through", "1993-12") == 0
    _same_results("leaderboard", "predictions", "universe", "macro_factors", "learning_curves")


def test_the_backtest_ends_where_it_is_told(study: Path) -> None:
    assert finembed("run", "--through", "1994-06") == 0
    assert str(_table("latest_run")["last_month"][0]) == "1994-06-30"
    assert finembed("run") == 0
    assert str(_table("latest_run")["last_month"][0]) == "1994-12-31"


def test_a_model_no_longer_wanted_is_not_shown(study: Path) -> None:
    _change(study, "learning", models=["persistence"])
    assert finembed("run") == 0
    assert set(_table("learning_curves")["model"]) == {"persistence"}
    assert set(_table("predictions")["model"]) == {"persistence"}
