"""Where the development panels lie, and the mark that skips a test without them."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="needs the development panels in ../shared/data"
)
