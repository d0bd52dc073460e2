import json
from pathlib import Path

import polars as pl
import pytest

from finembed_core.errors import WarehouseError
from finembed_core.warehouse.query import WRITERS, csv_text, export, query


@pytest.fixture(scope="module")
def path(template) -> Path:
    return template / "warehouse.duckdb"


def test_answers_are_frames(path):
    frame = query(path, "SELECT fund_id, name FROM funds ORDER BY fund_id LIMIT 2;")
    assert frame.equals(pl.DataFrame({"fund_id": ["F0", "F1"], "name": ["Fund F0", "Fund F1"]}))
    assert query(path, "SELECT sum(n_selected) AS n FROM polymodel_features").schema["n"].is_float()
    assert query(path, "DESCRIBE returns").height == 13
    assert query(path, "EXPLAIN SELECT 1").height > 0


def test_a_missing_warehouse_says_how_to_make_one(tmp_path):
    with pytest.raises(WarehouseError, match="no warehouse yet") as caught:
        query(tmp_path / "warehouse.duckdb", "SELECT 1")
    assert "finembed run" in str(caught.value.remedy)
    assert not list(tmp_path.iterdir())


def test_a_damaged_warehouse_says_what_to_do(tmp_path):
    damaged = tmp_path / "warehouse.duckdb"
    damaged.write_bytes(b"x" * 20_000)
    with pytest.raises(WarehouseError, match="cannot be opened") as caught:
        query(damaged, "SELECT 1")
    assert "publish again" in str(caught.value.remedy)


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE returns",
        "INSERT INTO funds (fund_id) VALUES ('X')",
        "UPDATE returns SET net = 1",
        "CREATE TABLE more AS SELECT 1",
        "CREATE TEMP TABLE more AS SELECT 1",
        "COPY returns TO 'out.csv'",
        "EXPORT DATABASE 'out'",
        "ATTACH 'other.duckdb'",
        "DETACH warehouse",
        "SET threads = 1",
        "PRAGMA enable_profiling",
        "CHECKPOINT",
        "LOAD json",
        "INSTALL spatial",
        "SELECT 1; SELECT 2",
        "",
    ],
)
def test_only_one_select_is_taken(sql, path):
    before = path.read_bytes()
    with pytest.raises(WarehouseError, match="read-only"):
        query(path, sql)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "source",
    ["read_csv('{file}')", "read_text('{file}')", "'{file}'", "glob('{folder}/*')"],
)
def test_sql_sees_no_other_file(source, path, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    with pytest.raises(WarehouseError, match="disabled by configuration"):
        query(path, f"SELECT * FROM {source.format(file=secret, folder=tmp_path)}")


def test_sql_sees_no_variable_of_the_program(path):
    hidden = pl.DataFrame({"a": [1]})
    with pytest.raises(WarehouseError, match="hidden does not exist"):
        query(path, "SELECT * FROM hidden")
    assert hidden.height == 1


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT sharp FROM leaderboard", "sharp"),
        ("SELECT error('stop')", "stop"),
    ],
)
def test_mistakes_are_told_in_one_line(sql, what, path):
    with pytest.raises(WarehouseError, match=what) as caught:
        query(path, sql)
    assert "\n" not in caught.value.what
    assert caught.value.where == sql
    assert "leaderboard" in str(caught.value.remedy)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_exports_hold_the_whole_table(suffix, path, tmp_path):
    file = tmp_path / f"returns{suffix}"
    assert export(path, "returns", file) == 36
    read = {".csv": pl.read_csv, ".parquet": pl.read_parquet, ".json": pl.read_json}[suffix]
    exported, table = read(file), query(path, "SELECT * FROM returns")
    assert exported.columns == table.columns
    assert exported["net"].to_list() == table["net"].to_list()
    assert str(exported["date"][0]) == "2000-01-31"
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_lists_are_joined_in_csv_and_kept_in_json(path, tmp_path):
    export(path, "series", tmp_path / "series.csv")
    assert pl.read_csv(tmp_path / "series.csv")["roles"].item() == "benchmark|risk_factor"
    export(path, "series", tmp_path / "series.json")
    assert json.loads((tmp_path / "series.json").read_text())[0]["roles"][0] == "benchmark"


def test_unknown_tables_and_formats_are_named(path, tmp_path):
    with pytest.raises(WarehouseError, match="no table 'return'") as caught:
        export(path, "return", tmp_path / "x.csv")
    assert "returns" in str(caught.value.remedy)
    with pytest.raises(WarehouseError, match=r"\.xlsx is not a format"):
        export(path, "returns", tmp_path / "x.xlsx")
    with pytest.raises(WarehouseError, match="cannot be written"):
        export(path, "returns", tmp_path / "absent" / "x.csv")
    assert not list(tmp_path.iterdir())


def test_a_failed_export_leaves_the_old_file(path, tmp_path, monkeypatch):
    file = tmp_path / "returns.csv"
    file.write_text("old")

    def half(_: pl.DataFrame, target: Path) -> None:
        target.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(WRITERS, ".csv", half)
    with pytest.raises(WarehouseError, match="No space left"):
        export(path, "returns", file)
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["returns.csv"]


def test_columns_of_one_name_are_told_apart(path):
    frame = query(path, "SELECT 1 AS x, 2 AS x, 3 AS x_1, 4 AS x")
    assert frame.row(0, named=True) == {"x": 1, "x_1": 2, "x_1_1": 3, "x_2": 4}
    joined = query(path, "SELECT * FROM funds AS a JOIN funds AS b ON a.fund_id = b.fund_id")
    assert joined["fund_id"].equals(joined["fund_id_1"], check_names=False)


def test_types_that_no_file_holds_come_as_text(path):
    frame = query(
        path,
        "SELECT TIMESTAMP '2000-01-03' - TIMESTAMP '2000-01-01' AS age, [INTERVAL 1 DAY] AS ages,"
        " 'ab'::BLOB AS raw, {'a': 1} AS pair, MAP {'k': 1} AS lookup, [[1], [2]] AS nested,"
        " '1'::BIT AS bits, now() AS moment, DATE '2000-01-31' AS day, NULL AS nothing",
    )
    row = frame.row(0, named=True)
    assert (row["age"], row["ages"], row["nested"]) == ("2 days", "[1 day]", "[[1], [2]]")
    assert frame.schema["day"] == pl.Date
    assert csv_text(frame).startswith("age,ages")
    assert json.loads(frame.write_json())[0]["pair"] == "{'a': 1}"


def test_any_answer_can_be_written(path):
    for table in query(path, "SHOW TABLES")["name"]:
        frame = query(path, f'SELECT * FROM "{table}"')
        assert csv_text(frame).count("\n") > frame.height
        assert len(json.loads(frame.write_json())) == frame.height
    assert "benchmark|risk_factor" in csv_text(query(path, "SELECT * FROM series"))
