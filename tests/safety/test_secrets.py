"""There is no place for a secret in the settings, which the warehouse shows to everybody."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from finembed_core.errors import SettingsError
from finembed_core.settings import Settings
from finembed_core.settings_file import read_sections

SECRET = re.compile(r"password|passwd|secret|token|credential|api_?key|auth", re.IGNORECASE)


def names(schema: Any) -> Iterator[str]:
    """Every name of a setting or section, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from names(value)


def test_no_setting_is_a_secret() -> None:
    found = set(names(Settings.model_json_schema()))
    assert {"dataset", "ridge", "lookback"} <= found
    assert not {name for name in found if SECRET.search(name)}


@pytest.mark.parametrize("line", ["api_key: canary-19", "dataset: {password: canary-19}"])
def test_a_secret_in_the_settings_is_refused_and_not_repeated(tmp_path: Any, line: str) -> None:
    (tmp_path / "finembed.yaml").write_text(line)
    with pytest.raises(SettingsError, match="there is no setting") as caught:
        read_sections(tmp_path / "finembed.yaml", Settings)
    assert "canary" not in str(caught.value)
