import os

import pytest


@pytest.fixture(autouse=True, scope="module")
def _no_waiting_for_disks():
    """Durability has its own tests; these write thousands of small files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield
