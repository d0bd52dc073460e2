"""Pair statistics: a view over the store's files, and nothing else of the disk."""

import re
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from finembed_core.errors import WarehouseError
from finembed_core.fingerprint import settings_fingerprint
from finembed_core.settings import PAIR_COLUMNS, Settings
from finembed_core.store import GROUP, PartStore
from finembed_core.warehouse.pairs import TEXTS
from finembed_core.warehouse.publish import is_published, publish
from finembed_core.warehouse.query import export, query
from tests.warehouse.fake_run import FUNDS, MONTHS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "polymodel_pairs.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
FACTORS = [f"X{k}" for k in range(3)]
KEPT = MONTHS[3:9]


def settings_of(**pairs) -> Settings:
    months = {"first_month": str(KEPT[0]), "last_month": str(KEPT[-1])}
    return Settings.model_validate({"pairs": months | pairs})


SETTINGS = settings_of()


def write_pairs(store, months=KEPT, funds=FUNDS, settings=SETTINGS, seed=0):
    rng = np.random.default_rng(seed)
    assert settings.pairs
    names = settings.pairs.statistics(settings.polymodel.degree)
    keys = [(fund, factor) for fund in funds for factor in FACTORS]
    for month in months:
        frame = pl.DataFrame(keys, schema=["fund_id", "factor_id"], orient="row").select(
            pl.lit(month.end).alias("month"),
            pl.all(),
            *(pl.Series(n, rng.random(len(keys)).astype(np.float32)) for n in names),
        )
        mark = settings_fingerprint(settings.polymodel, settings.pairs.choice)
        store.write("polymodel_pairs", str(month), frame, settings=mark)


@pytest.fixture
def kept(store, path) -> PartStore:
    write_pairs(store)
    publish(store, path, SETTINGS)
    return store


def test_the_view_shows_every_row_that_is_kept(kept, path):
    found = query(path, "SELECT * FROM polymodel_pairs ORDER BY month, fund_id, factor_id")
    assert found.equals(kept.read_many("polymodel_pairs"))
    assert set(found.dtypes[3:]) == {pl.Float32}
    described = query(path, "SELECT column_name, comment FROM duckdb_columns()"
                      " WHERE table_name = 'polymodel_pairs'")  # fmt: skip
    assert described["column_name"].to_list() == found.columns
    assert described["comment"].null_count() == 0


def test_every_statistic_says_what_it_is():
    named = {name for name in PAIR_COLUMNS if not name.startswith("beta_")}
    assert set(TEXTS) == named | {"month", "fund_id", "factor_id"}


def test_nothing_is_copied(kept, path):
    size = path.stat().st_size
    write_pairs(kept, funds=[f"G{k:05d}" for k in range(20_000)])
    publish(kept, path, SETTINGS)
    assert query(path, "SELECT count(*) FROM polymodel_pairs").item() == 6 * 60_000
    assert path.stat().st_size <= size + 2**20


