import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from finembed_core.errors import IntegrityError, WarehouseError
from finembed_core.settings import BacktestSettings, Settings
from finembed_core.store import PartStore
from finembed_core.warehouse.publish import publish
from finembed_core.warehouse.query import query
from finembed_core.warehouse.schema import warehouse_schema
from finembed_core.warehouse.sources import target_table, with_verdicts
from tests.warehouse.fake_run import FUNDS, LAST, MONTHS, run_tables, write_run

RUN = "a" * 16
TABLES = [table for table in warehouse_schema().values() if not table.is_view]
VIEWS = [table.name for table in warehouse_schema().values() if table.is_view]


def rewrite(store: PartStore, table: str, key: str, change: Callable[..., pl.DataFrame]) -> None:
    store.write(table, key, change(store.read(table, key)))


def test_every_committed_row_is_published(store, path):
    report = publish(store, path, Settings())
    committed: dict[str, int] = {}
    for table in store.tables():
        target = target_table(table)
        assert target is not None, table
        rows = sum(manifest.rows for manifest in store.manifests(table))
        committed[target] = committed.get(target, 0) + rows
    committed["embedding_map"] = 25 + 25 + 24  # computed from embeddings; one fund left out once
    committed["significance"] += 2  # deflated Sharpe ratios of the strategies, not of the index
    assert committed == {
        t: n for t, n in report.tables.items() if t not in ("parts", "publication")
    }
    assert report.tables["parts"] == sum(len(store.manifests(table)) for table in store.tables())
    assert min(report.tables.values()) > 0
    assert report.warnings == ()


def test_values_arrive_unchanged(store, path):
    features = store.read_many("polymodel_features").sort("month", "fund_id")
    published = query(path, "SELECT * FROM polymodel_features")
    assert published.equals(features.with_columns(pl.selectors.float().fill_nan(None)))


def test_rows_lie_in_the_order_of_their_key(template):
    for table in TABLES:
        frame = query(template / "warehouse.duckdb", f'SELECT * FROM "{table.name}"')
        key = list(table.key) or frame.columns
        assert frame.equals(frame.sort(key, nulls_last=True)), table.name


def test_views_answer_without_any_data(template, tmp_path):
    path = tmp_path / "warehouse.duckdb"
    report = publish(PartStore(tmp_path / "store"), path, Settings())
    assert report.latest_run is None
    for view in VIEWS:
        assert query(path, f"SELECT * FROM {view}").is_empty(), view
        rows = query(template / "warehouse.duckdb", f"SELECT * FROM {view}").height
        assert rows > 0 or view == "run_diff", view  # which needs a second run


def test_nothing_new_is_skipped(store, path):
    before = path.stat()
    report = publish(store, path, Settings())
    assert report.skipped
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert report.tables["returns"] == 36


def test_a_changed_part_is_published(store, path):
    rewrite(store, "universe", str(LAST), lambda f: f.with_columns(n_history=pl.lit(99)))
    assert not publish(store, path, Settings()).skipped
    sql = "SELECT DISTINCT n_history FROM universe WHERE month = (SELECT max(month) FROM universe)"
    assert query(path, sql).item() == 99


def test_two_publications_hold_the_same(store, path, tmp_path):
    other = tmp_path / "other.duckdb"
    publish(store, other, Settings())
    for table in TABLES:
        sql = f'SELECT * FROM "{table.name}"'
        assert query(path, sql).equals(query(other, sql)), table.name


def test_uncommitted_files_are_not_read(store, path):
    folder = store.root / "universe"
    stray = next(folder.glob("*.parquet"))
    (folder / "2001-01@0123456789abcdef.parquet").write_bytes(stray.read_bytes())
    assert publish(store, path, Settings()).skipped


def test_undefined_numbers_become_null(template):
    sql = "SELECT rank_ic FROM model_leaderboard WHERE model = 'persistence'"
    assert query(template / "warehouse.duckdb", sql).item() is None


def with_wrong_net(frame: pl.DataFrame) -> pl.DataFrame:
    wrong = pl.when(pl.int_range(pl.len()) == 3).then(1e-6).otherwise(0.0)
    return frame.with_columns(net=pl.col("net") + wrong)


