"""Fixtures that several rooms use."""

from pathlib import Path

import pytest

from finembed_core.store import PartStore


@pytest.fixture
def store(tmp_path: Path) -> PartStore:
    """An empty part store."""
    return PartStore(tmp_path / "store")
