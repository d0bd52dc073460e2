import shutil
from pathlib import Path

import pytest

from finembed_core.settings import Settings
from finembed_core.store import PartStore
from finembed_core.warehouse.publish import publish
from tests.warehouse.fake_store import fake_store


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a store and its warehouse; never written to by a test."""
    home = tmp_path_factory.mktemp("template")
    publish(fake_store(home / "store"), home / "warehouse.duckdb", Settings())
    return home


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    """A copy of the template that a test may change."""
    return Path(shutil.copytree(template, tmp_path / "home"))


@pytest.fixture
def store(home: Path) -> PartStore:
    return PartStore(home / "store")


@pytest.fixture
def path(home: Path) -> Path:
    return home / "warehouse.duckdb"
