"""The examples say what can be read: settings, files, columns."""

from pathlib import Path

import pytest

from finembed_core.ingest.stage import brought
from finembed_core.settings import load_settings
from tests.shared_data import needs_shared

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*/*.yaml"))


@needs_shared
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_an_example_brings_months_funds_and_series(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    found = brought(load_settings(file))
    assert found.last - found.first > 36
    assert found.whole["funds"].height > 10 and found.whole["series"].height > 10
