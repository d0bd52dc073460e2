"""The page about the warehouse says what the schema says, and its queries run."""

import re
from pathlib import Path

import pytest

from finembed_core.warehouse.describe import with_schema
from finembed_core.warehouse.query import query
from finembed_core.warehouse.schema import warehouse_schema

PAGE = Path(__file__).resolve().parents[2] / "docs" / "warehouse.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


def test_the_page_holds_the_schema():
    page = PAGE.read_text()
    assert with_schema(page) == page, "run: python -m finembed_core.warehouse.describe " + str(PAGE)


@pytest.mark.parametrize("sql", QUERIES)
def test_its_queries_run(sql, template):
    assert query(template / "warehouse.duckdb", sql).height > 0


def test_every_table_says_what_it_is_and_numbers_have_their_unit():
    for table in warehouse_schema().values():
        assert table.comment, table.name
        for column in table.columns:
            if column.type == "DOUBLE" and not table.is_view:
                assert column.comment, f"{table.name}.{column.name}"
