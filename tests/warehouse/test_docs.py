"""The page about the warehouse says what the schema says, and its queries run."""

import re
from pathlib import Path

import pytest

from finembed_core.warehouse.checks import CHECKS
from finembed_core.warehouse.describe import main, schema_page
from finembed_core.warehouse.query import query
from finembed_core.warehouse.schema import warehouse_schema

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, SCHEMA = DOCS / "warehouse.md", DOCS / "schema.md"
PAGES = (PAGE, DOCS / "similar.md")
HERE = {"'AAPL'": "'D3'", "2015-06-30": "2000-12-29"}  # of the demo: of the warehouse below
QUERIES = [
    re.sub("|".join(HERE), lambda found: HERE[found[0]], sql)
    for page in PAGES
    for sql in re.findall(r"```sql\n(.*?)```", page.read_text(), re.DOTALL)
]


def test_the_page_is_that_of_the_schema(tmp_path):
    command = "run: python -m finembed_core.warehouse.describe docs/schema.md"
    assert SCHEMA.read_text() == schema_page(), command
    main(tmp_path / "schema.md")
    assert (tmp_path / "schema.md").read_text() == schema_page()


def test_the_page_has_every_table_column_and_rule():
    page = schema_page()
    for table in warehouse_schema().values():
        _, _, own = page.partition(f"\n### {table.name}\n")
        own = own.partition("\n### ")[0]
        assert table.comment in own
        assert [re.sub(r"[*`]", "", x) for x in re.findall(r"^\| (\S+`\S*) \|", own, re.M)] == [
            column.name for column in table.columns
        ]
        assert all(f"`{rule}`" in own for rule in table.rules)
    assert all(check.rule in page for check in CHECKS)


@pytest.mark.parametrize("sql", QUERIES)
def test_its_queries_run(sql, template):
    assert query(template / "warehouse.duckdb", sql).height > 0


def test_every_table_says_what_it_is_and_numbers_have_their_unit():
    for table in warehouse_schema().values():
        assert table.comment, table.name
        for column in table.columns:
            if column.type == "DOUBLE" and not table.is_view:
                assert column.comment, f"{table.name}.{column.name}"
