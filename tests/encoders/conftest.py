"""Small networks on one thread: more threads only wait for each other."""

import pytest


@pytest.fixture(autouse=True)
def _alone(alone):
    """All of them."""
