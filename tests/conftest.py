"""Fixtures that several rooms use."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from finembed_core.store import PartStore
from tests.study_runs import SETTINGS, entered, finembed


@pytest.fixture(autouse=True)
def environment_of_its_own() -> Iterator[None]:
    """What a test sets in the environment, ``Study.enter`` included, ends with it."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def alone() -> Iterator[None]:
    """Torch on one thread: over small networks more of them only wait for each other."""
    from finembed_core.learning.loop import one_thread  # most tests never load torch

    with one_thread():
        yield


@pytest.fixture
def store(tmp_path: Path) -> PartStore:
    """An empty part store."""
    return PartStore(tmp_path / "store")


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``finembed.yaml`` and a finished ``home``; copy it before changing anything."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "finembed.yaml").write_text(SETTINGS)
    code = finembed("run", "--home", folder / "home", "--settings", folder / "finembed.yaml")
    assert code == 0
    return folder


@pytest.fixture
def study(finished_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished study as the current folder, its home named by the variable."""
    return entered(finished_study, tmp_path, monkeypatch)
