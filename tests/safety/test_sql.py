"""What SQL can reach: the warehouse, and nothing of the machine."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl
import pytest

from finembed_core.errors import WarehouseError
from finembed_core.home import Home
from finembed_core.warehouse import query as module
from finembed_core.warehouse.publish import publish
from finembed_core.warehouse.query import export, query
from tests.study_runs import finembed
from tests.warehouse.fake_store import fake_store
from tests.warehouse.test_pairs import SETTINGS, write_pairs

CANARY = "canary-7f3a"
WRITES = """\
COPY funds TO '{out}'
COPY (SELECT 1) TO '{out}' (FORMAT parquet)
EXPORT DATABASE '{out}'
WITH x AS (COPY (SELECT 1) TO '{out}') SELECT 1
WITH x AS (COPY (SELECT 1) TO '{out}' (USE_TMP_FILE false)) FROM x
EXPLAIN ANALYZE COPY funds TO '{out}'
EXPLAIN ANALYZE WITH x AS (COPY (SELECT 1) TO '{out}') SELECT 1
EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{out}'
EXPLAIN /* /* */ SELECT 1 -- */ ANALYZE COPY (SELECT 1) TO '{out}'
FROM json_execute_serialized_sql(json_serialize_sql('{copy}'))
FROM query('FROM json_exec' || 'ute_serialized_sql(json_serialize_sql(''{deeper}''))')
SELECT 1 FROM funds, system.main.json_execute_serialized_sql(json_serialize_sql('{copy}'))
SELECT 1; COPY funds TO '{out}'
ATTACH '{out}'
ATTACH '{out}' AS other; CREATE TABLE other.t AS SELECT 1
PRAGMA profile_output = '{out}.txt'
CALL enable_logging(storage = 'file', storage_path = '{out}')
FROM enable_logging(storage = 'file', storage_path = '{out}')
CREATE TABLE t AS SELECT 1
CREATE TABLE memory.t AS SELECT 1
EXPLAIN ANALYZE CREATE TABLE memory.t AS SELECT 1
CREATE OR REPLACE TEMP MACRO funds() AS TABLE SELECT 1
CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')
INSERT INTO funds (fund_id) VALUES ('x')
WITH x AS (INSERT INTO funds (fund_id) VALUES ('x') RETURNING *) FROM x
WITH x AS (DELETE FROM funds RETURNING *) FROM x
MERGE INTO funds USING (SELECT 'F0' AS id) ON fund_id = id WHEN MATCHED THEN DELETE
TRUNCATE funds
DROP VIEW leaderboard
ALTER TABLE funds ADD COLUMN x INT
COMMENT ON TABLE funds IS 'x'
BEGIN
PREPARE p AS COPY funds TO '{out}'
SET python_enable_replacements = true
SET VARIABLE x = 1
IMPORT DATABASE '{folder}/exported'"""
READS = {
    "FROM read_csv('{secret}')": CANARY,
    "FROM read_text('{secret}')": CANARY,
    "FROM read_blob('{secret}')": CANARY,
    "FROM read_json('{folder}/secret.json')": CANARY,
    "FROM read_ndjson_objects('{folder}/secret.json')": CANARY,
    "FROM sniff_csv('{secret}')": "'name': 'word'",
    "FROM read_parquet('{folder}/secret.parquet')": CANARY,
    "FROM parquet_metadata('{folder}/secret.parquet')": CANARY,
    "FROM read_duckdb('{folder}/secret.duckdb')": CANARY,
    "FROM '{secret}'": CANARY,
    "FROM 'file://{secret}'": CANARY,
    "FROM glob('{folder}/*')": "secret.csv",
    "FROM glob('/etc/*')": "/etc/passwd",
    "FROM query('FROM read_text(''{secret}'')')": CANARY,
    "FROM query_table('{secret}')": CANARY,
    "FROM query_table(['{secret}'])": CANARY,
    "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{secret}'')'))": CANARY,
    "SELECT fund_id FROM funds WHERE 9 < (SELECT size FROM read_text('{secret}'))": "F0",
    "SELECT (SELECT content FROM read_text('{secret}'))": CANARY,
    "DESCRIBE FROM read_csv('{secret}')": "'word', 'VARCHAR'",
    "SUMMARIZE FROM read_csv('{secret}')": CANARY,
    "EXPLAIN ANALYZE FROM read_text('{secret}')": "READ_TEXT",
    "FROM read_text('/proc/self/environ')": "PATH=",
    "FROM duckdb_extensions()": "httpfs",
    "PRAGMA database_list": "copy.duckdb",
}
"""Statements, and what their answer would tell."""
TRACELESS = """\
SET lock_configuration = false
RESET lock_configuration
VACUUM funds"""
"""Refused like the others, though nothing shows what they would do where nothing is locked."""
ASKS = """\
FROM 'http://127.0.0.1:9/x.csv'
FROM read_parquet('https://127.0.0.1:9/x.parquet')
FROM 's3://bucket/x.parquet'
FROM read_text('hf://datasets/x/y.csv')
FROM sqlite_scan('x.db', 't')
INSTALL httpfs
LOAD httpfs"""
BOMBS = [
    "SELECT count(*) FROM (FROM range(100_000_000) AS a(i) ORDER BY hash(i))",
    "WITH RECURSIVE t AS (SELECT repeat('x', 1_000_000) AS x UNION ALL SELECT x || x FROM t)"
    " SELECT count(*) FROM t",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose warehouse reads pair statistics from the store: files that SQL may read."""
    folder = tmp_path_factory.mktemp("sql")
    home = Home(folder / "home").open()
    store = fake_store(home.store.root)
    write_pairs(store)
    publish(store, home.warehouse, SETTINGS)
    secret = pl.DataFrame({"word": [CANARY], "number": [2]})
    secret.write_csv(folder / "secret.csv")
    secret.write_parquet(folder / "secret.parquet")
    secret.write_ndjson(folder / "secret.json")
    with duckdb.connect(str(folder / "secret.duckdb")) as connection:
        connection.execute("CREATE TABLE t AS FROM secret")
        connection.execute(f"EXPORT DATABASE '{folder / 'exported'}'")
    (folder / "here").mkdir()
    return home.root