def test_plain_duckdb_reads_the_view_from_any_folder(kept, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with duckdb.connect(str(path), read_only=True) as connection:
        found = connection.execute("SELECT count(*) FROM polymodel_pairs").fetchone()
    assert found == (6 * 6 * 3,)


@pytest.mark.parametrize(
    ("where", "files"),
    [
        (f"month = DATE '{KEPT[2].end}'", 1),
        (f"month BETWEEN '{KEPT[1].start}' AND '{KEPT[2].end}'", 2),
        (f"month >= DATE '{KEPT[3].end}' AND fund_id = 'F2'", 3),
        ("fund_id = 'F2'", 6),
    ],
)
def test_a_month_filter_opens_the_files_of_its_months(kept, path, where, files):
    plan = query(path, f"EXPLAIN ANALYZE SELECT avg(svar) FROM polymodel_pairs WHERE {where}")
    assert f"Total Files Read: {files}" in plan["explain_value"].item()


def test_a_fund_lies_in_few_row_groups(store, path):
    funds = [f"G{k:05d}" for k in range(GROUP)]  # three row groups of its three factors
    write_pairs(store, KEPT[:1], funds)
    publish(store, path, SETTINGS)
    [folder] = query(path, "SELECT pairs_folder FROM publication")["pairs_folder"]
    groups = query(
        path,
        "SELECT stats_min_value <= 'G40000' AND stats_max_value >= 'G40000' AS may_hold_it"
        f" FROM parquet_metadata('{folder}/*.parquet') WHERE path_in_schema = 'fund_id'",
    )
    assert groups["may_hold_it"].to_list() == [False, True, False]


def test_no_other_file_can_be_read(kept, path):
    for source in (
        f"read_parquet('{kept.root}/universe/*.parquet')",
        f"read_parquet('{kept.root}/polymodel_pairs/../universe/*.parquet')",
        f"glob('{kept.root}/*')",
        "read_text('/etc/hostname')",
    ):
        with pytest.raises(WarehouseError, match="disabled by configuration"):
            query(path, f"SELECT * FROM {source}")


@pytest.mark.parametrize(
    "sql",
    [
        "COPY funds TO '{folder}/new.csv'",
        "EXPLAIN ANALYZE COPY funds TO '{folder}/new.csv'",
        "explain (analyze) copy funds TO '{folder}/new.csv'",
        "EXPLAIN /* */ ANALYZE/**/Copy(SELECT 1)TO '{folder}/new.csv'",
        "ATTACH '{folder}/new.duckdb'",
    ],
)
def test_nothing_can_be_written_where_files_may_be_read(kept, path, sql):
    folder = kept.root / "polymodel_pairs"
    before = sorted(folder.iterdir())
    with pytest.raises(WarehouseError, match="read-only"):
        query(path, sql.format(folder=folder))
    assert sorted(folder.iterdir()) == before


def test_without_the_setting_there_is_no_view(kept, path):
    report = publish(kept, path, Settings())
    assert report.warnings == (
        f"not in the warehouse: 6 parts, the first polymodel_pairs {KEPT[0]}, "
        "(not what the settings keep of pair statistics)",
    )
    with pytest.raises(WarehouseError, match="polymodel_pairs does not exist"):
        query(path, "SELECT * FROM polymodel_pairs")
    with pytest.raises(WarehouseError, match="disabled by configuration"):
        query(path, f"SELECT * FROM read_parquet('{kept.root}/polymodel_pairs/*.parquet')")


@pytest.mark.parametrize(
    ("settings", "through", "months"),
    [
        (settings_of(last_month=str(KEPT[1])), None, 2),
        (settings_of(first_month=str(KEPT[4])), None, 2),
        (settings_of(factors=["X1"]), None, 0),
        (Settings.model_validate(SETTINGS.model_dump() | {"polymodel": {"ridge": 2}}), None, 0),
        (SETTINGS, KEPT[3], 4),
    ],
    ids=["last month", "first month", "factors", "polymodel", "through"],
)
def test_what_the_settings_do_not_keep_is_left_out_and_told(kept, path, settings, through, months):
    report = publish(kept, path, settings, through)
    shown = query(path, "SELECT count(DISTINCT month) FROM polymodel_pairs").item()
    assert shown == months
    assert any("not in the warehouse" in warning for warning in report.warnings)
    hollow = "polymodel_pairs is empty: no month that the settings keep has tested pairs"
    assert (hollow in report.warnings) == (months == 0)


def test_a_view_without_parts_has_its_columns(store, path):
    report = publish(store, path, settings_of(columns=["lta", "r2"]))
    assert len(report.warnings) == 1
    empty = query(path, "SELECT * FROM polymodel_pairs")
    assert empty.schema == {
        "month": pl.Date,
        "fund_id": pl.String,
        "factor_id": pl.String,
        "r2": pl.Float32,
        "lta": pl.Float32,
    }


def test_publishing_again_does_nothing_until_a_part_or_the_place_changes(kept, path, home):
    assert publish(kept, path, SETTINGS).skipped
    write_pairs(kept, KEPT[:1], seed=1)
    assert not publish(kept, path, SETTINGS).skipped
    moved = home.rename(home.with_name("moved"))
    store, path = PartStore(moved / "store"), moved / path.name
    assert not is_published(store, path, SETTINGS)
    assert not publish(store, path, SETTINGS).skipped
    assert query(path, "SELECT count(*) FROM polymodel_pairs").item() == 6 * 6 * 3


def test_a_part_that_was_replaced_since_is_no_traceback(kept, path):
    write_pairs(kept, KEPT[:1], seed=1)
    with pytest.raises(WarehouseError, match="No files found") as caught:
        query(path, "SELECT * FROM polymodel_pairs")
    assert "finembed run" in str(caught.value.remedy)
    assert query(path, "SELECT count(*) FROM funds").item() == len(FUNDS)


def test_a_damaged_part_is_named(kept, path):
    write_pairs(kept, KEPT[:1], seed=1)
    part = next((kept.root / "polymodel_pairs").glob(f"{KEPT[0]}@*"))
    part.write_bytes(b"PAR1")
    before = path.read_bytes()
    with pytest.raises(WarehouseError, match=f"{KEPT[0]}@") as caught:
        publish(kept, path, SETTINGS)
    assert str(part.parent) in str(caught.value.where)
    assert path.read_bytes() == before


def test_it_can_be_exported(kept, path, tmp_path):
    assert export(path, "polymodel_pairs", tmp_path / "pairs.parquet") == 6 * 6 * 3
    assert pl.read_parquet(tmp_path / "pairs.parquet").equals(kept.read_many("polymodel_pairs"))


@pytest.mark.parametrize("sql", QUERIES)
def test_the_queries_of_the_page_run(kept, path, sql):
    assert query(path, sql).height > 0
