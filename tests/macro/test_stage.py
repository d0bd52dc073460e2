"""The macro stage over a store: order, staleness, thin data, same bytes."""

import numpy as np
import polars as pl
import pytest

from finembed_core.calendar import Month
from finembed_core.errors import MissingPartError
from finembed_core.macro.stage import TABLES, macro_stage
from finembed_core.settings import ExecutionSettings, MacroSettings, Settings
from finembed_core.stage import build
from finembed_core.store import PartStore
from tests.series_store import write_matrix, write_series

START, FIRST = Month.parse("1990-01"), Month.parse("1993-06")
SETTINGS = Settings(macro=MacroSettings(min_months=36, n_components=2))


def matrix(months: int = 50, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    common = random.standard_normal((months, 2)) @ random.standard_normal((2, 6))
    values = common + 0.5 * random.standard_normal((months, 6))
    values[random.random(values.shape) < 0.05] = np.nan
    return values


def run(store: PartStore, keys: list[str], settings: Settings = SETTINGS) -> list[bool]:
    return [part.skipped for part in build(macro_stage(store, settings), keys, store)]


def contents(store: PartStore, keys: list[str]) -> dict[str, str]:
    found = {(t, k): store.manifest(t, k) for t in TABLES for k in keys}
    return {f"{t} {k}": manifest.content for (t, k), manifest in found.items() if manifest}


def test_tables_hold_the_whole_history_as_known(store):
    keys = write_matrix(store, matrix(), START, FIRST)
    assert not any(run(store, keys))
    last = Month.parse(keys[-1])
    factors = store.read("macro_factors", keys[-1])
    assert factors.columns == ["as_of", "date", "factor", "value"]
    assert factors["as_of"].unique().to_list() == [last.end]
    assert factors["date"].max() == last.end
    assert sorted(factors["factor"].unique()) == ["F1", "F2"]
    loadings = store.read("macro_loadings", keys[-1])
    assert loadings.columns == ["as_of", "factor", "series_id", "loading"]
    assert loadings.height == 12
    explained = store.read("macro_explained", keys[-1]).row(0, named=True)
    assert (explained["n_series"], explained["n_months"]) == (6, 50)
    manifest = store.manifest("macro_factors", keys[-1])
    assert manifest is not None
    assert manifest.notes["reason"] == ""
    assert manifest.notes["min_congruence"] > 0.99


def test_loadings_table_has_the_factors_as_its_history_says(store):
    """The factor of a series' own standardized history regresses to its loading."""
    values = np.nan_to_num(matrix())
    keys = write_matrix(store, values, START, FIRST)
    run(store, keys)
    factor = store.read("macro_factors", keys[-1]).filter(pl.col("factor") == "F1")["value"]
    loading = store.read("macro_loadings", keys[-1]).filter(pl.col("factor") == "F1")["loading"]
    both = [np.corrcoef(values[:, k], factor.to_numpy())[0, 1] for k in range(6)]
    np.testing.assert_allclose(loading.to_numpy(), both, atol=1e-6)


def test_too_little_history_gives_empty_parts_with_a_note(store):
    keys = write_matrix(store, matrix(), START, START + 30)
    run(store, keys)
    early = store.manifest("macro_factors", keys[0])
    assert early is not None
    assert early.rows == 0
    assert early.notes["reason"] == "too_few_series"
    assert store.read("macro_excluded", keys[0])["reason"].unique().to_list() == ["short_history"]
    assert store.read("macro_factors", keys[-1]).height == 100


def test_no_macro_series_at_all(store):
    keys = write_matrix(store, matrix(), START, FIRST)
    write_series(store, {"roles": ["benchmark"]})
    run(store, keys[:1])
    manifest = store.manifest("macro_factors", keys[0])
    assert manifest is not None
    assert manifest.notes["reason"] == "no_series"


def test_needs_the_month_before_and_says_so(store):
    keys = write_matrix(store, matrix(), START, FIRST)
    with pytest.raises(
        MissingPartError, match=r"1993-06 have not been built[\s\S]*from 1993-06 on"
    ):
        run(store, keys[1:2])
    for outside in ("1993-05", "1994-03"):
        with pytest.raises(MissingPartError, match="1993-06 to 1994-02"):
            run(store, [outside])


def test_second_run_skips_and_a_month_more_adds_one(store):
    values = matrix()
    keys = write_matrix(store, values[:-1], START, FIRST)
    run(store, keys)
    before = contents(store, keys)
    assert all(run(store, keys))
    new_series = np.column_stack([values, np.full(len(values), np.nan)])
    new_series[-1, -1] = 1.0  # a series nobody knew of until now
    longer = write_matrix(store, new_series, START, FIRST)
    assert run(store, longer) == [True] * len(keys) + [False]
    assert contents(store, keys) == before


def test_restating_a_value_redoes_its_month_and_what_follows(store):
    values = matrix()
    keys = write_matrix(store, values, START, FIRST)
    run(store, keys)
    values[-4, 0] += 0.5
    write_matrix(store, values, START, FIRST)
    assert run(store, keys) == [True] * (len(keys) - 4) + [False] * 4


def test_same_bytes_again_and_when_processes_are_asked_for(store, tmp_path):
    keys = write_matrix(store, matrix(), START, FIRST)
    run(store, keys)
    other = PartStore(tmp_path / "other")
    write_matrix(other, matrix(), START, FIRST)
    two = ExecutionSettings(mode="processes", workers=2)
    for _ in build(macro_stage(other, SETTINGS), keys, other, two):
        pass
    assert contents(other, keys) == contents(store, keys)