@pytest.fixture(autouse=True)
def elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder is an empty one."""
    monkeypatch.chdir(home.parent / "here")


@contextmanager
def unprotected(home: Path, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse, copied into a folder and open to all that DuckDB can do."""
    file = shutil.copyfile(home / "warehouse.duckdb", folder / "copy.duckdb")
    with duckdb.connect() as connection:
        connection.execute(f"SET secret_directory = '{folder / 'secrets'}'")
        connection.execute(f"ATTACH '{file}' AS warehouse")
        connection.execute("USE warehouse")
        yield connection


def within(connection: duckdb.DuckDBPyConnection) -> list[object]:
    """What stands in an instance beside the rows of its tables, and whether a transaction does."""
    kinds = ("databases", "tables", "columns", "views", "functions", "settings", "secrets")
    kinds += ("prepared_statements", "variables")
    answers = [connection.execute(f"FROM duckdb_{kind}()").fetchall() for kind in kinds]
    numbers = {connection.execute("SELECT txid_current()").fetchone() for _ in range(2)}
    return [len(numbers), *(sorted(map(repr, rows)) for rows in answers)]


def texts(home: Path, out: Path) -> dict[str, object]:
    """What stands in the braces of a statement."""
    copy = f"WITH x AS (COPY (SELECT 1) TO ''{out}'') FROM x"
    deeper = copy.replace("'", "''")
    secret = home.parent / "secret.csv"
    return {"out": out, "folder": home.parent, "secret": secret, "copy": copy, "deeper": deeper}


