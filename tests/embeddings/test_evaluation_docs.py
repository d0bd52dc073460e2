"""docs/embedding_evaluations.md: its queries run on the tables and find something."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from finembed_core.embeddings.evaluation.portfolios import AGAINST
from finembed_core.embeddings.evaluation.study import StudyInputs, evaluate
from tests.embeddings.evaluation_worlds import DailyWorld, own_settings

PAGE = (Path(__file__).parents[2] / "docs" / "embedding_evaluations.md").read_text()
BLOCK = re.search(r"## How to read the tables\n\n((?:    .*\n|\n)+)", PAGE)
QUERIES = [q.strip() for q in (BLOCK.group(1) if BLOCK else "").split("\n\n") if q.strip()]


@pytest.fixture(scope="module")
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    world = DailyWorld(sessions=200, funds=10, modes=("supervised", "probe"), seeds=(1, 2))
    panel = world.panel()
    table = world.predictions(panel)
    made = evaluate(StudyInputs(panel, world.fund_table(), table, None, own_settings(), {}))
    with duckdb.connect() as connection:
        for name, frame in made.items():
            connection.register(name, frame.to_arrow())
        yield connection


@pytest.mark.parametrize("query", QUERIES)
def test_queries_find_something(warehouse: duckdb.DuckDBPyConnection, query: str) -> None:
    assert warehouse.execute(query).fetchall()


def test_the_page_has_queries_and_every_benchmark() -> None:
    assert len(QUERIES) == 4
    for names in AGAINST.values():
        assert all(f"`{name}`" in PAGE for name in names)