VIOLATIONS = {
    "net is gross less cost": (
        "returns", RUN, with_wrong_net, "returns breaks the rule.*net", "strategy=sa_logistic"),
    "weights and cash are one": (
        "returns", RUN, lambda f: f.with_columns(cash=pl.col("cash") + 1e-8),
        "weights \\+ cash \\+ receivables = 1", "cash=0.2"),
    "targets are at most one": (
        "target_weights", RUN, lambda f: f.with_columns(weight=pl.lit(0.6)),
        "at most 1", "weights=1.2"),
    "decided after the month": (
        "target_weights", RUN,
        lambda f: f.with_columns(as_of=pl.col("decision").dt.offset_by("-1d")),
        "as_of >= decision", "strategy="),
    "known after the decision day": (
        "target_weights", RUN,
        lambda f: f.with_columns(as_of=pl.col("decision").dt.offset_by("1d")),
        "no later than the decision day", "decision_lag_days=0"),
    "dealt before the decision day": (
        "runs", RUN, lambda f: f.with_columns(decision_lag_days=pl.lit(15)),
        "no order deals before", "decision_lag_days=15"),
    "contributions are the return": (
        "metrics", RUN,
        lambda f: f.with_columns(metric=pl.lit("cumulative_return"), value=pl.lit(0.2)).unique(
            ["strategy", "metric"]
        ),
        "sum to the cumulative return", "cumulative_return=0.2, parts=0.1"),
    "intervals have two ends": (
        "metrics", RUN,
        lambda f: f.with_columns(ci_low=pl.lit(1.0), ci_high=pl.lit(0.0)),
        "ci_low <= ci_high", "ci_low=1.0"),
    "a p-value is a probability": (
        "significance", RUN, lambda f: f.with_columns(p_value=pl.lit(1.5)),
        "p_value", "p_value=1.5"),
    "nothing is its own baseline": (
        "differences", RUN, lambda f: f.with_columns(against="strategy"),
        "against != strategy", "metric=annual_return"),
    "one row per key": (
        "predictions", str(LAST), lambda f: pl.concat([f, f.head(1)]),
        "one row per \\(month, fund_id, model\\)", "fund_id=F0, model=logistic"),
    "no id is missing": (
        "universe", str(LAST), lambda f: f.with_columns(fund_id=pl.lit(None, pl.String)),
        "fund_id must not be missing", "month=2000-12-31"),
    "chances sum to one": (
        "predictions", str(LAST), lambda f: f.with_columns(p_up=pl.col("p_up") * 0.9),
        "p_down", "model=logistic"),
    "known by the decision day": (
        "fund_observations", str(LAST),
        lambda f: f.with_columns(available_at=pl.col("available_at").dt.offset_by("1d")),
        "available by the decision day", "available_at=2001-01-01"),
    "nothing from the future": (
        "prediction_outcomes", RUN,
        lambda f: f.with_columns(
            label_month=pl.col("label_month").dt.offset_by("1d").dt.month_end()
        ),
        "nothing is realized after", "label_month=2001-01-31"),
}  # fmt: skip


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_broken_rule_is_named_and_the_old_file_stands(name, store, path):
    table, key, change, what, where = VIOLATIONS[name]
    before = path.read_bytes()
    rewrite(store, table, key, change)
    with pytest.raises(WarehouseError, match=what) as caught:
        publish(store, path, Settings())
    assert where in str(caught.value.where)
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.building*"))


def test_a_reader_keeps_the_old_file_and_the_next_one_sees_the_new(store, path):
    count = "SELECT count(*) FROM universe"
    with duckdb.connect(str(path), read_only=True) as reader:
        [(before,)] = reader.sql(count).fetchall()
        store.delete("universe", str(LAST))
        publish(store, path, Settings())
        assert reader.sql(count).fetchall() == [(before,)]
        assert query(path, count).item() == before - len(FUNDS)


def test_a_crash_before_the_swap_leaves_the_old_file(store, path, monkeypatch):
    def crash(*_: Path) -> None:
        raise OSError("no space left on device")

    before = path.read_bytes()
    store.delete("universe", str(LAST))
    monkeypatch.setattr("finembed_core.warehouse.publish.put_in_place", crash)
    with pytest.raises(OSError, match="no space"):
        publish(store, path, Settings())
    assert path.read_bytes() == before


def test_what_a_killed_publisher_left_is_cleared_away(store, path):
    building = path.with_name(path.name + ".building")
    building.write_bytes(b"half a file")
    store.delete("universe", str(LAST))
    publish(store, path, Settings())
    assert not building.exists()


@pytest.mark.parametrize("content", [b"", b"not a database" * 1000])
def test_a_damaged_warehouse_is_built_anew(content, store, path):
    path.write_bytes(content)
    assert not publish(store, path, Settings()).skipped
    assert query(path, "SELECT count(*) FROM runs").item() == 1


def test_a_damaged_part_is_named(store, path):
    rewrite(store, "universe", str(LAST), lambda f: f.with_columns(n_history=pl.lit(99)))
    part = next((store.root / "universe").glob(f"{LAST}@*"))
    part.write_bytes(b"PAR1")
    before = path.read_bytes()
    with pytest.raises(IntegrityError, match="universe 2000-12") as caught:
        publish(store, path, Settings())
    assert caught.value.where == str(part)
    assert path.read_bytes() == before