def state(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(home: Path, sql: str) -> str:
    with pytest.raises(WarehouseError) as caught:
        query(home / "warehouse.duckdb", sql)
    return caught.value.what


def test_sql_writes_nothing_not_even_where_it_may_read(home: Path) -> None:
    """A WITH clause that copies, and SQL inside of JSON, are SELECTs to DuckDB and wrote."""
    before = state(home.parent)
    pairs = home / "store" / "polymodel_pairs"
    existing = next(pairs.glob("*.parquet"))
    for out in (home.parent / "here" / "out", pairs / "out", existing):
        for sql in WRITES.splitlines():
            refused(home, sql.format(**texts(home, out)))
            assert state(home.parent) == before, sql


def test_sql_sees_no_file_and_no_setting(home: Path) -> None:
    for sql in (*READS, *TRACELESS.splitlines()):
        assert CANARY not in refused(home, sql.format(**texts(home, Path("out")))), sql


def test_sql_asks_no_network(home: Path) -> None:
    for sql in ASKS.splitlines():
        assert "HTTP" not in refused(home, sql), "it went as far as to ask"


@pytest.mark.parametrize("sql", WRITES.splitlines())
def test_without_protection_it_would_change_something(home: Path, tmp_path: Path, sql: str) -> None:
    """Or else that it is refused would say nothing."""
    with unprotected(home, tmp_path) as connection:
        before = within(connection), state(tmp_path)
        connection.execute(sql.format(**texts(home, tmp_path / "out"))).fetchall()
        inside = within(connection)
    assert (inside, state(tmp_path)) != before


@pytest.mark.parametrize("sql", READS)
def test_without_protection_it_would_tell(home: Path, tmp_path: Path, sql: str) -> None:
    with unprotected(home, tmp_path) as connection:
        told = connection.execute(sql.format(**texts(home, tmp_path / "out"))).fetchall()
    assert READS[sql] in repr(told)


def test_a_statement_that_only_reads_changes_nothing_without_protection_either(
    home: Path, tmp_path: Path
) -> None:
    """Or else the check that the others change something would say nothing."""
    with unprotected(home, tmp_path) as connection:
        before = within(connection), state(tmp_path)
        connection.execute("FROM funds").fetchall()
        inside = within(connection)
    assert (inside, state(tmp_path)) == before


def test_of_all_folders_pair_statistics_alone_are_open_and_no_link_leads_out(home: Path) -> None:
    pairs = home / "store" / "polymodel_pairs"
    (pairs / "link.csv").symlink_to(home.parent / "secret.csv")
    (pairs / "away").symlink_to(home.parent)
    assert query(home / "warehouse.duckdb", f"FROM glob('{pairs}/*.parquet')").height
    for sql in (
        f"FROM read_text('{pairs}/../runs/*')",
        f"FROM read_text('{pairs}/../../../secret.csv')",
        f"FROM read_text('{pairs}/./../../../secret.csv')",
        f"FROM read_text('{pairs}2/x')",
        f"FROM read_text('{pairs}/link.csv')",
        f"FROM read_text('{pairs}/lin*')",
        f"FROM read_text('{pairs}/away/secret.csv')",
        f"FROM read_text('{pairs}/*/secret.csv')",
    ):
        assert CANARY not in refused(home, sql)
    (pairs / "link.csv").unlink()
    (pairs / "away").unlink()


def test_without_pair_statistics_no_folder_is_open(home: Path, tmp_path: Path) -> None:
    file = shutil.copyfile(home / "warehouse.duckdb", tmp_path / "warehouse.duckdb")
    with duckdb.connect(str(file)) as connection:
        connection.execute("UPDATE publication SET pairs_folder = NULL")
    for folder in (home / "store" / "polymodel_pairs", home / "store", Path("/")):
        assert "disabled" in refused(tmp_path, f"FROM glob('{folder}/*')")


def test_a_warehouse_from_elsewhere_opens_no_other_folder(home: Path, tmp_path: Path) -> None:
    """Its views are SQL of whoever made it, and it names the folder itself."""
    file = shutil.copyfile(home / "warehouse.duckdb", tmp_path / "warehouse.duckdb")
    with duckdb.connect(str(file)) as connection:
        connection.execute("UPDATE publication SET pairs_folder = $1", [str(home.parent)])
        connection.execute(f"CREATE VIEW bait AS FROM read_text('{home.parent}/secret.csv')")
    assert "another folder" in refused(tmp_path, "FROM bait")


@pytest.mark.parametrize(
    "bait",
    [
        "VIEW bait AS FROM json_execute_serialized_sql(json_serialize_sql('{copy}'))",
        "VIEW bait AS FROM query('FROM json_exec' || 'ute_serialized_sql({hidden})')",
        "MACRO bait() AS TABLE FROM \"Query\" ('FROM json_exec' || 'ute_serialized_sql({hidden})')",
    ],
)
def test_a_warehouse_from_elsewhere_hides_no_statement_that_writes(
    home: Path, tmp_path: Path, bait: str
) -> None:
    pairs = home / "store" / "polymodel_pairs"
    copy = f"WITH x AS (COPY (SELECT 1) TO ''{pairs / 'out'}'') FROM x"
    hidden = f"json_serialize_sql(''{copy.replace(chr(39), 2 * chr(39))}'')"
    file = shutil.copyfile(home / "warehouse.duckdb", tmp_path / "warehouse.duckdb")
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE " + bait.format(copy=copy, hidden=hidden))
        call = "bait" if bait.startswith("VIEW") else "bait()"
        assert connection.execute(f"FROM {call}").fetchall() == [(1,)]
    assert (pairs / "out").exists(), "this is what it would do"
    (pairs / "out").unlink()
    assert "hides SQL" in refused(tmp_path, f"FROM {call}")
    with pytest.raises(WarehouseError, match="hides SQL"):
        export(file, "bait", tmp_path / "bait.csv")
    assert not (pairs / "out").exists()


def test_an_export_takes_names_of_tables_alone(home: Path) -> None:
    for name in ('funds"; DROP TABLE funds; --', "read_text('/etc/passwd')", "duckdb_settings", ""):
        with pytest.raises(WarehouseError, match="no table"):
            export(home / "warehouse.duckdb", name, home.parent / "here" / "x.csv")
    assert not list((home.parent / "here").iterdir())


@pytest.mark.parametrize("sql", BOMBS, ids=["sort", "recursion"])
def test_what_outgrows_memory_ends_and_never_goes_to_disk(
    home: Path, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.HARMLESS, "lock_configuration", False)
    with module.reading(home / "warehouse.duckdb") as connection:
        connection.execute("SET memory_limit = '200MB'")
        with pytest.raises(Exception, match="Out of Memory"):
            connection.execute(sql).fetchall()
    assert not list((home.parent / "here").iterdir())


def test_an_answer_that_outgrows_memory_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 2**24)
    assert "larger than 0.0156 GB" in refused(home, "FROM range(100_000_000_000)")
    assert query(home / "warehouse.duckdb", "FROM range(1_000_000)").height == 1_000_000


def test_refused_is_one_message_and_exit_code_2(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for sql in ("WITH x AS (COPY funds TO 'o') FROM x", "FROM read_text('/etc/passwd')"):
        assert finembed("query", sql, "--home", home) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith("error:") and "root:" not in said.err


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT fund_id FROM funds ORDER BY fund_id DESC LIMIT 2;",
        "SELECT 1 -- a remark",
        "SELECT 1; -- a remark; and another",
        "SELECT 'é;' AS said /* ; */ ;; /* the end */ ;",
        "EXPLAIN SELECT 1 /* */; -- quiet",
        "WITH f AS (FROM funds) SELECT count(*) FROM f /* the end */",
        "SELECT 'copy (select 1) to ''x''' AS said",
        "EXPLAIN ANALYZE SELECT 'copy' AS said",
        "EXPLAIN (FORMAT json) SELECT 1",
        "explain\nFROM funds;",
        "FROM query('SELECT 1')",
        "SHOW ALL TABLES",
        "SUMMARIZE funds",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "FROM polymodel_pairs LIMIT 3",
    ],
)
def test_what_only_reads_is_answered(home: Path, sql: str) -> None:
    assert query(home / "warehouse.duckdb", sql).height > 0
