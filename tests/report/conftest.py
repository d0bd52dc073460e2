from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from finembed_core.report.render import page
from finembed_core.report.run import Run, read_run
from finembed_core.report.section import Section
from finembed_core.report.sections import SECTIONS
from finembed_core.warehouse.query import reading
from tests.report import study
from tests.report.browser import Browser


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse as the schema makes it, with one year of results."""
    return study.warehouse(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse in which every section finds something."""
    return study.complete(tmp_path_factory.mktemp("full"))


@pytest.fixture
def connection(full: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with reading(full) as opened:
        yield opened


@pytest.fixture
def run(connection: duckdb.DuckDBPyConnection) -> Run:
    return read_run(connection)


@pytest.fixture(scope="session")
def sections(full: Path) -> dict[str, Section]:
    """Every section of the full warehouse, by its name."""
    with reading(full) as opened:
        run = read_run(opened)
        return {make.__name__: make(opened, run) for make in SECTIONS}


@pytest.fixture(scope="session")
def html(full: Path, sections: dict[str, Section]) -> str:
    with reading(full) as opened:
        return page(read_run(opened), list(sections.items()))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened
