"""Embeddings in the warehouse: what is loaded, what is refused, and what SQL answers of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from finembed_core.errors import WarehouseError
from finembed_core.settings import Settings
from finembed_core.store import PartStore
from finembed_core.warehouse.publish import publish
from finembed_core.warehouse.query import export, query
from finembed_core.warehouse.schema import warehouse_macros, warehouse_schema
from finembed_core.warehouse.sources import committed_parts
from tests.warehouse.fake_embeddings import (
    DATES,
    EXCLUDED,
    LAST,
    PUBLISHED,
    SEEDS,
    SIZE,
    cosines,
    made_with,
    rewrite,
    write_embeddings,
)
from tests.warehouse.fake_store import fake_store

OF_DATES = ("embeddings", "embedding_exclusions", "fund_predictions", "embedding_map")
EVALUATED = ("embedding_portfolios", "embedding_evaluations")
MADE_OF_EMBEDDINGS = (
    *(*OF_DATES, *EVALUATED),
    *("embedding_curves", "embedding_information", "embedding_checks"),
)
TABLES = [
    *("embeddings", "embedding_map", "embedding_exclusions", "embedding_curves"),
    *("embedding_portfolios", "embedding_evaluations", "embedding_information"),
    *("embedding_checks", "fund_predictions", "daily_funds"),
]


def test_similar_funds_are_those_of_numpy(store: PartStore, path: Path) -> None:
    sql = "FROM similar_funds('D3', DATE '2000-12-29')"
    rows = query(path, sql)
    expected = cosines(store, LAST, "D3")
    assert set(rows["fund_id"]) == set(expected) and rows.height == 23
    assert rows["similarity"].is_sorted(descending=True)
    for row in rows.iter_rows(named=True):
        own = expected[row["fund_id"]]
        assert row["similarity"] == pytest.approx(np.mean(own), abs=1e-6)
        assert (row["lowest"], row["highest"]) == pytest.approx((min(own), max(own)), abs=1e-6)
        assert row["n_seeds"] == len(SEEDS)
        assert row["name"] == f"Daily {row['fund_id']}"
    assert (rows["encoder"][0], rows["mode"][0]) == PUBLISHED


def test_cosine_similarity_takes_the_column_as_it_is(path: Path) -> None:
    """No cast is needed: the vectors have a fixed size."""
    sql = """
        SELECT array_cosine_similarity(a.vector, b.vector) AS cosine
        FROM embeddings AS a JOIN embeddings AS b USING (date, encoder, mode, seed)
        WHERE a.fund_id = b.fund_id LIMIT 1
    """
    assert query(path, sql).item() == pytest.approx(1.0, abs=1e-6)
    columns = {column.name: column.type for column in warehouse_schema()["embeddings"].columns}
    assert columns["vector"] == f"FLOAT[{SIZE}]"


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2000-12-28", DATES[1]),
        ("2000-12-29", DATES[2]),
        ("2031-01-01", DATES[2]),
        ("2000-10-30", None),
    ],
)
def test_the_last_date_at_or_before_the_day_counts(
    path: Path, day: str, expected: dt.date | None
) -> None:
    dates = query(path, f"SELECT DISTINCT date FROM similar_funds('D3', DATE '{day}')")["date"]
    assert dates.to_list() == ([] if expected is None else [expected])


def test_a_fund_without_a_vector_that_day_is_similar_to_none(path: Path) -> None:
    assert query(path, f"FROM similar_funds('{EXCLUDED[0]}', DATE '2000-12-29')").is_empty()
    assert query(path, f"FROM similar_funds('{EXCLUDED[0]}', DATE '2000-11-30')").height == 24


@pytest.mark.parametrize(
    "nasty", ["D1' OR 1=1 --", "'); DROP TABLE embeddings; --", 'a"b', "\\", "ünïcode"]
)
def test_an_id_is_a_text_and_nothing_else(store: PartStore, path: Path, nasty: str) -> None:
    quoted = nasty.replace("'", "''")
    assert query(path, f"FROM similar_funds('{quoted}', DATE '2000-12-29')").is_empty()
    frame = store.read("embeddings", LAST)
    rewrite(store, "embeddings", LAST, frame.with_columns(pl.col("fund_id").replace("D3", nasty)))
    publish(store, path, Settings())
    found = query(path, f"FROM similar_funds('{quoted}', DATE '2000-12-29')")
    assert found.height == 23 and nasty not in found["fund_id"]


def test_a_vector_of_zeros_is_similar_to_none(store: PartStore, path: Path) -> None:
    frame = store.read("embeddings", LAST)
    zeros = pl.lit([0.0] * SIZE, dtype=pl.Array(pl.Float32, SIZE))
    zeroed = pl.when(pl.col("fund_id") == "D3").then(zeros).otherwise("vector")
    rewrite(store, "embeddings", LAST, frame.with_columns(vector=zeroed))
    publish(store, path, Settings())
    assert query(path, "FROM similar_funds('D3', DATE '2000-12-29')").is_empty()
    assert "D3" not in query(path, "FROM similar_funds('D4', DATE '2000-12-29')")["fund_id"]
    shown = query(path, "SELECT fund_id FROM embedding_map WHERE date = '2000-12-29'")
    assert "D3" not in shown["fund_id"] and shown.height == 23


def test_embeddings_of_another_size_stay_out_with_the_reason(store: PartStore, path: Path) -> None:
    frame = store.read("embeddings", LAST)
    short = frame.with_columns(pl.col("vector").arr.head(5).list.to_array(5))
    rewrite(store, "embeddings", LAST, short)
    report = publish(store, path, Settings())
    [warning] = report.warnings
    assert f"embeddings {LAST}" in warning and f"FLOAT[{SIZE}]" in warning
    assert "shape=(5,)" in warning
    assert query(path, "SELECT max(date) FROM embeddings").item() == DATES[1]


def test_the_size_is_that_of_the_settings(store: PartStore, path: Path) -> None:
    chosen = Settings.model_validate({"embeddings": {"size": 5}})
    write_embeddings(store, settings=chosen)
    for key in store.keys("embeddings"):
        short = pl.col("vector").arr.head(5).list.to_array(5)
        rewrite(store, "embeddings", key, store.read("embeddings", key).with_columns(short))
    report = publish(store, path, chosen)
    assert report.warnings == () and report.tables["embeddings"] == 3 * (25 + 25 + 24)
    assert query(path, "SELECT len(vector) FROM embeddings LIMIT 1").item() == 5
    assert not publish(store, path, Settings()).skipped  # another size is another warehouse


def test_an_encoder_of_no_setting_stays_out_with_all_that_is_said_of_it(
    store: PartStore, path: Path
) -> None:
    chosen = Settings.model_validate({"embeddings": {"encoders": ["itransformer"]}})
    report = publish(store, path, chosen)
    assert any("fund_model_rlinear" in warning for warning in report.warnings)
    curves = query(path, "SELECT DISTINCT encoder, retraining FROM embedding_curves")
    assert curves.rows() == [("itransformer", dt.date(2000, 10, 31))]
    for table in set(MADE_OF_EMBEDDINGS) - {"embedding_curves"}:
        assert report.tables[table] == 0, table


@pytest.mark.parametrize(
    ("changes", "stays"),
    [
        ({}, {*MADE_OF_EMBEDDINGS}),
        ({"embeddings": {"first_decision": "2000-12-01"}}, {*OF_DATES, "embedding_curves"}),
        ({"embeddings": {"published_mode": "probe"}}, {"embedding_curves"}),
        ({"embeddings": {"horizon": 32}}, set()),
        ({"embeddings": {"enabled": False}}, set()),
        ({"ingest": {"drop_first_months": 3}}, {*MADE_OF_EMBEDDINGS} - {*EVALUATED}),
    ],
)
def test_what_other_settings_made_is_not_published(
    store: PartStore, path: Path, changes: dict[str, dict[str, object]], stays: set[str]
) -> None:
    """Publishing alone does not let the vectors of the old mode stand for those of the new."""
    chosen = Settings.model_validate(changes)
    report = publish(store, path, chosen)
    assert {table for table in MADE_OF_EMBEDDINGS if report.tables[table]} == stays
    told = "other settings of embeddings" if chosen.embeds else "the settings want no embeddings"
    assert bool(report.warnings) == (stays != {*MADE_OF_EMBEDDINGS})
    assert all(told in warning for warning in report.warnings)


@pytest.mark.parametrize(
    "changes", [{}, {"seeds": [4]}, {"first_decision": "2016-01-01", "published_mode": "probe"}]
)
def test_the_fingerprints_are_those_that_the_stages_write(
    store: PartStore, changes: dict[str, object]
) -> None:
    chosen = Settings.model_validate({"embeddings": changes})
    write_embeddings(store, settings=chosen)
    out = [
        p for p in committed_parts(store, chosen) if p.manifest.table in made_with(store, chosen)
    ]
    assert out and not [part for part in out if part.left_out]


def changed(column: str, value: object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """The first row with another value."""
    first = pl.int_range(pl.len()) == 0
    return lambda frame: frame.with_columns(
        pl.when(first).then(pl.lit(value)).otherwise(column).alias(column)
    )


def twice(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame, frame.head(1)])


@pytest.mark.parametrize(
    ("table", "key", "breaks", "words"),
    [
        ("embeddings", LAST, changed("retrained", dt.date(2001, 1, 1)), "retrained <= date"),
        ("fund_predictions", LAST, changed("weight", 0.9), "sum to 1"),
        ("fund_predictions", LAST, changed("gmv", 0.9), "sum to 1"),
        ("embedding_portfolios", "all", changed("ret", -1.5), "ret >= "),
        ("embedding_portfolios", "all", twice, "one row per"),
        ("embedding_evaluations", "all", changed("ci_low", 9.0), "ci_low <= ci_high"),
        ("embedding_evaluations", "all", twice, "one row per"),
        ("embedding_information", "rlinear", twice, "one row per"),
        ("fund_model_rlinear", "2000-10", twice, "one row per"),
        ("embedding_exclusions", LAST, changed("reason", ""), "reason"),
    ],
)
def test_a_fact_that_breaks_a_rule_stops_the_publication(
    store: PartStore,
    path: Path,
    table: str,
    key: str,
    breaks: Callable[[pl.DataFrame], pl.DataFrame],
    words: str,
) -> None:
    before = path.read_bytes()
    rewrite(store, table, key, breaks(store.read(table, key)))
    with pytest.raises(WarehouseError, match=words):
        publish(store, path, Settings())
    assert path.read_bytes() == before


def test_a_vector_with_a_hole_stops_the_publication(store: PartStore, path: Path) -> None:
    frame = store.read("embeddings", LAST)
    holed = pl.lit([float("nan")] * SIZE, dtype=pl.Array(pl.Float32, SIZE))
    first = pl.int_range(pl.len()) == 0
    rewrite(
        store,
        "embeddings",
        LAST,
        frame.with_columns(vector=pl.when(first).then(holed).otherwise("vector")),
    )
    with pytest.raises(WarehouseError, match=r"embeddings breaks the rule.*isfinite"):
        publish(store, path, Settings())


def test_without_embeddings_their_tables_are_empty_and_the_rest_is_as_before(
    tmp_path: Path, template: Path
) -> None:
    store = fake_store(tmp_path / "store")
    for table in store.tables():
        if table.startswith(("embedding", "fund_model_")) or table in TABLES:
            for key in store.keys(table):
                store.delete(table, key)
    path = tmp_path / "warehouse.duckdb"
    report = publish(store, path, Settings())
    assert report.warnings == ()
    for table, rows in report.tables.items():
        assert (rows == 0) == (table in TABLES), table
    for view in ("latest_embeddings", "embedding_scoreboard"):
        assert query(path, f"FROM {view}").is_empty()
    assert query(path, "FROM similar_funds('D1', DATE '2000-12-29')").is_empty()
    same = "SELECT * FROM leaderboard"
    assert query(path, same).equals(query(template / "warehouse.duckdb", same))


def test_the_verdict_is_that_of_the_interval(path: Path) -> None:
    board = query(path, "FROM embedding_scoreboard")
    assert board.height > 0
    for row in board.iter_rows(named=True):
        low, high = row["ci_low"], row["ci_high"]
        if row["difference"] is None:
            assert row["verdict"] == "see note"
        elif low is None:
            assert row["verdict"] == "not known: no interval"
        elif low <= 0 <= high:
            assert row["verdict"] == "not significant"
        else:
            good = (low > 0) != (row["metric"] == "volatility")
            word = "better" if good else "worse"
            assert row["verdict"] == f"{word} than the benchmark"
    judged = set(board.filter(metric="volatility")["verdict"])
    assert "not significant" in judged
    one = board.filter(evaluation="gmv", encoder="rlinear", mode="probe", metric="sharpe")
    one = one.filter(benchmark="gmv_sample").row(0, named=True)
    seeds = query(
        path,
        "SELECT difference FROM embedding_evaluations WHERE evaluation = 'gmv' AND metric ="
        " 'sharpe' AND encoder = 'rlinear' AND mode = 'probe' AND seed IS NOT NULL",
    )["difference"]
    assert (one["n_seeds"], one["seed_low"], one["seed_high"]) == (3, seeds.min(), seeds.max())


def test_less_volatility_is_better(store: PartStore, path: Path) -> None:
    frame = store.read("embedding_evaluations", "all")
    mixed = (pl.col("metric") == "volatility") & pl.col("seed").is_null()
    ends = {
        name: pl.when(mixed).then(v).otherwise(name)
        for name, v in (("difference", -0.02), ("ci_low", -0.03), ("ci_high", -0.01))
    }
    rewrite(store, "embedding_evaluations", "all", frame.with_columns(**ends))
    publish(store, path, Settings())
    sql = "SELECT DISTINCT verdict FROM embedding_scoreboard WHERE metric = 'volatility'"
    assert query(path, sql)["verdict"].to_list() == ["better than the benchmark"]


def test_a_share_of_wins_is_judged_against_one_half(path: Path) -> None:
    """From 30% to 100%: one half lies within."""
    sql = "SELECT verdict FROM embedding_scoreboard WHERE metric = 'win_share_sharpe'"
    assert set(query(path, sql)["verdict"]) == {"not significant"}


def test_latest_embeddings_are_of_the_last_date_with_names(path: Path) -> None:
    rows = query(path, "FROM latest_embeddings")
    assert rows["date"].unique().to_list() == [DATES[-1]]
    assert rows.height == 24 * len(SEEDS) and rows["name"].null_count() == 0


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_vectors_can_be_exported(path: Path, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"vectors{suffix}"
    rows = export(path, "embeddings", file)
    if suffix == ".parquet":
        back = pl.read_parquet(file)["vector"]
        assert back.dtype == pl.Array(pl.Float32, SIZE) and back.len() == rows
    elif suffix == ".csv":
        assert pl.read_csv(file)["vector"].str.count_matches(r"\|").unique().to_list() == [SIZE - 1]
    else:
        assert len(pl.read_json(file)["vector"][0]) == SIZE


def test_queries_with_parameters_are_described(path: Path) -> None:
    [macro] = warehouse_macros()
    assert (macro.name, macro.parameters) == ("similar_funds", ("fund", "day"))
    assert "cosine similarity" in macro.comment


def test_any_client_can_ask_the_file(path: Path) -> None:
    with duckdb.connect(str(path), read_only=True) as connection:
        found = connection.execute("FROM similar_funds('D3', '2000-12-29') LIMIT 1").fetchall()
    assert len(found) == 1