def test_a_part_that_vanishes_meanwhile_is_no_traceback(store, path, monkeypatch):
    def judged(parts, size):
        found = with_verdicts(parts, size)
        next((store.root / "universe").glob(f"{LAST}@*")).unlink()
        return found

    store.delete("universe", str(MONTHS[0]))
    before = path.read_bytes()
    monkeypatch.setattr("finembed_core.warehouse.publish.with_verdicts", judged)
    with pytest.raises(WarehouseError, match="could not be built"):
        publish(store, path, Settings())
    assert path.read_bytes() == before


def test_publishers_wait_for_each_other(store, path):
    store.delete("universe", str(LAST))
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: publish(store, path, Settings()), range(2)))
    assert sorted(report.skipped for report in reports) == [False, True]


# Parts of other versions ------------------------------------------------------------------------


def test_a_run_of_an_older_version_is_left_out_whole(store, path):
    rng = np.random.default_rng(1)
    write_run(store, "b" * 16, rng, Settings(), age_hours=-1)
    rewrite(store, "returns", "b" * 16, lambda f: f.drop("receivables"))
    report = publish(store, path, Settings())
    assert report.latest_run == RUN
    assert query(path, "SELECT DISTINCT run_id FROM holdings")["run_id"].to_list() == [RUN]
    assert any("column receivables is missing" in warning for warning in report.warnings)
    counted = query(path, "SELECT rows FROM reason_counts WHERE reason LIKE '%receivables%'")
    assert counted["rows"].sum() == len(run_tables("b" * 16, rng, Settings()))


def test_a_run_that_was_killed_is_left_out(store, path):
    write_run(store, "b" * 16, np.random.default_rng(1), Settings(), skip=("runs",))
    report = publish(store, path, Settings())
    assert all("the run is not finished" in warning for warning in report.warnings)
    assert query(path, "SELECT DISTINCT run_id FROM returns")["run_id"].to_list() == [RUN]


def test_a_column_of_another_type_is_left_out_with_a_warning(store, path):
    rewrite(store, "universe", str(LAST), lambda f: f.with_columns(eligible=pl.lit("yes")))
    report = publish(store, path, Settings())
    assert report.tables["universe"] == len(FUNDS) * (len(MONTHS) - 1)
    assert report.warnings == (
        "not in the warehouse: universe 2000-12 (column eligible holds String, not BOOLEAN)",
    )


def test_what_lies_after_the_last_current_month_is_left_out(store, path):
    report = publish(store, path, Settings(), MONTHS[7])
    for table in ("universe", "macro_factors", "polymodel_features", "predictions"):
        assert report.tables[table] > 0
        day = "as_of" if table == "macro_factors" else "month"
        assert query(path, f"SELECT max({day}) FROM {table}").item() == MONTHS[7].end
    assert query(path, "SELECT max(date) FROM fund_observations").item() == LAST.end
    (warning,) = report.warnings
    assert "after 2000-08, up to which the study was computed" in warning


def test_absent_and_additional_columns_are_no_obstacle(store, path):
    rewrite(
        store,
        "universe",
        str(LAST),
        lambda f: f.drop("n_history").with_columns(more=pl.lit(1), last_aum=pl.lit(None, pl.Null)),
    )
    report = publish(store, path, Settings())
    assert report.warnings == ()
    newest = query(path, "SELECT * FROM universe").tail(len(FUNDS))
    assert newest["n_history"].null_count() == len(FUNDS)
    assert "more" not in newest.columns


# The latest run ---------------------------------------------------------------------------------

OTHER = Settings(backtest=BacktestSettings(cost_bps=50))


def test_the_latest_run_is_the_newest(store, path):
    write_run(store, "b" * 16, np.random.default_rng(1), Settings(), age_hours=-1)
    assert publish(store, path, Settings()).latest_run == "b" * 16
    assert query(path, "SELECT run_id FROM latest_run").item() == "b" * 16


def test_settings_in_force_choose_the_run_before_its_age_does(store, path):
    write_run(store, "b" * 16, np.random.default_rng(1), OTHER, age_hours=-1)
    assert publish(store, path, Settings()).latest_run == RUN
    assert publish(store, path, OTHER).latest_run == "b" * 16


def test_without_a_run_of_these_settings_the_newest_is_shown(store, path):
    write_run(store, "b" * 16, np.random.default_rng(1), Settings(), age_hours=1)
    assert publish(store, path, OTHER).latest_run == RUN


def test_the_stamp_is_the_manifests_file_time(store, path):
    manifest = store.root / "runs" / f"{RUN}.json"
    assert query(path, "SELECT epoch(created_at) FROM runs").item() == manifest.stat().st_mtime
    os.utime(manifest, (1e9, 1e9))
    assert not publish(store, path, Settings()).skipped
    assert query(path, "SELECT epoch(created_at) FROM runs").item() == 1e9
